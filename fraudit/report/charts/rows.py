"""Dots and bars: one labelled row each, its interval drawn and its figures in words at the right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from matplotlib.lines import Line2D

from fraudit.formatting import number, printable
from fraudit.report.charts.canvas import SMALL_PX, TEXT_PX, Canvas, fit, text_px
from fraudit.report.charts.frame import Box, draw_marks, grid
from fraudit.report.charts.plot import Plot
from fraudit.report.charts.scales import Scale, row_values, scale_of
from fraudit.report.charts.spots import rate_words, titled, value_words
from fraudit.report.charts.svgtext import ACCENT, INK, MUTED, RULE, SERIES

PERCENT = "\u202f%"
ROW_PX = 26.0
GROUP_PX = 30.0
Say = Callable[[float], str]
Panel = tuple[str, list[dict[str, Any]]]


def _interval_words(row: dict[str, Any], say: Say) -> str:
    if row.get("value") is None:
        return ""
    if row.get("low") is None or row.get("high") is None:
        return say(row["value"])
    low, high = (say(row[key]) for key in ("low", "high"))
    return f"{say(row['value'])} ({low.removesuffix(PERCENT)} to {high})"


class RowLayout:
    """Vertical places of rows and group headings, shared by all panels side by side."""

    def __init__(self, rows: Sequence[dict[str, Any]], label_px: float) -> None:
        self.label_px = label_px
        self.places: dict[tuple[str, str], float] = {}
        self.headings: list[tuple[str, float]] = []
        self.labels: list[tuple[str, float]] = []
        y, group = 0.0, None
        for row in rows:
            of = printable(row.get("group") or "")
            label = printable(row.get("label", ""))
            if (of, label) in self.places:
                continue
            if of and of != group:
                y += 6 if self.headings or self.labels else 0
                self.headings.append((of, y + GROUP_PX / 2))
                y += GROUP_PX
            group = of
            self.places[(of, label)] = y + ROW_PX / 2
            self.labels.append((label, y + ROW_PX / 2))
            y += ROW_PX
        self.height = max(y, ROW_PX)

    def of(self, row: dict[str, Any]) -> float:
        """Middle of a row, from the plot's top."""
        return self.places[(printable(row.get("group") or ""), printable(row.get("label", "")))]


def draw_dots(data: dict[str, Any], width: int) -> Canvas:
    """`dots`: a dot and its interval per row, a hollow one to compare with, blocks by group."""
    rows = list(data.get("rows", []))
    names = list(dict.fromkeys(row.get("panel") or "" for row in rows)) or [""]
    panels = [(name, [row for row in rows if (row.get("panel") or "") == name]) for name in names]
    stacked = len(panels) > 1 and width < 240 * len(panels) + 120
    if stacked:
        return _stack(data, panels, width)
    return _draw_rows(data, panels, width, bars=False)


def draw_bars(data: dict[str, Any], width: int) -> Canvas:
    """`bars`: a bar from zero per row, with its interval."""
    return _draw_rows(data, [("", list(data.get("rows", [])))], width, bars=True)


def _geometry(panels: list[Panel], say: Say, width: int) -> tuple[float, float, float, bool]:
    """(label column, words column, n column, whether intervals are said in words) in pixels."""
    rows = [row for _, rows in panels for row in rows]
    longest = max((text_px(printable(row.get("label", ""))) for row in rows), default=0.0)
    label = min(longest, (0.34 if width > 500 else 0.42) * width) + 12
    full = max((text_px(_interval_words(row, say), SMALL_PX) for row in rows), default=0.0) + 12
    shown = len(panels) == 1 and width - label - full > 0.38 * width
    values = [row["value"] for row in rows if row.get("value") is not None]
    plain = max((text_px(say(value), SMALL_PX) for value in values), default=0.0) + 12
    sizes = (
        92.0 if width >= 600 and any(row.get("n") not in (None, row.get("value")) for row in rows) else 0.0
    )
    return label, full if shown else plain, sizes, shown


