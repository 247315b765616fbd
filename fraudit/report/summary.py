"""What the first screen of a report says, composed by rule from a record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase

from fraudit.plugins import ANALYSES
from fraudit.report.record import RunRecord
from fraudit.types import SEVERITIES, AnalysisResult, Finding, KeyFigure, Metric, gravity

MIN_CARDS, MAX_CARDS = 3, 5


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A key figure of an analysis with its metric, or the reason there is none."""

    analysis: str
    figure: KeyFigure
    metric: Metric | None
    reason: str

    @property
    def note(self) -> str:
        """Which metric it is, in its own words."""
        if self.metric is None:
            return ""
        words = self.metric.label or self.metric.name.removeprefix(f"{self.analysis}.")
        words = f"{words[0].upper()}{words[1:]}"
        return f"{words}, {self.metric.group}" if self.metric.group else words


def _fmr_of(metric: Metric) -> float:
    try:
        return float(metric.name.rpartition("=")[2])
    except ValueError:
        return 1.0


def strip(names: Collection[str]) -> list[tuple[str, KeyFigure]]:
    """(analysis, key figure) of those of `names` that are installed, in the order of the strip."""
    known = [ANALYSES.find(name) for name in names if name in ANALYSES.names()]
    analyses = sorted((a for a in known if a is not None), key=lambda a: (a.order, a.name))
    found = [(a.order if f.place is None else f.place, a.name, f) for a in analyses for f in a.key_figures]
    return [(name, figure) for _, name, figure in sorted(found, key=lambda one: one[0])]


def key_figures(record: RunRecord) -> list[KeyValue]:
    """The strip of the analyses that were asked for; each figure with a metric or a reason."""
    there = {result.name: result for result in record.results}
    return [_key_value(there[name], figure) for name, figure in strip(there)]


def _key_value(result: AnalysisResult, figure: KeyFigure) -> KeyValue:
    name = result.name
    if result.status != "done":
        why = f"{result.status.replace('_', ' ')}: {result.reason or 'no reason given'}"
        return KeyValue(name, figure, None, why)
    reason = ""
    for pattern in figure.patterns:
        matching = [m for m in result.metrics if fnmatchcase(m.name, pattern)]
        present = [m for m in matching if m.value is not None and not m.group] or [
            m for m in matching if m.value is not None
        ]
        if present:
            if figure.choose == "largest":
                return KeyValue(name, figure, max(present, key=lambda m: m.value or 0.0), "")
            if figure.choose == "lowest_fmr":
                return KeyValue(name, figure, min(present, key=_fmr_of), "")
            return KeyValue(name, figure, present[0], "")
        reason = reason or next((m.missing for m in matching if m.missing), "")
    return KeyValue(name, figure, None, reason or f"{name} ran and gave no such figure")


def subject(record: RunRecord) -> str:
    """Title of the run: its own, or model on dataset."""
    if record.title:
        return record.title
    model = (record.inputs.get("embedder") or {}).get("name") or "unnamed model"
    data = (record.inputs.get("dataset") or {}).get("name") or "unnamed data"
    return f"{model} on {data}"


def cards(record: RunRecord) -> tuple[list[tuple[AnalysisResult, Finding]], int]:
    """Findings for the first screen, the most severe first, and how many are left to the sections.

    Up to `MAX_CARDS` of severity low or above; the rest only fill up to `MIN_CARDS`, so that notes
    never bury what needs a decision. A finding whose advice one above it gives already waits until the
    others are shown, unless it is of high severity.
    """
    ranked = record.findings()
    rated = [pair for pair in ranked if pair[1].severity in SEVERITIES[:3]]
    first: list[tuple[AnalysisResult, Finding]] = []
    again: list[tuple[AnalysisResult, Finding]] = []
    given: set[str] = set()
    for pair in rated:
        advice = pair[1].advice
        (again if advice in given and pair[1].severity != "high" else first).append(pair)
        given |= {advice} if advice else set()
    chosen = [*first, *again][:MAX_CARDS]
    shown = sorted(chosen, key=lambda pair: gravity(pair[1]))
    shown += [pair for pair in ranked if pair not in rated][: max(0, MIN_CARDS - len(shown))]
    return shown, len(ranked) - len(shown)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def verdict(record: RunRecord) -> str:
    """One sentence: how many findings of which severity, where, and what did not run."""
    ranked = record.findings()
    counts = Counter(finding.severity for _, finding in ranked)
    parts = []
    for severity in SEVERITIES[:3]:
        if counts[severity]:
            where = list(dict.fromkeys(result.title for result, f in ranked if f.severity == severity))
            parts.append(f"{counts[severity]} of {severity} severity ({_listed(where)})")
    done = [r for r in record.results if r.status == "done"]
    total = sum(counts.values())
    if parts:
        rated = sum(counts[s] for s in SEVERITIES[:3])
        lead = f"{rated} finding{'s' if rated > 1 else ''} to act on: {', '.join(parts)}"
    elif not done:
        lead = "No analysis ran to its end, so nothing can be concluded"
    elif total:
        lead = "No finding above the severity 'info'"
    else:
        lead = "The analyses that ran raised no finding"
    missing = [
        f"{r.title} {'failed' if r.status == 'failed' else 'did not run'}"
        for r in record.results
        if r.status != "done"
    ]
    if not done:
        return f"{lead}."
    all_ran = f"all {len(done)} analyses ran" if len(done) > 1 else "the one analysis asked for ran"
    ran = f"{len(done)} of {len(record.results)} analyses ran" if missing else all_ran
    tail = f"; {_listed(missing)}" if missing else ""
    return f"{lead}. {ran[0].upper()}{ran[1:]}{tail}."
