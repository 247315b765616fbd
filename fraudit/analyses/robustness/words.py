"""The robustness grid as metrics, tables, figures and findings; rules of severity in docs/severity.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fraudit.analyses.robustness import Grid
from fraudit.formatting import group_words, percent
from fraudit.formatting import interval as interval_words
from fraudit.perturb.base import Corruption
from fraudit.stats.robustness import Cell, Comparisons, Rate, Summary, mean_over_cells, person_difference
from fraudit.types import F64, I64, Bool, Column, Figure, Interval, Metric, Table

NO_GENUINE = "the set has no genuine pairs"

Groups = Mapping[str, tuple[Bool, Mapping[tuple[str, int], Cell], int]]


def _rate_metric(
    name: str, rate: Rate | None, unit: str, missing: str, label: str, group: str = ""
) -> Metric:
    if rate is None:
        return Metric(name, None, missing=missing, better="lower", label=label, group=group)
    return Metric(
        name,
        rate.value,
        n=rate.n,
        interval=rate.interval,
        interval_missing=rate.reason,
        better="lower",
        label=label,
        n_unit=unit,
        group=group,
    )


def cell_metrics(grid: Grid, comparisons: Comparisons, redetect: bool) -> list[Metric]:
    """Clean rates, then similarity, FNMR, FMR and failures to acquire of every cell."""
    genuine, impostor, no_impostor = "genuine pairs", "impostor pairs", "no impostor pair was drawn"
    found = [
        _rate_metric("robustness.fnmr.clean", comparisons.clean_fnmr, genuine, NO_GENUINE, "FNMR, clean"),
        _rate_metric("robustness.fmr.clean", comparisons.clean_fmr, impostor, no_impostor, "FMR, clean"),
    ]
    for (name, severity), cell in grid.cells.items():
        words = f"{label_of(grid, name)}, severity {severity}"
        at = f"{name}.{severity}"
        found.append(
            Metric(
                f"robustness.similarity.{at}",
                cell.similarity,
                n=cell.n - round(cell.lost.value * cell.n),
                interval=cell.similarity_interval,
                interval_missing="" if cell.similarity is None else cell.similarity_reason,
                better="higher",
                n_unit="faces",
                label=f"Similarity to the clean picture, {words}",
                missing=None if cell.similarity is not None else "no corrupted face gave a vector",
            )
        )
        found.append(_rate_metric(f"robustness.fnmr.{at}", cell.fnmr, genuine, NO_GENUINE, f"FNMR, {words}"))
        found.append(_rate_metric(f"robustness.fmr.{at}", cell.fmr, impostor, no_impostor, f"FMR, {words}"))
        if redetect or cell.lost.value > 0:
            label = f"Failures to acquire, {words}"
            found.append(_rate_metric(f"robustness.fta.{at}", cell.lost, "faces", "", label))
            seen, none = f"FNMR of faces that are found, {words}", "no genuine pair has a face that is found"
            missing = NO_GENUINE if cell.fnmr is None else none
            found.append(
                _rate_metric(f"robustness.fnmr_found.{at}", cell.recognised, genuine, missing, seen)
            )
    return found


def label_of(grid: Grid, name: str) -> str:
    """Words for a corruption's name."""
    return next(c.label for c in grid.corruptions if c.name == name)


def _summary_metric(name: str, summary: Summary, label: str, n_unit: str = "people") -> Metric:
    return Metric(
        name,
        summary.value,
        n=summary.people,
        interval=summary.interval,
        interval_missing=summary.reason,
        better="lower",
        label=label,
        n_unit=n_unit,
    )


