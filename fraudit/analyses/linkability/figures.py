"""Charts of the linkability analysis, as data."""

from __future__ import annotations

from typing import Any

import numpy as np

from fraudit.analyses.linkability.measure import Found
from fraudit.analyses.linkability.report import rank_interval
from fraudit.analyses.shared.transfer import DRAW
from fraudit.formatting import number, percent
from fraudit.types import Figure

POINTS = 160  # of a density


def figures(found: Found) -> tuple[Figure, ...]:
    """What more pictures bring, and D(s) with both densities."""
    return (_growth(found), _local(found))


def _growth(found: Found) -> Figure:
    attacks = [a for a in found.attacks if a.kind]
    x = [a.pairs for a in attacks]
    series: list[dict[str, Any]] = []
    for panel, values, ends in (
        ("D_sys", [a.linked.value for a in attacks], [a.linked.interval for a in attacks]),
        ("found first", [1 - a.missed.value for a in attacks], [rank_interval(a.missed) for a in attacks]),
    ):
        series.append(
            {
                "name": panel,
                "panel": panel,
                "accent": True,
                "points": True,
                "x": x,
                "y": values,
                "low": [i.low if i else None for i in ends],
                "high": [i.high if i else None for i in ends],
            }
        )
        null = found.null.linked.value if panel == "D_sys" else 1 - found.null.missed.value
        ends_of = [x[0], x[-1]] if len(x) > 1 else x
        series.append({"name": "shuffled pairs", "panel": panel, "x": ends_of, "y": [null] * len(ends_of)})
    said = ", ".join(
        f"{a.pairs:,} pictures: D_sys {number(a.linked.value, 2)}, {percent(1 - a.missed.value)} found first"
        for a in attacks
    )
    return Figure(
        "linkability_pictures",
        "lines",
        "What an attacker links",
        "D_sys and the share of people whose other entry is found first, against the number of pictures of which the "
        f"attacker has both models' vectors. {DRAW}",
        f"{said}.",
        {
            "x": {"label": "known pictures", "scale": "log"},
            "y": {"label": "share", "scale": "linear"},
            "series": series,
        },
        main=True,
    )


def _local(found: Found) -> Figure:
    d = found.last.linked.densities
    seen = np.flatnonzero((d.grid >= d.ends[0]) & (d.grid <= d.ends[1]))
    at = seen[np.unique(np.linspace(0, len(seen) - 1, POINTS).round().astype(int))]
    x = d.grid[at].tolist()
    top = float(max(d.mated.max(), d.non_mated.max()))
    series = [
        {"name": "D(s)", "accent": True, "x": x, "y": d.local[at].tolist()},
        {"name": "mated", "x": x, "y": (d.mated[at] / top).tolist()},
        {"name": "non-mated", "x": x, "y": (d.non_mated[at] / top).tolist()},
    ]
    return Figure(
        "linkability_local",
        "lines",
        "Where scores give people away",
        f"D(s), and the densities of mated and non-mated scores (scaled to the higher one's peak), with "
        f"{found.last.pairs:,} known pictures. The curves end at the smallest and the largest score seen.",
        f"D_sys is {number(found.last.linked.value, 2)}, the mean of D(s) over mated pairs.",
        {
            "x": {"label": "cosine after translation", "scale": "linear"},
            "y": {"label": "D(s); density", "scale": "linear", "range": [0, 1]},
            "series": series,
        },
    )
