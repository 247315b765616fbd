"""How figures for papers look: fonts, lines, colours that a colour-blind reader and a grey print keep apart."""

from __future__ import annotations

import functools
from typing import Any

from fraudit.report.charts.canvas import DASHES, MARKERS

# Seaborn's colour-blind palette (Okabe and Ito, 2008) without its yellow, which is lost on white paper.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#4D4D4D")
_DASHES = (*DASHES, (0, (1, 3.5)), (0, (9, 2, 1.5, 2, 1.5, 2)))
_MARKERS = (*MARKERS, "X", "*")
INK, MUTED, RULE = "#262626", "#6B6B6B", "#D9D9D9"

_OWN: dict[str, Any] = {
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same figure on every machine
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "figure.titlesize": 9.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "axes.linewidth": 0.7,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "xtick.major.pad": 2.5,
    "ytick.major.pad": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.0,
    "grid.linewidth": 0.5,
    "grid.color": RULE,
    "legend.frameon": True,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "legend.handlelength": 2.6,
    "text.parse_math": False,  # a `$` in a name is a dollar sign
    "pdf.fonttype": 42,  # fonts are embedded as TrueType, as journals ask
    "ps.fonttype": 42,
    "svg.fonttype": "path",  # letters as outlines: the same in every program
    "svg.hashsalt": "fraudit",
}


@functools.cache
def style() -> dict[Any, Any]:
    """matplotlib's rc parameters: seaborn's ticks and paper styles, as matplotlib carries them, and our own."""
    from matplotlib import style as styles

    found: dict[Any, Any] = {}
    for name in ("seaborn-v0_8-ticks", "seaborn-v0_8-paper"):
        found.update({key: value for key, value in styles.library[name].items() if key != "figure.figsize"})
    return {**found, **_OWN}


class Look:
    """Colour, dash and marker of series `order`: a grey print tells eight apart, colour with dash 24."""

    def __init__(self, order: int) -> None:
        self.colour = COLOURS[order % len(COLOURS)]
        self.dash: Any = _DASHES[order % len(_DASHES)]
        self.marker = _MARKERS[order % len(_MARKERS)]