def _draw_rows(data: dict[str, Any], panels: list[Panel], width: int, *, bars: bool) -> Canvas:
    everything = [row for _, rows in panels for row in rows]
    marks = list(data.get("marks") or [])
    at_x = [m["value"] for m in marks if m["axis"] == "x"]
    kind = data["x"].get("scale", "linear")
    values = [*row_values(everything, kind), *([0.0] if bars and kind == "linear" else [])]
    scale = scale_of(data["x"], values, at_x, zero=bars)
    say = scale.words(everything)
    label_px, words_px, sizes_px, in_words = _geometry(panels, say, width)
    layout = RowLayout(everything, label_px)
    compare = next((row.get("compare_label") for row in everything if row.get("compare") is not None), None)
    has_compare = any(row.get("compare") is not None for row in everything)
    titled = any(name for name, _ in panels)
    head = (24 if has_compare else 0) + (24 if titled else 0) + (20 if at_x or sizes_px else 6)
    canvas = Canvas(width, head + layout.height + (44 if scale.label else 26))
    if has_compare:
        _compare_key(canvas, data, printable(compare or "comparison"), width)
    for heading, y in layout.headings:
        canvas.text(0, head + y + 2, fit(heading, width, TEXT_PX, 1)[0], weight=700)
    for label, y in layout.labels:
        canvas.lines(
            label_px - 10,
            head + y,
            fit(label, label_px - 8, TEXT_PX if len(label) < 40 else SMALL_PX, 2),
            size=TEXT_PX if text_px(label) <= label_px - 8 else 10,
            align="right",
        )
    room = (width - label_px - sizes_px) / len(panels)
    for index, (name, rows) in enumerate(panels):
        left = label_px + index * room
        box = (left, float(head), room - words_px - (16 if len(panels) > 1 else 4), layout.height)
        plot = canvas.plot(*box)
        plot.ylim(layout.height, 0)
        if name:
            canvas.text(
                left,
                head - (30 if at_x or sizes_px else 16),
                fit(printable(name), room, TEXT_PX, 1)[0],
                weight=700,
            )
        grid(canvas, plot, scale, None, box, x_label=index == 0 or len(panels) == 1)
        plot.ylim(layout.height, 0)
        mine = [m for m in marks if m.get("panel", name) == name]
        draw_marks(canvas, plot, mine, scale, None, box)
        for mark in marks:
            if mark["axis"] == "x" and mark not in mine:
                _draw_partial_mark(canvas, plot, mark, rows, scale, layout, box)
        for row in rows:
            _draw_row(
                canvas,
                plot,
                row,
                scale,
                layout,
                box,
                bars=bars,
                say=partial(_interval_words, say=say) if in_words else None,
                plain=say,
            )
    if sizes_px:
        _draw_sizes(canvas, everything, layout, width - sizes_px + 14, head)
    return canvas


def _draw_partial_mark(
    canvas: Canvas,
    plot: Plot,
    mark: dict[str, Any],
    rows: Sequence[dict[str, Any]],
    scale: Scale,
    layout: RowLayout,
    box: Box,
) -> None:
    """A mark of one of several stacked panels, along the rows of that panel alone; named on its heading's line."""
    at = [layout.of(row) for row in rows if row.get("stacked") == mark.get("panel")]
    if not at or not scale.low <= mark["value"] <= scale.high:
        return
    _, top, width, _ = box
    x, first = scale.one(mark["value"]), min(at) - ROW_PX / 2
    plot.line(
        [x, x], [first, max(at) + ROW_PX / 2], color=INK, linewidth=1, linestyle=(0, (3, 2)), zorder=1.5
    )
    words = fit(f"dashed: {printable(mark.get('label', ''))}", 0.9 * width, SMALL_PX, 1)[0]
    canvas.text(canvas.width, top + first - GROUP_PX / 2 + 2, words, size=SMALL_PX, align="right")


