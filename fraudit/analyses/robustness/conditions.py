"""Corruptions summed up to conditions of use: what a camera, a place or a person brings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fraudit.analyses.robustness.measure import Grid
from fraudit.analyses.robustness.metrics import summary_metric
from fraudit.formatting import percent
from fraudit.perturb.catalogue import CONDITIONS
from fraudit.stats.robustness import Comparisons, Summary, mean_over_cells
from fraudit.types import Figure, Metric


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of use.

    Attributes:
        name: in words. corruptions: labels of those in this run that stand for it.
        rates: mean FNMR over them at each severity, people as the unit.
    """

    name: str
    corruptions: tuple[str, ...]
    rates: tuple[Summary, ...]

    @property
    def key(self) -> str:
        """Part of a metric's name."""
        return "_".join("".join(c if c.isalnum() else " " for c in self.name.lower()).split())


def conditions(grid: Grid) -> list[Condition]:
    """The conditions that this run's corruptions stand for, the most harmful first; none without genuine pairs."""
    if grid.sums is None or grid.pairs is None:
        return []
    at = {corruption.name: k for k, corruption in enumerate(grid.corruptions)}
    found = []
    for name, members in CONDITIONS.items():
        rows = [at[member] for member in members if member in at]
        if rows:
            rates = tuple(
                mean_over_cells(grid.sums[rows, s], grid.pairs) for s in range(len(grid.severities))
            )
            found.append(Condition(name, tuple(grid.corruptions[k].label for k in rows), rates))
    return sorted(found, key=lambda c: -float(np.mean([rate.value for rate in c.rates])))


def condition_metrics(grid: Grid, found: list[Condition]) -> list[Metric]:
    """Mean FNMR of every condition and severity."""
    return [
        summary_metric(
            f"robustness.condition.{c.key}.{severity}",
            rate,
            f"Mean FNMR, {c.name.lower()}, severity {severity}",
        )
        for c in found
        for severity, rate in zip(grid.severities, c.rates, strict=True)
    ]


def condition_figure(grid: Grid, comparisons: Comparisons, found: list[Condition]) -> Figure | None:
    """The heat map that the section opens with; None where the grid is as short."""
    if len(found) < 2 or len(found) >= len(grid.corruptions):
        return None
    worst = max(found, key=lambda c: c.rates[-1].value)
    clean = f" Clean pictures: {percent(comparisons.clean_fnmr.value)}." if comparisons.clean_fnmr else ""
    return Figure(
        "robustness_conditions",
        "heatmap",
        "FNMR by condition of use",
        f"Share of right people turned away, mean over the {len(grid.corruptions)} corruptions that stand for these "
        f"conditions; the most harmful at the top, severity out of 5.{clean} Every corruption alone is folded below.",
        f"FNMR by condition of use. Highest at severity {grid.severities[-1]}: {worst.name} with "
        f"{percent(worst.rates[-1].value)}.",
        {
            "rows": [c.name for c in found],
            "columns": [f"severity {s}" for s in grid.severities],
            "values": [[rate.value for rate in c.rates] for c in found],
            "low": [[rate.interval.low if rate.interval else None for rate in c.rates] for c in found],
            "high": [[rate.interval.high if rate.interval else None for rate in c.rates] for c in found],
            "unit": "",
            "percent": True,
            "scale": "sequential",
        },
        True,
    )
