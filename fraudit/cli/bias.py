"""`fraudit bias`: the bias report alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def bias(
    embedder: Annotated[str, typer.Option(help="Registry name, card.toml, or python:module:callable.")],
    by: Annotated[str, typer.Option(help="Attributes, comma-separated, e.g. race,gender.")] = "",
    dataset: Annotated[str, typer.Option(help="Known name or path.")] = "sample",
    weights: Annotated[Path | None, typer.Option(help="The model's weights file.")] = None,
    fmr: Annotated[float, typer.Option(help="Global operating point.")] = 1e-3,
    min_people: Annotated[int, typer.Option(help="Groups with fewer people are not judged.")] = 10,
    distinct: Annotated[
        bool,
        typer.Option("--distinct", help="State that every picture of an unnamed set shows another person."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Run folder. [default: runs/COMMAND-NAME-SET-TIME]")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished run in --out.")] = False,
) -> int:
    """Error rates per demographic group at one threshold, with tests and fairness measures.

    Example: fraudit bias --embedder dlib --by male,young
    """
    from fraudit.cli.analyze import analyze

    param = [f"bias.fmr={fmr}", f"bias.min_people={min_people}"] + ([f"bias.by={by}"] if by else [])
    return analyze(
        embedder=embedder,
        dataset=dataset,
        weights=weights,
        only=["bias"],
        param=param,
        distinct=distinct,
        out=out,
        overwrite=overwrite,
    )


def register(app: typer.Typer) -> None:
    """Add the commands of this topic."""
    app.command("bias")(bias)
