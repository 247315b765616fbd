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
            from fraudit.faces.counted import counts

            row |= counts(name, path)
        rows.append(row)
    return rows


def _table(rows: list[dict[str, Any]]) -> list[str]:
    """Lines of a table as wide as the terminal; what a set is and its terms are wrapped in the last column."""
    import shutil
    import textwrap

    head = ("set", "here", "pictures", "people", "pairs", "what")
    lines = [head]
    for row in rows:
        here = "damaged" if row["problem"] else ("yes" if row["present"] else "no")
        counts = ["-" if row[key] is None else f"{row[key]:,}" for key in head[2:5]]
        lines.append((row["name"], here, *counts, row["title"]))
    widths = [max(len(line[i]) for line in lines) for i in range(5)]
    before = sum(widths) + 2 * len(widths)
    room = max(24, shutil.get_terminal_size((80, 24)).columns - before)
    found = []
    terms = ["", *(f"terms: {row['terms']}" for row in rows)]
    for line, on_terms in zip(lines, terms, strict=True):
        cells = [line[0].ljust(widths[0]), line[1].ljust(widths[1])]
        cells += [cell.rjust(width) for cell, width in zip(line[2:5], widths[2:], strict=True)]
        told = [*textwrap.wrap(line[5], room), *textwrap.wrap(on_terms, room)]
        found += ["  ".join([*cells, told[0]]), *(" " * before + more for more in told[1:])]
    return found


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
    from fraudit.faces.known import data_folder

    for line in _table(rows):
        typer.echo(line)
    typer.echo()
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
