"""Heat maps: cells with legible values, ordered blocks of rows, a colour bar only where values do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LogNorm, Normalize, TwoSlopeNorm
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from fraudit.charts.canvas import SMALL_PX, TEXT_PX, Canvas, fit, text_px
from fraudit.charts.svgtext import MUTED, PAPER, RULE
from fraudit.formatting import MISSING, number, percent, printable

CELL_TEXT_PX = 34.0
GROUP_PX = 26.0


def _array(values: Any, shape: tuple[int, int]) -> NDArray[np.float64]:
    array = np.array([[np.nan if v is None else float(v) for v in row] for row in values], float)
    if array.shape != shape and array.size:
        raise ValueError(f"values have the shape {array.shape}; expected {shape} as the labels say")
    return array.reshape(shape)


def cell_texts(values: NDArray[np.float64], as_percent: bool) -> list[list[str]]:
    """Texts of all cells with the same number of decimals, enough for three digits of the largest."""
    scaled = 100 * values if as_percent else values
    sizes = np.abs(scaled[np.isfinite(scaled)])
    top = float(sizes.max()) if sizes.size else 0.0
    decimals = 0 if top >= 100 else 1 if top >= 10 else 2 if top >= 0.1 or top == 0 else 4
    if as_percent and top >= 10:
        decimals = 1 if sizes.min() < 10 else 0
    return [[MISSING if np.isnan(v) else number(float(v), decimals) for v in row] for row in scaled]


def _norm(data: dict, values: NDArray[np.float64]) -> Any:
    usable = values[np.isfinite(values)]
    low, high = (float(usable.min()), float(usable.max())) if usable.size else (0.0, 1.0)
    if data.get("scale") == "diverging":
        center = float(data.get("center", 0.0))
        reach = max(high - center, center - low) or 1.0
        return TwoSlopeNorm(center, center - reach, center + reach)
    if data.get("log") and (usable > 0).any():
        floor = float(usable[usable > 0].min())
        return LogNorm(floor, max(high, floor * 1.0001), clip=True)
    return Normalize(low, high if high > low else low + 1.0)


def draw_heatmap(data: dict, width: int) -> Canvas:
    """`heatmap`: a grid of values, coloured by cividis (or a diverging map around `center`)."""
    rows, columns = [printable(r) for r in data["rows"]], [printable(c) for c in data["columns"]]
    values = _array(data["values"], (len(rows), len(columns)))
    label = min(max((text_px(r) for r in rows), default=0.0), 0.36 * width) + 12
    cell = min(84.0, (width - label) / max(1, len(columns)))
    legible = cell >= CELL_TEXT_PX - 4
    turned = any(
        text_px(part, SMALL_PX) > cell - 2
        for c in columns
        for part in fit(c, 1e9 if cell < 40 else cell, SMALL_PX)
    )
    head = min(120.0, max(text_px(c, SMALL_PX) for c in columns) + 14) if turned and columns else 40.0
    intervals = data.get("low") and data.get("high") and cell >= 76
    row_px = 36.0 if intervals else 27.0 if legible else max(10.0, min(27.0, cell))
    starts = _group_starts(data.get("row_groups"), len(rows))
    places, y = [], head
    headings = []
    for index in range(len(rows)):
        if index in starts:
            headings.append((starts[index], y + GROUP_PX / 2 + 2))
            y += GROUP_PX
        places.append(y)
        y += row_px
    bar = 0.0 if legible else 34.0
    unit = printable(data.get("unit") or "")
    note = "" if legible and not unit and not data.get("percent") else "%" if data.get("percent") else unit
    canvas = Canvas(width, y + bar + 6)
    ax = canvas.axes(0, 0, width, y + bar + 6)
    ax.set_xlim(0, width)
    ax.set_ylim(y + bar + 6, 0)
    norm = _norm(data, values)
    cmap = colormaps["RdBu_r" if data.get("scale") == "diverging" else "cividis"]
    texts = cell_texts(values, bool(data.get("percent")))
    if note and headings == []:
        canvas.text(0, head - 12, f"in {note}", size=SMALL_PX, colour=MUTED)
    for heading, at in headings:
        canvas.text(0, at, fit(heading, width, TEXT_PX, 1)[0], weight=700)
    for j, column in enumerate(columns):
        middle = label + (j + 0.5) * cell
        if turned:
            canvas.text(
                middle + 4,
                head - 6,
                fit(column, 110, SMALL_PX, 1)[0],
                size=SMALL_PX,
                colour=MUTED,
                rotation=90,
            )
        else:
            lines = fit(column, cell, SMALL_PX, 2)
            canvas.lines(middle, head - 14, lines, size=SMALL_PX, colour=MUTED, align="center")
    for i, row in enumerate(rows):
        lines = fit(row, label - 10, TEXT_PX, 2 if row_px > 25 else 1)
        canvas.lines(
            label - 8,
            places[i] + row_px / 2,
            lines,
            size=TEXT_PX if len(lines) == 1 and row_px > 16 else 10,
            align="right",
        )
        for j in range(len(columns)):
            value = values[i, j]
            colour: Any = "none" if np.isnan(value) else cmap(norm(value))
            ax.add_patch(
                Rectangle(
                    (label + j * cell, places[i]),
                    cell,
                    row_px,
                    facecolor=colour,
                    edgecolor=RULE if np.isnan(value) else PAPER,
                    linewidth=1,
                )
            )
            if legible:
                _cell_text(
                    canvas,
                    data,
                    texts[i][j],
                    (i, j),
                    colour,
                    label + (j + 0.5) * cell,
                    places[i] + row_px / 2,
                    bool(intervals),
                    cell,
                )
    if bar:
        _colour_bar(canvas, ax, cmap, norm, data, label, y + 10, min(180.0, width - label))
    return canvas


def _group_starts(groups: Any, count: int) -> dict[int, str]:
    starts, at = {}, 0
    for name, size in groups or []:
        starts[at] = printable(name)
        at += int(size)
    if groups and at != count:
        raise ValueError(f"row_groups cover {at} rows; there are {count}")
    return starts


def _cell_text(
    canvas: Canvas,
    data: dict,
    text: str,
    at: tuple[int, int],
    colour: Any,
    x: float,
    y: float,
    intervals: bool,
    cell: float,
) -> None:
    if isinstance(colour, str):
        canvas.text(x, y, text, size=SMALL_PX, colour=MUTED, align="center")
        return
    red, green, blue = ((c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4) for c in colour[:3])
    light = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    ink = "#111111" if (light + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff"  # the side of equal contrast
    size = SMALL_PX if text_px(text, SMALL_PX) <= cell - 2 else 9.5
    low, high = (data[key][at[0]][at[1]] if intervals else None for key in ("low", "high"))
    if low is None or high is None:
        canvas.text(x, y, text, size=size, colour=ink, align="center")
        return
    canvas.text(x, y - 6, text, size=size, colour=ink, align="center", weight=700)
    ends = cell_texts(np.array([[low, high]]), bool(data.get("percent")))[0]
    canvas.text(x, y + 8, f"{ends[0]} to {ends[1]}", size=9.5, colour=ink, align="center")


def _colour_bar(
    canvas: Canvas, ax: Any, cmap: Any, norm: Any, data: dict, x: float, y: float, width: float
) -> None:
    steps = 48
    for k in range(steps):
        value = norm.inverse((k + 0.5) / steps)
        ax.add_patch(
            Rectangle(
                (x + k * width / steps, y), width / steps + 0.4, 9, facecolor=cmap(norm(value)), linewidth=0
            )
        )
    say = percent if data.get("percent") else number
    canvas.text(x, y + 18, say(float(norm.vmin)), size=SMALL_PX, colour=MUTED)
    canvas.text(x + width, y + 18, say(float(norm.vmax)), size=SMALL_PX, colour=MUTED, align="right")
