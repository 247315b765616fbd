"""Compression of two runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fraudit.compare.figures import figure_of
from fraudit.compare.hooks import Comparison
from fraudit.compare.values import Delta, Side
from fraudit.types import Figure


def figures(sides: Sequence[Side], changes: Sequence[tuple[Side, Sequence[Delta]]]) -> list[Figure]:
    """The sweeps over dimensions."""
    made = sweeps(sides)
    return [] if made is None else [made]


def sweeps(sides: Sequence[Side]) -> Figure | None:
    """The sweeps over dimensions, one curve a run in every panel."""
    figures = [(side, f) for side in sides if (f := figure_of(side, "compression_sweep")) is not None]
    if len(figures) < 2:
        return None
    first = figures[0][1]
    shared = set.intersection(*({(s.get("panel"), s["name"]) for s in f.data["series"]} for _, f in figures))
    # one curve a run and panel: the first that all have, since that is the panel's own
    leading: dict[str | None, str] = {}
    for one in first.data["series"]:
        if (one.get("panel"), one["name"]) in shared:
            leading.setdefault(one.get("panel"), one["name"])
    series = [
        {
            **one,
            "name": side.label,
            "panel": f"{one.get('panel') or ''}, {one['name']}".strip(", "),
            "accent": side is sides[-1],
        }
        for side, figure in figures
        for one in figure.data["series"]
        if leading.get(one.get("panel")) == one["name"]
    ]
    if not series:
        return None
    data = {k: v for k, v in first.data.items() if k not in ("marks", "panels")}
    axes = first.data.get("panels") or {}
    named = {
        f"{panel or ''}, {name}".strip(", "): axes[panel] for panel, name in leading.items() if panel in axes
    }
    if named:
        data["panels"] = named
    said = "; ".join(f"{side.label}: {figure.alt}" for side, figure in figures)
    return replace(
        first,
        name="compression",
        title=f"{first.title}, side by side",
        alt=said,
        data={**data, "series": series},
        main=False,
    )


COMPARISON = Comparison(times=("compression.match_cost.",), figures=figures)
