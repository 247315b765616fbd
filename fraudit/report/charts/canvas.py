"""A drawing surface measured in CSS pixels from the top left."""

from __future__ import annotations

import io
import textwrap
import unicodedata
from collections.abc import Sequence
from typing import Any

from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as MplFigure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from fraudit.formatting import printable
from fraudit.report.charts.plot import Plot
from fraudit.report.charts.svgtext import INK, PAPER, body, written

RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "fraudit",
    "text.parse_math": False,  # a `$` in a label is a dollar sign
    "path.simplify_threshold": 0.2,
    "font.family": "DejaVu Sans",
}
TEXT_PX = 12.0
SMALL_PX = 11.0
EM = 0.6  # width of a letter per font size in the widest common system font
DASHES: tuple[Any, ...] = (
    "-",
    (0, (6, 2.5)),
    (0, (1.5, 1.8)),
    (0, (7, 2, 1.5, 2)),
    (0, (10, 3)),
    (0, (3, 3)),
)
MARKERS = ("o", "s", "^", "D", "v", "P")


def text_px(text: str, size: float = TEXT_PX) -> float:
    """Estimated width of a text in a system font, in pixels, rather too much than too little."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return size * (EM * (len(text) - wide) + 1.0 * wide)


def fit(text: str, room_px: float, size: float = TEXT_PX, lines: int = 2) -> list[str]:
    """The text in at most `lines` lines of `room_px`, shortened with an ellipsis where it must be."""
    chars = max(4, int(room_px / (EM * size)))
    if text_px(text, size) <= room_px:
        return [text]
    wrapped = textwrap.wrap(text, chars, break_long_words=True) or [""]
    if len(wrapped) > lines:
        wrapped = [*wrapped[: lines - 1], wrapped[lines - 1][: chars - 1].rstrip() + "…"]
    return wrapped


class _Paper(Text):
    """Paper that covers what lies behind a text, without the text."""

    def __init__(self, *place: Any, **look: Any) -> None:
        super().__init__(*place, **look)
        self.set_bbox({"facecolor": PAPER, "edgecolor": "none", "boxstyle": "square,pad=0.15"})

    def draw(self, renderer: RendererBase) -> None:
        """Matplotlib asks for it."""
        self.update_bbox_position_size(renderer)
        box = self.get_bbox_patch()
        if box is not None:
            box.draw(renderer)


class Canvas:
    """A figure of `width` x `height` CSS pixels."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.spots: list[
            tuple[float, float, str]
        ] = []  # what a pointer or the keyboard reads (charts/spots.py)
        self._texts: list[str] = []  # above everything else
        self.figure = MplFigure(figsize=(width / 72, height / 72), dpi=72)
        FigureCanvasSVG(self.figure)

    def plot(self, x: float, y: float, width: float, height: float) -> Plot:
        """A plot in a box measured from the top left."""
        return Plot(self.figure, (x, self.height - y - height, width, height))

    def spot(self, x: float, y: float, words: str) -> None:
        """A place that can be read, in pixels from the top left."""
        self.spots.append((x, y, words))

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
        cover: bool = False,
    ) -> None:
        """One line of text; `y` is its baseline's middle, measured from the top; `cover` hides lines behind it."""
        text = printable(text)
        if not text:
            return
        y += 0.36 * size
        look: dict[str, Any] = {"align": align, "weight": weight, "style": style, "rotation": rotation}
        self._texts.append(written(text, x, y, size, colour, **look))
        if cover:
            font = {"fontsize": size, "fontweight": weight, "fontstyle": style, "ha": align, "va": "baseline"}
            place = x / self.width, 1 - y / self.height
            self.figure.add_artist(_Paper(*place, text, transform=self.figure.transFigure, **font))

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
        """The drawing as `svgtext.element` takes it."""
        stream = io.StringIO()
        self.figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        return body(stream.getvalue(), self._texts)