def _draw_row(
    canvas: Canvas,
    plot: Plot,
    row: dict[str, Any],
    scale: Scale,
    layout: RowLayout,
    box: Box,
    *,
    bars: bool,
    say: Callable[[dict[str, Any]], str] | None,
    plain: Say,
) -> None:
    y = layout.of(row)
    left, top, width, _ = box
    colour = ACCENT if row.get("accent") or bars else INK
    value = row.get("value")
    name = titled(printable(row.get("label", "")), row.get("group") or "", row.get("panel") or "")
    spot_x = left + 4 if value is None else left + width * _along(scale, value)
    compare = row.get("compare")
    against = (
        f"; {printable(row.get('compare_label') or 'comparison')} {value_words(compare, scale)}"
        if compare is not None and value is not None
        else ""
    )
    canvas.spot(
        spot_x, top + y, f"{name}{rate_words(row, scale.as_percent, as_points=scale.points)}{against}"
    )
    if value is None:
        reason = printable(row.get("missing") or "no figure")
        lines = fit(f"— {reason}", width, SMALL_PX, 2)
        canvas.lines(
            left + 4,
            top + y,
            lines,
            size=SMALL_PX if len(lines) == 1 else 10,
            colour=MUTED,
            style="italic",
            cover=True,
        )
        return
    at = scale.one(value, clip=True)
    if bars:
        start = scale.one(0.0, clip=True) if scale.kind == "linear" else scale.span[0]
        plot.rectangle(
            start, y - ROW_PX / 4, at - start, ROW_PX / 2, facecolor=colour, alpha=0.85, linewidth=0
        )
    if row.get("low") is not None and row.get("high") is not None:
        ends = [scale.one(row[key], clip=True) for key in ("low", "high")]
        plot.line(
            ends,
            [y, y],
            color=INK if bars else colour,
            linewidth=1.4 if bars else 2,
            alpha=1 if bars else 0.55,
            solid_capstyle="butt",
            zorder=2.5,
        )
    if not bars:
        if row.get("compare") is not None:
            other = scale.one(row["compare"], clip=True)
            plot.line(
                [other],
                [y],
                marker="o",
                linestyle="",
                markersize=6.5,
                markerfacecolor="none",
                markeredgecolor=SERIES[0],
                markeredgewidth=1.5,
                clip_on=False,
            )
        plot.line(
            [at],
            [y],
            marker="o",
            linestyle="",
            markersize=7,
            color=colour,
            markeredgewidth=0,
            clip_on=False,
            zorder=3,
        )
    words = say(row) if say else plain(value)
    canvas.text(left + width + 10, top + y, words, size=SMALL_PX, colour=MUTED)


def _along(scale: Scale, value: float) -> float:
    """Share of the axis at which a value lies."""
    return (scale.one(value, clip=True) - scale.span[0]) / (scale.span[1] - scale.span[0])


def _compare_key(canvas: Canvas, data: dict[str, Any], compare: str, width: int) -> None:
    own = printable(data["x"].get("label") or "value")
    own = fit(own, width / 2 - 30, TEXT_PX, 1)[0]
    canvas.stroke([6], [9], INK, marker="o")
    canvas.text(16, 9, own)
    x = 16 + text_px(own) + 22
    canvas.figure.add_artist(
        Line2D(
            [x / canvas.width],
            [1 - 9 / canvas.height],
            marker="o",
            markersize=6.5,
            markerfacecolor="none",
            markeredgecolor=SERIES[0],
            markeredgewidth=1.5,
            linestyle="",
            transform=canvas.figure.transFigure,
        )
    )
    canvas.text(x + 10, 9, fit(compare, width - x - 14, TEXT_PX, 1)[0])


def _draw_sizes(
    canvas: Canvas, rows: Sequence[dict[str, Any]], layout: RowLayout, left: float, top: float
) -> None:
    """How many each row rests on, as a bar, so that a small group looks small."""
    sizes: dict[float, int] = {}
    for row in rows:
        if row.get("n") is not None:
            y = layout.of(row)
            sizes[y] = max(sizes.get(y, 0), int(row["n"]))
    most = max(sizes.values(), default=0) or 1
    canvas.text(left, top - 12, "n", size=SMALL_PX, colour=MUTED)
    plot = canvas.plot(left, top, 74, layout.height)
    plot.xlim(0, most)
    plot.ylim(layout.height, 0)
    for y, n in sizes.items():
        plot.rectangle(0, y + 6, n, 4, facecolor=RULE, linewidth=0)
        canvas.text(left, top + y - 2, number(float(n), 0), size=SMALL_PX, colour=MUTED)


def _stack(data: dict[str, Any], panels: list[Panel], width: int) -> Canvas:
    """Panels one under the other, each row group headed by the panel's name: for narrow screens."""
    rows = []
    for name, members in panels:
        for row in members:
            group = " · ".join(part for part in (str(name), str(row.get("group") or "")) if part)
            rows.append({**row, "group": group, "panel": None, "stacked": name})
    return _draw_rows(data, [("", rows)], width, bars=False)
