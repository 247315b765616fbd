"""`fraudit twins`: is it still the same model?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudit.cli.two_models import Limit, Out, Overwrite, Seed, audit_two

if TYPE_CHECKING:
    from fraudit.report.record import RunRecord
    from fraudit.types import FaceSet

TWICE = (
    "what it answered once is remembered, so that asking again proves nothing: embed on each machine (fraudit embed) "
    "and compare the stored vectors"
)


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
    limit: Limit = None,
    layout: Annotated[str | None, typer.Option(help="Folders above a picture: person, person/*, ...")] = None,
    detector: Annotated[str | None, typer.Option(help="yunet, dlib, mtcnn or scrfd.")] = None,
    seed: Seed = 0,
    junit: Annotated[Path | None, typer.Option(help="Also write JUnit XML.")] = None,
    out: Out = None,
    overwrite: Overwrite = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print only the verdict and the report's path.")
    ] = False,
) -> int:
    """Is the new model still the old one: exit code 0 yes, 1 no, 2 usage, 3 open, 4 to 7 error.

    Example: fraudit twins model.toml model-int8.toml --dataset lfw --junit twins.xml
    """
    from fraudit.analyses.twins.params import Params
    from fraudit.analyses.twins.verdict import LADDER
    from fraudit.audit.plan import build_params, parse_params
    from fraudit.cli.analyze import split
    from fraudit.errors import FrauditError, UsageError, suggest
    from fraudit.faces.attributes import require_attributes

    if expect not in LADDER[:-1]:
        raise UsageError(
            f"--expect {expect}: expected one of {', '.join(LADDER[:-1])}",
            suggest(expect, LADDER[:-1]).strip(),
        )
    params = parse_params(param or [])
    if attributes:
        params.setdefault("twins", {})["by"] = ",".join(split(attributes))
    try:
        wanted = build_params(Params, params.get("twins", {}), "twins").by

        def fits(faces: FaceSet) -> None:
            require_attributes(faces, wanted)

        reading = {"dataset": dataset, "limit": limit, "layout": layout, "detector": detector, "seed": seed}
        record, folder = audit_two(
            "twins",
            (old, new),
            (weights, new_weights),
            params,
            reading,
            out,
            overwrite=overwrite,
            quiet=quiet,
            twice=TWICE,
            fits=fits,
        )
        record = _titled(record, folder)
    except FrauditError as error:
        if junit is not None:
            from fraudit.analyses.twins.junit import not_compared
            from fraudit.files.store import write_text_atomic

            write_text_atomic(junit, not_compared(error.message, expect))
        raise
    return _tell(record, folder, expect, junit, quiet)


def _titled(record: RunRecord, folder: Path) -> RunRecord:
    """The record under a title that names both models and the verdict, saved."""
    from dataclasses import replace

    from fraudit.analyses.twins.junit import verdict_of

    result = next(r for r in record.results if r.name == "twins")
    models = [(record.inputs.get(side) or {}).get("name") or "?" for side in ("embedder", "other")]
    if (record.plan.get("params") or {}).get("twins", {}).get("reverse"):
        models.reverse()
    found = verdict_of(result)
    word = (
        found.word if found is not None else "failed" if result.status == "failed" else "not enough evidence"
    )
    data = (record.inputs.get("dataset") or {}).get("name") or "unnamed data"
    record = replace(record, title=f"{models[1]} against {models[0]} on {data}: {word}")
    record.save(folder)
    return record


def _tell(record: RunRecord, folder: Path, expect: str, junit: Path | None, quiet: bool) -> int:
    from fraudit.analyses.twins import junit as told
    from fraudit.cli.outcome import not_run
    from fraudit.errors import DataError
    from fraudit.files.store import write_text_atomic
    from fraudit.report.render import render

    page = render(folder)
    result = next(r for r in record.results if r.name == "twins")
    if junit is not None:
        write_text_atomic(junit, told.junit(result, expect))
    if result.status == "failed":
        hint = next((f.get("hint", "") for f in record.failures if f.get("analysis") == "twins"), "")
        raise DataError(
            f"the comparison failed: {result.reason}", hint or f"{folder / 'run.json'} holds the traceback"
        )
    found = told.verdict_of(result)
    if found is None:
        typer.echo(f"report: {page}")
        raise not_run(result)
    typer.echo(f"verdict: {found.word}{f' (known: {found.known})' if found.known else ''}")
    for finding in () if quiet else result.findings:
        typer.echo(f"[{finding.severity}] {finding.text}")
    state = told.outcome(result, expect)
    typer.echo(f"expected: at least {expect}: {state.replace('open', 'not enough evidence')}")
    typer.echo(f"report: {page}")
    return told.EXIT[state]


def register(app: typer.Typer) -> None:
    """Add the command of this topic."""
    app.command("twins")(twins)
