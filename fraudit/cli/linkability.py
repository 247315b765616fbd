"""`fraudit linkability`: who is in two leaked databases of different models?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fraudit.cli.two_models import AsJson, Limit, Out, Overwrite, Quiet, Seed, run_two


def linkability(
    first: Annotated[
        str, typer.Argument(help="Model of one database: name, card.toml, run folder or .npz of vectors.")
    ],
    second: Annotated[str, typer.Argument(help="Model of the other database; as the first.")],
    dataset: Annotated[str, typer.Option(help="Known name or path.")] = "sample",
    first_weights: Annotated[Path | None, typer.Option(help="The first model's weights file.")] = None,
    second_weights: Annotated[Path | None, typer.Option(help="The second model's weights file.")] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="linkability.NAME=VALUE, e.g. linkability.pairs=50,500")
    ] = None,
    limit: Limit = None,
    seed: Seed = 0,
    out: Out = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Whether people can be found again in a leaked database of another model, by an attacker who translates.

    Example: fraudit linkability dlib card.toml --dataset lfw
    """
    weights = (first_weights, second_weights)
    return run_two(
        "linkability", (first, second), weights, dataset, param, limit, seed, out,
        overwrite=overwrite, quiet=quiet, as_json=as_json,
    )  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("linkability")(linkability)
