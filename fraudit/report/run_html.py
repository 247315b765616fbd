"""A run in a notebook: what it found and what each section says, in a few lines of HTML."""

from __future__ import annotations

from html import escape
from pathlib import Path

from fraudit.formatting import printable
from fraudit.report.record import RunRecord
from fraudit.report.summary import subject

MOST = 8  # findings; the report has them all
_CELL = "padding:.15em .8em .15em 0;text-align:left;vertical-align:top"


def _safe(text: object) -> str:
    return escape(printable(str(text)))


def _next(advice: str) -> str:
    return f"<br><b>Next:</b> {_safe(advice)}" if advice else ""


def run_html(record: RunRecord, folder: Path) -> str:
    """Heading, the gravest findings with what to do next, and one line a section."""
    findings = record.findings()
    shown = "".join(
        f"<li><b>{_safe(f.severity)}</b> {_safe(f.text)}{_next(f.advice)}</li>" for _, f in findings[:MOST]
    )
    more = (
        f"<li>and {len(findings) - MOST} more: <code>run.findings</code></li>" if len(findings) > MOST else ""
    )
    rows = "".join(
        f'<tr><th style="{_CELL}">{_safe(result.title)}</th>'
        f'<td style="{_CELL}">{_safe(result.status.replace("_", " "))}</td>'
        f'<td style="{_CELL}">{_safe(result.reason if result.status != "done" else result.headline)}</td></tr>'
        for result in record.results
    )
    return (
        f"<h4>{_safe(subject(record))}</h4><ul>{shown}{more}</ul><table>{rows}</table>"
        f"<p><code>run.render()</code> writes the report; folder {_safe(folder)}</p>"
    )
