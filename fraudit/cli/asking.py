"""What `fraudit analyze` asks on a terminal where it was not told what to audit."""

from __future__ import annotations

import shlex
import sys

import typer


def can_ask() -> bool:
    """Whether a person sits at all three streams."""
    return sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()


def ask(dataset: str | None) -> tuple[str, str]:
    """(embedder, data set) as a person answers; the questions go to standard error.

    Args:
        dataset: what was given already; not asked for then.
    """
    from fraudit.plugins import EMBEDDERS

    typer.echo(
        f"Embedders: {', '.join(EMBEDDERS.names())}; or a card.toml, or python:module:function.", err=True
    )
    embedder = _answer("Which embedder", "dlib")
    if dataset is None:
        typer.echo("Data sets: sample (bundled), a name of `fraudit datasets`, or a path.", err=True)
        dataset = _answer("Which data set", "sample")
    command = shlex.join(["fraudit", "analyze", "--embedder", embedder, "--dataset", dataset])
    typer.echo(f"The same without questions: {command}", err=True)
    return embedder, dataset


def _answer(question: str, default: str) -> str:
    return str(typer.prompt(question, default=default, err=True)).strip()
