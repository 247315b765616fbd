"""`fraudit runs` and `fraudit show`: what was audited, in the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fraudit.report.record import RunRecord
    from fraudit.types import Metric


def _find(record: RunRecord, start: str) -> Metric | None:
    for metric in record.metrics():
        if metric.name.startswith(start) and not metric.group and metric.value is not None:
            return metric
    return None


def _text(metric: Metric | None) -> str:
    if metric is None or metric.value is None:
        return "-"
    interval = metric.interval
    if interval is None:
        return f"{metric.value:.4g}"
    return f"{metric.value:.4g} ({interval.low:.4g} to {interval.high:.4g})"


def runs(
    folder: Annotated[Path, typer.Argument(help="Folder that holds run folders.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """List finished and unfinished runs with their headline numbers.

    Example: fraudit runs
    """
    from fraudit.errors import DataError, FrauditError
    from fraudit.plugins import ANALYSES
    from fraudit.report.record import RunRecord

    if not folder.is_dir():
        raise DataError(f"no folder {folder}", "fraudit analyze writes its runs to ./runs by default")
    analyses = sorted(ANALYSES.usable(), key=lambda a: (a.order, a.name))
    columns = [column for analysis in analyses for column in analysis.columns]
    rows: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*/run.json")):
        try:
            record = RunRecord.load(path.parent, shown=False)
        except FrauditError as error:
            rows.append({"run": str(path.parent), "status": f"unreadable: {error.message}"})
            continue
        row: dict[str, Any] = {
            "run": str(path.parent),
            "status": record.status + (f", {len(record.failures)} failed" if record.failures else ""),
            "created": record.created,
            "embedder": record.input_fact("embedder", "name"),
            "dataset": record.input_fact("dataset", "name"),
        }
        for label, name in columns:
            row[label] = _text(_find(record, name))
        rows.append(row)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        typer.echo(f"no run in {folder}")
        return
    _print_runs(rows)


def _print_runs(rows: list[dict[str, Any]]) -> None:
    """A table where it fits; else a few lines for every run, whose name is never cut."""
    import shutil
    import textwrap

    from fraudit.progress.terminal import one_line

    keys = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[one_line(row.get(key, "-")) for key in keys] for row in rows]
    widths = [
        max(map(len, [key, *column])) for key, column in zip(keys, zip(*cells, strict=True), strict=True)
    ]
    columns = shutil.get_terminal_size((80, 24)).columns
    if sum(widths) + 3 * len(widths) <= columns:
        from rich import box
        from rich.table import Table

        from fraudit.progress.terminal import show_table

        table = Table(box=box.SIMPLE_HEAD)
        for key in keys:
            table.add_column(key, no_wrap=True)
        show_table(table, cells)
        return
    for row in cells:
        about = [f"{key} {cell}" for key, cell in zip(keys[1:], row[1:], strict=True) if cell != "-"]
        typer.echo(row[0])
        indent = " " * 4
        typer.echo(textwrap.fill("; ".join(about), columns, initial_indent=indent, subsequent_indent=indent))


def show(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    only: Annotated[
        str, typer.Option(help="Every metric of these sections, such as verification,bias.")
    ] = "",
    everything: Annotated[bool, typer.Option("--all", help="Every metric of every section.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="All metrics, for scripts.")] = False,
) -> None:
    """Print one run on one screen: gravest findings, what to do next, key figures; --all for the rest.

    With --only or --all: every metric with interval and n.

    Example: fraudit show runs/first --only verification
    """
    from fraudit.errors import UsageError, suggest
    from fraudit.report.record import RunRecord

    record = RunRecord.load(run, shown=False)
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    known = [result.name for result in record.results]
    for name in wanted:
        if name not in known:
            raise UsageError(
                f"this run has no section '{name}'", f"{suggest(name, known)}known: {', '.join(known)}"
            )
    if as_json:
        typer.echo(record.frame().to_json(orient="records", indent=2))
    elif everything or wanted:
        _print_all(record, wanted or known)
    else:
        from fraudit.cli.screen import screen

        for line in screen(record, run):
            typer.echo(line)


def _print_all(record: RunRecord, wanted: list[str]) -> None:
    """Every finding, headline and metric of the sections `wanted`."""
    from fraudit.progress.terminal import one_line

    box, dataset = record.input_fact("embedder", "name"), record.input_fact("dataset", "name")
    typer.echo(one_line(f"{box} on {dataset}, {record.created}, {record.status}"))
    for result, finding in record.findings():
        if result.name in wanted:
            typer.echo(f"[{finding.severity}] {one_line(finding.text)}")
            if finding.advice:
                typer.echo(f"    Next: {one_line(finding.advice)}")
    for result in record.results:
        if result.name not in wanted:
            continue
        said = f"{result.status} ({result.reason})" if result.reason else result.headline
        typer.echo(f"\n{one_line(result.title)}: {one_line(said)}")
        for metric in result.metrics:
            name = metric.name + (f" [{metric.group}]" if metric.group else "")
            value = _text(metric) if metric.value is not None else f"missing: {metric.missing}"
            size = f", n = {metric.n:,}" if metric.n is not None else ""
            why = f"; no interval: {metric.interval_missing}" if metric.interval_missing else ""
            typer.echo("  " + one_line(f"{name} = {value}{size}{why}"))


def register(app: typer.Typer) -> None:
    """Add the commands of this topic."""
    app.command("runs")(runs)
    app.command("show")(show)
