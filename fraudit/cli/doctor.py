"""`fraudit doctor`: is the model wired right?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fraudit.audit.plan import AuditPlan
    from fraudit.report.record import RunRecord

WRONG = ("high", "medium", "low")


def doctor(
    embedder: Annotated[str, typer.Option(help="Registry name, card.toml, or python:module:callable.")],
    dataset: Annotated[str, typer.Option(help="Known name or path.")] = "sample",
    fix: Annotated[
        Path | None, typer.Option(help="Write a card with the better wiring here, where there is one.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also keep the run and its report in this folder.")] = None,
    sanity_only: Annotated[
        bool, typer.Option("--sanity-only", help="Do not try other channels, normalisations and templates.")
    ] = False,
    try_: Annotated[
        str | None,
        typer.Option(
            "--try",
            help="Only these: channels, normalisation, template, size, output, layout; with commas. [default: all]",
        ),
    ] = None,
    faces: Annotated[
        int | None, typer.Option(help="Faces the wirings are judged on. [default: 600]", min=20)
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="The model's weights file.")] = None,
    detector: Annotated[str | None, typer.Option(help="yunet, dlib, mtcnn or scrfd.")] = None,
    layout: Annotated[
        str | None, typer.Option(help="Which folders name the person, such as person/*.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Whole people, up to so many pictures; two people at least.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished run in --out.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> int:
    """Check that a model is wired right: one answer a face, live dimensions, the preprocessing it was trained with.

    Exit code 0 where nothing was found, 1 where something is wrong.

    Example: fraudit doctor --embedder card.toml
    """
    from fraudit.analyses.doctor.params import Params
    from fraudit.cli.options import check_options
    from fraudit.errors import UsageError

    if fix is not None and sanity_only:
        raise UsageError("--fix needs the wirings", "leave out --sanity-only")
    if fix is not None and fix.exists() and not overwrite:
        raise UsageError(f"--fix: {fix} is there already", "name another file, or add --overwrite")
    given = {
        "embedder": embedder,
        "dataset": dataset,
        "weights": str(weights) if weights else None,
        "detector": detector,
        "layout": layout,
        "limit": limit,
        "seed": seed,
    }
    asked = {"fix": str(fix) if fix else None, "wiring_axes": try_, "wiring_faces": faces}
    params = {key: value for key, value in asked.items() if value is not None}
    check_options(
        "doctor",
        Params,
        {"wiring": not sanity_only, **params},
        {"wiring_axes": "--try", "wiring_faces": "--faces"},
    )
    before = _written(fix)
    plan = doctor_plan(given, wiring=not sanity_only, **params)
    record, page = examine(plan, out, overwrite, quiet)
    code = say(record)
    if fix is not None:
        better = any(finding.rule == "doctor.wiring" for _, finding in record.findings())
        if _written(fix) != before:
            typer.echo(f"card: {fix}")
        elif not better:
            typer.echo("no card was written: no other wiring is better beyond doubt")
    if page:
        typer.echo(f"report: {page}")
    return code


def _written(file: Path | None) -> int:
    return file.stat().st_mtime_ns if file is not None and file.exists() else 0


def doctor_plan(given: Mapping[str, Any], **params: Any) -> AuditPlan:
    """The plan of this one analysis; values of None are left to their defaults."""
    from fraudit.audit.plan import plan_from_values

    values = {key: value for key, value in given.items() if value is not None}
    return plan_from_values({**values, "only": ("doctor",), "params": {"doctor": params}}, "fraudit doctor")


def examine(plan: AuditPlan, out: Path | None, overwrite: bool, quiet: bool) -> tuple[RunRecord, Path | None]:
    """(record, page or None) of a plan; without a folder nothing is left behind."""
    import tempfile

    from fraudit.audit.runner import run_plan
    from fraudit.progress.console import Line
    from fraudit.report.render import render

    with Line(quiet) as line, tempfile.TemporaryDirectory(prefix="fraudit-doctor-") as spare:
        record = run_plan(plan, out or Path(spare) / "run", overwrite=overwrite, reporter=line.reporter())
        return record, render(out) if out else None


def say(record: RunRecord) -> int:
    """Print what was found, a line each; the exit code."""
    from fraudit.audit.execute import exit_code

    for result in record.results:
        typer.echo(result.headline or f"{result.status.replace('_', ' ')}: {result.reason}")
        for caveat in result.caveats:
            typer.echo(f"note: {caveat}")
    found = [finding for _, finding in record.findings()]
    for finding in found:
        typer.echo(f"[{finding.severity}] {finding.text}")
    code = exit_code(record)
    return code or int(any(finding.severity in WRONG for finding in found))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)
