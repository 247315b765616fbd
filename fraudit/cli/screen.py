"""What `fraudit show` prints of a run on one screen: at most 40 lines, of 60 to 120 columns."""

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
LEAST_FINDINGS = 3  # shown whatever room the figures take
ADVICE_LINES, BOTH_LINES = 3, 5
REASON_LINES, ABSENT_LINES = 3, 3  # of a figure that is missing, and of what did not run
MOST_LINES = (
    40  # of a screen; findings beyond the least, then figures, are left to --all where there is no room
)
LEAST_COLUMNS, MOST_COLUMNS = 60, 120


def screen(record: RunRecord, folder: Path) -> list[str]:
    """The lines: gravest findings (cut) and what to do next, key figures, what did not run, where the report is.

    A figure with its interval and n is never cut: what does not fit goes on in the next line.
    """
    columns = min(max(shutil.get_terminal_size((80, 24)).columns, LEAST_COLUMNS), MOST_COLUMNS)
    head = [_cut(one_line(f"{subject(record)}, {record.created}, {record.status}"), columns), ""]
    found, figures, end = _findings(record, columns), _figures(record, columns), _end(record, folder, columns)
    room = MOST_LINES - len(head) - len(end) - 3  # an empty line, and what says that there is more of either
    least, more = found[:LEAST_FINDINGS], found[LEAST_FINDINGS:]
    shown = _fitting(figures[:MOST_FIGURES], room - sum(map(len, least)))
    least += _fitting(more, room - sum(map(len, [*least, *shown])))
    lines = [*head, *(line for part in least for line in part)]
    hidden = len(record.findings()) - len(least)
    if hidden:
        lines.append(f"and {hidden} more findings")
    if figures:
        lines += ["", *(line for part in shown for line in part)]
    if len(shown) < len(figures):
        lines.append(f"and {len(figures) - len(shown)} more key figures")
    return [*lines, *end]


def _fitting(parts: list[list[str]], room: int) -> list[list[str]]:
    """The first parts that fit into `room` lines together."""
    kept: list[list[str]] = []
    for part in parts:
        room -= len(part)
        if room < 0:
            break
        kept.append(part)
    return kept


def _findings(record: RunRecord, columns: int) -> list[list[str]]:
    """Lines of each of the gravest findings, with advice that was not given before."""
    found: list[list[str]] = []
    given: set[str] = set()
    for _, finding in cards(record)[0][:MOST_FINDINGS]:
        advice = [] if finding.advice in given else _advice(finding.advice, columns)
        given.add(finding.advice)
        most = min(FINDING_LINES, BOTH_LINES - len(advice))
        found.append([*_wrapped(f"[{finding.severity}] {one_line(finding.text)}", columns, most), *advice])
    return found


def _figures(record: RunRecord, columns: int) -> list[list[str]]:
    """Lines of each key figure, its text below itself."""
    values = key_figures(record)
    width = max((len(value.figure.label) for value in values), default=0)
    return [
        _wrapped(
            f"{value.figure.label:{width}}  {_figure(value)}",
            columns,
            None if value.metric is not None else REASON_LINES,
            " " * (width + 2),
        )
        for value in values
    ]


def _end(record: RunRecord, folder: Path, columns: int) -> list[str]:
    """What did not run, and where the rest is."""
    absent = [f"{r.name} ({r.status.replace('_', ' ')})" for r in record.results if r.status != "done"]
    lines = []
    if absent:
        said = one_line(f"without a result: {', '.join(absent)}")
        lines += ["", *_wrapped(said, columns, ABSENT_LINES)]
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


def _wrapped(text: str, columns: int, most: int | None, indent: str = "    ") -> list[str]:
    """`text` in lines of `columns`, cut between words after `most` of them.

    A number stays together with its sign, and n with its number.
    """
    hard = "\N{NO-BREAK SPACE}"
    joined = text.replace(" %", f"{hard}%").replace("n = ", f"n{hard}={hard}")
    lines = textwrap.wrap(joined, columns, subsequent_indent=indent, break_on_hyphens=False)
    if most is not None and len(lines) > most:
        last = lines[most - 1]
        if len(last) > columns - 2:
            last = last[: columns - 1].rpartition(" ")[0].rstrip() or last[: columns - 2]
        lines = [*lines[: most - 1], f"{last} …"]
    return [line.replace(hard, " ") for line in lines]
