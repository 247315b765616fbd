"""Figures of a run as matplotlib Axes, for papers and notebooks: the same data as the report's charts.

Nothing here is imported before a figure is drawn. docs/papers.md shows what comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fraudit.errors import DataError, UsageError, suggest
from fraudit.types import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as MplFigure

    from fraudit.report.paper.layout import Plan

NOTEBOOK_IN = 6.0  # width of a figure that nobody gave a place, in inches


def panels_of(figure: Figure) -> list[str]:
    """Names of a figure's panels in their order; [''] where it is one plot."""
    if figure.kind in ("heatmap", "scatter", "bars"):
        return [""]
    members = figure.data.get("rows" if figure.kind == "dots" else "series") or []
    return list(dict.fromkeys(str(member.get("panel") or "") for member in members)) or [""]


def draw_into(figure: Figure, ax: Axes, panel: str | None = None, *, title: bool = True) -> Axes:
    """Draw one panel of a figure into `ax`, which is returned.

    Args:
        panel: which, where the figure has several.
        title: head the plot with the figure's title (or the panel's name).
    Raises:
        UsageError: the figure has several panels and none of them was named.
        DataError: its data does not follow docs/figures.md.
    """
    import matplotlib

    from fraudit.report.paper.style import style

    names = panels_of(figure)
    if panel is None and len(names) > 1:
        raise UsageError(
            f"figure '{figure.name}' has {len(names)} panels: expected one of them for one Axes",
            f"panel={names[0]!r}, or no ax; known: {', '.join(names)}",
        )
    if panel is not None and panel not in names:
        raise UsageError(
            f"figure '{figure.name}' has no panel {panel!r}",
            f"{suggest(panel, names)}known: {', '.join(names)}",
        )
    with matplotlib.rc_context(style()):
        _draw(figure, ax, names[0] if panel is None else panel)
        if title:
            from fraudit.report.paper.axes import head

            head(ax, panel or figure.title)
    return ax


def new_axes(height_in: float) -> Axes:
    """Axes of a new pyplot figure in the style of papers, `NOTEBOOK_IN` wide."""
    import matplotlib
    from matplotlib import pyplot

    from fraudit.report.paper.style import style

    # Made outside: a notebook's backend, loaded here, turns interactive drawing on, which must last.
    figure = pyplot.figure(figsize=(NOTEBOOK_IN, height_in), layout="constrained")
    with matplotlib.rc_context(style()):
        return figure.subplots()


def draw(
    figure: Figure,
    width_in: float = NOTEBOOK_IN,
    *,
    title: bool = True,
    make: Callable[..., MplFigure] | None = None,
) -> tuple[MplFigure, Mapping[str, Axes]]:
    """A figure with all its panels: (matplotlib's figure, panel -> its Axes).

    Args:
        width_in: width of the whole in inches; the height follows from what is in it.
        make: makes the empty figure; by default one that pyplot does not know.
    Raises:
        DataError: the figure's data does not follow docs/figures.md.
    """
    import matplotlib
    from matplotlib.figure import Figure as MplFigure

    from fraudit.report.paper.axes import head, wrapped
    from fraudit.report.paper.layout import plan_of
    from fraudit.report.paper.style import style

    names = panels_of(figure)
    plan: Plan = plan_of(figure, names, width_in)
    drawn = (make or MplFigure)(figsize=(width_in, plan.height_in), layout="constrained")
    with matplotlib.rc_context(style()):
        grid = drawn.subplots(plan.rows, plan.columns, squeeze=False, sharey=plan.share_y)
        places = list(grid.flat)
        for ax in places[len(names) :]:
            ax.set_axis_off()
        found = dict(zip(names, places, strict=False))
        for name, ax in found.items():
            _draw(figure, ax, name)
            if name:
                head(ax, name)
        if title:
            drawn.suptitle(wrapped(figure.title, width_in, 0.078), x=0.01, ha="left", weight="bold")
    return drawn, found


def _draw(figure: Figure, ax: Axes, panel: str) -> None:
    from fraudit.report.paper import grids, rows, xy

    kinds: dict[str, Callable[[dict[str, Any], Axes, str], None]] = {
        "lines": xy.lines,
        "scatter": xy.scatter,
        "histogram": xy.histogram,
        "dots": rows.dots,
        "bars": rows.bars,
        "heatmap": grids.heatmap,
    }
    if figure.kind not in kinds:
        raise DataError(f"figure {figure.name}: unknown kind {figure.kind!r}; expected {', '.join(kinds)}")
    try:
        kinds[figure.kind](dict(figure.data), ax, panel)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"figure {figure.name} ({figure.kind}) cannot be drawn: {type(error).__name__}: {error}",
            "docs/figures.md describes the data of each kind",
        ) from error