def mean_metrics(grid: Grid) -> list[Metric]:
    """Mean FNMR over severities per corruption and over all cells, and its mean increase over clean.

    The worst corruption is picked from all: its interval holds for all corruptions at once.
    """
    names = ["robustness.mean_fnmr", "robustness.mean_fnmr_increase", "robustness.worst_fnmr"]
    if grid.sums is None or grid.pairs is None:
        return [Metric(name, None, missing=NO_GENUINE, better="lower") for name in names]
    flat, count = grid.sums.reshape(-1, len(grid.pairs)), len(grid.corruptions)
    found = [
        _summary_metric(names[0], mean_over_cells(flat, grid.pairs), "Mean FNMR over all cells"),
        _summary_metric(
            names[1],
            mean_over_cells(flat, grid.pairs, baseline=grid.clean_sums),
            "Mean increase of FNMR over all cells",
        ),
    ]
    for name, what, sums in (
        ("not_found", "faces that are not found", grid.split and grid.split[0]),
        ("not_recognised", "faces that are found but not recognised", grid.split and grid.split[1]),
    ):
        if sums is not None:
            part = mean_over_cells(sums.reshape(-1, len(grid.pairs)), grid.pairs, baseline=grid.clean_sums)
            found.append(
                _summary_metric(
                    f"robustness.mean_increase_{name}", part, f"Mean increase of FNMR by {what}, over all cells"
                )
            )
    each = [mean_over_cells(sums, grid.pairs) for sums in grid.sums]
    for corruption, summary in zip(grid.corruptions, each, strict=True):
        label = f"Mean FNMR over severities, {corruption.label}"
        found.append(_summary_metric(f"robustness.fnmr.{corruption.name}", summary, label))
    worst = int(np.argmax([summary.value for summary in each]))
    label = f"FNMR under the worst corruption, {grid.corruptions[worst].label} (the highest of {count})"
    picked = mean_over_cells(grid.sums[worst], grid.pairs, level=1 - 0.05 / count)
    return [*found, _summary_metric(names[2], picked, label)]


def missing_ce(reason: str, relative: bool | None = None) -> list[Metric]:
    """mCE and relative mCE, or one of them, with the reason why they are missing."""
    names = {False: "robustness.mce", True: "robustness.relative_mce"}
    wanted = names.values() if relative is None else [names[relative]]
    return [
        Metric(name, None, missing=reason, better="lower", label="Mean corruption error") for name in wanted
    ]


def ce_metrics(grid: Grid, each: Sequence[Summary | None], mean: Summary, relative: bool) -> list[Metric]:
    """mCE and CE of every corruption against the reference run."""
    word, label = ("relative_", "Relative corruption error") if relative else ("", "Corruption error")
    found = [_summary_metric(f"robustness.{word}mce", mean, f"Mean {label.lower()}, reference 1")]
    for corruption, summary in zip(grid.corruptions, each, strict=True):
        name = f"robustness.{word}ce.{corruption.name}"
        text = f"{label}, {corruption.label}"
        if summary is None:
            why = "the reference makes no error under this corruption"
            found.append(Metric(name, None, missing=why, better="lower", label=text))
        else:
            found.append(_summary_metric(name, summary, text))
    return found


