"""A gate's report as text, JSON, Markdown and JUnit XML."""

from __future__ import annotations

from typing import Any

from fraudit.compare.gate.judging import GateReport, Judgement, each_of
from fraudit.compare.junit import case, document, suite
from fraudit.formatting import printable
from fraudit.types import Interval

MARKS = {"pass": "pass", "pass with a warning": "warn", "insufficient evidence": "open", "fail": "FAIL"}


def _bounds(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def as_dict(report: GateReport) -> dict[str, Any]:
    """Plain values, for `--json`."""
    return {
        "base": report.base,
        "new": report.new,
        "exit_code": report.exit_code,
        "verdict": report.verdict,
        "tested": report.tested,
        "each_tested_at": each_of(report.tested),
        "shared": report.shares,
        "same_face": report.alike,
        "rules": [
            {
                "rule": j.rule.name,
                "metric": j.metric,
                "group": j.group,
                "label": j.label,
                "severity": j.rule.severity,
                "require_evidence": j.rule.require_evidence,
                "outcome": j.outcome,
                "checks": [
                    {
                        "kind": c.kind,
                        "limit": c.limit,
                        "value": c.value,
                        "interval": _bounds(c.interval),
                        "method": c.interval.method if c.interval else None,
                        "how": c.how,
                        "outcome": c.outcome,
                        "text": c.text,
                    }
                    for c in j.checks
                ],
            }
            for j in report.judgements
        ],
        "notes": list(report.notes),
    }


def text(report: GateReport) -> str:
    """For the terminal: one line a check, the verdict last."""
    lines = []
    for j in report.judgements:
        weight = "" if j.rule.severity == "error" else " (warning only)"
        lines += [f"{MARKS[c.outcome]:4}  {j.name}{weight}: {c.text}" for c in j.checks]
    lines += [report.alike] if report.alike else []
    lines += [f"note: {note}" for note in report.notes]
    return "\n".join([*lines, report.shares, report.verdict])


def _cell(words: Any) -> str:
    return " ".join(printable(words).split()).replace("|", "\\|").replace("<", "&lt;")


def markdown(report: GateReport) -> str:
    """For a pull request."""
    lines = [f"**{_cell(report.verdict)}**", ""]
    lines += (
        [f"{_cell(report.new)} against {_cell(report.base)}", ""] if report.base else [_cell(report.new), ""]
    )
    lines += ["| | Rule | Found |", "|---|---|---|"]
    for j in report.judgements:
        weight = "" if j.rule.severity == "error" else " (warning only)"
        for c in j.checks:
            lines.append(f"| {MARKS[c.outcome]} | `{_cell(j.name)}`{weight} | {_cell(c.text)} |")
    lines += ["", " ".join(_cell(words) for words in (report.shares, report.alike) if words)]
    lines += ["", *[f"- {_cell(note)}" for note in report.notes]] if report.notes else []
    return "\n".join(lines) + "\n"


def junit(report: GateReport) -> str:
    """JUnit XML with one test case a rule (and metric, where a rule means several).

    A failed rule is a failure, an undecided one an error, both only with severity `error`; what is only a warning,
    or passed with one, says so in its output.
    """
    cases = []
    for j in report.judgements:
        kind = {"fail": "failure", "insufficient evidence": "error"}.get(j.outcome, "")
        kind = kind if j.rule.severity == "error" else ""
        cases.append(
            case(
                f"fraudit.gate.{j.metric.split('.')[0]}",
                j.name,
                "\n".join(f"{c.outcome}: {c.text} [{c.how}]" for c in j.checks),
                kind,
                "regression" if kind == "failure" else j.outcome,
                _worst(j),
            )
        )
    return document([suite("fraudit gate", cases)])


def _worst(judgement: Judgement) -> str:
    return next(c.text for c in judgement.checks if c.outcome == judgement.outcome)
