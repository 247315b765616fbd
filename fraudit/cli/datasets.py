"""`fraudit datasets`: which face sets have a name, which are here, how to get the others, on what terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pathlib import Path


def describe() -> list[dict[str, Any]]:
    """One plain dictionary a known set: name, title, present, path, pictures, people, pairs, terms, how."""
    from fraudit.faces.known import KNOWN, find_known

    rows = []
    for name, known in KNOWN.items():
        path: Path | None = find_known(name)
        row: dict[str, Any] = {
            "name": name,
            "title": known.title,
            "present": path is not None,
            "path": str(path) if path else None,
            "pictures": None,
            "people": None,
            "pairs": None,
            "attributes": [],
            "left_out": {},
            "problem": "",
            "terms": known.terms,
            "how": known.how,
        }
        if path and known.counts is not None:
            row["pictures"], row["people"], row["pairs"], attributes = known.counts
            row["attributes"] = list(attributes)
        elif path:
            row |= _counted(name)
        rows.append(row)
    return rows


def _counted(name: str) -> dict[str, Any]:
    """What opening the set shows, or what is wrong with it."""
    import numpy as np

    from fraudit.errors import DataError
    from fraudit.faces.sources import open_faces

    try:
        faces = open_faces(name, digest=False)
    except DataError as error:
        return {"problem": error.message}
    return {
        "pictures": len(faces),
        "people": len(np.unique(faces.subjects)) if faces.identified else None,
        "pairs": len(faces.pairs) if faces.pairs else None,
        "attributes": list(faces.attributes),
        "left_out": dict(faces.left_out),
    }


def datasets(
    as_json: Annotated[bool, typer.Option("--json", help="Plain JSON for scripts.")] = False,
) -> None:
    """Show the known face sets: present or not, how to get them, and under which terms.

    Example: fraudit datasets
    """
    rows = describe()
    if as_json:
        import json

        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.table import Table

    from fraudit.faces.known import data_folder
    from fraudit.progress.terminal import show_table

    cells = []
    for row in rows:
        here = "damaged" if row["problem"] else ("yes" if row["present"] else "no")
        counts = ["-" if row[key] is None else f"{row[key]:,}" for key in ("pictures", "people", "pairs")]
        cells.append([row["name"], row["title"], here, *counts, row["terms"]])
    show_table(Table("set", "what", "here", "pictures", "people", "pairs", "terms", title="Face sets"), cells)
    for row in rows:
        if row["problem"]:
            typer.echo(f"{row['name']}: {row['problem']}")
        elif not row["present"]:
            typer.echo(f"{row['name']}: {row['how']}")
    typer.echo(f"Named sets are looked for in {data_folder()} (set $FRAUDIT_DATA).")
    typer.echo("Any folder, zip, insightface .bin or manifest can be given by its path (docs/formats.md).")


def register(app: typer.Typer) -> None:
    """Add `datasets` to the command line."""
    app.command("datasets")(datasets)
