"""`fraudit rivals --scorer`: the scores-only attack on a box that compares two pictures and never gives a vector."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fraudit.formatting import interval, percent

if TYPE_CHECKING:
    from fraudit.audit.scores_attack import Outcome
    from fraudit.stats.estimates import Estimate

FILE = "scores_attack.json"


def rivals_scorer(
    scorer: str,
    given: Mapping[str, Any],
    own: Mapping[str, Any],
    out: Path | None,
    *,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Attack, print the table, and keep it in the run's folder.

    Args:
        given: values of the plan. own: parameters of rivals.
    Raises:
        UsageError: an option that needs vectors, or no local model.
    """
    from dataclasses import asdict

    from fraudit.audit.folders import default_run_dir
    from fraudit.audit.plan import plan_from_values
    from fraudit.audit.scores_attack import attack_scorer, questions_of
    from fraudit.errors import UsageError
    from fraudit.files.store import write_text_atomic
    from fraudit.progress.board import of_a_run

    wrong = sorted({"embedder", "weights"} & set(given))
    if wrong:
        raise UsageError(f"--{wrong[0]} does not go with --scorer", "a scorer gives no vectors")
    methods = tuple(own.get("methods") or ("scores",))
    if methods != ("scores",) or own.get("inverters"):
        raise UsageError(
            "--scorer: a box that only compares can be attacked by scores alone; every other method needs its vectors",
            "--methods scores, or --embedder",
        )
    if not own.get("local"):
        raise UsageError(
            "--scorer: scores alone need a model of the attacker's own",
            "--local dlib, or --local card.toml of another one",
        )
    unknown = set(own) - {"methods", "inverters", "local", "people", "questions", "pool"}
    if unknown:
        raise UsageError(
            f"--scorer does not take '{min(unknown)}'", "it takes --people, --max-queries, --pool and --local"
        )
    people, queries, pool = (
        int(own.get(k, d)) for k, d in (("people", 12), ("questions", 99), ("pool", 1000))
    )
    stem = Path(scorer).stem if scorer.endswith(".toml") else scorer.rpartition(":")[2]
    judges = tuple(given.get("judges") or ())
    values = {k: v for k, v in given.items() if k != "judges"}
    plan = plan_from_values({**values, "embedder": stem, "pictures": "none"}, "fraudit rivals")
    if dry_run:
        typer.echo(f"{stem} on {plan.dataset}: at most {questions_of(people, queries):,} scores")
        return 0
    folder = out or default_run_dir(plan)
    with of_a_run(quiet) as line:
        found = attack_scorer(
            plan, scorer, str(own["local"]), folder, people=people, queries=queries, pool=pool, judges=judges,
            reporter=line.reporter(),
        )  # fmt: skip
    text = json.dumps(asdict(found), indent=2) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    write_text_atomic(folder / FILE, text)
    if as_json:
        typer.echo(text, nl=False)
    elif quiet:
        typer.echo(str(folder / FILE))
    else:
        typer.echo("\n".join([*lines_of(found), f"written: {folder / FILE}"]))
    return 0


def _words(found: Estimate) -> str:
    if found.interval is None:
        return f"{percent(found.value, 1)} ({found.reason})"
    return f"{percent(found.value, 1)} ({interval(found.interval.low, found.interval.high, as_percent=True)})"


def lines_of(found: Outcome) -> list[str]:
    """The table for a person."""
    judges = list(found.rows[0].success)
    lines = [
        f"scores alone against {found.scorer}: {found.people} people, one picture each; {found.how}",
        f"share of pictures that are accepted as their source at FMR 1e-2, 95 % intervals by people "
        f"(threshold {found.threshold:.4g}):",
    ]
    for row in found.rows:
        told = ", ".join(f"{_words(row.success[j])} by {j}" for j in judges)
        lines.append(f"  {row.name}: {told}")
    lines.append(f"  accepted as another victim: {_words(found.chance)} by {found.scorer}")
    lines += [f"  {name} is no independent judge: the attack was made with it" for name in found.kin]
    lines += [f"  {name} judges nothing: {why}" for name, why in found.missing.items()]
    if found.left_out:
        lines.append(f"  {found.left_out} people left out: the box has too few scores of them")
    lines.append(f"  scores used: {found.asked:,}; asked in this run: {found.questions:,}")
    return lines
