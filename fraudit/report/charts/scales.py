"""Axes' scales: where values go, which ticks they get, how they are said.

Values are transformed here (log10, probit) and drawn on linear matplotlib axes, so that ticks, gaps and
limits follow one rule on every scale.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fraudit.formatting import decimals_for, number, plain, short

LOG_REACH = 100  # times below the smallest figure that an interval's lower end stretches a log axis
_NORMAL = NormalDist()
_PROBIT_TICKS = (
    (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999),
    (
        1e-6,
        1e-5,
        1e-4,
        1e-3,
        2e-3,
        5e-3,
        0.01,
        0.02,
        0.05,
        0.1,
        0.2,
        0.3,
        0.5,
        0.7,
        0.8,
        0.9,
        0.95,
        0.99,
        0.999,
    ),
)


MOST_LETTERS, LETTER_PX = 6, 6.0  # of a tick at an exact value


@dataclass(frozen=True)
class Scale:
    """An axis of docs/figures.md: where values go and which ticks they get.

    `points`: with `as_percent`, values are differences of rates, and the label says that they are in points.
    """

    kind: str
    label: str
    as_percent: bool
    low: float
    high: float
    at: tuple[float, ...] = ()
    points: bool = False

    @property
    def sign(self) -> str:
        """What follows a number."""
        return "\u202f%" if self.as_percent and not self.points else ""

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

    def words(self, rows: Sequence[dict[str, Any]]) -> Callable[[float], str]:
        """How this axis says values beside rows: the same decimals for all, two digits each on a log axis."""
        scale, sign = 100.0 if self.as_percent else 1.0, self.sign
        if self.kind != "linear":
            said = plain if self.as_percent else short
            return lambda value: said(float(f"{scale * value:.2g}")) + sign
        digits = decimals_for(
            scale * v for row in rows for v in (row.get("value"), row.get("low")) if v is not None
        )
        return lambda value: number(scale * value, digits) + sign

    def ticks(self, most: int = 6, length_px: float = 0.0) -> list[float]:
        """Values with ticks, inside the axis; at its exact values where their texts fit `length_px`."""
        if self.at:
            per_px = (self.span[1] - self.span[0]) / max(length_px, 1.0)
            longest = max(map(len, self.tick_texts(self.at)))
            if longest <= MOST_LETTERS and min(np.diff(self.place(list(self.at)))) / per_px >= max(
                26, LETTER_PX * longest + 4
            ):
                return list(self.at)
        if self.kind == "log":
            found = _log_ticks(self.low, self.high, most)
        elif self.kind == "probit":
            coarse, fine = (
                [t for t in ts if self.low * 0.999 <= t <= self.high * 1.001] for ts in _PROBIT_TICKS
            )
            found = fine if len(fine) <= most + 1 else coarse
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
        return [number(t, decimals) + self.sign for t in scaled]

    def _power(self, value: float) -> str:
        if self.as_percent:
            return plain(100 * value) + self.sign
        return short(value)


def scale_of(
    axis: dict[str, Any],
    values: Iterable[float | None],
    marks: Iterable[float] = (),
    *,
    zero: bool = False,
    exact: bool = False,
) -> Scale:
    """The scale of an axis: its stated range, else the values' with a little air.

    Args:
        axis: as in docs/figures.md.
        values: all that is drawn along it, None allowed.
        marks: reference lines that must stay visible.
        zero: begin a linear axis at 0 where the values come near it.
        exact: put the ticks at the values where they are few, such as severities or dimensions.
    """
    kind = axis.get("scale", "linear")
    if kind not in ("linear", "log", "probit"):
        raise ValueError(f"unknown axis scale {kind!r}")
    values = list(values)
    usable = [float(v) for v in [*values, *marks] if v is not None and _drawable(kind, float(v))]
    if axis.get("range"):
        low, high = (float(end) for end in axis["range"])
    elif not usable:
        low, high = {"linear": (0.0, 1.0), "log": (0.1, 1.0), "probit": (0.001, 0.5)}[kind]
    else:
        low, high = _padded(kind, min(usable), max(usable), bool(axis.get("percent")), zero)
    few = sorted({float(v) for v in values if v is not None and low <= v <= high}) if exact else []
    label = str(axis.get("label", ""))
    unit = axis.get("unit")
    if unit and unit != "%":
        label = f"{label} ({unit})" if label else str(unit)
    at = tuple(few) if 1 < len(few) <= 10 else ()
    return Scale(kind, label, bool(axis.get("percent")), low, high, at, unit == "points")


def row_values(
    rows: Iterable[Mapping[str, Any]],
    kind: str,
    keys: Sequence[str] = ("value", "low", "high", "compare"),
) -> list[float | None]:
    """What `rows` of estimates with intervals draw along an axis, for `scale_of`.

    The lower end of a rare event's interval may be 1e-16. On a log axis it would press all that is known of the rates
    into a corner: there it stretches the axis `LOG_REACH` below the smallest figure, and its bar runs to the edge.
    """
    rows = list(rows)
    if kind != "log":
        return [row.get(key) for row in rows for key in keys]
    seen = [row.get(key) for row in rows for key in keys if key != "low"]
    least = min((float(v) for v in seen if v is not None and _drawable(kind, float(v))), default=0.0)
    return [*seen, *(None if row.get("low") is None else max(row["low"], least / LOG_REACH) for row in rows)]


def _drawable(kind: str, value: float) -> bool:
    if not math.isfinite(value):
        return False
    return value > 0 if kind == "log" else 0 < value < 1 if kind == "probit" else True


def _padded(kind: str, low: float, high: float, as_percent: bool, zero: bool) -> tuple[float, float]:
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
    if low >= 0 and ((low_end < 0 and zero) or (zero and low < 0.25 * high)):
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
