"""Error rates of demographic groups at one global threshold, and whether they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from fraudit.analyses.bias.params import RECONSTRUCTIONS, Params
from fraudit.analyses.shared.attributes import demographic_groups
from fraudit.analyses.shared.reconstructions import default_scale, make_pictures, seeds_of_faces, shown_to
from fraudit.stats.estimates import GroupEstimate
from fraudit.stats.fairness import CrossGroup, Ratio, difference_p_value, worst_over_best
from fraudit.stats.groups import OwnThreshold
from fraudit.stats.intervals import clustered_mean, clustered_rate, interval_or_reason, z_value
from fraudit.stats.rates import GroupRate
from fraudit.stats.summaries import Summary, summary_intervals
from fraudit.types import I64, Bool

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext
    from fraudit.audit.thresholds import Threshold


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found for one attribute.

    Attributes:
        fmr, fnmr: rates of the groups that are large enough; fnmr is None without identities.
        fnmr_acquired: FNMR over pairs with two vectors (the other convention).
        fnmr_all: FNMR over all people, each half at the threshold that the other half chose; what FNMR tests and
            ratios rest on, since it has twice the people. None where only one half is known.
        small: (group, people) below the floor.
        tests: (side, group, group, p); not corrected, since one correction covers all attributes of a run.
    """

    attribute: str
    groups: tuple[str, ...]
    faces: dict[str, int]
    people: dict[str, int]
    fmr: tuple[GroupRate, ...]
    fnmr: tuple[GroupRate, ...] | None
    fnmr_acquired: tuple[GroupRate, ...] | None
    fnmr_all: tuple[GroupRate, ...] | None
    fnmr_missing: str
    cross: CrossGroup
    thresholds: tuple[OwnThreshold, ...]
    fta: tuple[GroupEstimate, ...]
    small: tuple[tuple[str, int], ...]
    summaries: dict[str, Summary]
    ratios: dict[str, Ratio]
    tests: tuple[tuple[str, str, str, float], ...]
    rebuilt: tuple[GroupEstimate, ...]


def raw_tests(rates: dict[str, tuple[GroupRate, ...]]) -> tuple[tuple[str, str, str, float], ...]:
    """Every pair of groups on each side that enough people carry, p values not corrected."""
    return tuple(
        (side, a.group, b.group, difference_p_value(a, b))
        for side, side_rates in rates.items()
        for i, a in enumerate(side_rates)
        for b in side_rates[i + 1 :]
        if not (a.missing or b.missing)
    )


def _rebuilt_tests(rebuilt: Sequence[GroupEstimate]) -> tuple[tuple[str, str, str, float], ...]:
    """Every pair of groups' mean reconstruction cosines: z test whose errors are the half intervals over 1.96."""
    known = [(r, (r.interval.high - r.interval.low) / 2 / z_value(0.95)) for r in rebuilt if r.interval]
    tests = []
    for i, (a, error_a) in enumerate(known):
        for b, error_b in known[i + 1 :]:
            spread = float(np.hypot(error_a, error_b))
            z = abs(a.value - b.value) / spread if spread > 0 else 0.0
            tests.append(("reconstruction", a.group, b.group, float(2 * special.ndtr(-z))))
    return tuple(tests)


def lost_share(group: str, lost: Bool, people: I64) -> GroupEstimate:
    """Failure to acquire: share of bool[N] faces of `people` i64[N] without a vector."""
    interval, missing = interval_or_reason(lambda: clustered_rate(lost, people, people))
    return GroupEstimate(float(lost.mean()), interval, len(lost), len(np.unique(people)), missing, group)


