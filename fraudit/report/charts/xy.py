"""Lines, scatter and histograms: two axes, series told apart by colour, dash and a label of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.formatting import interval, number, percent, printable
from fraudit.report.charts.canvas import SMALL_PX, TEXT_PX, Canvas, fit, text_px
from fraudit.report.charts.frame import Box, draw_marks, grid, spread
from fraudit.report.charts.panels import Layout, Series, panels_of, styled
from fraudit.report.charts.plot import Plot
from fraudit.report.charts.scales import Scale, scale_of
from fraudit.report.charts.spots import MOST_SPOTS, rate_words, sample, titled, value_words
from fraudit.report.charts.svgtext import INK, MUTED

MOST_POINTS = 240
PEAK_LINE_PX = 15.0  # between the names of peaks that lie above each other


def _on(marks: list[dict[str, Any]], axis: str) -> list[float]:
    return [mark["value"] for mark in marks if mark["axis"] == axis]


def _marks_of(marks: list[dict[str, Any]], panel: str) -> list[dict[str, Any]]:
    return [mark for mark in marks if mark.get("panel", panel) == panel]


def _line_scale(
    data: dict[str, Any], axis: str, panel: str, series: list[Series], marks: list[dict[str, Any]]
) -> Scale:
    """The panel's own scale of an axis, else the one all panels without their own share."""
    overrides = data.get("panels") or {}
    own = overrides.get(panel, {}).get(axis)
    if own is None:
        pool = [s for s in series if axis not in overrides.get(s.data.get("panel") or "", {})]
    else:
        pool = [s for s in series if (s.data.get("panel") or "") == panel]
    keys = ("y", "low", "high") if axis == "y" else ("x",)
    values = [v for s in pool for key in keys for v in s.data.get(key) or []]
    pointed = axis == "x" and all(s.data.get("points") for s in pool)
    return scale_of(own or data[axis], values, _on(marks, axis), zero=axis == "y", exact=pointed)


def draw_lines(data: dict[str, Any], width: int) -> Canvas:
    """`lines`: series with interval bands or bars, small multiples by panel."""
    series = styled(list(data.get("series", [])))
    panels = panels_of(series)
    marks = list(data.get("marks") or [])
    layout = Layout(panels, width, 0.62, has_y=True, direct=True, marks=len(_on(marks, "x")))
    canvas = Canvas(width, layout.height)
    layout.draw_key(canvas, series, line=True)
    for index, (name, members) in enumerate(panels):
        x, y = (_line_scale(data, axis, name, series, marks) for axis in ("x", "y"))
        box = layout.box(index)
        plot = canvas.plot(*box)
        layout.title(canvas, name, box)
        layout.y_label(canvas, y.label, box)
        grid(canvas, plot, x, y, box)
        draw_marks(canvas, plot, _marks_of(marks, name), x, y, box)
        for one in members:
            _draw_line(plot, one, x, y)
            _line_spots(canvas, one, x, y, box)
        if layout.direct:
            _label_ends(canvas, members, x, y, box, max(60.0, layout.label_px))
    return canvas


