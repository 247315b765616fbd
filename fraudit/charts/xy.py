"""Lines, scatter and histograms: two axes, series told apart by colour, dash and a label at their end."""

from __future__ import annotations

from typing import Any

import numpy as np

from fraudit.charts.canvas import (
    DASHES,
    MARKERS,
    SMALL_PX,
    TEXT_PX,
    Canvas,
    Scale,
    decimate,
    draw_marks,
    fit,
    grid,
    palette,
    scale_of,
    spread,
    text_px,
)
from fraudit.charts.svgtext import INK, MUTED
from fraudit.formatting import printable


class Series:
    """One series with the colour, dash and marker its name has in every panel."""

    def __init__(self, data: dict, colour: str, order: int) -> None:
        self.data, self.colour = data, colour
        self.name = printable(data.get("name", ""))
        self.dash = DASHES[order % len(DASHES)]
        self.marker = MARKERS[order % len(MARKERS)]


def _styled(series: list[dict]) -> list[Series]:
    names = list(dict.fromkeys(str(s.get("name", "")) for s in series))
    accents = [any(s.get("accent") for s in series if str(s.get("name", "")) == name) for name in names]
    colours = palette(accents)
    return [Series(s, colours[(i := names.index(str(s.get("name", ""))))], i) for s in series]


def _panels(series: list[Series]) -> list[tuple[str, list[Series]]]:
    names = list(dict.fromkeys(s.data.get("panel") or "" for s in series)) or [""]
    return [(name, [s for s in series if (s.data.get("panel") or "") == name]) for name in names]


