"""Charts of the upgrade analysis, as data."""

from __future__ import annotations

from typing import Any

from fraudit.analyses.shared.transfer import DRAW
from fraudit.analyses.upgrade.measure import Found
from fraudit.formatting import fmr_words, percent
from fraudit.stats.estimates import Estimate
from fraudit.types import Figure


def figures(found: Found) -> tuple[Figure, ...]:
    """FNMR, and FNIR where there is one, against the number of pictures."""
    ways, (old, new) = found.translated, found.ways[:2]
    panels: list[tuple[str, list[Estimate], Estimate, Estimate]] = []
    for i, p in enumerate(old.points):
        rates = [way.points[i].fnmr for way in (*ways, old, new)]
        panels.append((f"FNMR at FMR {fmr_words(p.target)}", rates[:-2], rates[-2], rates[-1]))
    if old.searched is not None:
        found_rates = [way.searched.fnir for way in (*ways, old, new) if way.searched is not None]
        rates = [Estimate(r.value, r.interval, r.n, r.people, r.missing) for r in found_rates]
        panels.append((f"FNIR at FPIR {fmr_words(old.searched.target)}", rates[:-2], rates[-2], rates[-1]))
    x = [w.pairs for w in ways]
    ends = [x[0], x[-1]] if len(x) > 1 else x
    series: list[dict[str, Any]] = []
    said = []
    for title, rates, before, after in panels:
        series.append(
            {"name": "translated", "panel": title, "accent": True, "points": True, "x": x} | _curve(rates)
        )
        for name, rate in (("old model", before), ("enrolled again", after)):
            series.append({"name": name, "panel": title, "x": ends, "y": [rate.value] * len(ends)})
        said.append(
            f"{title}: {percent(rates[-1].value)} translated by {x[-1]:,} pictures, {percent(before.value)} old model, "
            f"{percent(after.value)} enrolled again"
        )
    return (
        Figure(
            "upgrade_pictures",
            "lines",
            "What old enrolments are worth to the new model",
            "Error of translated old enrolments against the number of pictures that the translator was fitted to, "
            f"beside the old model alone and the new one with everybody enrolled again. {DRAW}",
            "; ".join(said) + ".",
            {
                "x": {"label": "pictures shown to both models", "scale": "log"},
                "y": {"label": "rate", "scale": "linear", "percent": True},
                "series": series,
            },
            main=True,
        ),
    )


def _curve(rates: list[Estimate]) -> dict[str, Any]:
    return {
        "y": [rate.value for rate in rates],
        "low": [rate.interval.low if rate.interval else None for rate in rates],
        "high": [rate.interval.high if rate.interval else None for rate in rates],
    }
