"""Figures of the evidence analysis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fraudit.analyses.evidence.flags import Flags
from fraudit.analyses.evidence.rates import Rates
from fraudit.analyses.shared.counted import chart_interval
from fraudit.formatting import fmr_words, number, percent
from fraudit.types import Figure

MOST_POINTS = 2000  # of a cloud; flagged ones are all drawn


def figures(flags: Flags, rates: Rates, seed: int) -> Iterator[Figure]:
    """Fit to the own person and to the best other one; rates with and without; FNMR by years."""
    if flags.labels is not None:
        yield _fits(flags, seed)
    if rates.sides and rates.threshold is not None:
        yield _sides(rates)
    if rates.years is not None and len(rates.years.rates) > 1:
        yield _years(rates)


def _fits(flags: Flags, seed: int) -> Figure:
    found = flags.labels
    assert found is not None
    drawn = found.judged & ~np.isnan(found.near) & ~np.isnan(found.own)
    rest = np.flatnonzero(drawn & ~found.flagged)
    if len(rest) > MOST_POINTS:
        rest = np.sort(np.random.default_rng([seed, 47]).choice(rest, MOST_POINTS, replace=False))
    series: list[dict[str, Any]] = [
        {"name": name, "x": found.own[rows].tolist(), "y": found.near[rows].tolist(), "accent": accent}
        for name, rows, accent in (
            ("not flagged", rest, False),
            ("likely wrong label", np.flatnonzero(found.flagged), True),
        )
        if len(rows)
    ]
    sampled = f", {MOST_POINTS:,} of the others" if len(rest) == MOST_POINTS else ""
    return Figure(
        "evidence_fits",
        "scatter",
        "Does a picture fit its own person, or another?",
        f"Each point is a picture. Flagged: left of the one line and above the other. All flagged ones are drawn"
        f"{sampled}.",
        f"{found.count:,} of {int(found.judged.sum()):,} pictures fit their own person at most "
        f"{number(found.far_below)} and another one at least {number(found.near_above)}.",
        {
            "x": {"label": "fit to the own person", "scale": "linear"},
            "y": {"label": "fit to the best other person", "scale": "linear"},
            "series": series,
            "marks": [
                {"axis": "x", "value": found.far_below, "label": "far from the own"},
                {"axis": "y", "value": found.near_above, "label": "near another"},
            ],
        },
        main=True,
    )


def _sides(rates: Rates) -> Figure:
    first = rates.sides[0].fnmr
    rows: list[dict[str, Any]] = [
        {
            "label": "all pictures",
            "value": first.with_all,
            "n": first.pairs,
            **chart_interval(first.with_interval),
        }
    ]
    for side in rates.sides:
        f = side.fnmr
        rows.append(
            {
                "label": f"without {side.name}",
                "value": f.without,
                "n": f.pairs_left,
                **chart_interval(f.without_interval),
            }
        )
    at = fmr_words(rates.threshold.fmr_target) if rates.threshold else ""
    return Figure(
        "evidence_without",
        "dots",
        "FNMR with and without what is flagged",
        f"At one threshold, for FMR {at}. A description, no test: flags and errors come from the same scores.",
        "; ".join(f"{r['label']}: {percent(r['value'])}" for r in rows) + ".",
        {"x": {"label": "FNMR", "scale": "linear", "percent": True}, "rows": rows},
    )


def _years(rates: Rates) -> Figure:
    assert rates.years is not None
    rows: list[dict[str, Any]] = [
        {"label": f"{r.group} years", "value": r.rate, "n": r.n, **chart_interval(r.interval)}
        for r in rates.years.rates
    ]
    at = fmr_words(rates.threshold.fmr_target) if rates.threshold else ""
    return Figure(
        "evidence_years",
        "dots",
        "FNMR by years between the pictures",
        f"Genuine pairs of judged people at the threshold for FMR {at}.",
        "; ".join(f"{r['label']}: {percent(r['value'])}" for r in rows) + ".",
        {"x": {"label": "FNMR", "scale": "linear", "percent": True}, "rows": rows},
    )
