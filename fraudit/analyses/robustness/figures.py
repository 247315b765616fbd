"""Figures of the robustness grid: heat maps of error rates, and similarity against severity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fraudit.analyses.robustness.measure import Grid, harm, label_of
from fraudit.analyses.robustness.tables import interval_ends
from fraudit.formatting import percent
from fraudit.perturb.base import Corruption
from fraudit.stats.robustness import Comparisons, Rate
from fraudit.types import Figure


def _heat(
    grid: Grid, order: Sequence[Corruption], pick: Any, name: str, title: str, caption: str, main: bool
) -> Figure:
    cells = [[pick(grid.cells[c.name, s]) for s in grid.severities] for c in order]
    worst = max(
        (
            (v[0], c, s)
            for row, c in zip(cells, order, strict=True)
            for v, s in zip(row, grid.severities, strict=True)
            if v[0] is not None
        ),
        key=lambda entry: entry[0],
        default=None,
    )
    alt = title + "."
    if worst:
        alt += f" Highest: {worst[1].label} at severity {worst[2]} with {percent(worst[0])}."
    data = {
        "rows": [c.label for c in order],
        "columns": [f"severity {s}" for s in grid.severities],
        "values": [[v[0] for v in row] for row in cells],
        "low": [[v[1] for v in row] for row in cells],
        "high": [[v[2] for v in row] for row in cells],
        "unit": "",
        "percent": True,
        "scale": "sequential",
    }
    return Figure(name, "heatmap", title, caption, alt, data, main)


def _bounds(rate: Rate | None) -> tuple[float | None, float | None, float | None]:
    if rate is None or rate.interval is None:
        return rate.value if rate else None, None, None
    return rate.value, rate.interval.low, rate.interval.high


def figures(grid: Grid, comparisons: Comparisons, lead: bool = True) -> tuple[Figure, ...]:
    """Heat maps of FNMR and FMR ordered by harm, and similarity against severity by family where it is known."""
    order = sorted(grid.corruptions, key=lambda c: -harm(grid, c.name))
    found = []
    clean = percent(comparisons.clean_fnmr.value) if comparisons.clean_fnmr else ""
    if grid.sums is not None:
        found.append(
            _heat(
                grid,
                order,
                lambda cell: _bounds(cell.fnmr),
                "robustness_fnmr",
                "FNMR at the clean threshold",
                f"The worst corruption is at the top. Clean pictures: {clean}.",
                lead,
            )
        )
    clean_fmr = percent(comparisons.clean_fmr.value) if comparisons.clean_fmr else ""
    found.append(
        _heat(
            grid,
            order,
            lambda cell: _bounds(cell.fmr),
            "robustness_fmr",
            "FMR at the clean threshold",
            f"A value above that of clean pictures ({clean_fmr}) means that corrupted faces match strangers.",
            grid.sums is None,
        )
    )
    if any(cell.lost.value > 0 for cell in grid.cells.values()):
        caption = (
            "Share of probes in which no face was found or that gave no vector; they count as FNMR above."
        )
        title = "Failures to acquire"
        found.append(
            _heat(grid, order, lambda cell: _bounds(cell.lost), "robustness_fta", title, caption, False)
        )
        caption = f"What recognition alone loses, of the pairs whose face is found. Clean pictures: {clean}."
        title = "FNMR of faces that are found"
        if grid.sums is not None:
            found.append(
                _heat(
                    grid,
                    order,
                    lambda cell: _bounds(cell.recognised),
                    "robustness_fnmr_found",
                    title,
                    caption,
                    False,
                )
            )
    if not comparisons.no_similarity:
        found.append(_similarity(grid, comparisons))
    return tuple(found)


def _similarity(grid: Grid, comparisons: Comparisons) -> Figure:
    series = []
    for corruption in grid.corruptions:
        cells = [grid.cells[corruption.name, s] for s in grid.severities]
        bounds = [interval_ends(cell.similarity_interval) for cell in cells]
        series.append(
            {
                "name": corruption.label,
                "panel": corruption.family,
                "x": [0, *grid.severities],
                "y": [1.0, *(cell.similarity for cell in cells)],
                "low": [1.0, *(b[0] if b else None for b in bounds)],
                "high": [1.0, *(b[1] if b else None for b in bounds)],
                "points": True,
            }
        )
    least = min(
        ((cell.similarity, key) for key, cell in grid.cells.items() if cell.similarity is not None),
        default=None,
    )
    alt = "Mean similarity of a corrupted picture's vector to the clean one's, by severity and family."
    if least:
        alt += f" Lowest: {label_of(grid, least[1][0])} at severity {least[1][1]} with {least[0]:.2f}."
    return Figure(
        "robustness_similarity",
        "lines",
        "Similarity to the clean picture",
        "Severity 0 is the clean picture; vertical lines are 95 % intervals over people.",
        alt,
        {
            "x": {"label": "severity", "scale": "linear", "range": [0, 5]},
            "y": {"label": "cosine to the clean vector", "scale": "linear"},
            "series": series,
            "marks": [{"axis": "y", "value": comparisons.threshold, "label": "threshold"}],
        },
    )
