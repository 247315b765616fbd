"""Series with their looks, and boxes of small multiples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fraudit.formatting import printable
from fraudit.report.charts.canvas import DASHES, MARKERS, SMALL_PX, TEXT_PX, Canvas, fit, text_px
from fraudit.report.charts.frame import Box
from fraudit.report.charts.svgtext import ACCENT, MUTED, SERIES

MARK_PX = 15.0
LABEL_PX = 104.0  # room for a label at a line's end in a small multiple


class Series:
    """One series with the colour, dash and marker its name has in every panel."""

    def __init__(self, data: dict[str, Any], colour: str, order: int) -> None:
        self.data, self.colour = data, colour
        self.name = printable(data.get("name", ""))
        self.dash = DASHES[order % len(DASHES)]
        self.marker = MARKERS[order % len(MARKERS)]


def styled(series: list[dict[str, Any]], originals: list[dict[str, Any]] | None = None) -> list[Series]:
    """Looks by name; where every panel has one series, nothing needs telling apart and all look the same.

    Args:
        originals: what the answer carries, where `series` are stand-ins for it.
    """
    panels = [s.get("panel") or "" for s in series]
    if len(series) > 1 and len(set(panels)) == len(series):
        return [Series(s, ACCENT, 0) for s in series]
    if disjoint(series):
        own = [[s for s in series if (s.get("panel") or "") == name] for name in dict.fromkeys(panels)]
        return [one for members in own for one in styled([{**s, "panel": None} for s in members], members)]
    names = list(dict.fromkeys(str(s.get("name", "")) for s in series))
    accents = [any(s.get("accent") for s in series if str(s.get("name", "")) == name) for name in names]
    colours = palette(accents)
    # the plain line goes to the series that matters
    orders = sorted(range(len(names)), key=lambda i: colours[i] != ACCENT)
    looks = [names.index(str(s.get("name", ""))) for s in series]
    return [Series(s, colours[i], orders.index(i)) for s, i in zip(originals or series, looks, strict=True)]


def disjoint(series: list[dict[str, Any]]) -> bool:
    """Whether there are panels and no name appears in two of them, so that each panel labels its own."""
    homes: dict[str, set[str]] = {}
    for one in series:
        homes.setdefault(str(one.get("name", "")), set()).add(one.get("panel") or "")
    return len(set().union(*homes.values())) > 1 and all(len(home) == 1 for home in homes.values())


def palette(accents: Sequence[bool]) -> list[str]:
    """A colour per series: accented ones take the accent; without any, the first does."""
    marked = list(accents)
    if marked and not any(marked):
        marked[0] = True
    others = iter([*SERIES] * (1 + len(marked)))
    return [ACCENT if accent else next(others) for accent in marked]


def panels_of(series: list[Series]) -> list[tuple[str, list[Series]]]:
    """(panel, its series) in order of first appearance; one nameless panel where none is named."""
    names = list(dict.fromkeys(s.data.get("panel") or "" for s in series)) or [""]
    return [(name, [s for s in series if (s.data.get("panel") or "") == name]) for name in names]


class Layout:
    """Boxes of small multiples with room for ticks, labels, a key and direct labels.

    Args:
        ratio: height of a plot per width.
        has_y: whether y has ticks and a label.
        direct: label series at their ends where there is one panel and room.
        marks: how many vertical reference lines need labels above the plot.
    """

    def __init__(
        self,
        panels: list[tuple[str, list[Series]]],
        width: int,
        ratio: float,
        *,
        has_y: bool,
        direct: bool,
        marks: int,
    ) -> None:
        names = list(dict.fromkeys(s.name for _, members in panels for s in members if s.name))
        alone = len(panels) == 1
        one_each = not alone and all(len(members) == 1 for _, members in panels)
        crowd = max((len(members) for _, members in panels), default=0)
        apart = not alone and not one_each and disjoint([s.data for _, members in panels for s in members])
        most = max(1, min(len(panels), width // (330 if apart and direct else 230)))
        self.columns = -(-len(panels) // -(-len(panels) // most))
        longest = max((min(text_px(n), 132.0) for n in names), default=0.0)
        self.direct = direct and len(names) > 1 and ((alone and longest < 0.26 * width) or apart)
        if apart:
            longest = min(longest, LABEL_PX)
        self.key = [] if self.direct or one_each or len(names) < 2 else names
        if not direct and alone and not has_y:
            self.key = []
        self.right = longest + 14 if self.direct else 10
        self.left = 52 if has_y else 4
        self.width = width
        self.label_px = longest
        rows = self._key_places()[-1][1] + 1 if self.key else 0
        self.key_height = 20.0 * rows + (8 if rows else 0)
        self.above = MARK_PX * min(marks, 3)
        self.titled = any(name for name, _ in panels)
        self.head = 22 + self.above + (20 if self.titled else 0)
        self.cell_width = (width - 18 * (self.columns - 1)) / self.columns
        self.plot_width = self.cell_width - self.left - self.right
        self.plot_height = max(130.0, 15.0 * crowd, min(330.0, self.plot_width * ratio))
        if apart and self.direct:
            self.plot_height = max(self.plot_height, 26.0 * crowd)
        self.cell_height = self.head + self.plot_height + 46
        self.height = self.key_height + -(-len(panels) // self.columns) * self.cell_height

    def box(self, index: int) -> Box:
        """(x, y, width, height) of panel `index`'s plot in pixels."""
        row, column = divmod(index, self.columns)
        x = column * (self.cell_width + 18) + self.left
        return x, self.key_height + row * self.cell_height + self.head, self.plot_width, self.plot_height

    def _key_places(self) -> list[tuple[float, int]]:
        places, x, row = [], 0.0, 0
        for name in self.key:
            step = 50 + text_px(name)
            if x and x + step > self.width:
                x, row = 0.0, row + 1
            places.append((x, row))
            x += step
        return places

    def draw_key(self, canvas: Canvas, series: list[Series], *, line: bool) -> None:
        """Samples with names above the plots."""
        for name, (x, row) in zip(self.key, self._key_places() if self.key else [], strict=True):
            one = next(s for s in series if s.name == name)
            y = 8.0 + 20 * row
            marker = one.marker if one.data.get("points") or not line else ""
            xs = [x + 2, x + 24] if line else [x + 11]
            canvas.stroke(xs, [y] * len(xs), one.colour, 2, one.dash if line else "-", marker)
            canvas.text(x + 30, y, fit(name, self.width - 40, TEXT_PX, 1)[0])

    def title(self, canvas: Canvas, name: str, box: Box) -> None:
        """A panel's name above its plot."""
        if name:
            text = fit(printable(name), self.cell_width, TEXT_PX, 1)[0]
            canvas.text(box[0] - self.left, box[1] - 34 - self.above, text, weight=700)

    def y_label(self, canvas: Canvas, text: str, box: Box) -> None:
        """The y axis's label, above its ticks."""
        canvas.text(
            box[0] - self.left,
            box[1] - 14 - self.above,
            fit(text, self.cell_width, SMALL_PX, 1)[0],
            size=SMALL_PX,
            colour=MUTED,
        )
