"""Scales, ticks, reference lines and headings of matplotlib Axes; values stay in their own units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fraudit.formatting import printable
from fraudit.report.charts.scales import Scale
from fraudit.report.paper.style import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def probit() -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """(forward, inverse) of the scale of a DET curve (ISO/IEC 19795-1): the normal quantile."""
    from scipy.special import ndtr, ndtri

    return lambda x: ndtri(np.clip(x, 1e-12, 1 - 1e-12)), lambda z: ndtr(z)


def set_axis(ax: Axes, which: str, scale: Scale, room_in: float) -> None:
    """Scale, limits, ticks and label of the axis `which` ('x' or 'y'), which has `room_in` inches."""
    axis = ax.xaxis if which == "x" else ax.yaxis
    set_scale, set_limits = (ax.set_xscale, ax.set_xlim) if which == "x" else (ax.set_yscale, ax.set_ylim)
    if scale.kind == "probit":
        set_scale("function", functions=probit())
    else:
        set_scale(scale.kind)
    set_limits(scale.low, scale.high)
    most = max(2, min(8, int(room_in / (0.45 if which == "x" else 0.25))))
    ticks = scale.ticks(most, 72 * room_in)
    axis.set_ticks(ticks, [text.replace("\u202f", " ") for text in scale.tick_texts(ticks)])
    axis.set_ticks([], minor=True)
    axis.set_label_text(printable(scale.label) if which == "x" else wrapped(scale.label, room_in, 0.066))
    ax.grid(True, axis=which, zorder=0)  # type: ignore[arg-type]
    ax.set_axisbelow(True)


def room_of(ax: Axes) -> tuple[float, float]:
    """(width, height) of the Axes in inches, before decorations are laid out."""
    figure = ax.get_figure(root=True)
    box = ax.get_position()
    width, height = figure.get_size_inches() if figure is not None else (4.0, 3.0)
    return float(box.width * width), float(box.height * height)


def numbers(values: Any) -> NDArray[np.float64]:
    """Values with None as NaN."""
    return np.array([np.nan if v is None else float(v) for v in values], float)


def marks_of(data: dict[str, Any], panel: str, axis: str = "") -> list[dict[str, Any]]:
    """The reference lines of a panel, of one axis where it is named."""
    found = [m for m in data.get("marks") or [] if m.get("panel", panel) == panel]
    return [m for m in found if not axis or m["axis"] == axis]


def draw_marks(
    ax: Axes, marks: Sequence[dict[str, Any]], x: Scale | None, y: Scale | None, *, above: bool = False
) -> None:
    """Labelled reference lines.

    Args:
        above: labels of vertical lines stand above the plot, not along their line.
    """
    for mark in marks:
        scale = x if mark["axis"] == "x" else y
        value, label = mark["value"], printable(mark.get("label", ""))
        if scale is None or not scale.low <= value <= scale.high:
            continue
        look: dict[str, Any] = {"color": INK, "linewidth": 0.7, "linestyle": (0, (4, 2)), "zorder": 1.5}
        words: dict[str, Any] = {"fontsize": 6, "color": INK, "zorder": 4, "textcoords": "offset points"}
        share = (scale.one(value) - scale.span[0]) / (scale.span[1] - scale.span[0])
        if mark["axis"] == "y":
            ax.axhline(value, **look)
            words |= {"xycoords": ("axes fraction", "data"), "xytext": (2, 2), "va": "bottom"}
            ax.annotate(label, (0, value), **words)
            continue
        ax.axvline(value, **look)
        words |= {"xycoords": ("data", "axes fraction")}
        if above:
            side = "left" if share < 0.3 else "right" if share > 0.7 else "center"
            words |= {"xytext": (0, 2), "va": "bottom", "ha": side}
        else:
            late = share > 0.93
            words |= {"xytext": (-2 if late else 2, -2), "va": "top", "ha": "right" if late else "left"}
            words |= {"rotation": 90}
        ax.annotate(label, (value, 1), **words)


def wrapped(text: Any, room_in: float, letter_in: float) -> str:
    """A text in lines that fit `room_in` inches."""
    import textwrap

    return "\n".join(textwrap.wrap(printable(text), max(16, int(room_in / letter_in))))


def head(ax: Axes, text: str) -> None:
    """A heading over the plot, wrapped to its width, above the labels of reference lines."""
    ax.set_title(wrapped(text, room_of(ax)[0], 0.075), loc="left", pad=10 if ax.texts else 6)


MOST_INSIDE = 6, 4  # series whose legend has room in the plot: in a single one, in one of several panels


def crowded(data: dict[str, Any]) -> bool:
    """Whether a panel has more series than a legend inside it has room for: then all legends lie below."""
    homes = [str(s.get("panel") or "") for s in data.get("series") or []]
    most = max(map(homes.count, set(homes)), default=0)
    return most > MOST_INSIDE[len(set(homes)) > 1]


def key_columns(names: Sequence[str], room_in: float) -> int:
    """How many columns of a legend below a plot fit its width; more would push the plots apart."""
    return 2 if 2 * (0.45 + 0.056 * max(map(len, names), default=0)) <= room_in else 1


def legend(ax: Axes, below: bool) -> None:
    """A legend where it hides least, or below the plot: in all panels of a figure or in none."""
    if not below:
        ax.legend(loc="best")
        return
    width, height = room_of(ax)
    names = ax.get_legend_handles_labels()[1]
    at = -(36 / 72) / max(height, 0.5)
    ax.legend(
        loc="upper left", bbox_to_anchor=(0, at), borderaxespad=0, ncols=key_columns(names, max(width, 1.0))
    )


def counted(name: Any, n: Any = None, unit: Any = "") -> str:
    """A name with the n it rests on: `dlib (n = 450 genuine pairs)`."""
    text = printable(name)
    if n is None:
        return text
    said = f"n = {int(n):,}" + (f" {printable(unit)}" if unit else "")
    return f"{text} ({said})" if text else said
