"""`fraudit card`: a card from a model's file alone, and whether the model answers by it."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer


def card(
    model: Annotated[Path, typer.Argument(help="The model's file, such as model.onnx.")],
    out: Annotated[Path | None, typer.Option(help="The card to write. [default: print it]")] = None,
    dataset: Annotated[str, typer.Option(help="Faces the model is checked on.")] = "sample",
    no_doctor: Annotated[bool, typer.Option("--no-doctor", help="Only draft the card.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a card in --out.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> int:
    """Draft a card from a model's file alone (inputs, outputs, sizes), then check the model by it.

    Exit code 0 where nothing was found, 1 where something is wrong or the card has to be completed.

    Example: fraudit card model.onnx --out card.toml
    """
    from fraudit.embedding.loading import draft_of
    from fraudit.errors import UsageError
    from fraudit.files.store import write_text_atomic

    if out is not None and out.exists() and not overwrite:
        raise UsageError(f"--out: {out} is there already", "name another file, or add --overwrite")
    drawn = draft_of(str(model))
    if out is not None:
        write_text_atomic(out, _pointing(drawn.text, model, out.parent) + "\n")
        typer.echo(f"card: {out}")
    else:
        typer.echo(_pointing(drawn.text, model, None))
    todo = [line.split(" =")[0] for line in drawn.text.splitlines() if "..." in line.split("#")[0]]
    if todo:
        typer.echo(
            f"complete {', '.join(todo)}: the file does not tell; then fraudit doctor checks it", err=True
        )
        return 1
    typer.echo("mean, std, channels and template are the usual ones: the file does not tell them", err=True)
    return 0 if no_doctor else _examined(drawn.text, model, out, dataset, quiet)


def _examined(text: str, model: Path, out: Path | None, dataset: str, quiet: bool) -> int:
    import tempfile

    from fraudit.cli.doctor import doctor_plan, examine, say

    with tempfile.TemporaryDirectory(prefix="fraudit-card-") as spare:
        toml = out
        if toml is None:
            toml = Path(spare) / "card.toml"
            toml.write_text(_pointing(text, model, None))
        plan = doctor_plan({"embedder": str(toml), "dataset": dataset}, wiring=True)
        record, _ = examine(plan, None, False, quiet)
    # A card that is printed is the output alone, so that it can be sent into a file.
    with contextlib.nullcontext() if out is not None else contextlib.redirect_stdout(sys.stderr):
        return say(record)


def _pointing(text: str, model: Path, folder: Path | None) -> str:
    """The card with its model's path as seen from `folder`, or whole."""
    whole = model.expanduser().absolute()
    path = str(whole) if folder is None else os.path.relpath(whole, folder.absolute())
    old = f"model = {json.dumps(model.name)}"
    return text.replace(old, f"model = {json.dumps(path)}", 1)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("card")(card)