def audit_attribute(
    context: AnalysisContext, params: Params, name: str, groups: NDArray[np.str_], threshold: Threshold
) -> Audit:
    """Rates, thresholds, tests and summaries of the groups of one attribute at one threshold.

    Raises:
        InsufficientData: fewer than two groups reach the floor.
    """
    found = context.scores.group_errors(name, groups, threshold, params.min_people, params.min_genuine)
    fmr, fnmr = found.fmr, found.fnmr
    compared = found.fnmr_all or fnmr
    sides = {"FMR": fmr} | ({"FNMR": compared} if compared else {})
    ratios = {}
    for side, rates in sides.items():
        if len(rates) >= 2 and any(r.errors for r in rates):
            ratios[side] = worst_over_best(rates)
    judged = np.isin(groups, found.groups) & ~context.calibration_mask()
    rebuilt = _rebuilt(context, params, np.where(judged, groups, "").astype(np.str_), found.groups)
    shared = fnmr if fnmr and [g.group for g in fnmr] == [g.group for g in fmr] else None
    return Audit(
        attribute=name,
        groups=found.groups,
        faces=found.faces,
        people=found.people,
        fmr=fmr,
        fnmr=fnmr,
        fnmr_acquired=found.fnmr_acquired,
        fnmr_all=found.fnmr_all,
        fnmr_missing=found.fnmr_missing,
        cross=found.cross,
        thresholds=found.thresholds,
        fta=tuple(lost_share(g, *found.lost[g]) for g in found.groups),
        small=tuple((g, n) for g, n in found.people.items() if g not in found.groups),
        summaries=summary_intervals(fmr, shared, params.alpha, context.rng(f"bias-{name}")),
        ratios=ratios,
        tests=raw_tests(sides) + _rebuilt_tests(rebuilt),
        rebuilt=rebuilt,
    )


def pictures_asked(context: AnalysisContext, params: Params) -> tuple[int, str]:
    """(faces of each group that are inverted, why none are)."""
    return context.pictures_asked(params.reconstructions, RECONSTRUCTIONS, "bias.reconstructions")


def _rebuilt(
    context: AnalysisContext, params: Params, groups: NDArray[np.str_], names: Sequence[str]
) -> tuple[GroupEstimate, ...]:
    """Mean cosine of reconstruction to source by group: what inversion loses for whom."""
    wanted, _ = pictures_asked(context, params)
    if not wanted:
        return ()
    from fraudit.inverters.inverting import cosine

    embeddings, found = context.embeddings(), []
    most = context.max_faces(max(8, round(wanted * default_scale(context.inverter))))
    rows_of: dict[str, I64] = {}
    for g in names:
        rows = np.flatnonzero((groups == g) & embeddings.ok)
        drawn = context.rng(f"bias-invert-{g}").choice(rows, min(len(rows), most), replace=False)
        rows_of[g] = np.sort(drawn)
    # All groups at once: an inverter works in pieces of a fixed size, and a piece that is not full costs as much.
    every = np.concatenate([np.zeros(0, np.int64), *rows_of.values()])
    if not len(every):
        return ()
    vectors, seeds = embeddings.vectors[every], seeds_of_faces(context, every)
    pictures = make_pictures(
        context, vectors, seeds, told=context.part("bias: inverting faces", len(every)).add
    )
    again = shown_to(context, context.embedder, pictures)
    similarity = np.where(again.ok, cosine(again.vectors, vectors), np.nan)
    ends = np.cumsum([len(rows) for rows in rows_of.values()])
    for (g, rows), end in zip(rows_of.items(), ends, strict=True):
        part = similarity[end - len(rows) : end]
        good = np.isfinite(part)
        if not good.any():
            continue
        values, people = part[good], context.faces.subjects[rows[good]]
        interval, missing = interval_or_reason(partial(clustered_mean, values, people))
        found.append(
            GroupEstimate(float(values.mean()), interval, int(good.sum()), len(np.unique(people)), missing, g)
        )
    return tuple(found)


def attribute_groups(context: AnalysisContext, params: Params) -> dict[str, NDArray[np.str_]]:
    """Attribute (and, where asked for, the intersection of the first two) -> str[N] groups."""
    return demographic_groups(context.faces, params.by, params.intersections)


def without_threshold(
    context: AnalysisContext, params: Params, groups: dict[str, NDArray[np.str_]]
) -> tuple[dict[str, list[GroupEstimate]], dict[str, tuple[GroupEstimate, ...]]]:
    """What needs no threshold, for groups of at least `min_people` pictures: (FTA, reconstructions) by attribute."""
    ok, fta, rebuilt = context.embeddings().ok, {}, {}
    for name, labels in groups.items():
        kinds, counts = np.unique(labels[labels != ""], return_counts=True)
        names = [str(g) for g in kinds[counts >= params.min_people]]
        alone = context.faces.subjects
        fta[name] = [lost_share(g, ~ok[labels == g], alone[labels == g]) for g in names]
        rebuilt[name] = _rebuilt(context, params, labels, names)
    return fta, rebuilt
