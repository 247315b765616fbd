"""Figures of the conditions analysis."""

from __future__ import annotations

from typing import Any

from fraudit.analyses.conditions.measure import Found, Label, cells
from fraudit.analyses.conditions.report import cell_words
from fraudit.analyses.shared.counted import chart_interval
from fraudit.analyses.shared.words import slug
from fraudit.formatting import fmr_words, number, percent
from fraudit.stats.conditions import Cell
from fraudit.types import Figure

MOST_ROWS = 24  # of one chart of changes


def figures(found: Found) -> list[Figure]:
    """Changes over all labels, then the matrices: FNMR of each label, similarity where there are several conditions."""
    out = [f for f in (_changes(found),) if f]
    for label in found.labels:
        out.append(_matrix(found, label, similarity=False))
        if len(label.matrix.conditions) > 2:
            out.append(_matrix(found, label, similarity=True))
    return out


def _changes(found: Found) -> Figure | None:
    rows: list[dict[str, Any]] = []
    for label in found.labels:
        for c in cells(label.matrix):
            change = c.rate_change
            if change is None or change.interval is None:
                continue
            rows.append(
                {
                    "label": cell_words(label, c),
                    "value": change.value,
                    **chart_interval(change.interval),
                    "n": change.people,
                    "group": label.name,
                }
            )
    if not rows:
        return None
    kept = sorted(range(len(rows)), key=lambda k: -abs(rows[k]["value"]))[:MOST_ROWS]
    rows = [row for k, row in enumerate(rows) if k in kept]
    told = sorted(rows, key=lambda r: -r["value"])[:8]
    return Figure(
        "conditions_changes",
        "dots",
        "What a condition does to FNMR, within people",
        f"FNMR of the cell less that of the reference at the threshold for FMR "
        f"{fmr_words(found.genuine.threshold.fmr_target)}, of people with both; intervals hold for all cells at once "
        "(95 %), and cells without one are in the table.",
        "; ".join(f"{r['group']}, {r['label']}: {percent(r['value'])}" for r in told) + ".",
        {
            "x": {"label": "change of FNMR", "scale": "linear", "percent": True, "unit": "points"},
            "rows": rows,
            "marks": [{"axis": "x", "value": 0.0, "label": "no change"}],
        },
        main=True,
    )


def _matrix(found: Found, label: Label, similarity: bool) -> Figure:
    m = label.matrix
    side = list(m.conditions)
    rows = [m.reference[0]] if m.ordered else side

    def cell(a: str, b: str) -> Cell:
        return m.genuine[a, b]

    def value(c: Cell) -> float | None:
        return c.similarity if similarity else c.rate

    grid = [[value(cell(a, b)) for b in side] for a in rows]
    ends = [
        [chart_interval(cell(a, b).similarity_interval if similarity else cell(a, b).interval) for b in side]
        for a in rows
    ]
    what = "mean similarity" if similarity else "FNMR"
    said = [
        f"{cell_words(label, c)}: {number(c.similarity, 3) if similarity else percent(c.rate)}"
        for c in cells(m)[:12]
    ]
    order = "Rows: enrolled, columns: seen." if m.ordered else "A pair counts for both orders."
    at = f" at the threshold for FMR {fmr_words(found.genuine.threshold.fmr_target)}"
    return Figure(
        f"conditions_{slug(label.name)}_{'similarity' if similarity else 'fnmr'}",
        "heatmap",
        f"{what[:1].upper()}{what[1:]} by {label.name}",
        f"{what[:1].upper()}{what[1:]} of genuine pairs{'' if similarity else at}, with 95 % intervals. {order}",
        "; ".join(said) + ".",
        {
            "rows": rows,
            "columns": side,
            "values": grid,
            "low": [[e["low"] for e in line] for line in ends],
            "high": [[e["high"] for e in line] for line in ends],
            "unit": "",
            "percent": not similarity,
            "scale": "sequential",
        },
    )
