"""Tables of the bias analysis: rates by group, and unfairness in one figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fraudit.analyses.bias.measure import Audit
from fraudit.analyses.bias.metrics import FAIRNESS, slug
from fraudit.types import Column, Interval, Table

FAIR = {"max_over_geomean_fmr": 1.0, "fdr": 1.0, "garbe": 0.0, "ir": 1.0}  # what equal groups have


def meaning(name: str, interval: Interval | None) -> str | None:
    """What the interval of a figure that ends at its fair value says in words; None without an interval."""
    if interval is None:
        return None
    fair = FAIR[name]
    far = max(interval.low, interval.high, key=lambda end: abs(end - fair))
    if interval.low <= fair <= interval.high:
        return f"may be fair; {far:.2g} is not ruled out either" if far != fair else "fair"
    return "not fair in this interval; no finding by itself"


def _pair(interval: Interval | None) -> list[float] | None:
    return [interval.low, interval.high] if interval else None


def tables(audits: Sequence[Audit]) -> list[Table]:
    """One row a group: rates with interval and n, FTA, people."""
    made = []
    for audit in audits:
        fnmr = {r.group: r for r in audit.fnmr or ()}
        acquired = {r.group: r for r in audit.fnmr_acquired or ()}
        everyone = {r.group: r for r in audit.fnmr_all or ()}
        fta = {lost.group: lost for lost in audit.fta}
        rows: list[dict[str, Any]] = []
        for rate in audit.fmr:
            other, plain = fnmr.get(rate.group), acquired.get(rate.group)
            crossed = everyone.get(rate.group)
            rows.append(
                {
                    "group": rate.group,
                    "people": audit.people[rate.group],
                    "fmr": rate.rate,
                    "fmr_interval": _pair(rate.interval),
                    "impostor": rate.n,
                    "fnmr": other.rate if other else None,
                    "fnmr_interval": _pair(other.interval) if other else None,
                    "genuine": other.n if other else None,
                    "fnmr_acquired": plain.rate if plain else None,
                    "fnmr_all": crossed.rate if crossed else None,
                    "genuine_all": crossed.n if crossed else None,
                    "fta": fta[rate.group].value,
                    "faces": fta[rate.group].n,
                    "missing": {
                        "fmr_interval": rate.missing,
                        "fnmr_interval": other.missing if other else "",
                    },
                }
            )
        rows += [{"group": f"{g} (below the floor, not judged)", "people": n} for g, n in audit.small]
        columns = (
            Column("group", "Group"),
            Column("people", "People judged", "integer"),
            Column("fmr", "FMR", "percent", 3),
            Column("fmr_interval", "95 % interval", "interval", 3),
            Column("impostor", "Impostor pairs", "integer"),
            Column("fnmr", "FNMR", "percent", 2),
            Column("fnmr_interval", "95 % interval", "interval", 2),
            Column("genuine", "Genuine pairs", "integer"),
            Column("fnmr_acquired", "FNMR without FTA", "percent", 2),
            Column("fnmr_all", "FNMR, all people", "percent", 2),
            Column("genuine_all", "Genuine pairs, all people", "integer"),
            Column("fta", "FTA", "percent", 2),
            Column("faces", "Faces", "integer"),
        )
        made.append(
            Table(
                f"groups_{slug(audit.attribute)}",
                f"Rates by {audit.attribute}",
                columns,
                tuple(rows),
                "A face without a vector counts as a false non-match; FNMR without FTA leaves such pairs out. Groups "
                "are compared by the FNMR of all people, each half at the threshold that the other half chose.",
            )
        )
        made += _summary_table(audit)
    return made


def _summary_table(audit: Audit) -> list[Table]:
    rows = tuple(
        {
            "figure": f"{FAIRNESS[name]}, {FAIR[name]:g} is fair",
            "value": found.value,
            "interval": _pair(found.interval),
            "expected": found.expected,
            "usual": _pair(found.usual),
            "corrected": found.corrected,
            "meaning": meaning(name, found.interval),
            "missing": {"value": found.missing, "interval": found.missing or found.interval_missing},
        }
        for name, found in audit.summaries.items()
    )
    columns = (
        Column("figure", "Figure"),
        Column("value", "Measured", "number", 3),
        Column("interval", "95 % interval of the truth", "interval", 3),
        Column("expected", "Equal groups would show", "number", 3),
        Column("usual", "95 % of them", "interval", 3),
        Column("corrected", "Estimate", "number", 3),
        Column("meaning", "In words"),
    )
    caption = (
        "A maximum over noisy rates is biased upwards: groups of these sizes that are equal in truth would show the "
        "fourth column. The estimate is free of that bias (median-unbiased)."
    )
    title = f"Unfairness in one figure by {audit.attribute}"
    return [Table(f"summary_{slug(audit.attribute)}", title, columns, rows, caption)] if rows else []
