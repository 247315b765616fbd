"""`fraudit analyze --vectors`: vectors that exist already, of the pictures of a known set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

NOT_TOGETHER = ("embedder", "weights", "judges", "inverter", "pictures")


def analyze_vectors(
    file: Path,
    given: Mapping[str, Any],
    plan: Path | None,
    out: Path | None,
    *,
    dry_run: bool,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Match the vectors to the set's pictures and run what needs no model.

    Raises:
        UsageError: an option that goes with a model alone.
    """
    from fraudit.audit.folders import check_folder, default_run_dir, unreported
    from fraudit.audit.given_vectors import expected, prepare_given, run_given, stated
    from fraudit.audit.matching import name_of
    from fraudit.audit.plan import plan_from_toml, plan_from_values
    from fraudit.cli.outcome import tell
    from fraudit.errors import UsageError
    from fraudit.progress.board import of_a_run
    from fraudit.report.render import render

    for key in NOT_TOGETHER:
        if key in given:
            option = {"judges": "judge"}.get(key, key.replace("_", "-"))
            raise UsageError(
                f"--{option} does not go with --vectors", "no model is asked, and the report shows no picture"
            )
    values = {**given, "embedder": name_of(file)}
    chosen = plan_from_toml(plan, values) if plan else plan_from_values(values, "fraudit analyze")
    folder = out or default_run_dir(chosen)
    chosen = replace(chosen, pictures="none")
    done = None if overwrite or dry_run else unreported(folder, stated(chosen, file))
    if not (done or dry_run):
        check_folder(folder, overwrite)
    with of_a_run(quiet or dry_run) as line:
        audit = prepare_given(chosen, file, line.reporter())
        if dry_run:
            found = {
                "pictures": len(audit.faces),
                "with_vector": int(audit.model.ok.sum()),
                "unknown_ids": len(audit.unknown),
                "not_run": {k: why for k, why in expected(audit).items() if why},
            }
            typer.echo(json.dumps({**audit.stated, "found": found}, indent=2))
            return 0
        if done:
            line.say(f"{folder} holds this run, finished but for its report")
        record = done or run_given(audit, folder, overwrite=overwrite, reporter=line.reporter())
        page = render(folder)
    return tell(record, folder, page, quiet, as_json)
