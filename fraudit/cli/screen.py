"""What `fraudit show` prints of a run on one screen: at most 40 lines of 80 columns."""

from __future__ import annotations

import shlex
import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from fraudit import formatting
from fraudit.progress.terminal import one_line
from fraudit.report.summary import KeyValue, cards, key_figures, subject

if TYPE_CHECKING:
    from fraudit.report.record import RunRecord

MOST_FINDINGS, FINDING_LINES, MOST_FIGURES = 5, 3, 12
ADVICE_LINES, BOTH_LINES = 3, 5
OTHER_LINES = 6  # what did not run, where the report is, and empty lines between
MOST_LINES = 40  # of a screen; findings, then figures, are left to --all where advice needs their place
LEAST_COLUMNS, MOST_COLUMNS = 60, 120


def screen(record: RunRecord, folder: Path) -> list[str]:
    """The lines: gravest findings (cut) and what to do next, key figures, what did not run, where the report is."""
    columns = min(max(shutil.get_terminal_size((80, 24)).columns, LEAST_COLUMNS), MOST_COLUMNS)
    lines = [_cut(one_line(f"{subject(record)}, {record.created}, {record.status}"), columns), ""]
    shown, _ = cards(record)
    shown = shown[:MOST_FINDINGS]
    given: set[str] = set()
    for _, finding in shown:
        advice = [] if finding.advice in given else _advice(finding.advice, columns)
        given.add(finding.advice)
        most = min(FINDING_LINES, BOTH_LINES - len(advice))
        lines += [*_wrapped(f"[{finding.severity}] {one_line(finding.text)}", columns, most), *advice]
    more = len(record.findings()) - len(shown)
    if more:
        lines.append(f"and {more} more findings")
    figures = key_figures(record)[: min(MOST_FIGURES, MOST_LINES - OTHER_LINES - len(lines))]
    if figures:
        width = max(len(value.figure.label) for value in figures)
        lines += ["", *(_cut(f"{v.figure.label:{width}}  {_figure(v)}", columns) for v in figures)]
    absent = [f"{r.name} ({r.status.replace('_', ' ')})" for r in record.results if r.status != "done"]
    if absent:
        lines += ["", _cut(one_line(f"without a result: {', '.join(absent)}"), columns)]
    name, page = shlex.quote(str(folder)), folder / "report" / "index.html"
    where = f"report: {page}" if page.is_file() else f"no report yet: fraudit report {name}"
    return [*lines, "", where, f"the rest: fraudit show {name} --all"]


def _figure(value: KeyValue) -> str:
    metric = value.metric
    if metric is None:
        return f"{formatting.MISSING} {one_line(value.reason)}"
    shown = {"as_percent": value.figure.as_percent, "as_points": value.figure.as_points}
    text = formatting.with_unit(metric.value, metric.unit, **shown)
    if metric.interval is not None:
        ends = metric.interval.low, metric.interval.high
        text += f" ({formatting.interval(*ends, metric.unit, **shown)})"
    size = f", n = {metric.n:,} {metric.n_unit}".rstrip() if metric.n is not None else ""
    return one_line(f"{text}{size}; {value.note}")


def _cut(text: str, columns: int) -> str:
    return text if len(text) <= columns else text[: columns - 1].rstrip() + "…"


def _advice(text: str, columns: int) -> list[str]:
    return _wrapped(f"    Next: {one_line(text)}", columns, ADVICE_LINES) if text else []


def _wrapped(text: str, columns: int, most: int) -> list[str]:
    lines = textwrap.wrap(text, columns, subsequent_indent="    ", break_on_hyphens=False)
    if len(lines) > most:
        lines = [*lines[: most - 1], f"{lines[most - 1][: columns - 2].rstrip()} …"]
    return lines
