"""The robustness grid of each demographic group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from fraudit.analyses.robustness.measure import Grid, harm, label_of
from fraudit.analyses.robustness.metrics import summary_metric
from fraudit.analyses.robustness.tables import percents
from fraudit.formatting import group_words
from fraudit.stats.robustness import Cell, Comparisons, person_difference
from fraudit.types import F64, I64, Bool, Column, Figure, Metric, Table

Groups = Mapping[str, tuple[Bool, Mapping[tuple[str, int], Cell], int]]


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
            metrics.append(replace(summary_metric(name, summary, text), group=label))
        if len(own) < max(floor, 2):
            continue
        for (name, severity), cell in cells.items():
            rows.append(
                {
                    "group": said[label],
                    "corruption": label_of(grid, name),
                    "severity": severity,
                    "fnmr": cell.fnmr.value if cell.fnmr else None,
                    "fnmr_interval": percents(cell.fnmr),
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
