"""A chart's plot and its texts come out as matplotlib's own axes and texts do, which cost several times as much."""

from __future__ import annotations

import io
import re

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from fraudit.report.charts import svgtext
from fraudit.report.charts.canvas import RC, Canvas

WIDTH, HEIGHT, BOX = 320, 200, (52.0, 24.0, 230.0, 140.0)
X, Y = (-1.5, 4.0), (3.0, -2.0)
XS = np.array([-1.0, 0.2, 1.1, np.nan, 2.0, 3.3])
YS = np.array([0.5, -1.5, 2.2, 1.0, np.nan, 2.9])
LOWS, HIGHS = YS - 0.4, YS + np.array([0.1, 0.3, 0.2, 0.4, 0.5, 0.1])
LINE = {"color": "#123456", "linewidth": 1.4, "linestyle": (0, (3, 2))}
DOTS = {"color": "#123456", "marker": "s", "linestyle": "", "markersize": 5, "clip_on": False}
AREA = {"color": "#654321", "alpha": 0.2, "linewidth": 0}
EDGES, HEIGHTS = np.array([-1.0, 0.0, 0.5, 2.0]), np.array([1.0, 0.0, 2.5])


def rectangle(ax):
    ax.barh([1.0], [-1.5], left=2.0, height=0.5, color="#654321", alpha=0.85, linewidth=0)


CASES = {
    "line": (lambda ax: ax.plot(XS, YS, **LINE), lambda p: p.line(XS, YS, **LINE)),
    "dots": (lambda ax: ax.plot(XS, YS, **DOTS), lambda p: p.line(XS, YS, **DOTS)),
    "upright": (lambda ax: ax.axvline(1.25, **LINE), lambda p: p.upright(1.25, **LINE)),
    "level": (lambda ax: ax.axhline(-0.75, **LINE), lambda p: p.level(-0.75, **LINE)),
    "bars": (
        lambda ax: ax.vlines(XS, LOWS, HIGHS, color="#123456", linewidth=1.4, alpha=0.7),
        lambda p: p.bars(XS, LOWS, HIGHS, color="#123456", linewidth=1.4, alpha=0.7),
    ),
    "band": (lambda ax: ax.fill_between(XS, LOWS, HIGHS, **AREA), lambda p: p.band(XS, LOWS, HIGHS, **AREA)),
    "rectangle": (
        rectangle,
        lambda p: p.rectangle(2.0, 0.75, -1.5, 0.5, facecolor="#654321", alpha=0.85, linewidth=0),
    ),
    "area": (
        lambda ax: ax.stairs(HEIGHTS, EDGES, fill=True, **AREA),
        lambda p: p.steps(HEIGHTS, EDGES, fill=True, **AREA),
    ),
    "outline": (
        lambda ax: ax.stairs(HEIGHTS, EDGES, baseline=0, **LINE),
        lambda p: p.steps(HEIGHTS, EDGES, fill=False, **LINE),
    ),
}


def bare():
    figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72)
    FigureCanvasSVG(figure)
    return figure


def saved(figure: Figure) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def axes_of(figure: Figure):
    left, top, width, height = BOX
    ax = figure.add_axes((left / WIDTH, 1 - (top + height) / HEIGHT, width / WIDTH, height / HEIGHT))
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.patch.set_visible(False)
    ax.set_xticks([])
    ax.set_yticks([])
    return ax


def elements(drawn: str) -> list[str]:
    """What is drawn, in order; paths without points, which matplotlib writes where a value is missing, are nothing."""
    return [
        one
        for one in re.findall(r"<[^/][^>]*>[^<]*", drawn)
        if not one.startswith("<path style") or " d=" in one
    ]


@pytest.mark.parametrize("case", CASES)
def test_a_plot_draws_as_axes_do(case):
    theirs, ours = CASES[case]
    with matplotlib.rc_context(RC):
        figure = bare()
        ax = axes_of(figure)
        theirs(ax)
        ax.set_xlim(*X)
        ax.set_ylim(*Y)
        expected = svgtext.body(saved(figure))
        canvas = Canvas(WIDTH, HEIGHT)
        plot = canvas.plot(*BOX)
        ours(plot)
        plot.xlim(*X)
        plot.ylim(*Y)
        found = canvas.to_svg()
    assert elements(found) == elements(expected)
    assert len(elements(found)) > 3


def test_what_is_drawn_lies_in_the_order_of_zorder_below_the_figures_own():
    with matplotlib.rc_context(RC):
        canvas = Canvas(WIDTH, HEIGHT)
        canvas.stroke([10, 20], [10, 10], "#000001")
        plot = canvas.plot(*BOX)
        plot.line([0, 1], [0, 1], color="#000003", zorder=3)
        plot.level(0.5, color="#000002", zorder=0)
        found = canvas.to_svg()
    assert re.findall(r"stroke:#00000(\d)", found) == ["2", "3", "1"]


@pytest.mark.parametrize("ends", [(0.0, float("nan")), (float("-inf"), 1.0)])
def test_an_axis_without_finite_ends_is_refused(ends):
    plot = Canvas(WIDTH, HEIGHT).plot(*BOX)
    for limit in (plot.xlim, plot.ylim):
        with pytest.raises(ValueError, match="finite"):
            limit(*ends)


@pytest.mark.parametrize(
    "look",
    [
        {},
        {"size": 9.5, "align": "right"},
        {"weight": 700, "align": "center", "colour": "#111111"},
        {"style": "italic", "size": 11.0, "colour": svgtext.MUTED},
        {"rotation": 90},
    ],
)
@pytest.mark.parametrize("text", ["FNMR at 1 in 1,000", 'a < b & "c" > $d$'])
def test_a_text_is_written_as_matplotlib_writes_it(text, look):
    size, colour = look.get("size", 12.0), look.get("colour", svgtext.INK)
    with matplotlib.rc_context(RC):
        figure = bare()
        figure.text(
            33.3 / WIDTH,
            1 - (71.7 + 0.36 * size) / HEIGHT,
            text,
            fontsize=size,
            color=colour,
            ha=look.get("align", "left"),
            va="baseline",
            fontweight=look.get("weight", 400),
            fontstyle=look.get("style", "normal"),
            rotation=look.get("rotation", 0),
            rotation_mode="anchor",
        )
        expected = svgtext.body(saved(figure))
        canvas = Canvas(WIDTH, HEIGHT)
        canvas.text(33.3, 71.7, text, **look)
        assert canvas.to_svg() == expected


def test_no_text_stands_for_an_id_and_an_empty_one_is_nothing():
    canvas = Canvas(WIDTH, HEIGHT)
    canvas.text(1, 1, f"{svgtext.UID}-0")
    canvas.text(1, 1, "")
    drawn = canvas.to_svg()
    found = svgtext.element(drawn, uid="c1", title="t", description="d")
    assert found.count("<text") == 1
    assert ">\ufffd-0</text>" in found
