"""`fraudit twins`: is it still the same model?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fraudit.report.record import RunRecord


def twins(
    old: Annotated[
        str, typer.Argument(help="Old model: name, card, python:module:callable, run folder or .npz.")
    ],
    new: Annotated[str, typer.Argument(help="New model: the same.")],
    dataset: Annotated[str, typer.Option(help="Known name or path, of at least 50 people.")] = "sample",
    weights: Annotated[Path | None, typer.Option(help="The old model's weights file.")] = None,
    new_weights: Annotated[Path | None, typer.Option(help="The new model's weights file.")] = None,
    attributes: Annotated[
        list[str] | None, typer.Option(help="Compare groups by these attributes (comma or repeated).")
    ] = None,
    expect: Annotated[
        str,
        typer.Option(help="What the new model must be: same, interchangeable, or 'needs its own threshold'."),
    ] = "interchangeable",
    param: Annotated[list[str] | None, typer.Option(help="twins.NAME=VALUE, e.g. twins.margin=0.005")] = None,
    limit: Annotated[int | None, typer.Option(help="Only some people, up to so many pictures.")] = None,
    layout: Annotated[str | None, typer.Option(help="Folders above a picture: person, person/*, ...")] = None,
    detector: Annotated[str | None, typer.Option(help="yunet, dlib, mtcnn or scrfd.")] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    junit: Annotated[Path | None, typer.Option(help="Also write JUnit XML.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder. [default: runs/NAME-SET-TIME]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished run in --out.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print only the verdict and the report's path.")
    ] = False,
) -> int:
    """Is the new model still the old one: exit code 0 yes, 1 no, 2 usage, 3 not enough evidence.

    Example: fraudit twins model.toml model-int8.toml --dataset lfw --junit twins.xml
    """
    from fraudit.analyses.twins.verdict import LADDER
    from fraudit.audit.plan import parse_params
    from fraudit.cli.analyze import split
    from fraudit.errors import UsageError, suggest

    if expect not in LADDER[:-1]:
        raise UsageError(
            f"--expect {expect}: expected one of {', '.join(LADDER[:-1])}",
            suggest(expect, LADDER[:-1]).strip(),
        )
    params = parse_params(param or [])
    if attributes:
        params.setdefault("twins", {})["by"] = ",".join(split(attributes))
    record, folder = _run(
        old,
        new,
        (weights, new_weights),
        {"dataset": dataset, "limit": limit, "layout": layout, "detector": detector, "seed": seed},
        params,
        out,
        overwrite,
        quiet,
    )
    return _tell(record, folder, expect, junit, quiet)


def _run(
    old: str,
    new: str,
    weights: tuple[Path | None, Path | None],
    reading: dict[str, Any],
    params: dict[str, Any],
    out: Path | None,
    overwrite: bool,
    quiet: bool,
) -> tuple[RunRecord, Path]:
    """The audit of both. Where only the old one is stored vectors, the new one is audited and the old its other."""
    from dataclasses import replace

    from fraudit.audit.folders import default_run_dir
    from fraudit.audit.given_vectors import prepare_given, run_given
    from fraudit.audit.matching import name_of
    from fraudit.audit.other import vectors_file
    from fraudit.audit.plan import plan_from_values
    from fraudit.audit.runner import run_plan
    from fraudit.errors import UsageError
    from fraudit.progress.console import Line

    files = vectors_file(old), vectors_file(new)
    for file, given, option in zip(files, weights, ("--weights", "--new-weights"), strict=True):
        if file is not None and given is not None:
            raise UsageError(f"{option} goes with a model, found stored vectors {file}")
    sides = [old, new]
    if files[0] is not None and files[1] is None:
        sides, weights = [new, old], weights[::-1]
        params.setdefault("twins", {})["reverse"] = True
    stored = files[0] if files[1] is not None else None
    values = {
        **reading,
        "embedder": name_of(stored) if stored is not None else sides[0],
        "other": sides[1],
        "weights": str(weights[0]) if weights[0] else None,
        "other_weights": str(weights[1]) if weights[1] else None,
        "only": ("twins",),
        "params": params or None,
        "inverter": "none",
        "pictures": "none",
    }
    plan = plan_from_values({k: v for k, v in values.items() if v is not None}, "fraudit twins")
    folder = out or default_run_dir(plan)
    with Line(quiet) as line:
        if stored is not None:
            audit = prepare_given(replace(plan, pictures="none"), stored, line.reporter())
            record = run_given(audit, folder, overwrite=overwrite, reporter=line.reporter())
        else:
            record = run_plan(plan, folder, overwrite=overwrite, reporter=line.reporter())
    return record, folder


def _tell(record: RunRecord, folder: Path, expect: str, junit: Path | None, quiet: bool) -> int:
    from fraudit.analyses.twins import junit as told
    from fraudit.errors import DataError
    from fraudit.files.store import write_bytes_atomic
    from fraudit.report.render import render

    page = render(folder)
    result = next(r for r in record.results if r.name == "twins")
    if result.status == "failed":
        raise DataError(f"the comparison failed: {result.reason}", "run it with --debug")
    if junit is not None:
        write_bytes_atomic(junit, told.junit(result, expect).encode())
    found = told.verdict_of(result)
    if found is None:
        typer.echo(f"not enough evidence: {result.reason}")
    else:
        between = f" ({found.between})" if found.between else ""
        typer.echo(f"verdict: {found.word}{between}")
        for finding in () if quiet else result.findings:
            typer.echo(f"[{finding.severity}] {finding.text}")
    state = told.outcome(result, expect)
    typer.echo(f"expected: at least {expect}: {state.replace('open', 'not enough evidence')}")
    typer.echo(f"report: {page}")
    return told.EXIT[state]


def register(app: typer.Typer) -> None:
    """Add the command of this topic."""
    app.command("twins")(twins)
