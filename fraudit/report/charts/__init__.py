"""Charts as inline SVG, drawn from `Figure.data` alone (docs/figures.md).

Colours are CSS variables with a light default (`--fr-accent`, `--fr-s1`..`--fr-s6`, `--fr-muted`,
`--fr-rule`, `--fr-paper`) and `currentColor`, so one drawing reads in light, dark and print.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import matplotlib

from fraudit.errors import DataError
from fraudit.report.charts.canvas import RC, Canvas
from fraudit.report.charts.heatmap import draw_heatmap
from fraudit.report.charts.kept import Drawn
from fraudit.report.charts.rows import draw_bars, draw_dots
from fraudit.report.charts.spots import Reading
from fraudit.report.charts.svgtext import element
from fraudit.report.charts.xy import draw_histogram, draw_lines, draw_scatter
from fraudit.types import Figure

WIDE_PX = 760
NARROW_PX = 350

KINDS: dict[str, Callable[[dict[str, Any], int], Canvas]] = {
    "lines": draw_lines,
    "dots": draw_dots,
    "heatmap": draw_heatmap,
    "histogram": draw_histogram,
    "bars": draw_bars,
    "scatter": draw_scatter,
}


def svg(
    figure: Figure,
    width_px: int = WIDE_PX,
    uid: str = "",
    reading: Reading | None = None,
    drawn: Drawn | None = None,
) -> str:
    """One `<svg role="img">` element, its natural width `width_px`; the same text for the same figure.

    Args:
        uid: prefix of every id within; must differ between drawings of one page. Default: from the data.
        reading: of a page whose script reads values off charts; adds the words of every point.
        drawn: what `draw` gave for this figure and width, where that is known.
    Raises:
        DataError: the figure's kind is unknown or its data does not follow docs/figures.md.
    """
    text, spots = drawn or draw(figure, width_px)
    if not uid:
        blob = json.dumps([figure.name, figure.title, figure.data], sort_keys=True, default=str)
        uid = f"f{hashlib.sha256(blob.encode()).hexdigest()[:8]}-{width_px}"
    more = reading.attributes(uid, spots) if reading else ""
    return element(text, uid=uid, title=figure.title, description=figure.alt, attributes=more)


def draw(figure: Figure, width_px: int) -> Drawn:
    """(the drawing, places that can be read) of a figure.

    Raises:
        DataError: the figure's kind is unknown or its data does not follow docs/figures.md.
    """
    how = KINDS.get(figure.kind)
    if how is None:
        raise DataError(f"figure {figure.name}: unknown kind {figure.kind!r}; expected {', '.join(KINDS)}")
    with matplotlib.rc_context(RC):
        try:
            canvas = how(dict(figure.data), width_px)
            return canvas.to_svg(), canvas.spots
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"figure {figure.name} ({figure.kind}) cannot be drawn: {type(error).__name__}: {error}",
                "docs/figures.md describes the data of each kind",
            ) from error
