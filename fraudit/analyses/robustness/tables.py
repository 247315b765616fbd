"""Tables of the robustness grid."""

from __future__ import annotations

from fraudit.analyses.robustness.measure import Grid
from fraudit.formatting import interval as interval_words
from fraudit.stats.robustness import Rate
from fraudit.types import Column, Interval, Table


def interval_ends(interval: Interval | None) -> list[float] | None:
    """[low, high] as a table and a chart take it; None where there is no interval."""
    return None if interval is None else [interval.low, interval.high]


def percents(rate: Rate | None) -> str | None:
    """The interval of a rate in words, or why it has none."""
    if rate is None:
        return None
    if rate.interval is None:
        return rate.reason
    return interval_words(rate.interval.low, rate.interval.high, as_percent=True)


def table(grid: Grid) -> Table:
    """One row per cell."""
    rows = []
    for (name, severity), cell in grid.cells.items():
        corruption = next(c for c in grid.corruptions if c.name == name)
        fnmr, fmr = cell.fnmr, cell.fmr
        rows.append(
            {
                "corruption": corruption.label,
                "family": corruption.family,
                "severity": severity,
                "level": f"{corruption.level(severity):g} {corruption.unit}",
                "similarity": cell.similarity,
                "similarity_interval": interval_ends(cell.similarity_interval),
                "fnmr": fnmr.value if fnmr else None,
                "fnmr_interval": percents(fnmr),
                "n_genuine": fnmr.n if fnmr else 0,
                "fmr": fmr.value if fmr else None,
                "fmr_interval": percents(fmr),
                "n_impostor": fmr.n if fmr else 0,
                "fta": cell.lost.value,
                "fnmr_found": cell.recognised.value if cell.recognised else None,
                "fnmr_found_interval": percents(cell.recognised),
                "probes": cell.n,
                "people": cell.lost.people,
            }
        )
    columns = (
        Column("corruption", "Corruption"),
        Column("family", "Family"),
        Column("severity", "Severity", "integer"),
        Column("level", "Level"),
        Column("similarity", "Similarity to clean", "number"),
        Column("similarity_interval", "95 %", "interval"),
        Column("fnmr", "FNMR", "percent"),
        Column("fnmr_interval", "95 %", "interval"),
        Column("n_genuine", "Genuine pairs", "integer"),
        Column("fmr", "FMR", "percent"),
        Column("fmr_interval", "95 %", "interval"),
        Column("n_impostor", "Impostor pairs", "integer"),
        Column("fta", "Not found", "percent"),
        Column("fnmr_found", "FNMR of those found", "percent"),
        Column("fnmr_found_interval", "95 %", "interval"),
        Column("probes", "Probes", "integer"),
        Column("people", "People", "integer"),
    )
    caption = "FNMR and FMR at the threshold fixed on clean pictures; intervals respect shared people."
    return Table("robustness_cells", "Every corruption and severity", columns, tuple(rows), caption)
