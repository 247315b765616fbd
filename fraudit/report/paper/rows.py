"""Dots and bars on matplotlib Axes: one labelled row each, with its interval and its n."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fraudit.formatting import printable
from fraudit.report.charts.scales import Scale, row_values, scale_of
from fraudit.report.paper.axes import counted, draw_marks, marks_of, room_of, set_axis
from fraudit.report.paper.style import COLOURS, INK, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LETTER_IN = 0.055  # width of a letter of a row's label


def _key(row: dict[str, Any]) -> tuple[str, str]:
    return printable(row.get("group") or ""), printable(row.get("label", ""))


def places_of(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, str], float]:
    """(group, label) -> height of the row, from the top down; a group's heading is the key (group, '')."""
    places: dict[tuple[str, str], float] = {}
    at, before = 0.0, ""
    for row in rows:
        key = _key(row)
        if key in places:
            continue
        if key[0] and key[0] != before:
            places[key[0], ""] = at
            at += 1
        before = key[0]
        places[key] = at
        at += 1
    return places


def dots(data: dict[str, Any], ax: Axes, panel: str) -> None:
    """`dots`: a dot with its interval per row; a second, hollow one to compare with."""
    _rows(data, ax, panel, bars=False)


def bars(data: dict[str, Any], ax: Axes, panel: str) -> None:
    """`bars`: a bar from zero per row, with its interval."""
    _rows(data, ax, panel, bars=True)


def _rows(data: dict[str, Any], ax: Axes, panel: str, *, bars: bool) -> None:
    everything = list(data.get("rows", []))
    rows = [row for row in everything if (row.get("panel") or "") == panel]
    values = row_values(everything, data["x"].get("scale", "linear"))
    zero = bars and data["x"].get("scale", "linear") == "linear"
    marks = [m["value"] for m in marks_of(data, panel, "x")]
    x = scale_of(data["x"], [*values, *([0.0] if zero else [])], marks, zero=bars)
    beside = len(ax.get_shared_y_axes().get_siblings(ax)) > 1  # panels beside each other share their labels
    places = places_of(everything if beside else rows)
    room = room_of(ax)[0]
    label_in = _labels(ax, places, rows, room, beside=beside)
    set_axis(ax, "x", x, max(0.8, room - label_in))
    draw_marks(ax, marks_of(data, panel, "x"), x, None, above=True)
    for row in rows:
        _row(ax, row, places[_key(row)], x, bars=bars)
    compared = next((row for row in rows if row.get("compare") is not None), None)
    if compared is not None:
        own = ax.plot([], [], "o", color=INK, label=printable(data["x"].get("label") or "value"))
        other = ax.plot(
            [], [], "o", color=COLOURS[1], markerfacecolor="none", markeredgewidth=1,
            label=printable(compared.get("compare_label") or "comparison"),
        )  # fmt: skip
        ax.legend(handles=[*own, *other], loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0)


def _labels(
    ax: Axes,
    places: dict[tuple[str, str], float],
    rows: Sequence[dict[str, Any]],
    room_in: float,
    *,
    beside: bool,
) -> float:
    """Labels of the rows, with their n where it is not another one in each panel; their width in inches."""
    sizes = {_key(row): row["n"] for row in rows if row.get("n") is not None and row["n"] != row.get("value")}
    most = max(26, int((0.3 if beside else 0.45) * room_in / LETTER_IN))
    texts = []
    for key in places:
        label = key[1] or key[0]
        label = label if len(label) <= most else label[: most - 1].rstrip() + "…"
        texts.append(label if beside else counted(label, sizes.get(key)))
    shown = not beside or ax.get_subplotspec() is None or ax.get_subplotspec().is_first_col()  # type: ignore[union-attr]
    if shown:
        ax.set_yticks(list(places.values()), texts)
        for key, tick in zip(places, ax.get_yticklabels(), strict=True):
            if not key[1]:
                tick.set_fontweight("bold")
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(max(places.values(), default=0.0) + 0.6, -0.6)
    if beside:
        for key, n in sizes.items():
            ax.annotate(
                f"n = {int(n):,}", (1, places[key]), xycoords=("axes fraction", "data"), xytext=(3, 0),
                textcoords="offset points", va="center", fontsize=6, color=MUTED,
            )  # fmt: skip
        return 0.6
    return LETTER_IN * max(map(len, texts), default=0)


def _row(ax: Axes, row: dict[str, Any], y: float, x: Scale, *, bars: bool) -> None:
    colour = COLOURS[0] if row.get("accent") or bars else INK
    value, low, high = row.get("value"), row.get("low"), row.get("high")
    if value is None and high is None:
        reason = printable(row.get("missing") or "no figure")
        ax.annotate(
            f"— {reason if len(reason) < 60 else reason[:59] + '…'}", (0, y), xycoords=("axes fraction", "data"),
            xytext=(3, 0), textcoords="offset points", va="center", fontsize=6, style="italic", color=MUTED,
        )  # fmt: skip
        return
    if bars and value is not None:
        start = 0.0 if x.kind == "linear" else x.low
        ax.barh([y], [value - start], left=start, height=0.55, color=colour, alpha=0.6, linewidth=0)
    if high is not None:
        ends = [x.low if low is None else max(low, x.low), min(high, x.high)]
        ax.plot(ends, [y, y], color=INK if bars else colour, linewidth=1.1, solid_capstyle="butt", zorder=2.5)
    if value is None:  # nothing was counted: the interval alone, its upper end marked
        ax.plot(
            [min(float(high or x.high), x.high)],
            [y],
            "|",
            color=colour,
            markersize=6,
            markeredgewidth=1.1,
            zorder=3,
        )
        return
    if not bars:
        if row.get("compare") is not None:
            ax.plot(
                [row["compare"]], [y], "o", markerfacecolor="none", markeredgecolor=COLOURS[1],
                markeredgewidth=1, clip_on=False,
            )  # fmt: skip
        at = min(max(value, x.low), x.high)
        ax.plot([at], [y], "o", color=colour, markeredgewidth=0, clip_on=False, zorder=3)
