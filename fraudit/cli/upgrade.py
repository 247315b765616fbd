"""`fraudit upgrade`: a new model with the old model's enrolments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fraudit.cli.two_models import AsJson, Limit, Out, Overwrite, Quiet, Seed, run_two


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
    limit: Limit = None,
    seed: Seed = 0,
    out: Out = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """What old enrolments lose when a new model is to search them translated, instead of enrolling again.

    Example: fraudit upgrade --old dlib --new card.toml --dataset lfw
    """
    weights = (old_weights, new_weights)
    return run_two(
        "upgrade", (old, new), weights, dataset, param, limit, seed, out,
        overwrite=overwrite, quiet=quiet, as_json=as_json,
    )  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("upgrade")(upgrade)
