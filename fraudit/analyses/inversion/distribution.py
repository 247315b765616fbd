"""How reconstructions lie to real vectors in each judge's feature space: Frechet distance, precision and recall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fraudit.analyses.inversion.measure import Sources, Verdict
from fraudit.analyses.inversion.params import Params
from fraudit.analyses.shared.words import judge_key, judge_name
from fraudit.errors import InsufficientData
from fraudit.stats.frechet import Coverage, frechet_distance, group_jackknife, precision_recall
from fraudit.stats.intervals import interval_or_reason
from fraudit.types import Interval, Metric


@dataclass(frozen=True, slots=True)
class Cloud:
    """How the cloud of reconstructions lies to the cloud of real vectors in one judge's feature space.

    `made` compares reconstructions with their sources, `real` the sources at the inverter's resolution:
    what the resolution alone costs. Frechet distances are of unit vectors.
    """

    judge: str
    own: bool
    dim: int
    n: int
    made: float
    made_interval: Interval | None
    real: float
    real_interval: Interval | None
    coverage: Coverage
    coverage_real: Coverage
    reason: str = ""


def cloud(params: Params, sources: Sources, verdict: Verdict) -> Cloud:
    """Frechet distance, precision and recall.

    Raises:
        InsufficientData: too few vectors.
    """
    use = verdict.ok_real & verdict.ok_made
    real, people = verdict.unit[use].astype(np.float64), sources.people[use]

    def distance(other: Any) -> tuple[float, Interval | None, str]:
        value = frechet_distance(real, other)
        found, reason = interval_or_reason(
            lambda: group_jackknife(lambda keep: frechet_distance(real[keep], other[keep]), people)
        )
        return value, found, reason

    made, small = verdict.unit_made[use].astype(np.float64), verdict.unit_real[use].astype(np.float64)
    k = params.neighbours
    to_made, to_small = distance(made), distance(small)
    return Cloud(
        verdict.name,
        verdict.own,
        real.shape[1],
        len(real),
        *to_made[:2],
        *to_small[:2],
        precision_recall(real, made, people, people, k),
        precision_recall(real, small, people, people, k),
        to_made[2],
    )


def cloud_metrics(params: Params, sources: Sources, verdicts: Sequence[Verdict]) -> list[Metric]:
    """Frechet distance, precision and recall in each judge's feature space, named as such."""
    found = []
    for v in verdicts:
        base, name = f"inversion.{judge_key(v.name, v.own)}", judge_name(v.name, v.own)
        space = f"in the feature space of {name}"
        try:
            c = cloud(params, sources, v)
        except InsufficientData as error:
            for part in ("frechet", "precision", "recall"):
                found.append(Metric(f"{base}.{part}", None, missing=error.message, label=f"{part} {space}"))
            continue
        found += _cloud(c, base, space)
    return found


def _cloud(c: Cloud, base: str, space: str) -> list[Metric]:
    size = f"{c.n} vectors of {c.dim} dimensions a side"
    few = " (fewer vectors than dimensions: compare only at equal n)" if c.n <= c.dim else ""
    found = []
    for tail, what, value, interval, cover in (
        ("", "reconstructions to sources", c.made, c.made_interval, c.coverage),
        (
            "_real",
            "sources at the inverter's resolution to sources",
            c.real,
            c.real_interval,
            c.coverage_real,
        ),
    ):
        found.append(
            Metric(
                f"{base}.frechet{tail}",
                value,
                n=c.n,
                interval=interval,
                n_unit="vectors",
                interval_missing=c.reason,
                label=f"Frechet distance of {what}, unit vectors, {space}, {size}{few}",
            )
        )
        for part, share, span, why in (
            ("precision", cover.precision, cover.precision_interval, cover.precision_reason),
            ("recall", cover.recall, cover.recall_interval, cover.recall_reason),
        ):
            found.append(
                Metric(
                    f"{base}.{part}{tail}",
                    share,
                    n=c.n,
                    interval=span,
                    interval_missing=why,
                    n_unit="vectors",
                    label=f"{part.capitalize()} of {what}, {cover.k} neighbours, {space}",
                )
            )
    return found
