"""What surrounds a plot: hairlines, ticks, labels and reference lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fraudit.formatting import printable
from fraudit.report.charts.canvas import SMALL_PX, Canvas, fit, text_px
from fraudit.report.charts.plot import Plot
from fraudit.report.charts.scales import Scale
from fraudit.report.charts.svgtext import INK, MUTED, RULE

Box = tuple[float, float, float, float]


def grid(
    canvas: Canvas,
    plot: Plot,
    x: Scale | None,
    y: Scale | None,
    box: Box,
    x_label: bool = True,
) -> None:
    """Limits, hairlines, ticks and labels of axes that cover `box` (x, y, width, height in pixels)."""
    left, top, width, height = box
    if x is not None:
        plot.xlim(*x.span)
        ticks = x.ticks(max(2, min(8, int(width / 62))), width)
        for tick, label in zip(ticks, x.tick_texts(ticks), strict=True):
            at = (x.one(tick) - x.span[0]) / (x.span[1] - x.span[0])
            plot.upright(x.one(tick), color=RULE, linewidth=1, zorder=0)
            canvas.text(
                left + at * width, top + height + 12, label, size=SMALL_PX, colour=MUTED, align="center"
            )
        if x_label and x.label:
            text = fit(x.label, width + 60, SMALL_PX, 1)[0]
            canvas.text(
                left + width / 2, top + height + 30, text, size=SMALL_PX, colour=MUTED, align="center"
            )
    if y is not None:
        plot.ylim(*y.span)
        ticks = y.ticks(max(2, min(7, int(height / 27))))
        for tick, label in zip(ticks, y.tick_texts(ticks), strict=True):
            at = (y.one(tick) - y.span[0]) / (y.span[1] - y.span[0])
            plot.level(y.one(tick), color=RULE, linewidth=1, zorder=0)
            canvas.text(left - 7, top + height * (1 - at), label, size=SMALL_PX, colour=MUTED, align="right")


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions moved apart by at least `gap` where there is room, in their order, within [low, high]."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    placed = [positions[i] for i in order]
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + gap)
    if placed and placed[-1] > high:
        placed[-1] = high
        for i in range(len(placed) - 2, -1, -1):
            placed[i] = min(placed[i], placed[i + 1] - gap)
    out = [0.0] * len(positions)
    for i, position in zip(order, placed, strict=True):
        out[i] = max(low, position)
    return out


def draw_marks(
    canvas: Canvas,
    plot: Plot,
    marks: Sequence[dict[str, Any]],
    x: Scale | None,
    y: Scale | None,
    box: Box,
) -> None:
    """Labelled reference lines; labels of vertical ones are staggered upwards above the plot."""
    left, top, width, height = box
    taken: list[tuple[float, float, int]] = []
    for mark in sorted(marks, key=lambda m: m["value"]):
        label, value = printable(mark.get("label", "")), mark["value"]
        if mark["axis"] == "x" and x is not None and x.low <= value <= x.high:
            at = left + width * (x.one(value) - x.span[0]) / (x.span[1] - x.span[0])
            plot.upright(x.one(value), color=INK, linewidth=1, linestyle=(0, (3, 2)), zorder=1.5)
            label = fit(label, 0.9 * width, SMALL_PX, 1)[0]
            room = text_px(label, SMALL_PX)
            start = at + 4 if at + 4 + room <= left + width + 8 or at < left + width / 2 else at - 4 - room
            level = next(
                k for k in range(99) if all(k != b or start > e or start + room < s for s, e, b in taken)
            )
            taken.append((start, start + room + 6, level))
            align, px = ("left", at + 4) if start > at else ("right", at - 4)
            canvas.text(px, top - 8 - 14 * level, label, size=SMALL_PX, align=align)
        elif mark["axis"] == "y" and y is not None and y.low <= value <= y.high:
            at = top + height * (1 - (y.one(value) - y.span[0]) / (y.span[1] - y.span[0]))
            plot.level(y.one(value), color=INK, linewidth=1, linestyle=(0, (3, 2)), zorder=1.5)
            canvas.text(left + 4, at - 8, fit(label, 0.9 * width, SMALL_PX, 1)[0], size=SMALL_PX)
