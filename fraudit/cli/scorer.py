"""`fraudit analyze --scorer`: a black box that compares two pictures and never gives a vector."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import typer


def analyze_scorer(
    scorer: str,
    given: Mapping[str, Any],
    plan: Path | None,
    out: Path | None,
    max_queries: int | None,
    *,
    dry_run: bool,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Show what will be asked and what it costs, then ask it.

    Raises:
        UsageError: an option that goes with embedders alone.
    """
    from fraudit.audit.folders import check_folder, default_run_dir, unreported
    from fraudit.audit.plan import plan_from_toml, plan_from_values
    from fraudit.audit.scoring import budget_text, plan_of, prepare, run_scorer
    from fraudit.cli.outcome import tell
    from fraudit.errors import UsageError
    from fraudit.progress.board import of_a_run
    from fraudit.report.render import render

    for key in ("embedder", "weights", "judges", "other", "other_weights", "inverter", "max_faces"):
        if key in given:
            raise UsageError(
                f"--{key.replace('_', '-')} does not go with --scorer", "a scorer gives no vectors"
            )
    if out is None:
        stem = Path(scorer).stem if scorer.endswith(".toml") else scorer.rpartition(":")[2]
        out = default_run_dir(plan_from_values({**given, "embedder": stem}, "fraudit analyze"))
    values = {**given, "embedder": scorer}
    chosen = plan_from_toml(plan, values) if plan else plan_from_values(values, "fraudit analyze")
    if not dry_run:  # a finished run that lacks its report alone may be this one
        check_folder(out, overwrite or not (out / "report" / "index.html").exists())
    with of_a_run(quiet or dry_run) as line:
        prepared = prepare(replace(chosen, pictures="none"), scorer, out, max_queries, line.reporter())
        with prepared.boxes:
            if dry_run:
                typer.echo(
                    json.dumps(asdict(prepared.budget), indent=2) if as_json else budget_text(prepared)
                )
                return 0
            done = None if overwrite else unreported(out, plan_of(prepared))
            line.say(f"{out} holds this run, finished but for its report" if done else budget_text(prepared))
            record = done or run_scorer(prepared, overwrite=overwrite, reporter=line.reporter())
    return tell(record, out, render(out), quiet, as_json)
