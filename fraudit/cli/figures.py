"""`fraudit figures`: a run's figures as files for a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def figures(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    suffix: Annotated[
        str, typer.Option("--format", help="pdf (fonts embedded), svg or png (300 dpi).")
    ] = "pdf",
    width: Annotated[
        str, typer.Option(help="Width of a figure: 3.5in, 89mm, 8.9cm or 252pt; a bare number is inches.")
    ] = "3.5in",
    only: Annotated[
        list[str] | None, typer.Option(help="Only these (comma or repeated): verification.det, bias.*, bias")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the files. [default: RUN/figures]")] = None,
) -> None:
    """Write a run's figures as files for a paper, with captions.md beside them.

    Letters keep their size whatever the width: give the width that the figure has on paper.

    Example: fraudit figures runs/first --format pdf --width 3.5in --only verification.det
    """
    from fraudit.cli.analyze import split
    from fraudit.report.paper.files import inches, write_figures
    from fraudit.report.record import RunRecord

    record = RunRecord.load(run)
    folder = out or (run if run.is_dir() else run.parent) / "figures"
    for path in write_figures(record, folder, suffix, inches(width), split(only)):
        typer.echo(str(path))


def register(app: typer.Typer) -> None:
    """Add the command of this topic."""
    app.command("figures")(figures)