def _pair(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def _percents(rate: Rate | None) -> str | None:
    if rate is None or rate.interval is None:
        return rate and rate.reason
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
                "similarity_interval": _pair(cell.similarity_interval),
                "fnmr": fnmr.value if fnmr else None,
                "fnmr_interval": _percents(fnmr),
                "n_genuine": fnmr.n if fnmr else 0,
                "fmr": fmr.value if fmr else None,
                "fmr_interval": _percents(fmr),
                "n_impostor": fmr.n if fmr else 0,
                "fta": cell.lost.value,
                "fnmr_found": cell.recognised.value if cell.recognised else None,
                "fnmr_found_interval": _percents(cell.recognised),
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


def harm(grid: Grid, name: str) -> float:
    """What corruptions are ordered by: mean FNMR over severities, or loss of similarity without pairs."""
    cells = [grid.cells[name, s] for s in grid.severities]
    if all(cell.fnmr for cell in cells):
        # Similarity breaks ties between corruptions that do no measured harm.
        return float(np.mean([c.fnmr.value - 1e-6 * (c.similarity or 0.0) for c in cells if c.fnmr]))
    return float(np.mean([1 - (cell.similarity if cell.similarity is not None else -1.0) for cell in cells]))


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


def figures(grid: Grid, comparisons: Comparisons) -> tuple[Figure, ...]:
    """Heat maps of FNMR and FMR ordered by harm, and similarity against severity by family."""
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
                True,
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
                    grid, order, lambda cell: _bounds(cell.recognised), "robustness_fnmr_found", title, caption, False
                )
            )
    series = []
    for corruption in grid.corruptions:
        cells = [grid.cells[corruption.name, s] for s in grid.severities]
        bounds = [_pair(cell.similarity_interval) for cell in cells]
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
    found.append(
        Figure(
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
    )
    return tuple(found)


def group_parts(
    grid: Grid, comparisons: Comparisons, groups: Groups, floor: int
) -> tuple[list[Metric], list[Table], list[Figure], F64, dict[str, I64]]:
    """The same grid per demographic group.

    Returns:
        Metrics, tables, figures; f64[corruptions, people], each person's mean increase of its error rate; and
        the columns of the people of each group that is large enough.
    """
    if not groups or grid.sums is None or grid.pairs is None or grid.clean_sums is None:
        return [], [], [], np.zeros((0, 0)), {}
    genuine = comparisons.pairs.same
    people = np.unique(comparisons.pairs.left[genuine])
    metrics, rows = [], []
    increase = (grid.sums.mean(axis=1) - grid.clean_sums) / grid.pairs
    members: dict[str, np.ndarray] = {}
    said = group_words(groups)
    for label, (mask, cells, count) in groups.items():
        own = np.unique(comparisons.pairs.left[genuine & mask[comparisons.pairs.row]])
        members[label] = np.searchsorted(people, own)
        small = f"{count} people, fewer than the floor of {floor}: nothing is concluded"
        for c, corruption in enumerate(grid.corruptions):
            name = f"robustness.fnmr_increase.{corruption.name}"
            text = f"Mean increase of FNMR, {corruption.label}"
            if len(own) < max(floor, 2):
                metrics.append(Metric(name, None, missing=small, group=label, better="lower", label=text))
                continue
            sample = increase[c, members[label]]
            summary = person_difference(sample, np.ones(len(sample)))
            metrics.append(replace(_summary_metric(name, summary, text), group=label))
        if len(own) < max(floor, 2):
            continue
        for (name, severity), cell in cells.items():
            rows.append(
                {
                    "group": said[label],
                    "corruption": label_of(grid, name),
                    "severity": severity,
                    "fnmr": cell.fnmr.value if cell.fnmr else None,
                    "fnmr_interval": _percents(cell.fnmr),
                    "n_genuine": cell.fnmr.n if cell.fnmr else 0,
                    "similarity": cell.similarity,
                    "people": cell.lost.people,
                }
            )
    columns = (
        Column("group", "Group"),
        Column("corruption", "Corruption"),
        Column("severity", "Severity", "integer"),
        Column("fnmr", "FNMR", "percent"),
        Column("fnmr_interval", "95 %", "interval"),
        Column("n_genuine", "Genuine pairs", "integer"),
        Column("similarity", "Similarity to clean", "number"),
        Column("people", "People", "integer"),
    )
    large = {label: members[label] for label in groups if len(members[label]) >= max(floor, 2)}
    if not large:
        return metrics, [], [], increase, large
    caption = "At the same threshold for all; similarity and FNMR as in the table above."
    tables = [Table("robustness_groups", "The same grid per group", columns, tuple(rows), caption)]
    labels = list(large)
    bounds = {(m.group, m.name): m for m in metrics}
    shown = [
        [bounds[label, f"robustness.fnmr_increase.{c.name}"] for label in labels]
        for c in sorted(grid.corruptions, key=lambda c: -harm(grid, c.name))
    ]
    order = sorted(range(len(grid.corruptions)), key=lambda c: -harm(grid, grid.corruptions[c].name))
    heat = {
        "rows": [grid.corruptions[c].label for c in order],
        "columns": [said[label] for label in labels],
        "values": [[m.value for m in row] for row in shown],
        "low": [[m.interval.low if m.interval else None for m in row] for row in shown],
        "high": [[m.interval.high if m.interval else None for m in row] for row in shown],
        "unit": "",
        "percent": True,
        "scale": "sequential",
    }
    figure = Figure(
        "robustness_groups",
        "heatmap",
        "Mean increase of FNMR per group",
        "Mean over severities less the group's own clean FNMR, with its interval over people.",
        "Mean increase of FNMR under each corruption for " + ", ".join(said[label] for label in labels) + ".",
        heat,
    )
    return metrics, tables, [figure], increase, large
