"""`fraudit compare`: finished runs side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="BASE NEW [NEW2 ...]: run folders; BASE may be a baseline.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for index.html, comparison.md, .json, junit.xml.")] = Path(
        "comparison"
    ),
    only: Annotated[list[str] | None, typer.Option(help="Only these analyses (comma or repeated).")] = None,
    skip: Annotated[list[str] | None, typer.Option(help="Not these analyses.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the page's path.")] = False,
) -> None:
    """Compare finished runs: every shared metric with its paired difference and interval.

    Runs on other data, with another detector, protocol or other parameters are refused.

    Example: fraudit compare runs/old runs/new --out comparison
    """
    from jinja2 import TemplateError

    from fraudit.cli.analyze import split
    from fraudit.compare.baseline import read_side
    from fraudit.compare.outputs import as_dict, cards, changed_lines, check_out, write
    from fraudit.compare.outputs import compare as put_side_by_side
    from fraudit.compare.words import difference_words, value_words
    from fraudit.errors import DataError, UsageError
    from fraudit.files.doors import entering

    if len(runs) < 2:
        raise UsageError(
            f"expected at least two runs, found {len(runs)}", "fraudit compare BASE NEW [NEW2 ...]"
        )
    check_out(out)
    sides = [read_side(path) for path in runs]
    said = f"{', '.join(map(str, runs))} hold what cannot be compared"
    with entering(said, "run the audits again, or freeze their baselines again", DataError, TemplateError):
        found = put_side_by_side(sides, split(only), split(skip))
        page = write(found, out)
    if as_json:
        typer.echo(json.dumps(as_dict(found), indent=2))
        return
    if not quiet:
        for change in found.changes:
            typer.echo(change.verdict)
            typer.echo(change.alike)
            for d in cards(change):
                typer.echo(
                    f"{d.verdict:7}  {d.label}: {value_words(d, 'base')} -> {value_words(d, 'new')}, "
                    f"difference {difference_words(d)}, {d.how}"
                )
            for line in changed_lines(change):
                typer.echo(line)
            if change.chance:
                typer.echo(change.chance)
        for note in found.notes:
            typer.echo(f"note: {note}")
    typer.echo(f"comparison: {page}")


def register(app: typer.Typer) -> None:
    """Add the commands of this topic."""
    app.command("compare")(compare)
