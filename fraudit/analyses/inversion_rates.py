"""Rates of the inversion audit from what judges said; no words, no pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.analyses.verification_words import rate
from fraudit.errors import InsufficientData
from fraudit.stats.fairness import GroupRate, Ratio, difference_p_value, group_rate, holm, worst_over_best
from fraudit.stats.frechet import Coverage, frechet_distance, group_jackknife, precision_recall
from fraudit.stats.inversion import Figure, angular, mean_of, success
from fraudit.types import Interval

if TYPE_CHECKING:
    from fraudit.analyses.inversion import Params
    from fraudit.analyses.inversion_measure import Sources, Verdict


@dataclass(frozen=True, slots=True)
class Point:
    """Success at one operating point of one judge.

    Attributes:
        one, two: type I and II. real: the source itself at the inverter's resolution against the source.
        real_two: the source against that other picture, the ceiling of type II.
        strangers: reconstructions that match another person. None where there is nothing to compare.
        missing: why there are no figures: the FMR cannot be resolved.
    """

    fmr: float
    threshold: Any
    one: Figure | None = None
    two: Figure | None = None
    real: Figure | None = None
    real_two: Figure | None = None
    strangers: Figure | None = None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Attack:
    """Success by one judge, operating points in ascending strictness, and mean similarity and distance."""

    judge: str
    own: bool
    points: tuple[Point, ...]
    similarity: Figure | None
    distance: Figure | None
    not_seen: int

    @property
    def strictest(self) -> Point | None:
        """The strictest operating point that can be resolved."""
        usable = [p for p in self.points if not p.missing]
        return usable[-1] if usable else None


def _mean(values: Any, people: Any) -> Figure | None:
    try:
        return mean_of(values, people)
    except InsufficientData:
        return None


def attack(verdict: Verdict, sources: Sources, params: Params) -> Attack:
    """Count what one judge accepts."""
    keep, has = verdict.keep, verdict.has_other
    people = sources.people
    different = (people[:, None] != people[None]) & keep[:, None] & keep[None]
    i, j = np.nonzero(different)
    points = []
    for fmr in sorted(params.fmrs, reverse=True):
        at = verdict.thresholds[fmr]
        if not at.resolvable:
            need = f"{round(3 / fmr):,}"
            why = f"FMR {rate(fmr)} needs {need} impostor pairs to fix the threshold; there are {at.n_impostor:,}"
            points.append(Point(fmr, at, missing=why))
            continue
        own = people[keep]
        points.append(
            Point(
                fmr,
                at,
                success(verdict.source[keep], at.value, own, own) if keep.any() else None,
                success(verdict.other[has], at.value, people[has], people[has]) if has.any() else None,
                success(verdict.real[keep], at.value, own, own) if keep.any() else None,
                success(verdict.source_other[has], at.value, people[has], people[has]) if has.any() else None,
                success(verdict.strangers[i, j], at.value, people[i], people[j]) if len(i) else None,
                "" if keep.any() else "this judge has no vector of any source",
            )
        )
    return Attack(
        verdict.name,
        verdict.own,
        tuple(points),
        _mean(verdict.source, people),
        _mean(angular(verdict.source), people),
        int((keep & ~verdict.ok_made).sum()),
    )


def headline_attack(attacks: Sequence[Attack], kin: frozenset[str] = frozenset()) -> Attack:
    """The first independent judge that can say something, then one of `kin`; without any, the model itself."""
    others = sorted((a for a in attacks if not a.own and a.strictest), key=lambda a: a.judge in kin)
    return others[0] if others else next(a for a in attacks if a.own)


@dataclass(frozen=True, slots=True)
class Groups:
    """Type I success by group of one attribute at one operating point.

    Attributes:
        ratio: highest over lowest, None where no group has a success. p: smallest Holm-corrected p.
        small: (group, people) that are not judged.
    """

    attribute: str
    fmr: float
    rates: tuple[GroupRate, ...]
    small: tuple[tuple[str, int], ...]
    ratio: Ratio | None
    p: float


def by_group(
    context: Any, params: Params, sources: Sources, verdicts: Sequence[Verdict], chosen: Attack
) -> list[Groups]:
    """Success by group for the chosen judge, for attributes with two groups of enough people."""
    from fraudit.analyses.bias import Params as BiasParams
    from fraudit.analyses.bias import attribute_groups

    point = chosen.strictest
    if point is None or not context.faces.attributes:
        return []
    verdict = next(v for v in verdicts if v.name == chosen.judge and v.own == chosen.own)
    events = verdict.source >= point.threshold.value
    found = []
    for name, labels in attribute_groups(context, BiasParams(by=params.by, intersections=False)).items():
        own = labels[sources.rows]
        rates, small = [], []
        for label in (str(g) for g in np.unique(own[verdict.keep]) if g != ""):
            part = verdict.keep & (own == label)
            count = len(np.unique(sources.people[part]))
            if count < params.min_people:
                small.append((label, count))
            else:
                people = sources.people[part]
                rates.append(group_rate(label, events[part], people, people))
        tests = [difference_p_value(a, b) for n, a in enumerate(rates) for b in rates[n + 1 :]]
        ratio = worst_over_best(tuple(rates)) if len(rates) > 1 and any(r.errors for r in rates) else None
        p = float(holm(tests).min()) if tests else 1.0
        found.append(Groups(name, point.fmr, tuple(rates), tuple(small), ratio, p))
    return found


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
    made_interval: Interval
    real: float
    real_interval: Interval
    coverage: Coverage
    coverage_real: Coverage


def cloud(params: Params, sources: Sources, verdict: Verdict) -> Cloud:
    """Frechet distance, precision and recall.

    Raises:
        InsufficientData: too few people with vectors.
    """
    use = verdict.ok_real & verdict.ok_made
    real, people = verdict.unit[use].astype(np.float64), sources.people[use]

    def distance(other: Any) -> tuple[float, Interval]:
        interval = group_jackknife(lambda keep: frechet_distance(real[keep], other[keep]), people)
        return frechet_distance(real, other), interval

    made, small = verdict.unit_made[use].astype(np.float64), verdict.unit_real[use].astype(np.float64)
    k = params.neighbours
    return Cloud(
        verdict.name,
        verdict.own,
        real.shape[1],
        len(real),
        *distance(made),
        *distance(small),
        precision_recall(real, made, people, people, k),
        precision_recall(real, small, people, people, k),
    )
