"""Heat maps on matplotlib Axes: cells that carry their value, and their interval where it fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fraudit.formatting import MISSING, number, printable
from fraudit.report.charts.heatmap import cell_decimals, colour_norm, ink_on, square
from fraudit.report.paper.axes import room_of
from fraudit.report.paper.style import RULE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEGIBLE_IN, INTERVAL_IN = 0.3, 1.05  # width of a cell that holds its value, and its interval too


def heatmap(data: dict[str, Any], ax: Axes, panel: str) -> None:
    """`heatmap`: cividis, whose lightness alone orders the cells; a diverging map around `center`."""
    from matplotlib import colormaps

    rows, columns = ([printable(label) for label in data[key]] for key in ("rows", "columns"))
    shape = (len(rows), len(columns))
    values = square(data["values"], shape)
    ends = [square(data[key], shape) if data.get(key) else None for key in ("low", "high")]
    norm, cmap = colour_norm(data, values), colormaps[
        "RdBu_r" if data.get("scale") == "diverging" else "cividis"
    ]  # fmt: skip
    mesh = ax.pcolormesh(
        np.ma.masked_invalid(values), cmap=cmap, norm=norm, edgecolors="white", linewidth=0.8
    )
    ax.set_facecolor(RULE)
    ax.set_ylim(shape[0], 0)
    ax.set_yticks(np.arange(shape[0]) + 0.5, [r if len(r) < 40 else r[:39] + "…" for r in rows])
    longest = max((len(row) for row in rows), default=0)
    cell = (room_of(ax)[0] - 0.05 * min(longest, 40)) / max(1, len(columns))
    turned = max((len(column) for column in columns), default=0) * 0.055 > cell
    ax.set_xticks(np.arange(shape[1]) + 0.5, columns, rotation=90 if turned else 0)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    for side in ax.spines.values():
        side.set_visible(False)
    unit = "%" if data.get("percent") else printable(data.get("unit") or "")
    if cell >= LEGIBLE_IN:
        _words(ax, values, ends, mesh, 100.0 if data.get("percent") else 1.0, cell)
        if unit:
            ax.set_xlabel(f"in {unit}")
    else:
        if data.get("scale") == "diverging":  # printed grey, both ends of the colours look alike
            below = np.ma.masked_where(~(values < float(data.get("center") or 0.0)), values)
            ax.pcolor(below, hatch="/////", facecolor="none", edgecolor="white", linewidth=0, zorder=2)
        figure = ax.get_figure()
        if figure is not None:
            figure.colorbar(mesh, ax=ax, shrink=0.6, label=f"{unit} / 100" if unit == "%" else unit)


def _words(
    ax: Axes,
    values: NDArray[np.float64],
    ends: list[NDArray[np.float64] | None],
    mesh: Any,
    factor: float,
    cell: float,
) -> None:
    decimals = cell_decimals(factor * values)
    for (i, j), value in np.ndenumerate(values):
        if np.isnan(value):
            ax.text(j + 0.5, i + 0.5, MISSING, ha="center", va="center", fontsize=6)
            continue
        text = number(factor * float(value), decimals)
        low, high = (None if end is None else end[i, j] for end in ends)
        if cell >= INTERVAL_IN and low is not None and high is not None and not np.isnan([low, high]).any():
            both = [number(factor * float(end), decimals) for end in (low, high)]
            text += f" ({both[0]} to {both[1]})"
        ink = ink_on(tuple(mesh.cmap(mesh.norm(value))))
        ax.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=6, color=ink)
