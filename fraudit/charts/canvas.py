"""A drawing surface measured in CSS pixels from the top left, and the axes' scales.

Values are transformed here (log10, probit) and drawn on linear matplotlib axes, so that ticks, gaps and
limits follow one rule on every scale.
"""

from __future__ import annotations

import io
import itertools
import math
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as MplFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fraudit.charts.svgtext import ACCENT, INK, MUTED, RULE, SERIES
from fraudit.formatting import number, percent, printable

RC = {
    "svg.fonttype": "none",
    "svg.hashsalt": "fraudit",
    "text.parse_math": False,  # a `$` in a label is a dollar sign
    "path.simplify_threshold": 0.2,
    "font.family": "DejaVu Sans",
}
TEXT_PX = 12.0
SMALL_PX = 11.0
DASHES: tuple[Any, ...] = (
    "-",
    (0, (6, 2.5)),
    (0, (1.5, 1.8)),
    (0, (7, 2, 1.5, 2)),
    (0, (10, 3)),
    (0, (3, 3)),
)
MARKERS = ("o", "s", "^", "D", "v", "P")
_NORMAL = NormalDist()
_PROBIT_TICKS = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999)


def text_px(text: str, size: float = TEXT_PX) -> float:
    """Estimated width of a text in a system font, in pixels, rather too much than too little."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return size * (0.56 * (len(text) - wide) + 1.0 * wide)


def fit(text: str, room_px: float, size: float = TEXT_PX, lines: int = 2) -> list[str]:
    """The text in at most `lines` lines of `room_px`, shortened with an ellipsis where it must be."""
    chars = max(4, int(room_px / (0.56 * size)))
    if text_px(text, size) <= room_px:
        return [text]
    wrapped = textwrap.wrap(text, chars, break_long_words=True) or [""]
    if len(wrapped) > lines:
        wrapped = [*wrapped[: lines - 1], wrapped[lines - 1][: chars - 1].rstrip() + "…"]
    return wrapped


class Canvas:
    """A figure of `width` x `height` CSS pixels."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = MplFigure(figsize=(width / 72, height / 72), dpi=72)
        FigureCanvasSVG(self.figure)

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Bare axes (no frame, no ticks) at a box measured from the top left."""
        box = (x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height)
        ax = self.figure.add_axes(box)
        for spine in ax.spines.values():
            spine.set_visible(False)
        ax.patch.set_visible(False)
        ax.set_xticks([])
        ax.set_yticks([])
        return ax

    def text(
        self,
        x: float,
        y: float,
        text: Any,
        *,
        size: float = TEXT_PX,
        colour: str = INK,
        align: str = "left",
        weight: int = 400,
        style: str = "normal",
        rotation: float = 0,
    ) -> None:
        """One line of text; `y` is its baseline's middle, measured from the top."""
        self.figure.text(
            x / self.width,
            1 - (y + 0.36 * size) / self.height,
            printable(text),
            fontsize=size,
            color=colour,
            ha=align,
            va="baseline",
            fontweight=weight,
            fontstyle=style,
            rotation=rotation,
            rotation_mode="anchor",
        )

    def lines(
        self, x: float, y: float, lines: Sequence[str], *, size: float = TEXT_PX, **kwargs: Any
    ) -> None:
        """Lines of text centred on `y`; each its own element, so that its own alignment holds."""
        step = size * 1.2
        for index, line in enumerate(lines):
            self.text(x, y + (index - (len(lines) - 1) / 2) * step, line, size=size, **kwargs)

    def stroke(
        self,
        xs: Sequence[float],
        ys: Sequence[float],
        colour: str,
        width: float = 1,
        dash: Any = "-",
        marker: str = "",
    ) -> None:
        """A line in pixels from the top left, such as a key's sample or a block's rule."""
        xs = [x / self.width for x in xs]
        ys = [1 - y / self.height for y in ys]
        line = Line2D(
            xs,
            ys,
            color=colour,
            linewidth=width,
            linestyle=dash,
            marker=marker,
            markersize=5,
            transform=self.figure.transFigure,
        )
        self.figure.add_artist(line)

    def to_svg(self) -> str:
        """Matplotlib's SVG file, without dates."""
        stream = io.StringIO()
        self.figure.savefig(
            stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
        return stream.getvalue()


@dataclass(frozen=True)
class Scale:
    """An axis of docs/figures.md: where values go and which ticks they get."""

    kind: str
    label: str
    as_percent: bool
    low: float
    high: float

    def place(self, values: Any, *, clip: bool = False) -> NDArray[np.float64]:
        """Values on the drawn (linear) axis; NaN where there is none, or none on this scale.

        Args:
            clip: put what lies below or above the axis on its edge (bands and intervals, not points).
        """
        array = np.array(
            [np.nan if v is None else v for v in np.atleast_1d(np.asarray(values, dtype=object))], float
        )
        if clip:
            array = np.clip(array, self.low, self.high)
        return _transform(self.kind, array)

    def one(self, value: float, *, clip: bool = False) -> float:
        """`place` of one value."""
        return float(self.place([value], clip=clip)[0])

    @property
    def span(self) -> tuple[float, float]:
        """Limits on the drawn axis."""
        low, high = _transform(self.kind, np.array([self.low, self.high]))
        return float(low), float(high)

    def text(self, value: float) -> str:
        """A value as a tick or label of this axis says it."""
        if self.as_percent:
            return percent(value, None if value else 0)
        return number(value)

    def ticks(self, most: int = 6) -> list[float]:
        """Values with ticks, inside the axis."""
        if self.kind == "log":
            found = _log_ticks(self.low, self.high, most)
        elif self.kind == "probit":
            found = [t for t in _PROBIT_TICKS if self.low * 0.999 <= t <= self.high * 1.001]
        else:
            steps = MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10]).tick_values(self.low, self.high)
            pad = (self.high - self.low) * 1e-6
            found = [float(t) for t in steps if self.low - pad <= t <= self.high + pad]
        while len(found) > most + 1:
            found = found[::-1][::2][::-1]
        return found

    def tick_texts(self, ticks: Sequence[float]) -> list[str]:
        """Texts of ticks; the same number of decimals on a linear axis."""
        if self.kind != "linear" or not ticks:
            return [self._power(t) for t in ticks]
        scaled = [100 * t if self.as_percent else t for t in ticks]
        step = min((b - a for a, b in itertools.pairwise(scaled)), default=1.0)
        decimals = next((d for d in range(7) if abs(round(step, d) - step) < 1e-6 * step), 6)
        if max(map(abs, scaled)) >= 1e6 or (step < 1e-4):
            return [number(t) for t in ticks]
        return [percent(t, decimals) if self.as_percent else number(t, decimals) for t in ticks]

    def _power(self, value: float) -> str:
        if self.as_percent:
            return f"{number(100 * value)}\u202f%"
        return number(value)


