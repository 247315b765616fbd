"""The robustness grid as metrics: each with n and interval, or the reason it is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.analyses.robustness.measure import NO_GENUINE, Grid, label_of, reference_rates
from fraudit.analyses.robustness.params import Params
from fraudit.errors import InsufficientData
from fraudit.stats.robustness import Comparisons, Rate, Summary, corruption_errors, mean_over_cells
from fraudit.types import Metric

if TYPE_CHECKING:
    pass


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
                missing=None if cell.similarity is not None else cell.similarity_reason,
            )
        )
        found.append(_rate_metric(f"robustness.fnmr.{at}", cell.fnmr, genuine, NO_GENUINE, f"FNMR, {words}"))
        found.append(_rate_metric(f"robustness.fmr.{at}", cell.fmr, impostor, no_impostor, f"FMR, {words}"))
        if redetect or cell.lost.value > 0:
            label = f"Failures to acquire, {words}"
            found.append(_rate_metric(f"robustness.fta.{at}", cell.lost, "faces", "", label))
            seen, none = f"FNMR of faces that are found, {words}", "no genuine pair has a face that is found"
            missing = NO_GENUINE if cell.fnmr is None else none
            found.append(_rate_metric(f"robustness.fnmr_found.{at}", cell.recognised, genuine, missing, seen))
    return found


def summary_metric(name: str, summary: Summary, label: str, n_unit: str = "people") -> Metric:
    """A metric of a figure over several cells."""
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
        summary_metric(names[0], mean_over_cells(flat, grid.pairs), "Mean FNMR over all cells"),
        summary_metric(
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
                summary_metric(
                    f"robustness.mean_increase_{name}",
                    part,
                    f"Mean increase of FNMR by {what}, over all cells",
                )
            )
    each = [mean_over_cells(sums, grid.pairs) for sums in grid.sums]
    for corruption, summary in zip(grid.corruptions, each, strict=True):
        label = f"Mean FNMR over severities, {corruption.label}"
        found.append(summary_metric(f"robustness.fnmr.{corruption.name}", summary, label))
    worst = int(np.argmax([summary.value for summary in each]))
    label = f"FNMR under {grid.corruptions[worst].label}, mean over severities (the highest of {count} corruptions)"
    picked = mean_over_cells(grid.sums[worst], grid.pairs, level=1 - 0.05 / count)
    return [*found, summary_metric(names[2], picked, label)]


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
    found = [summary_metric(f"robustness.{word}mce", mean, f"Mean {label.lower()}, reference 1")]
    for corruption, summary in zip(grid.corruptions, each, strict=True):
        name = f"robustness.{word}ce.{corruption.name}"
        text = f"{label}, {corruption.label}"
        if summary is None:
            why = "the reference makes no error under this corruption"
            found.append(Metric(name, None, missing=why, better="lower", label=text))
        else:
            found.append(summary_metric(name, summary, text))
    return found


def corruption_error(params: Params, grid: Grid, digest: str) -> list[Metric]:
    """Corruption errors against the reference run, or why there are none. `digest`: of the face set."""
    if grid.sums is None or grid.pairs is None:
        return missing_ce("the set has no genuine pairs")
    if not params.reference:
        return missing_ce("no reference run was given (--param robustness.reference=RUN)")
    reference, clean = reference_rates(params.reference, grid, digest)
    found: list[Metric] = []
    for relative in (False, True):
        extra: dict[str, Any] = {"baseline": grid.clean_sums, "reference_baseline": clean} if relative else {}
        try:
            each, mean = corruption_errors(grid.sums, grid.pairs, reference, **extra)
        except InsufficientData as error:
            found += missing_ce(error.message, relative)
        else:
            found += ce_metrics(grid, each, mean, relative)
    return found
