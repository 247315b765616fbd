"""What commands that compare two models do: one analysis over both, and its report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Limit = Annotated[int | None, typer.Option(help="Only some people, up to so many pictures.")]
Seed = Annotated[int, typer.Option(help="Of everything random.")]
Out = Annotated[Path | None, typer.Option(help="Run folder. [default: runs/NAME-SET-TIME]")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a finished run in --out.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print only the report's path.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")]


def _same(models: tuple[str, str], files: tuple[Path | None, Path | None]) -> bool:
    if files[0] is None or files[1] is None:
        return models[0] == models[1]
    return files[0].resolve() == files[1].resolve()


def run_two(
    analysis: str,
    models: tuple[str, str],
    weights: tuple[Path | None, Path | None],
    dataset: str,
    param: list[str] | None,
    limit: int | None,
    seed: int,
    out: Path | None,
    *,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Run `analysis` with the first model as the audited one and the second as the other; the exit code.

    Raises:
        FrauditError: a model or a set that is not there, or a parameter out of range.
    """
    from fraudit.audit.folders import default_run_dir
    from fraudit.audit.given_vectors import prepare_given, run_given
    from fraudit.audit.matching import name_of
    from fraudit.audit.other import vectors_file
    from fraudit.audit.plan import AuditPlan, parse_params
    from fraudit.audit.runner import run_plan
    from fraudit.cli.outcome import tell
    from fraudit.errors import UsageError
    from fraudit.progress.console import Line
    from fraudit.report.render import render

    stored, second = (vectors_file(name) for name in models)
    if weights[0] == weights[1] and _same(models, (stored, second)):
        raise UsageError(
            f"{analysis}: expected two models, found '{models[0]}' twice",
            "name another model as the second one",
        )
    params = parse_params(param or [])
    for name in params:
        if name != analysis:
            raise UsageError(
                f"--param {name}: expected parameters of {analysis}", f"--param {analysis}.NAME=VALUE"
            )
    for at, file in zip(models, weights, strict=True):
        if file is not None and vectors_file(at) is not None:
            raise UsageError(f"{at}: stored vectors go without weights", "leave the weights out")
    plan = AuditPlan(
        models[0] if stored is None else name_of(stored),
        dataset,
        weights=str(weights[0]) if weights[0] else None,
        only=(analysis,),
        params=params,
        seed=seed,
        other=models[1],
        other_weights=str(weights[1]) if weights[1] else None,
        limit=limit,
        pictures="none",
    )
    folder = out or default_run_dir(plan)
    with Line(quiet) as line:
        if stored is None:
            record = run_plan(plan, folder, overwrite=overwrite, reporter=line.reporter())
        else:
            given = prepare_given(plan, stored, line.reporter())
            record = run_given(given, folder, overwrite=overwrite, reporter=line.reporter())
        page = render(folder)
    return tell(record, folder, page, quiet, as_json)
