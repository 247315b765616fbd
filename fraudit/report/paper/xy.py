"""Lines, points and histograms on matplotlib Axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.formatting import printable
from fraudit.report.charts.scales import Scale, scale_of
from fraudit.report.charts.xy import densities, thinned
from fraudit.report.paper.axes import (
    counted,
    crowded,
    draw_marks,
    legend,
    marks_of,
    numbers,
    room_of,
    set_axis,
)
from fraudit.report.paper.style import INK, Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_BARS = 40  # points whose intervals are drawn as bars; more get a band


def _members(data: dict[str, Any], panel: str) -> list[dict[str, Any]]:
    return [s for s in data.get("series", []) if (s.get("panel") or "") == panel]


def _looks(data: dict[str, Any], panel: str) -> list[Look]:
    """A look per series of the panel: the same name looks the same in all panels; accented ones come first."""
    series = list(data.get("series", []))
    names = [str(s.get("name", "")) for s in series]
    homes = {name: {s.get("panel") or "" for s in series if str(s.get("name", "")) == name} for name in names}
    own = all(len(home) == 1 for home in homes.values())  # no name is in two panels: each counts from one
    pool = _members(data, panel) if own else series
    ranked = sorted(pool, key=lambda s: not s.get("accent"))
    order = list(dict.fromkeys(str(s.get("name", "")) for s in ranked))
    return [Look(order.index(str(s.get("name", "")))) for s in _members(data, panel)]


def _scale(data: dict[str, Any], which: str, panel: str) -> Scale:
    """The panel's own scale of an axis, else the one all panels without their own share."""
    overrides = data.get("panels") or {}
    own = overrides.get(panel, {}).get(which)
    series = data.get("series", [])
    pool = _members(data, panel) if own else [
        s for s in series if which not in overrides.get(s.get("panel") or "", {})
    ]  # fmt: skip
    keys = ("y", "low", "high") if which == "y" else ("x",)
    values = [v for s in pool for key in keys for v in s.get(key) or []]
    marks = [m["value"] for m in marks_of(data, panel, which)]
    exact = which == "x" and bool(pool) and all(s.get("points") for s in pool)
    return scale_of(own or data[which], values, marks, zero=which == "y", exact=exact)


def lines(data: dict[str, Any], ax: Axes, panel: str) -> None:
    """`lines`: each with its band or bars of intervals."""
    x, y = _scale(data, "x", panel), _scale(data, "y", panel)
    width, height = room_of(ax)
    set_axis(ax, "x", x, width)
    set_axis(ax, "y", y, height)
    draw_marks(ax, marks_of(data, panel), x, y)
    members = _members(data, panel)
    for one, look in zip(members, _looks(data, panel), strict=True):
        _line(ax, one, look, x, y)
    if len(members) > 1 or any(one.get("n") is not None for one in members):
        legend(ax, crowded(data))


def _line(ax: Axes, one: dict[str, Any], look: Look, x: Scale, y: Scale) -> None:
    xs, ys = numbers(one["x"]), numbers(one["y"])
    shown_x, shown_y = x.place(one["x"]), y.place(one["y"])
    keep = thinned(shown_x, shown_y)
    keep = keep[np.isfinite(shown_x[keep])]
    xs = xs[keep]
    ys = np.where(np.isfinite(shown_y[keep]), ys[keep], np.nan)
    dotted = bool(one.get("points"))
    if one.get("low") and one.get("high"):
        # None is an end beyond the scale: it is cut at the edge, as the report's charts do.
        known = ~np.isnan(numbers(one["high"])[keep])
        lows, highs = (np.clip(numbers(one[key])[keep], y.low, y.high) for key in ("low", "high"))
        lows = np.where(np.isnan(lows) & known, y.low, lows)
        if dotted and len(keep) <= MOST_BARS:
            ax.vlines(xs, lows, highs, color=look.colour, linewidth=0.9, alpha=0.8)
        else:
            ax.fill_between(xs, lows, highs, color=look.colour, alpha=0.18, linewidth=0)
    ax.plot(
        xs,
        ys,
        color=look.colour,
        linestyle=look.dash,
        marker=look.marker if dotted else "",
        label=counted(one.get("name", ""), one.get("n"), one.get("n_unit")),
        zorder=3,
    )


def scatter(data: dict[str, Any], ax: Axes, panel: str) -> None:
    """`scatter`: points told apart by colour and marker."""
    series = _members(data, panel)
    width, height = room_of(ax)
    x, y = (
        scale_of(
            data[axis],
            [v for s in series for v in s[axis]],
            [m["value"] for m in marks_of(data, panel, axis)],
        )
        for axis in ("x", "y")
    )
    set_axis(ax, "x", x, width)
    set_axis(ax, "y", y, height)
    draw_marks(ax, marks_of(data, panel), x, y)
    for one, look in zip(series, _looks(data, panel), strict=True):
        many = len(one["x"]) > 60
        ax.plot(
            numbers(one["x"]),
            numbers(one["y"]),
            linestyle="",
            marker=look.marker,
            color=look.colour,
            markersize=2.5 if many else 4,
            alpha=0.6 if many else 1.0,
            markeredgewidth=0,
            label=counted(one.get("name", ""), one.get("n", len(one["x"]))),
        )
        for px, py, label in zip(one["x"], one["y"], one.get("labels") or [], strict=False):
            if label and px is not None and py is not None:
                ax.annotate(printable(label), (px, py), xytext=(4, 0), textcoords="offset points", fontsize=6)
    legend(ax, crowded(data))


def histogram(data: dict[str, Any], ax: Axes, panel: str) -> None:
    """`histogram`: step outlines of equal area, each with its n."""
    series = _members(data, panel)
    edges = [v for s in data.get("series", []) for v in s["edges"]]
    x = scale_of(data["x"], edges, [m["value"] for m in marks_of(data, panel, "x")])
    set_axis(ax, "x", x, room_of(ax)[0])
    draw_marks(ax, marks_of(data, panel, "x"), x, None)
    for one, look in zip(series, _looks(data, panel), strict=True):
        at = numbers(one["edges"])
        heights = densities(one, at)
        ax.stairs(
            heights, at, color=look.colour, linestyle=look.dash, linewidth=1.3,
            label=counted(one.get("name", ""), one.get("n"), one.get("n_unit")),
        )  # fmt: skip
        ax.stairs(heights, at, color=look.colour, fill=True, alpha=0.12)
    ax.set_yticks([])
    ax.set_ylabel("density (equal areas)" if len(series) > 1 else "density")
    ax.set_ylim(bottom=0)
    ax.spines["left"].set_visible(False)
    ax.axhline(0, color=INK, linewidth=0.7)
    if series:
        legend(ax, crowded(data))
