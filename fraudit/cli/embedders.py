"""`fraudit embedders`."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def embedders(as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """List the embedders: dimension, input, licence, weights here or not.

    Example: fraudit embedders
    """
    from fraudit.embedding.listing import describe_embedders

    rows = describe_embedders()
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    head = ("name", "dim", "input", "weights", "licence")
    lines = [head]
    for row in rows:
        if "error" in row:
            lines.append((row["name"], "", "", "cannot be loaded", row["error"]))
            continue
        size = row["input"]
        shape = f"{size['height']}x{size['width']} {size['channels']}" if size else "as stated"
        lines.append((row["name"], str(row["dim"] or "any"), shape, row["weights"], row["licence"]))
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        typer.echo("  ".join([*cells, line[4]]))
    for row in rows:
        if row.get("get"):
            typer.echo(f"\n{row['name']}: {row['get']}")


def register(app: typer.Typer) -> None:
    """Add `fraudit embedders`."""
    app.command("embedders")(embedders)
