"""What a reader hears or sees of one point of a chart: its place in the drawing and its values in words.

The page's script shows them beside a pointer and reads them out on the keyboard; without it nothing is missing, since
every chart has its text alternative and every figure its table.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from fraudit.formatting import interval, number, percent, points, printable, short
from fraudit.report.charts.scales import Scale

MOST_SPOTS = 40  # of one series

Spot = tuple[float, float, str]  # x and y in pixels from the top left, words


@dataclass
class Reading:
    """The words of a page's drawings, each list of them once: a chart's narrow copy reads those of the wide one."""

    homes: dict[tuple[str, ...], str] = field(default_factory=dict)

    def attributes(self, uid: str, spots: Sequence[Spot]) -> str:
        """`data-spots` (x y x y ...) and `data-words` (a JSON list) or `data-words-of` (whose), as an SVG's text."""
        if not spots:
            return ""
        words = tuple(printable(text) for _, _, text in spots)
        places = " ".join(f"{x:.0f} {y:.0f}" for x, y, _ in spots)
        home = self.homes.setdefault(words, uid)
        told = escape(json.dumps(words, ensure_ascii=False), {'"': "&quot;"})
        own = f' data-words="{told}"' if home == uid else f' data-words-of="{home}"'
        return f' id="{uid}" data-spots="{places}"{own}'


def sample(count: int) -> np.ndarray:
    """i64[<= MOST_SPOTS]: evenly spread indices of `count` points, both ends among them."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST_SPOTS)).round().astype(np.int64))


def value_words(value: float, axis: Scale) -> str:
    """A value as its axis counts."""
    return (points if axis.points else percent)(value) if axis.as_percent else short(value)


def rate_words(row: dict[str, Any], as_percent: bool, unit: str = "", as_points: bool = False) -> str:
    """`2.1 % (95 % interval 1.4 to 3.0 %)`, `n 450` of what has one; with `as_points` in points."""
    value = row.get("value")
    if value is None:
        return printable(row.get("missing") or "no figure")
    as_points = as_points and as_percent
    said = (
        (points if as_points else percent)(value)
        if as_percent
        else short(value) + (f"\u202f{unit}" if unit else "")
    )
    if row.get("low") is not None and row.get("high") is not None:
        said += f" ({interval(row['low'], row['high'], as_percent=as_percent, as_points=as_points)})"
    return f"{said}{n_words(row)}"


def n_words(data: dict[str, Any]) -> str:
    """`, n 450` where the data say so."""
    return f", n {number(float(data['n']), 0)}" if data.get("n") is not None else ""


def titled(*parts: str) -> str:
    """`series, panel: ` of the parts that are not empty."""
    said = ", ".join(printable(part) for part in parts if part)
    return f"{said}: " if said else ""