def scale_of(axis: dict, values: Iterable[float | None], marks: Iterable[float] = ()) -> Scale:
    """The scale of an axis: its stated range, else the values' with a little air.

    Args:
        axis: as in docs/figures.md.
        values: all that is drawn along it, None allowed.
        marks: reference lines that must stay visible.
    """
    kind = axis.get("scale", "linear")
    if kind not in ("linear", "log", "probit"):
        raise ValueError(f"unknown axis scale {kind!r}")
    usable = [float(v) for v in [*values, *marks] if v is not None and _drawable(kind, float(v))]
    if axis.get("range"):
        low, high = (float(end) for end in axis["range"])
    elif not usable:
        low, high = {"linear": (0.0, 1.0), "log": (0.1, 1.0), "probit": (0.001, 0.5)}[kind]
    else:
        low, high = _padded(kind, min(usable), max(usable), bool(axis.get("percent")))
    label = str(axis.get("label", ""))
    unit = axis.get("unit")
    if unit and unit != "%":
        label = f"{label} ({unit})" if label else str(unit)
    return Scale(kind, label, bool(axis.get("percent")), low, high)


def _drawable(kind: str, value: float) -> bool:
    if not math.isfinite(value):
        return False
    return value > 0 if kind == "log" else 0 < value < 1 if kind == "probit" else True


def _padded(kind: str, low: float, high: float, as_percent: bool) -> tuple[float, float]:
    if kind == "log":
        if low == high:
            return low / 2, high * 2
        air = (high / low) ** 0.04
        return low / air, high * air
    if kind == "probit":
        return max(1e-6, low * 0.8), min(1 - 1e-6, high * 1.1 if high < 0.6 else high + (1 - high) * 0.2)
    if low == high:
        pad = abs(low) * 0.1 or 0.5
        return low - pad, high + pad
    air = 0.04 * (high - low)
    low_end, high_end = low - air, high + air
    if low >= 0 and (low_end < 0 or low < 0.25 * high):
        low_end = 0.0
    if as_percent and high <= 1 < high_end:
        high_end = 1.0 + 0.01 * (high - low)
    return low_end, high_end


