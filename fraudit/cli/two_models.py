"""What commands that compare two models do: one analysis over both, and its report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fraudit.report.record import RunRecord
    from fraudit.types import FaceSet

Limit = Annotated[int | None, typer.Option(help="Whole people, up to so many pictures; two people at least.")]
Seed = Annotated[int, typer.Option(help="Of everything random.")]
Out = Annotated[Path | None, typer.Option(help="Run folder. [default: runs/COMMAND-NAME-SET-TIME]")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a finished run in --out.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print only the report's path.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")]


def _same(models: tuple[str, str], files: tuple[Path | None, Path | None]) -> bool:
    """Whether both name one model, one card, or one file of vectors."""
    one, two = (
        str(file or (name if ":" in name else Path(name).expanduser()))
        for name, file in zip(models, files, strict=True)
    )
    return one == two or (Path(one).exists() and Path(two).exists() and Path(one).samefile(two))


def audit_two(
    analysis: str,
    models: tuple[str, str],
    weights: tuple[Path | None, Path | None],
    params: dict[str, dict[str, Any]],
    reading: dict[str, Any],
    out: Path | None,
    *,
    overwrite: bool,
    quiet: bool,
    twice: str = "name another model as the second one",
    fits: Callable[[FaceSet], None] | None = None,
) -> tuple[RunRecord, Path]:
    """(record, folder) of `analysis` with the first model as the audited one and the second as the other.

    Args:
        reading: values of the plan that say which faces: `dataset`, `limit`, `seed`, and the like; None: the default.
        twice: hint where one model stands on both sides.
        fits: raises where the set does not suit what is asked.
    Raises:
        FrauditError: a model or a set that is not there, or a parameter out of range; said before a set is opened,
            what depends on the set apart.
    """
    from fraudit.audit.folders import default_run_dir
    from fraudit.audit.given_vectors import prepare_given, run_given
    from fraudit.audit.matching import name_of
    from fraudit.audit.other import check_other, vectors_file
    from fraudit.audit.plan import build_params, plan_from_values
    from fraudit.audit.runner import run_plan
    from fraudit.embedding.loading import check_embedder
    from fraudit.errors import UsageError
    from fraudit.plugins import ANALYSES
    from fraudit.progress.console import Line

    files = vectors_file(models[0]), vectors_file(models[1])
    if weights[0] == weights[1] and _same(models, files):
        raise UsageError(f"{analysis}: expected two models, found '{models[0]}' twice", twice)
    for name in params:
        if name != analysis:
            raise UsageError(
                f"--param {name}: expected parameters of {analysis}", f"--param {analysis}.NAME=VALUE"
            )
    build_params(ANALYSES.get(analysis).params, params.get(analysis, {}), analysis)
    for at, stored, file in zip(models, files, weights, strict=True):
        if stored is not None and file is not None:
            raise UsageError(f"{at}: stored vectors go without weights", "leave the weights out")
    given = files[0]
    values = {
        **reading,
        "embedder": models[0] if given is None else name_of(given),
        "other": models[1],
        "weights": str(weights[0]) if weights[0] else None,
        "other_weights": str(weights[1]) if weights[1] else None,
        "only": (analysis,),
        "params": params or None,
        "inverter": "none",
        "pictures": "none",
    }
    plan = plan_from_values({k: v for k, v in values.items() if v is not None}, f"fraudit {analysis}")
    folder = out or default_run_dir(plan)
    with Line(quiet) as line:
        if given is None:
            check_embedder(plan.embedder, plan.weights)
            record = run_plan(plan, folder, overwrite=overwrite, reporter=line.reporter(), fits=fits)
        else:
            check_other(plan)
            audit = prepare_given(plan, given, line.reporter())
            if fits is not None:
                fits(audit.faces)
            record = run_given(audit, folder, overwrite=overwrite, reporter=line.reporter())
    return record, folder


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
    """Run `analysis` over both models and tell what it found; the exit code. Raises FrauditError as `audit_two`."""
    from fraudit.audit.plan import parse_params
    from fraudit.cli.outcome import tell
    from fraudit.report.render import render

    reading = {"dataset": dataset, "limit": limit, "seed": seed}
    params = parse_params(param or [])
    record, folder = audit_two(
        analysis, models, weights, params, reading, out, overwrite=overwrite, quiet=quiet
    )
    return tell(record, folder, render(folder), quiet, as_json)
