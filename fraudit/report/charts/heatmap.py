"""Heat maps: cells with legible values, ordered blocks of rows, a colour bar only where values do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LogNorm, Normalize, TwoSlopeNorm
from numpy.typing import NDArray

from fraudit.formatting import MISSING, number, plain, printable, short
from fraudit.report.charts.canvas import SMALL_PX, TEXT_PX, Canvas, fit, text_px
from fraudit.report.charts.plot import Plot
from fraudit.report.charts.spots import rate_words, titled
from fraudit.report.charts.svgtext import MUTED, PAPER, RULE

MOST_CELL_PX = 84.0
LEGIBLE_PX = 30.0
INTERVAL_PX = 76.0
ONE_LINE_PX = 124.0  # a cell that holds value and interval side by side
HEADING_PX = 26.0
TINY_PX = 9.5


def square(values: Any, shape: tuple[int, int]) -> NDArray[np.float64]:
    array = np.array([[np.nan if v is None else float(v) for v in row] for row in values], float)
    if array.shape != shape and (array.size or shape[0] * shape[1]):
        raise ValueError(f"values have the shape {array.shape}; expected {shape} as the labels say")
    return array.reshape(shape)


def cell_decimals(values: NDArray[np.float64]) -> int:
    """Decimals all cells share: about three digits of the largest."""
    sizes = np.abs(values[np.isfinite(values)])
    top = float(sizes.max()) if sizes.size else 0.0
    if top >= 100:
        return 0
    if top >= 10:
        return 1
    return 2 if top >= 0.1 or top == 0 else 4


def colour_norm(data: dict[str, Any], values: NDArray[np.float64]) -> Any:
    usable = values[np.isfinite(values)]
    low, high = (float(usable.min()), float(usable.max())) if usable.size else (0.0, 1.0)
    if data.get("scale") == "diverging":
        center = float(data.get("center") or 0.0)
        reach = max(high - center, center - low) or 1.0
        return TwoSlopeNorm(center, center - reach, center + reach)
    if data.get("log") and (usable > 0).any():
        floor = float(usable[usable > 0].min())
        return LogNorm(floor, max(high, floor * 1.0001), clip=True)
    return Normalize(low, high if high > low else low + 1.0)


def _group_starts(groups: Any, count: int) -> dict[int, str]:
    starts, at = {}, 0
    for name, size in groups or []:
        starts[at] = printable(name)
        at += int(size)
    if groups and at != count:
        raise ValueError(f"row_groups cover {at} rows; there are {count}")
    return starts


def ink_on(colour: tuple[float, ...]) -> str:
    """Black or white, whichever contrasts more (WCAG relative luminance of an sRGB colour in 0..1)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#111111" if (light + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff"


