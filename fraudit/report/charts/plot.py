"""A plot's area: lines, bars and bands at values of two linear axes, clipped to a box of the canvas.

Matplotlib's own artists draw them. Its `Axes` would make ticks, spines and limits of its own for every plot, of which a
chart here uses none (`frame.grid` draws them); that took half of the time in which a report is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backend_bases import RendererBase
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle, StepPatch
from matplotlib.transforms import Affine2D, Bbox
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Plot(Artist):
    """Draws what it is given, in the order of `zorder`, below everything that belongs to the figure itself.

    Args:
        figure: that it is part of. box: (x, y, width, height) in pixels from the figure's bottom left.
    """

    def __init__(self, figure: Figure, box: tuple[float, float, float, float]) -> None:
        super().__init__()
        self.set_zorder(0)
        self._held: list[Artist] = []
        self._figure = figure
        self._box = box
        self._clip = Bbox.from_bounds(*box)
        self._x, self._y = (0.0, 1.0), (0.0, 1.0)
        # Values to pixels; in the other two one of both axes counts from 0 to 1 along the box.
        self._data, self._upright, self._level = Affine2D(), Affine2D(), Affine2D()
        self._place()
        figure.add_artist(self)

    def xlim(self, low: float, high: float) -> None:
        """Values at the left and the right end. Raises ValueError where one is not finite."""
        self._x = _finite(low, high)
        self._place()

    def ylim(self, low: float, high: float) -> None:
        """Values at the lower and the upper end. Raises ValueError where one is not finite."""
        self._y = _finite(low, high)
        self._place()

    def _place(self) -> None:
        left, bottom, width, height = self._box
        (x_low, x_high), (y_low, y_high) = self._x, self._y
        across, up = width / ((x_high - x_low) or 1.0), height / ((y_high - y_low) or 1.0)
        x, y = (across, left - across * x_low), (up, bottom - up * y_low)
        parts = ((self._data, x, y), (self._upright, x, (height, bottom)), (self._level, (width, left), y))
        for affine, (a, c), (b, d) in parts:
            affine.set_matrix(np.array([[a, 0.0, c], [0.0, b, d], [0.0, 0.0, 1.0]]))

    def _add(self, artist: Artist, transform: Affine2D) -> None:
        artist.set_figure(self._figure)
        artist.set_transform(transform)
        artist.set_clip_box(self._clip)
        self._held.append(artist)

    def upright(self, x: float, **look: Any) -> None:
        """A line at `x` from the lower to the upper end; look: as of matplotlib's Line2D, here and below."""
        self._add(Line2D([x, x], [0, 1], **look), self._upright)

    def level(self, y: float, **look: Any) -> None:
        """A line at `y` from the left to the right end."""
        self._add(Line2D([0, 1], [y, y], **look), self._level)

    def line(self, xs: Sequence[float] | Floats, ys: Sequence[float] | Floats, **look: Any) -> None:
        """A line through points, or markers at them; a NaN is a gap."""
        self._add(Line2D(xs, ys, **look), self._data)

    def bars(self, xs: Floats, lows: Floats, highs: Floats, **look: Any) -> None:
        """Upright lines at `xs` from `lows` to `highs`, where all three are finite."""
        use = np.isfinite(xs) & np.isfinite(lows) & np.isfinite(highs)
        ends = [[(x, low), (x, high)] for x, low, high in zip(xs[use], lows[use], highs[use], strict=True)]
        self._add(LineCollection(ends, **look), self._data)

    def band(self, xs: Floats, lows: Floats, highs: Floats, **look: Any) -> None:
        """The area between `lows` and `highs`, in pieces where something is not finite."""
        use = np.isfinite(xs) & np.isfinite(lows) & np.isfinite(highs)
        ends = np.flatnonzero(np.diff(np.concatenate([[False], use, [False]]).astype(int)))
        areas = []
        for start, stop in zip(ends[::2], ends[1::2], strict=True):
            x, low, high = xs[start:stop], lows[start:stop], highs[start:stop]
            over, back = np.column_stack([x, low]), np.column_stack([x, high])[::-1]
            areas.append(np.concatenate([back[-1:], over, back[:1], back]))
        self._add(PolyCollection(areas, **look), self._data)

    def rectangle(self, x: float, y: float, width: float, height: float, **look: Any) -> None:
        """A rectangle from its corner."""
        self._add(Rectangle((x, y), width, height, **look), self._data)

    def steps(self, heights: Floats, edges: Floats, **look: Any) -> None:
        """Steps of `heights` between `edges`, from zero."""
        self._add(StepPatch(heights, edges, baseline=0, **look), self._data)

    def draw(self, renderer: RendererBase) -> None:
        """Matplotlib asks for it."""
        for artist in sorted(self._held, key=Artist.get_zorder):
            artist.draw(renderer)


def _finite(low: float, high: float) -> tuple[float, float]:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"an axis from {low} to {high}; expected finite ends")
    return float(low), float(high)
