"""`fraudit upgrade`: a new model with the old model's enrolments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def upgrade(
    old: Annotated[
        str, typer.Option(help="The model that enrolled: name, card.toml, run folder or .npz of vectors.")
    ],
    new: Annotated[str, typer.Option(help="The model that is to take its place; as --old.")],
    dataset: Annotated[str, typer.Option(help="Known name or path.")] = "sample",
    old_weights: Annotated[Path | None, typer.Option(help="The old model's weights file.")] = None,
    new_weights: Annotated[Path | None, typer.Option(help="The new model's weights file.")] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="upgrade.NAME=VALUE, e.g. upgrade.pairs=50,500")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only some people, up to so many pictures.")] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Run folder. [default: runs/NAME-SET-TIME]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished run in --out.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the report's path.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> int:
    """What old enrolments lose when a new model is to search them translated, instead of enrolling again.

    Example: fraudit upgrade --old dlib --new card.toml --dataset lfw
    """
    from fraudit.cli.two_models import run_two

    weights = (old_weights, new_weights)
    return run_two(
        "upgrade", (old, new), weights, dataset, param, limit, seed, out,
        overwrite=overwrite, quiet=quiet, as_json=as_json,
    )  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("upgrade")(upgrade)
