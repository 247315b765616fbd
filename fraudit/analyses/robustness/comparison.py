"""Robustness of two runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fraudit.compare.figures import figure_of
from fraudit.compare.hooks import Comparison
from fraudit.compare.values import Delta, Side
from fraudit.formatting import points
from fraudit.types import Figure


def heatmaps(sides: Sequence[Side], changes: Sequence[tuple[Side, Sequence[Delta]]]) -> list[Figure]:
    """FNMR by corruption and severity: every run, then the differences to the base."""
    figures = [(side, figure) for side in sides if (figure := figure_of(side, "robustness_fnmr")) is not None]
    if len(figures) < 2 or figures[0][0] is not sides[0]:
        return []
    rows, columns = figures[0][1].data["rows"], figures[0][1].data["columns"]
    found: list[Figure] = []
    for side, figure in figures:
        if set(figure.data["rows"]) != set(rows) or figure.data["columns"] != columns:
            return []
        order = [figure.data["rows"].index(row) for row in rows]
        data = {**figure.data, "rows": rows, **{k: [figure.data[k][i] for i in order] for k in ("values",)}}
        data = {k: v for k, v in data.items() if k not in ("low", "high")}
        found.append(
            replace(
                figure,
                name=f"heat_{len(found)}",
                title=f"{side.label}: FNMR",
                caption="",
                data=data,
                main=False,
            )
        )
    base = found[0].data["values"]
    for (side, _), figure in zip(figures[1:], found[1:], strict=True):
        values = [
            [None if a is None or b is None else b - a for a, b in zip(*pair, strict=True)]
            for pair in zip(base, figure.data["values"], strict=True)
        ]
        flat = [v for row in values for v in row if v is not None]
        worst = (
            f"largest increase {points(max(flat))}, largest decrease {points(-min(flat))}" if flat else "none"
        )
        shown = next((own for new, own in changes if new.label == side.label), ())
        proven = [
            d for d in shown if d.name.startswith("robustness.fnmr.") and d.verdict in ("worse", "better")
        ]
        caption = f"New minus base. Of the single cells, {len(proven)} differ beyond their interval."
        found.append(
            Figure(
                f"heat_difference_{len(found)}",
                "heatmap",
                f"{side.label} minus {sides[0].label}",
                caption,
                f"Difference of FNMR by corruption and severity: {worst}.",
                {
                    "rows": rows,
                    "columns": columns,
                    "values": values,
                    "unit": "",
                    "percent": True,
                    "scale": "diverging",
                    "center": 0.0,
                },
            )
        )
    return found


COMPARISON = Comparison(figures=heatmaps)
