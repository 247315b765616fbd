"""`fraudit report`: a run's report, as a page and as PDF."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    file: Annotated[
        Path | None, typer.Argument(help="With --pdf: the file. [default: RUN/report/report.pdf]")
    ] = None,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Print it as PDF too, by a Chromium of this machine.")
    ] = False,
) -> None:
    """Draw a run's report again, from its record alone, and with --pdf print it.

    Example: fraudit report runs/first --pdf first.pdf
    """
    from fraudit.errors import UsageError
    from fraudit.report.pdf import find_browser, print_pdf
    from fraudit.report.render import render

    if file is not None and not pdf:
        raise UsageError(f"{file} is given without --pdf", "fraudit report RUN --pdf FILE")
    if pdf:
        find_browser()  # before anything is drawn
    page = render(run)
    typer.echo(f"report: {page}")
    if pdf:
        typer.echo(f"pdf: {print_pdf(page, file or page.with_name('report.pdf'))}")


def register(app: typer.Typer) -> None:
    """Add the command of this topic; `render` is its name of before, kept so that no script breaks."""
    app.command("report")(report)
    app.command("render", hidden=True)(report)