def _transform(kind: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    if kind == "linear":
        return values
    if kind == "log":
        return np.log10(np.where(values > 0, values, np.nan))
    inside = np.where((values > 0) & (values < 1), values, np.nan)
    return np.array([v if math.isnan(v) else _NORMAL.inv_cdf(v) for v in inside])


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 4, 5, 6, 7, 8, 9)):
        found = [d * 10.0**k for k in decades for d in digits if low <= d * 10.0**k <= high * (1 + 1e-9)]
        if len(found) >= min(3, most):
            return found
    return found


def decimate(xs: Sequence, most: int = 240) -> list[int]:
    """Indices of at most about `most` points, evenly spread, first and last kept."""
    if len(xs) <= most:
        return list(range(len(xs)))
    return sorted({round(i * (len(xs) - 1) / (most - 1)) for i in range(most)})


def palette(accents: Sequence[bool]) -> list[str]:
    """A colour per series: accented ones take the accent; without any, the first does."""
    marked = list(accents)
    if marked and not any(marked):
        marked[0] = True
    others = iter([*SERIES] * (1 + len(marked)))
    return [ACCENT if accent else next(others) for accent in marked]


def grid(
    canvas: Canvas,
    ax: Axes,
    x: Scale | None,
    y: Scale | None,
    box: tuple[float, float, float, float],
    x_label: bool = True,
    y_label: bool = True,
) -> None:
    """Limits, hairlines, ticks and labels of axes that cover `box` (x, y, width, height in pixels)."""
    left, top, width, height = box
    if x is not None:
        ax.set_xlim(*x.span)
        ticks = x.ticks(max(2, min(8, int(width / 62))))
        for tick, label in zip(ticks, x.tick_texts(ticks), strict=True):
            at = (x.one(tick) - x.span[0]) / (x.span[1] - x.span[0])
            ax.axvline(x.one(tick), color=RULE, linewidth=1, zorder=0)
            canvas.text(
                left + at * width, top + height + 12, label, size=SMALL_PX, colour=MUTED, align="center"
            )
        if x_label and x.label:
            text = fit(x.label, width + 60, SMALL_PX, 1)[0]
            canvas.text(
                left + width / 2, top + height + 30, text, size=SMALL_PX, colour=MUTED, align="center"
            )
    if y is not None:
        ax.set_ylim(*y.span)
        ticks = y.ticks(max(2, min(7, int(height / 34))))
        for tick, label in zip(ticks, y.tick_texts(ticks), strict=True):
            at = (y.one(tick) - y.span[0]) / (y.span[1] - y.span[0])
            ax.axhline(y.one(tick), color=RULE, linewidth=1, zorder=0)
            canvas.text(left - 7, top + height * (1 - at), label, size=SMALL_PX, colour=MUTED, align="right")
        if y_label and y.label:
            canvas.text(0, top - 14, fit(y.label, width + left, SMALL_PX, 1)[0], size=SMALL_PX, colour=MUTED)


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
    ax: Axes,
    marks: Sequence[dict],
    x: Scale | None,
    y: Scale | None,
    box: tuple[float, float, float, float],
) -> None:
    """Labelled reference lines; labels of vertical ones are staggered above the plot."""
    left, top, width, height = box
    taken: list[tuple[float, float, int]] = []
    for mark in sorted(marks, key=lambda m: m["value"]):
        label, value = printable(mark.get("label", "")), mark["value"]
        if mark["axis"] == "x" and x is not None and x.low <= value <= x.high:
            at = left + width * (x.one(value) - x.span[0]) / (x.span[1] - x.span[0])
            ax.axvline(x.one(value), color=INK, linewidth=1, linestyle=(0, (3, 2)), zorder=1.5)
            label = fit(label, 0.9 * width, SMALL_PX, 1)[0]
            room = text_px(label, SMALL_PX)
            start = at + 4 if at + 4 + room <= left + width + 8 or at < left + width / 2 else at - 4 - room
            level = next(
                k for k in range(99) if all(k != b or start > e or start + room < s for s, e, b in taken)
            )
            taken.append((start, start + room + 6, level))
            align, px = ("left", at + 4) if start > at else ("right", at - 4)
            canvas.text(px, top + 8 + 14 * level, label, size=SMALL_PX, align=align)
        elif mark["axis"] == "y" and y is not None and y.low <= value <= y.high:
            at = top + height * (1 - (y.one(value) - y.span[0]) / (y.span[1] - y.span[0]))
            ax.axhline(y.one(value), color=INK, linewidth=1, linestyle=(0, (3, 2)), zorder=1.5)
            canvas.text(left + 4, at - 8, fit(label, 0.9 * width, SMALL_PX, 1)[0], size=SMALL_PX)
