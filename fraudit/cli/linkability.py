"""`fraudit linkability`: who is in two leaked databases of different models?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


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
    limit: Annotated[int | None, typer.Option(help="Only some people, up to so many pictures.")] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Run folder. [default: runs/NAME-SET-TIME]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished run in --out.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the report's path.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> int:
    """Whether people can be found again in a leaked database of another model, by an attacker who translates.

    Example: fraudit linkability dlib card.toml --dataset lfw
    """
    from fraudit.cli.two_models import run_two

    weights = (first_weights, second_weights)
    return run_two(
        "linkability", (first, second), weights, dataset, param, limit, seed, out,
        overwrite=overwrite, quiet=quiet, as_json=as_json,
    )  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("linkability")(linkability)
