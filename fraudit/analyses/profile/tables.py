"""Tables of the profile analysis: demands, what is missing, sources, and the thresholds they are judged at."""

from __future__ import annotations

from collections.abc import Sequence

from fraudit.analyses.profile.measure import Found
from fraudit.analyses.profile.params import NAME
from fraudit.analyses.profile.report import target_words, threshold_note
from fraudit.deployment.demands import alike, kind_of, point_for
from fraudit.policy.profiles import Outcome
from fraudit.stats.promises import short
from fraudit.types import Column, Table


def tables(found: Found) -> list[Table]:
    """All."""
    unsure = [h.outcome for h in found.held if h.outcome.verdict == "not enough evidence"]
    return [_demands(found), *([_missing(unsure)] if unsure else []), _sources(found), _thresholds(found)]


def _rate(value: float | None) -> str | None:
    return None if value is None else "0" if value == 0 else short(value)


def _demands(found: Found) -> Table:
    rows = []
    for h in found.held:
        o, seen, limit = h.outcome, h.outcome.seen, h.outcome.demand.limit
        at = point_for(found.thresholds, kind_of(o.demand.metric)) if o.demand.metric != "gallery" else None
        rows.append(
            {
                "demand": o.demand.id,
                "group": o.group or "all",
                "asked": "reported" if limit is None else f"{o.demand.kind} {short(limit)}",
                "verdict": o.verdict,
                "value": _rate(seen.value) if seen else None,
                "low": _rate(seen.lower) if seen else None,
                "high": _rate(seen.upper) if seen else None,
                "n": seen.n if seen else None,
                "needed": o.needed,
                "at": at.threshold if at and seen else None,
            }
        )
    confidence = 100 * found.thresholds.asked.confidence
    return Table(
        f"{NAME}_demands",
        f"Demands of {found.thresholds.asked.profile}",
        (
            Column("demand", "demand"),
            Column("group", "group"),
            Column("asked", "asked for"),
            Column("verdict", "verdict"),
            Column("value", "measured"),
            Column("low", "lower bound"),
            Column("high", "upper bound"),
            Column("n", "n", "integer"),
            Column("needed", "n needed", "integer"),
            Column("at", "threshold", "number", 4),
        ),
        tuple(rows),
        f"Each bound is one-sided at {confidence:g} %. n needed: at the rate seen.",
    )


def _missing(unsure: Sequence[Outcome]) -> Table:
    return Table(
        f"{NAME}_missing",
        "What is missing",
        (Column("demand", "demands"), Column("why", "why the evidence is not enough")),
        tuple({"demand": ", ".join(names), "why": o.text} for o, names in alike(unsure)),
    )


def _sources(found: Found) -> Table:
    demands = {h.outcome.demand.id: h.outcome.demand for h in found.held}
    return Table(
        f"{NAME}_sources",
        "Where it is asked for",
        (Column("demand", "demand"), Column("words", "in words"), Column("source", "source")),
        tuple({"demand": name, "words": d.title, "source": d.source} for name, d in demands.items()),
    )


def _thresholds(found: Found) -> Table:
    rows = []
    for p in found.thresholds.points:
        rows.append(
            {
                "target": target_words(p),
                "enrolled": p.enrolled,
                "threshold": p.threshold,
                "bound": _rate(p.bound),
                "reached": _rate(p.rate.value) if p.rate else None,
                "n": p.rate.n if p.rate else None,
                "note": threshold_note(p),
            }
        )
    return Table(
        f"{NAME}_thresholds",
        "Thresholds tried",
        (
            Column("target", "target"),
            Column("enrolled", "people enrolled", "integer"),
            Column("threshold", "threshold", "number", 4),
            Column("bound", "upper bound where chosen"),
            Column("reached", "on the judged half"),
            Column("n", "n", "integer"),
            Column("note", "note"),
        ),
        tuple(rows),
        "The least strict target below a limit is held against the plan: at the limit itself people not used seldom "
        "show the rate below.",
    )