def thinned(xs: NDArray[np.float64], ys: NDArray[np.float64], most: int = MOST_POINTS) -> NDArray[np.int64]:
    """Indices of about `most` points, evenly spread along the drawn line, so that steep parts keep theirs."""
    count = len(xs)
    if count <= most:
        return np.arange(count)
    steps = np.zeros(count)
    for values in (xs, ys):
        reach = float(np.nanmax(values) - np.nanmin(values)) if np.isfinite(values).any() else 0.0
        if reach > 0:
            steps[1:] += np.nan_to_num(np.abs(np.diff(values))) / reach
    along = np.cumsum(steps)
    chosen = np.searchsorted(along, np.linspace(0, along[-1], most))
    gaps = np.flatnonzero(~np.isfinite(ys))[: most // 4]
    return np.unique(np.concatenate([[0], chosen.clip(0, count - 1), gaps, [count - 1]]))


def _draw_line(plot: Plot, one: Series, x: Scale, y: Scale) -> None:
    data = one.data
    xs, ys = x.place(data["x"]), y.place(data["y"])
    keep = thinned(xs, ys)
    xs, ys = xs[keep], ys[keep]
    dotted = bool(data.get("points"))
    if data.get("low") and data.get("high"):
        lows, highs = (y.place(data[key], clip=True)[keep] for key in ("low", "high"))
        if dotted and len(keep) <= 40:
            plot.bars(xs, lows, highs, color=one.colour, linewidth=1.4, alpha=0.7)
        else:
            plot.band(xs, lows, highs, color=one.colour, alpha=0.16, linewidth=0)
    marker = one.marker if dotted else ""
    plot.line(
        xs,
        ys,
        color=one.colour,
        linewidth=2,
        linestyle=one.dash,
        marker=marker,
        markersize=5,
        clip_on=not dotted,
    )


def _line_spots(canvas: Canvas, one: Series, x: Scale, y: Scale, box: Box) -> None:
    data = one.data
    xs, ys = x.place(data["x"]), y.place(data["y"], clip=True)
    seen = np.flatnonzero(np.isfinite(xs) & np.isfinite(ys))
    if not len(seen):
        return
    keep = thinned(xs[seen], ys[seen], MOST_SPOTS)
    lows, highs = (data.get(key) or [None] * len(xs) for key in ("low", "high"))
    name = titled(one.name, data.get("panel") or "")
    for k in seen[keep]:
        rate = {"value": data["y"][k], "low": lows[k], "high": highs[k], "n": data.get("n")}
        words = f"{name}{y.label} {rate_words(rate, y.as_percent, as_points=y.points)}"
        canvas.spot(*_at(xs[k], ys[k], x, y, box), f"{words}; {x.label} {value_words(data['x'][k], x)}")


def _at(px: float, py: float, x: Scale, y: Scale, box: Box) -> tuple[float, float]:
    """Pixels of a place on the drawn axes."""
    left, top, width, height = box
    across = (px - x.span[0]) / (x.span[1] - x.span[0])
    return left + width * float(across), top + height * float(1 - (py - y.span[0]) / (y.span[1] - y.span[0]))


def _label_ends(canvas: Canvas, members: list[Series], x: Scale, y: Scale, box: Box, room_px: float) -> None:
    left, top, width, height = box
    ends = []
    for one in members:
        xs, ys = x.place(one.data["x"], clip=True), y.place(one.data["y"], clip=True)
        good = np.flatnonzero(np.isfinite(ys) & np.isfinite(xs))
        share = (
            0.0 if not len(good) else (ys[good[np.argmax(xs[good])]] - y.span[0]) / (y.span[1] - y.span[0])
        )
        ends.append(top + height * (1 - float(share)))
    texts = [fit(one.name, room_px, TEXT_PX, 2) for one in members]
    gap = 15 * max((len(text) for text in texts), default=1)
    places = spread(ends, gap, top + 4, top + height + 8)
    for one, text, place in zip(members, texts, places, strict=True):
        canvas.lines(left + width + 8, place, text, colour=one.colour, weight=700)


def draw_scatter(data: dict[str, Any], width: int) -> Canvas:
    """`scatter`: points told apart by colour and marker, with their labels beside them."""
    series = styled(list(data.get("series", [])))
    marks = list(data.get("marks") or [])
    layout = Layout([("", series)], width, 0.66, has_y=True, direct=False, marks=len(_on(marks, "x")))
    canvas = Canvas(width, layout.height)
    layout.draw_key(canvas, series, line=False)
    x, y = (
        scale_of(data[axis], [v for s in series for v in s.data[axis]], _on(marks, axis))
        for axis in ("x", "y")
    )
    box = layout.box(0)
    plot = canvas.plot(*box)
    layout.y_label(canvas, y.label, box)
    grid(canvas, plot, x, y, box)
    draw_marks(canvas, plot, marks, x, y, box)
    for one in series:
        xs, ys = x.place(one.data["x"]), y.place(one.data["y"])
        many = len(xs) > 60
        look: dict[str, Any] = {
            "markersize": 4 if many else 6.5,
            "alpha": 0.6 if many else 1,
            "markeredgewidth": 0,
        }
        plot.line(xs, ys, linestyle="", marker=one.marker, color=one.colour, clip_on=False, **look)
        names = one.data.get("labels") or [""] * len(xs)
        for k in sample(len(xs)) if len(xs) else ():
            if np.isfinite(xs[k]) and np.isfinite(ys[k]):
                words = titled(one.name, names[k] if k < len(names) else "")
                for axis, scale in (("x", x), ("y", y)):
                    words += f"{scale.label} {value_words(one.data[axis][k], scale)}; "
                canvas.spot(*_at(xs[k], ys[k], x, y, box), words.removesuffix("; "))
        for px, py, label in zip(xs, ys, one.data.get("labels") or [], strict=False):
            if label and np.isfinite(px) and np.isfinite(py):
                at_x = box[0] + box[2] * (px - x.span[0]) / (x.span[1] - x.span[0])
                at_y = box[1] + box[3] * (1 - (py - y.span[0]) / (y.span[1] - y.span[0]))
                text = fit(printable(label), 130, SMALL_PX, 1)[0]
                left = at_x + 8 + text_px(text, SMALL_PX) > width
                side: dict[str, Any] = {"align": "right"} if left else {}
                canvas.text(at_x + (-8 if left else 8), at_y, text, size=SMALL_PX, **side)
    return canvas


def draw_histogram(data: dict[str, Any], width: int) -> Canvas:
    """`histogram`: step outlines of equal area, each labelled at its peak."""
    series = styled(list(data.get("series", [])))
    panels = panels_of(series)
    marks = list(data.get("marks") or [])
    layout = Layout(panels, width, 0.45, has_y=False, direct=False, marks=len(_on(marks, "x")))
    canvas = Canvas(width, layout.height)
    layout.draw_key(canvas, series, line=True)
    x = scale_of(data["x"], [e for s in series for e in s.data["edges"]], _on(marks, "x"))
    for index, (name, members) in enumerate(panels):
        box = layout.box(index)
        plot = canvas.plot(*box)
        layout.title(canvas, name, box)
        if index == 0 or layout.titled:
            layout.y_label(canvas, "density (equal areas)" if len(members) > 1 else "density", box)
        grid(canvas, plot, x, None, box)
        draw_marks(canvas, plot, _marks_of(marks, name), x, None, box)
        tops = [_outline(plot, one, x) for one in members]
        ceiling = 1.16 * (max((top for _, top in tops), default=0.0) or 1.0)
        for one in members:
            _bin_spots(canvas, one, x, box, ceiling)
        plot.ylim(0, ceiling)
        plot.level(0, color=INK, linewidth=1)
        if not layout.key and len(members) > 1:
            peaks = [
                (
                    box[0] + box[2] * (middle - x.span[0]) / (x.span[1] - x.span[0]),
                    box[1] + box[3] * (1 - top / ceiling),
                )
                for middle, top in tops
            ]
            _peak_labels(canvas, members, peaks, box)
    if not series:
        canvas.text(0, 8, "no data", size=SMALL_PX, colour=MUTED)
    return canvas


def _peak_labels(canvas: Canvas, members: list[Series], peaks: list[tuple[float, float]], box: Box) -> None:
    """The name of each series above its peak (px, px); one that would cover another stands above that."""
    placed: list[tuple[float, float, float]] = []
    for one, (at, top) in sorted(zip(members, peaks, strict=True), key=lambda pair: -pair[1][1]):
        room, y = text_px(one.name) / 2, top - 11
        at = min(max(at, box[0] + room), box[0] + box[2] - room)
        for left, other, height in sorted(placed, key=lambda p: -p[2]):
            if abs(at - left) < room + other and abs(y - height) < PEAK_LINE_PX:
                y = height - PEAK_LINE_PX
        placed.append((at, room, y))
        canvas.text(at, y, one.name, colour=one.colour, align="center", weight=700)


def _bin_spots(canvas: Canvas, one: Series, x: Scale, box: Box, ceiling: float) -> None:
    """Share of the series in every bin that holds any."""
    edges = x.place(one.data["edges"], clip=True)
    heights = densities(one.data, edges)
    left, top, width, height = box
    of = f" of {number(float(one.data['n']), 0)}" if one.data.get("n") is not None else ""
    for k in np.flatnonzero(heights):
        share = float(heights[k] * (edges[k + 1] - edges[k]))
        middle = (edges[k] + edges[k + 1]) / 2
        low, high = (float(end) for end in one.data["edges"][k : k + 2])
        ends = interval(low, high, as_percent=x.as_percent, as_points=x.as_percent and x.points)
        canvas.spot(
            left + width * float((middle - x.span[0]) / (x.span[1] - x.span[0])),
            top + height * float(1 - heights[k] / ceiling),
            f"{titled(one.name, one.data.get('panel') or '')}{percent(share)}{of}; {x.label} {ends}",
        )


def _outline(plot: Plot, one: Series, x: Scale) -> tuple[float, float]:
    """Draws the steps; (where, how high) the peak is."""
    edges = x.place(one.data["edges"], clip=True)
    heights = densities(one.data, edges)
    filled = np.flatnonzero(heights)
    if not len(filled):
        return float(edges[0]), 0.0
    first, last = filled[0], filled[-1] + 1
    plot.steps(heights, edges, color=one.colour, fill=True, alpha=0.13, linewidth=0)
    outline = {"color": one.colour, "linewidth": 1.8, "linestyle": one.dash, "fill": False}
    plot.steps(heights[first:last], edges[first : last + 1], **outline)
    peak = int(np.argmax(heights))
    return float((edges[peak] + edges[peak + 1]) / 2), float(heights[peak])


def densities(data: dict[str, Any], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Heights that give every series the area 1, so that few and many pairs compare."""
    given = data.get("density") or data.get("counts") or []
    values = np.array([0.0 if v is None else v for v in given], float)
    widths = np.diff(edges)
    if not data.get("density"):
        values = np.divide(values, widths, out=np.zeros_like(values), where=widths > 0)
    area = float((values * widths).sum())
    return values / area if area > 0 else values