class Layout:
    """Boxes of small multiples with room for ticks, labels, a key and direct labels."""

    def __init__(self, panels: list[tuple[str, list[Series]]], width: int, ratio: float, has_y: bool) -> None:
        names = list(dict.fromkeys(s.name for _, ss in panels for s in ss if s.name))
        self.columns = 1 if len(panels) == 1 else max(1, min(len(panels), width // 230))
        longest = max((min(text_px(n), 150) for n in names), default=0)
        alone = len(panels) == 1
        self.direct = alone and len(names) > 1 and longest < 0.26 * width
        self.key = names if len(names) > 1 and not self.direct else []
        self.right = longest + 14 if self.direct else 10
        self.left = 52 if has_y else 8
        self.width = width
        key_rows, x = (1, 0.0) if self.key else (0, 0.0)
        for name in self.key:
            step = 46 + text_px(name)
            if x and x + step > width:
                key_rows, x = key_rows + 1, 0.0
            x += step
        self.key_height = 20 * key_rows + (6 if key_rows else 0)
        titled = any(name for name, _ in panels)
        self.head = (22 if has_y else 6) + (20 if titled else 0)
        self.cell_width = (width - 14 * (self.columns - 1)) / self.columns
        self.plot_width = self.cell_width - self.left - self.right
        self.plot_height = max(130.0, min(330.0, self.plot_width * ratio))
        self.cell_height = self.head + self.plot_height + 44
        rows = -(-len(panels) // self.columns)
        self.height = self.key_height + rows * self.cell_height

    def box(self, index: int) -> tuple[float, float, float, float]:
        """(x, y, width, height) of panel `index`'s plot in pixels."""
        row, column = divmod(index, self.columns)
        x = column * (self.cell_width + 14) + self.left
        return x, self.key_height + row * self.cell_height + self.head, self.plot_width, self.plot_height

    def draw_key(self, canvas: Canvas, series: list[Series], line: bool) -> None:
        """Samples with names above the plots."""
        x, y = 0.0, 8.0
        for name in self.key:
            one = next(s for s in series if s.name == name)
            step = 46 + text_px(name)
            if x and x + step > self.width:
                x, y = 0.0, y + 20
            marker = one.marker if one.data.get("points") or not line else ""
            canvas.stroke(
                [x, x + 22] if line else [x + 11],
                [y, y] if line else [y],
                one.colour,
                2,
                one.dash if line else "-",
                marker,
            )
            canvas.text(x + 28, y, fit(name, self.width - 40, TEXT_PX, 1)[0])
            x += step


def draw_lines(data: dict, width: int) -> Canvas:
    """`lines`: series with interval bands or bars, small multiples by panel."""
    series = _styled(list(data.get("series", [])))
    panels = _panels(series)
    layout = Layout(panels, width, 0.62, has_y=True)
    canvas = Canvas(width, layout.height)
    layout.draw_key(canvas, series, line=True)
    marks = list(data.get("marks") or [])
    shared: dict[str, Scale] = {}
    for index, (name, members) in enumerate(panels):
        own = (data.get("panels") or {}).get(name, {})
        scales = {}
        for axis in ("x", "y"):
            if axis in own or axis not in shared:
                pool = (
                    members
                    if axis in own
                    else [
                        s for n, ss in panels for s in ss if axis not in (data.get("panels") or {}).get(n, {})
                    ]
                )
                keys = ("y", "low", "high") if axis == "y" else ("x",)
                values = [v for s in pool for key in keys for v in s.data.get(key) or []]
                at = [m["value"] for m in marks if m["axis"] == axis]
                scale = scale_of({**data[axis], **own.get(axis, {})}, values, at)
                if axis not in own:
                    shared[axis] = scale
            scales[axis] = scale if axis in own else shared[axis]
        box = layout.box(index)
        ax = canvas.axes(*box)
        _panel_title(canvas, name, box)
        grid(canvas, ax, scales["x"], scales["y"], box)
        draw_marks(
            canvas, ax, [m for m in marks if m.get("panel", name) == name], scales["x"], scales["y"], box
        )
        for one in members:
            _draw_line(ax, one, scales["x"], scales["y"])
        if layout.direct:
            _label_ends(canvas, members, scales["x"], scales["y"], box)
    return canvas


def _panel_title(canvas: Canvas, name: str, box: tuple[float, float, float, float]) -> None:
    if name:
        room = box[2] + 50
        canvas.text(
            box[0] - 52 if box[0] >= 52 else 0,
            box[1] - 34,
            fit(printable(name), room, TEXT_PX, 1)[0],
            weight=700,
        )


def _draw_line(ax: Any, one: Series, x: Scale, y: Scale) -> None:
    data = one.data
    keep = decimate(data["x"])
    xs, ys = x.place([data["x"][i] for i in keep]), y.place([data["y"][i] for i in keep])
    dotted = bool(data.get("points"))
    low, high = data.get("low"), data.get("high")
    if low and high:
        lows = y.place([low[i] for i in keep], clip=True)
        highs = y.place([high[i] for i in keep], clip=True)
        if dotted and len(keep) <= 40:
            ax.vlines(xs, lows, highs, color=one.colour, linewidth=1.4, alpha=0.7)
        else:
            ax.fill_between(xs, lows, highs, color=one.colour, alpha=0.16, linewidth=0)
    ax.plot(
        xs,
        ys,
        color=one.colour,
        linewidth=2,
        linestyle=one.dash,
        marker=one.marker if dotted else "",
        markersize=5,
        clip_on=not dotted,
    )


def _label_ends(
    canvas: Canvas, members: list[Series], x: Scale, y: Scale, box: tuple[float, float, float, float]
) -> None:
    left, top, width, height = box
    ends = []
    for one in members:
        ys = y.place(one.data["y"], clip=True)
        xs = x.place(one.data["x"], clip=True)
        good = np.flatnonzero(np.isfinite(ys) & np.isfinite(xs))
        at = good[np.argmax(xs[good])] if len(good) else None
        ends.append(
            top + height
            if at is None
            else top + height * (1 - (ys[at] - y.span[0]) / (y.span[1] - y.span[0]))
        )
    places = spread(ends, 15, top + 4, top + height - 4)
    for one, place in zip(members, places, strict=True):
        canvas.text(left + width + 8, place, fit(one.name, 150, TEXT_PX, 1)[0], colour=one.colour, weight=700)


def draw_scatter(data: dict, width: int) -> Canvas:
    """`scatter`: points told apart by colour and marker, with their labels beside them."""
    series = _styled(list(data.get("series", [])))
    layout = Layout([("", series)], width, 0.66, has_y=True)
    layout_key = [s.name for s in series if s.name] if len(series) > 1 else []
    if layout.direct:  # points have no end to be labelled at
        layout = _keyed(series, width)
    layout.key = layout_key
    canvas = Canvas(width, layout.height)
    layout.draw_key(canvas, series, line=False)
    marks = list(data.get("marks") or [])
    x, y = (
        scale_of(
            data[axis],
            [v for s in series for v in s.data[axis]],
            [m["value"] for m in marks if m["axis"] == axis],
        )
        for axis in ("x", "y")
    )
    box = layout.box(0)
    ax = canvas.axes(*box)
    grid(canvas, ax, x, y, box)
    draw_marks(canvas, ax, marks, x, y, box)
    for one in series:
        xs, ys = x.place(one.data["x"]), y.place(one.data["y"])
        many = len(xs) > 60
        ax.plot(
            xs,
            ys,
            linestyle="",
            marker=one.marker,
            markersize=4 if many else 6.5,
            color=one.colour,
            alpha=0.6 if many else 1,
            markeredgewidth=0,
            clip_on=False,
        )
        for px, py, label in zip(xs, ys, one.data.get("labels") or [], strict=False):
            if label and np.isfinite(px) and np.isfinite(py):
                at_x = box[0] + box[2] * (px - x.span[0]) / (x.span[1] - x.span[0])
                at_y = box[1] + box[3] * (1 - (py - y.span[0]) / (y.span[1] - y.span[0]))
                text = fit(printable(label), 130, SMALL_PX, 1)[0]
                right = at_x + 8 + text_px(text, SMALL_PX) > width
                canvas.text(
                    at_x + (-8 if right else 8), at_y, text, size=SMALL_PX, align="right" if right else "left"
                )
    return canvas


def _keyed(series: list[Series], width: int) -> Layout:
    layout = Layout([("", series[:1])], width, 0.66, has_y=True)
    layout.key_height = 26
    layout.height += 26
    return layout


def draw_histogram(data: dict, width: int) -> Canvas:
    """`histogram`: step outlines of equal area, each labelled at its peak."""
    series = _styled(list(data.get("series", [])))
    panels = _panels(series)
    layout = Layout(panels, width, 0.5, has_y=False)
    layout.direct = False
    canvas = Canvas(width, layout.height)
    layout.draw_key(canvas, series, line=True)
    marks = list(data.get("marks") or [])
    x = scale_of(
        data["x"],
        [e for s in series for e in s.data["edges"]],
        [m["value"] for m in marks if m["axis"] == "x"],
    )
    for index, (name, members) in enumerate(panels):
        box = layout.box(index)
        ax = canvas.axes(*box)
        _panel_title(canvas, name, (box[0], box[1] + 16, box[2], box[3]))
        grid(canvas, ax, x, None, box)
        mine = [m for m in marks if m.get("panel", name) == name]
        draw_marks(canvas, ax, mine, x, None, box)
        tops = []
        for one in members:
            edges = x.place(one.data["edges"], clip=True)
            density = _density(one.data, edges)
            ax.stairs(density, edges, color=one.colour, fill=True, alpha=0.13, linewidth=0)
            ax.stairs(density, edges, color=one.colour, linewidth=1.8, linestyle=one.dash, baseline=None)
            peak = int(np.argmax(density)) if len(density) else 0
            tops.append(
                (one, (edges[peak] + edges[peak + 1]) / 2 if len(density) else 0.0, max(density, default=0.0))
            )
        ceiling = max((t for _, _, t in tops), default=0.0) or 1.0
        ax.set_ylim(0, ceiling * (1.22 + 0.1 * len(mine)))
        ax.axhline(0, color=INK, linewidth=1)
        if not layout.key and len(members) > 1:
            _label_peaks(canvas, ax, tops, x, box)
    canvas.text(0, layout.key_height + 4, "share of each series (equal areas)", size=SMALL_PX, colour=MUTED)
    return canvas


def _density(data: dict, edges: Any) -> Any:
    """Heights that give every series the area 1, so that few and many pairs compare."""
    values = np.array(
        [0.0 if v is None else v for v in data.get("counts") or data.get("density") or []], float
    )
    widths = np.diff(edges)
    heights = (
        values
        if data.get("density")
        else np.divide(values, widths, out=np.zeros_like(values), where=widths > 0)
    )
    area = float((heights * widths).sum())
    return heights / area if area > 0 else heights


def _label_peaks(
    canvas: Canvas, ax: Any, tops: list, x: Scale, box: tuple[float, float, float, float]
) -> None:
    left, top, width, height = box
    ceiling = ax.get_ylim()[1]
    ats = [left + width * (px - x.span[0]) / (x.span[1] - x.span[0]) for _, px, _ in tops]
    for (one, _, peak), at in zip(tops, ats, strict=True):
        room = text_px(one.name) / 2
        at = min(max(at, left + room), left + width - room)
        canvas.text(
            at,
            top + height * (1 - peak / ceiling) - 11,
            one.name,
            colour=one.colour,
            align="center",
            weight=700,
        )
