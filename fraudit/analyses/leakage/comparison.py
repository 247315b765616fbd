"""Leakage of two runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fraudit.compare.hooks import Comparison
from fraudit.compare.values import Delta, Side
from fraudit.formatting import number
from fraudit.types import Figure


def figures(sides: Sequence[Side], changes: Sequence[tuple[Side, Sequence[Delta]]]) -> list[Figure]:
    """What can be read from the vectors, before and after."""
    made = [leaks(sides[0], new) for new, _ in changes]
    return [figure for figure in made if figure is not None]


def leaks(base: Side, new: Side) -> Figure | None:
    """What can be read from the vectors: selectivity of every attribute, before and after."""
    rows: list[dict[str, Any]] = []
    for (name, group), metric in new.metrics.items():
        other = base.metrics.get((name, group))
        if not name.startswith("leakage.") or not name.endswith(".selectivity") or group or other is None:
            continue
        if metric.value is None or other.value is None:
            continue
        ci = metric.interval
        rows.append(
            {
                "label": name.split(".")[1].replace("_", " "),
                "value": metric.value,
                "low": ci.low if ci else None,
                "high": ci.high if ci else None,
                "n": metric.n,
                "compare": other.value,
                "compare_label": base.label,
            }
        )
    if not rows:
        return None
    rows.sort(key=lambda row: -row["value"])
    return Figure(
        f"leaks_{new.label}",
        "dots",
        f"What the vectors leak, {new.label} against {base.label}",
        f"Task score less control score. Filled: {new.label}; hollow: {base.label}.",
        "; ".join(f"{r['label']} {number(r['value'])}, before {number(r['compare'])}" for r in rows[:6])
        + ".",
        {
            "x": {"label": "selectivity", "scale": "linear"},
            "rows": rows,
            "marks": [{"axis": "x", "value": 0.0, "label": "no leak"}],
        },
    )


COMPARISON = Comparison(importance=22, figures=figures)
