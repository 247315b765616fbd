"""Figures of the quality analysis."""

from __future__ import annotations

from typing import Any

import numpy as np

from fraudit.analyses.quality.measure import Found
from fraudit.analyses.quality.report import ranked
from fraudit.analyses.shared.counted import chart_interval
from fraudit.formatting import fmr_words, percent
from fraudit.types import Figure

MOST_LINES = 6


def figures(found: Found) -> list[Figure]:
    """Curves, gains, and who loses pictures at the cut."""
    out = [_curves(found), _gains(found)] if found.errors else []
    cut = found.cuts.get(found.chosen)
    if cut is not None and any(cut.groups.values()):
        out.append(_groups(found))
    return out


def _curves(found: Found) -> Figure:
    at = fmr_words(found.genuine.threshold.fmr_target)
    shown = ranked(found)[:MOST_LINES]
    series: list[dict[str, Any]] = []
    said = []
    for k, name in enumerate(shown):
        curve = found.measures.curves[name]
        there = np.isfinite(curve.fnmr)
        line = {
            "name": found.qualities[name].words.split(" (")[0],
            "accent": k == 0,
            "x": curve.discarded[there].tolist(),
            "y": curve.fnmr[there].tolist(),
        }
        if k == 0:
            ends = [chart_interval(i) for i, use in zip(curve.intervals, there, strict=True) if use]
            line |= {"low": [e["low"] for e in ends], "high": [e["high"] for e in ends]}
        series.append(line)
        said.append(f"{line['name']}: {percent(line['y'][0])} to {percent(line['y'][-1])}")
    more = len(found.measures.curves) - len(shown)
    rest = f" The {more} that gain least are in the table." if more > 1 else ""
    rest = rest or (" The one that gains least is in the table." if more else "")
    series.append({"name": "at random", "x": [0.0, 0.2], "y": [found.fnmr, found.fnmr]})
    return Figure(
        "quality_discard",
        "lines",
        "FNMR against the share of worst pictures discarded",
        f"At the threshold for FMR {at}, which stays; band: 95 % interval of the measure that gains most. A quality "
        f"drawn at random stays level.{rest}",
        "; ".join(said) + ".",
        {
            "x": {"label": "pictures discarded", "scale": "linear", "percent": True},
            "y": {"label": "FNMR", "scale": "linear", "percent": True},
            "series": series,
        },
        main=True,
    )


def _gains(found: Found) -> Figure:
    rows: list[dict[str, Any]] = []
    for name in ranked(found):
        gain = found.measures.curves[name].gain
        label = found.qualities[name].words
        rows.append(
            {
                "label": label,
                "value": gain.value,
                **chart_interval(gain.interval),
                "n": gain.n,
                "accent": name == found.measures.best,
            }
        )
    return Figure(
        "quality_gains",
        "dots",
        "What each quality gains",
        "FNMR of all pairs less its mean over 0 to 20 % of the pictures discarded, with 95 % intervals.",
        "; ".join(f"{r['label']}: {percent(r['value'])}" for r in rows) + ".",
        {
            "x": {"label": "FNMR gained", "scale": "linear", "percent": True, "unit": "points"},
            "rows": rows,
            "marks": [{"axis": "x", "value": 0.0, "label": "random quality"}],
        },
    )


def _groups(found: Found) -> Figure:
    cut = found.cuts[found.chosen]
    rows: list[dict[str, Any]] = [
        {"label": r.group, "value": r.rate, **chart_interval(r.interval), "n": r.n, "group": attribute}
        for attribute, rates in cut.groups.items()
        for r in rates
    ]
    words = found.qualities[found.chosen].words
    return Figure(
        "quality_groups",
        "dots",
        "Who loses pictures",
        f"Share of each group's pictures below the one cut on {words}, with 95 % intervals.",
        "; ".join(f"{r['label']}: {percent(r['value'])}" for r in rows) + ".",
        {
            "x": {"label": "pictures lost", "scale": "linear", "percent": True},
            "rows": rows,
            "marks": [{"axis": "x", "value": cut.discarded.rate, "label": "all"}],
        },
    )