def draw_heatmap(data: dict[str, Any], width: int) -> Canvas:
    """`heatmap`: a grid of values, coloured by cividis (or a diverging map around `center`)."""
    rows, columns = ([printable(label) for label in data[key]] for key in ("rows", "columns"))
    shape = (len(rows), len(columns))
    values = square(data["values"], shape)
    lows, highs = (square(data[key], shape) if data.get(key) else None for key in ("low", "high"))
    factor = 100.0 if data.get("percent") else 1.0
    decimals = cell_decimals(factor * values)

    label = min(max((text_px(row) for row in rows), default=0.0), 0.36 * width) + 12
    room = (width - label) / max(1, len(columns))
    beside = lows is not None and highs is not None and room >= ONE_LINE_PX and len(rows) > 8
    cell = ONE_LINE_PX if beside else min(MOST_CELL_PX, room)
    legible = cell >= LEGIBLE_PX
    intervals = lows is not None and highs is not None and cell >= INTERVAL_PX
    row_px = 24.0 if beside else 36.0 if intervals else 27.0 if legible else max(11.0, min(27.0, cell))
    longest_word = max((text_px(word, SMALL_PX) for c in columns for word in c.split()), default=0.0)
    turned = longest_word > cell - 2 or any(len(fit(c, cell, SMALL_PX, 9)) > 2 for c in columns)
    head = min(120.0, max(text_px(c, SMALL_PX) for c in columns) + 16) if turned else 44.0
    starts = _group_starts(data.get("row_groups"), len(rows))
    tops, headings, y = [], [], head
    for index in range(len(rows)):
        if index in starts:
            headings.append((starts[index], y + HEADING_PX / 2 + 2))
            y += HEADING_PX
        tops.append(y)
        y += row_px

    height = y + (6 if legible else 40)
    canvas = Canvas(width, height)
    plot = canvas.plot(0, 0, width, height)
    plot.xlim(0, width)
    plot.ylim(height, 0)
    norm = colour_norm(data, values)
    cmap = colormaps["RdBu_r" if data.get("scale") == "diverging" else "cividis"]
    unit = "%" if data.get("percent") else printable(data.get("unit") or "")
    if unit:
        canvas.text(
            0,
            head - 14,
            fit(f"in {unit}" if unit == "%" else unit, label - 10, SMALL_PX, 1)[0],
            size=SMALL_PX,
            colour=MUTED,
        )
    for heading, at in headings:
        canvas.text(0, at, fit(heading, width, TEXT_PX, 1)[0], weight=700)
    _column_labels(canvas, columns, label, cell, head, turned)

    def say(value: float) -> str:
        return MISSING if np.isnan(value) else number(factor * value, decimals)

    def ends_of(low: float, high: float) -> str:
        # A wide interval needs no more decimals than its own size, and would run out of its cell.
        if np.isnan([low, high]).any():
            return ""
        own = min(decimals, cell_decimals(factor * np.array([low, high])))
        return f"{number(factor * low, own)} to {number(factor * high, own)}"

    for i, row in enumerate(rows):
        lines = fit(row, label - 10, TEXT_PX, 2 if row_px > 23 else 1)
        size = TEXT_PX if len(lines) == 1 and row_px > 16 else min(10.0, row_px - 1)
        canvas.lines(label - 8, tops[i] + row_px / 2, lines, size=size, align="right")
        for j in range(len(columns)):
            value, x = values[i, j], label + j * cell
            absent = bool(np.isnan(value))
            told: dict[str, Any] = {"value": None if absent else float(value)}
            for key, ends in (("low", lows), ("high", highs)):
                if ends is not None and np.isfinite(ends[i, j]):
                    told[key] = float(ends[i, j])
            words = rate_words(told, bool(data.get("percent")), "" if unit == "%" else unit)
            canvas.spot(x + cell / 2, tops[i] + row_px / 2, f"{titled(row, columns[j])}{words}")
            colour = None if absent else cmap(norm(value))
            look: dict[str, Any] = {"facecolor": colour or "none", "edgecolor": RULE if absent else PAPER}
            plot.rectangle(x, tops[i], cell, row_px, linewidth=1, **look)
            if legible:
                shown = (np.nan, np.nan)
                if intervals and lows is not None and highs is not None:
                    shown = (lows[i, j], highs[i, j])
                _cell_text(
                    canvas,
                    say(value),
                    ends_of(*shown),
                    ink_on(colour) if colour else MUTED,
                    (x + cell / 2, tops[i] + row_px / 2, cell),
                )
    if not legible:
        _colour_bar(canvas, plot, cmap, norm, (label, y + 10, min(180.0, width - label)), factor, unit)
    return canvas


def _column_labels(
    canvas: Canvas, columns: list[str], left: float, cell: float, head: float, turned: bool
) -> None:
    for j, column in enumerate(columns):
        middle = left + (j + 0.5) * cell
        if turned:
            text = fit(column, 104, SMALL_PX, 1)[0]
            canvas.text(middle + 4, head - 10, text, size=SMALL_PX, colour=MUTED, rotation=90)
        else:
            lines = fit(column, cell, SMALL_PX, 2)
            canvas.lines(
                middle, head - 8 - 6.5 * len(lines), lines, size=SMALL_PX, colour=MUTED, align="center"
            )


def _cell_text(canvas: Canvas, text: str, words: str, ink: str, place: tuple[float, float, float]) -> None:
    x, y, cell = place
    size = SMALL_PX if text_px(text, SMALL_PX) <= cell - 2 else TINY_PX
    if not words:
        canvas.text(x, y, text, size=size, colour=ink, align="center")
        return
    if cell >= ONE_LINE_PX:
        canvas.text(x - 14, y, text, size=size, colour=ink, align="right", weight=700)
        canvas.text(x - 8, y, words, size=TINY_PX, colour=ink)
        return
    canvas.text(x, y - 6, text, size=size, colour=ink, align="center", weight=700)
    canvas.text(x, y + 8, words, size=TINY_PX, colour=ink, align="center")


def _colour_bar(
    canvas: Canvas,
    plot: Plot,
    cmap: Any,
    norm: Any,
    place: tuple[float, float, float],
    factor: float,
    unit: str,
) -> None:
    x, y, width = place
    steps = 48
    for k in range(steps):
        colour = cmap(norm(norm.inverse((k + 0.5) / steps)))
        plot.rectangle(x + k * width / steps, y, width / steps + 0.4, 9, facecolor=colour, linewidth=0)
    sign = "\u202f%" if unit == "%" else ""
    ends = ((x, "left", norm.vmin), (x + width, "right", norm.vmax))
    for at, align, value in ends:
        canvas.text(
            at,
            y + 19,
            (plain if sign else short)(factor * float(value)) + sign,
            size=SMALL_PX,
            colour=MUTED,
            align=align,
        )
