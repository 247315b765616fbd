"""`fraudit corruptions`: what the robustness grid does to pictures, and how strongly."""

from __future__ import annotations

from typing import Annotated

import typer

HEADINGS = ("name", "family", "where", "severity sets", "unit", "1", "2", "3", "4", "5")


def rows() -> list[tuple[str, ...]]:
    """One row of texts a corruption, under `HEADINGS`."""
    from fraudit.perturb.catalogue import CORRUPTIONS

    return [
        (c.name, c.family, c.domain, c.parameter, c.unit, *(f"{level:g}" for level in c.levels))
        for c in CORRUPTIONS.values()
    ]


def corruptions(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="As the table of docs/corruptions.md.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """List the corruptions of the robustness analysis with what their five severities set.

    Example: fraudit corruptions
    """
    import json

    found = rows()
    if as_json:
        typer.echo(json.dumps([dict(zip(HEADINGS, row, strict=True)) for row in found], indent=2))
        return
    if markdown:
        lines = ["| " + " | ".join(HEADINGS) + " |", "|---|---|---|---|---|--:|--:|--:|--:|--:|"]
        typer.echo("\n".join([*lines, *("| " + " | ".join(row) + " |" for row in found)]))
        return
    widths = [max(map(len, column)) for column in zip(HEADINGS, *found, strict=True)]
    for row in (HEADINGS, *found):
        typer.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def register(app: typer.Typer) -> None:
    """Add the command of this topic."""
    app.command("corruptions")(corruptions)
