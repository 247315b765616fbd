"""How large a figure is and where its panels lie, by what is in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from fraudit.report.paper.axes import crowded, key_columns
from fraudit.report.paper.rows import places_of
from fraudit.types import Figure

LINE_IN = 0.165  # one row of dots or bars, in inches
SIDE_BY_SIDE_IN = 5.0  # narrower figures put panels of rows one under the other


@dataclass(frozen=True, slots=True)
class Plan:
    """A grid of panels and its height in inches."""

    rows: int
    columns: int
    height_in: float
    share_y: bool | Literal["row"] = False


def plan_of(figure: Figure, panels: list[str], width_in: float) -> Plan:
    """Where the panels of a figure of `width_in` inches go."""
    count = len(panels)
    if figure.kind == "heatmap":
        labels = [str(label) for label in figure.data["columns"]]
        turned = 0.055 * max(map(len, labels), default=0) > 0.7 * width_in / max(1, len(labels))
        return Plan(1, 1, 0.75 + 0.6 * turned + 0.18 * max(2, len(figure.data["rows"])))
    if figure.kind in ("dots", "bars"):
        rows = list(figure.data.get("rows", []))
        side = count > 1 and width_in >= SIDE_BY_SIDE_IN
        tall = [len(places_of(rows if side else _of(rows, name))) for name in panels]
        head = 0.25 if any(panels) else 0.0
        if side:
            return Plan(1, count, 0.85 + head + LINE_IN * max(tall), share_y="row")
        return Plan(count, 1, sum(0.85 + head + LINE_IN * n for n in tall))
    across = min(count, max(1, round(width_in / 2.6)))
    lines = -(-count // across)
    wide = width_in / across
    ratio = 0.5 if figure.kind == "histogram" else 0.72
    series = figure.data.get("series") or []
    held = [[str(s.get("name", "")) for s in series if (s.get("panel") or "") == name] for name in panels]
    tall = [-(-len(names) // key_columns(names, 0.75 * wide)) for names in held]
    rows = [max(tall[k : k + across]) for k in range(0, count, across)]
    key = 0.14 * sum(rows) if crowded(dict(figure.data)) else 0.0
    return Plan(lines, across, lines * (max(1.7, ratio * min(wide, 4.6)) + 0.25) + key)


def _of(rows: list[dict[str, Any]], panel: str) -> list[dict[str, Any]]:
    return [row for row in rows if (row.get("panel") or "") == panel]
