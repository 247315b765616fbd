"""Rows that several runs share: one marker a run, moved apart, each with its interval and n."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fraudit.formatting import printable
from fraudit.report.charts.scales import row_values, scale_of
from fraudit.report.paper.axes import draw_marks, head, room_of, set_axis
from fraudit.report.paper.rows import LETTER_IN
from fraudit.report.paper.style import MUTED, Look, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def rows_of_several(
    title: str,
    axis: dict[str, Any],
    blocks: Mapping[str, Sequence[Mapping[str, Any]]],
    names: Sequence[str],
    marks: list[dict[str, Any]],
    ax: Axes,
) -> Axes:
    """Draw a row for each block into `ax`, which is returned.

    Args:
        axis: of the values, as in docs/figures.md.
        blocks: label -> its runs' rows: `run` (one of `names`), `value`, `low`, `high`, `n`. A row whose value is None
            and whose `high` is known is an upper bound: it has its interval and no marker.
        names: of the runs, in the order of the legend.
    """
    import matplotlib

    everything = [row for rows in blocks.values() for row in rows]
    values = row_values(everything, axis.get("scale", "linear"), ("value", "low", "high"))
    x = scale_of(axis, values, [m["value"] for m in marks], zero=True)
    with matplotlib.rc_context(style()):
        label_in = LETTER_IN * max((len(label) for label in blocks), default=0)
        set_axis(ax, "x", x, max(0.8, room_of(ax)[0] - label_in))
        draw_marks(ax, marks, x, None, above=True)
        looks = {name: Look(k) for k, name in enumerate(names)}
        step = 0.8 / max(1, len(names))
        for at, rows in enumerate(blocks.values()):
            for row in rows:
                k = list(names).index(row["run"])
                _one(ax, row, at + (k - (len(names) - 1) / 2) * step, x.low, x.high, looks[row["run"]])
        for name in names:
            look = looks[name]
            ax.plot([], [], look.marker, color=look.colour, linestyle="-", label=printable(name))
        ax.set_yticks(range(len(blocks)), [printable(label) for label in blocks])
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(len(blocks) - 0.4, -0.6)
        below = -(34 / 72) / max(room_of(ax)[1], 0.5)
        ax.legend(loc="upper right", bbox_to_anchor=(1, below), borderaxespad=0)
        head(ax, title)
    return ax


def _one(ax: Axes, row: Mapping[str, Any], y: float, least: float, most: float, look: Look) -> None:
    value, low, high = row.get("value"), row.get("low"), row.get("high")
    if value is None and high is None:
        return
    if high is not None:
        ends = [least if low is None else max(low, least), min(high, most)]
        ax.plot(ends, [y, y], color=look.colour, linewidth=1.0, solid_capstyle="butt", zorder=2.5)
    if value is None:
        ax.plot(
            [min(high or most, most)], [y], "|", color=look.colour, markersize=5, markeredgewidth=1, zorder=3
        )
    else:
        at = min(max(value, least), most)
        ax.plot([at], [y], look.marker, color=look.colour, markeredgewidth=0, clip_on=False, zorder=3)
    if row.get("n") is not None:
        ax.annotate(
            f"n = {int(row['n']):,}", (1, y), xycoords=("axes fraction", "data"), xytext=(3, 0),
            textcoords="offset points", va="center", fontsize=5.5, color=MUTED,
        )  # fmt: skip
