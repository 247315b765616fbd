"""Bias: do error rates at one global threshold differ between demographic groups?

The threshold is chosen on one half of the people and every rate is judged on the other half, so that no
group's rate is flattered by its own threshold. False matches are counted over all impostor pairs within a
group (and between groups), false non-matches over all genuine pairs; a face without a vector counts as a
false non-match and as failure to acquire, never as a false match.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from fraudit.analyses.bias import view, withheld
from fraudit.analyses.shared.attributes import demographic_groups
from fraudit.errors import InsufficientData, UsageError
from fraudit.stats.fairness import CrossGroup, Ratio, difference_p_value, worst_over_best
from fraudit.stats.family import BIAS_LEVEL
from fraudit.stats.groups import (
    OwnThreshold,
    impostor_rates,
    own_threshold,
)
from fraudit.stats.intervals import clustered_mean, clustered_rate, interval_or_reason, z_value
from fraudit.stats.pairs import genuine_pairs
from fraudit.stats.rates import GroupRate, genuine_sums, group_rates
from fraudit.stats.summaries import Summary, summary_intervals
from fraudit.types import I64, Analysis, AnalysisResult, Bool, Interval, KeyFigure, Work

MAX_GENUINE = 200_000
RECONSTRUCTIONS = 100  # faces of each group, where inverting is asked for


@dataclass(frozen=True)
class Params:
    """Parameters.

    Attributes:
        by: attributes to group by; by default the usual demographic ones that the set has (at most three).
        intersections: also audit the combination of the first two attributes.
        fmr: the global operating point.
        min_people: groups with fewer judged people are listed but nothing is concluded of them.
        min_genuine: the same for genuine pairs (FNMR).
        alpha: weight of FMR against FNMR in FDR, IR and GARBE.
        level: probability of any finding where all groups are equal; Holm over every test of the run: all
            attributes, FMR, FNMR and reconstructions.
        reconstructions: faces a group that are inverted where an inverter exists, times the share it asks for; by
            default 100 in an audit with the inversion section, else none.
    """

    by: tuple[str, ...] = ()
    intersections: bool = True
    fmr: float = 1e-3
    min_people: int = 10
    min_genuine: int = 30
    alpha: float = 0.5
    level: float = BIAS_LEVEL
    reconstructions: int | None = None


@dataclass(frozen=True, slots=True)
class GroupValue:
    """A share or mean of one group's faces: value, interval or the reason there is none, faces."""

    group: str
    value: float
    interval: Interval | None
    missing: str
    n: int


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found for one attribute.

    Attributes:
        fmr, fnmr: rates of the groups that are large enough; fnmr is None without identities.
        fnmr_acquired: FNMR over pairs with two vectors (the other convention).
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
    fnmr_missing: str
    cross: CrossGroup
    thresholds: tuple[OwnThreshold, ...]
    fta: tuple[GroupValue, ...]
    small: tuple[tuple[str, int], ...]
    summaries: dict[str, Summary]
    ratios: dict[str, Ratio]
    tests: tuple[tuple[str, str, str, float], ...]
    rebuilt: tuple[GroupValue, ...]


def genuine_rates(
    groups: NDArray[np.str_], subjects: I64, left: I64, right: I64, errors: Bool, names: Sequence[str]
) -> tuple[GroupRate, ...]:
    """FNMR of genuine pairs (faces `left`, `right` i64[P]) whose two faces belong to one group."""
    found = []
    for name in names:
        part = (groups[left] == name) & (groups[right] == name)
        if part.any():
            found.append(genuine_sums(name, errors[part], subjects[left[part]]))
    return group_rates(found)


def raw_tests(rates: dict[str, tuple[GroupRate, ...]]) -> tuple[tuple[str, str, str, float], ...]:
    """Every pair of groups on each side that enough people carry, p values not corrected."""
    return tuple(
        (side, a.group, b.group, difference_p_value(a, b))
        for side, side_rates in rates.items()
        for i, a in enumerate(side_rates)
        for b in side_rates[i + 1 :]
        if not (a.missing or b.missing)
    )


def _rebuilt_tests(rebuilt: Sequence[GroupValue]) -> tuple[tuple[str, str, str, float], ...]:
    """Every pair of groups' mean reconstruction cosines: z test whose errors are the half intervals over 1.96."""
    known = [(r, (r.interval.high - r.interval.low) / 2 / z_value(0.95)) for r in rebuilt if r.interval]
    tests = []
    for i, (a, error_a) in enumerate(known):
        for b, error_b in known[i + 1 :]:
            spread = float(np.hypot(error_a, error_b))
            z = abs(a.value - b.value) / spread if spread > 0 else 0.0
            tests.append(("reconstruction", a.group, b.group, float(2 * special.ndtr(-z))))
    return tuple(tests)


def lost_share(group: str, lost: Bool, people: I64) -> GroupValue:
    """Failure to acquire: share of bool[N] faces of `people` i64[N] without a vector."""
    interval, missing = interval_or_reason(lambda: clustered_rate(lost, people, people))
    return GroupValue(group, float(lost.mean()), interval, missing, len(lost))


def audit_attribute(context: Any, params: Params, name: str, groups: NDArray[np.str_]) -> Audit:
    """Rates, thresholds, tests and summaries of the groups of one attribute.

    Raises:
        InsufficientData: fewer than two groups reach the floor.
    """
    embeddings = context.embeddings()
    subjects = context.faces.subjects
    judged = ~context.calibration_mask()
    unit, tau = embeddings.unit(), context.threshold(params.fmr).value
    labels = [str(g) for g in np.unique(groups) if g != ""]
    people = {g: len(np.unique(subjects[(groups == g) & judged & embeddings.ok])) for g in labels}
    names = tuple(g for g in labels if people[g] >= params.min_people)
    small = tuple((g, people[g]) for g in labels if g not in names)
    if len(names) < 2:
        raise InsufficientData(
            f"{name}: fewer than two groups have {params.min_people} judged people "
            f"({', '.join(f'{g}: {people[g]}' for g in labels) or 'no group at all'})",
            "use a larger set, or lower --param bias.min_people",
        )
    kept = np.where(np.isin(groups, names) & judged, groups, "").astype(np.str_)
    fmr, cross = impostor_rates(unit, subjects, kept, tau, embeddings.ok & judged)
    thresholds = []
    for g in names:
        rows = np.flatnonzero(kept == g)
        thresholds.append(own_threshold(g, unit[rows], subjects[rows], params.fmr, embeddings.ok[rows]))

    fnmr = fnmr_acquired = None
    missing = "" if context.faces.identified else "the set names no identities, so it has no genuine pairs"
    if context.faces.identified:
        left, right = genuine_pairs(subjects)
        use = judged[left] & judged[right]
        left, right = left[use], right[use]
        if len(left) > MAX_GENUINE:
            part = np.sort(context.rng("bias-genuine").choice(len(left), MAX_GENUINE, replace=False))
            left, right = left[part], right[part]
        both = embeddings.ok[left] & embeddings.ok[right]
        errors = ~both | (np.einsum("pd,pd->p", unit[left], unit[right]) < tau)
        enough = [g for g in names if np.sum((kept[left] == g) & (kept[right] == g)) >= params.min_genuine]
        fnmr = genuine_rates(kept, subjects, left, right, errors, enough)
        fnmr_acquired = genuine_rates(kept, subjects, left[both], right[both], errors[both], enough)
        if len(fnmr) < 2:
            fnmr, missing = None, f"fewer than two groups have {params.min_genuine} judged genuine pairs"
    fta = [lost_share(g, ~embeddings.ok[groups == g], subjects[groups == g]) for g in names]
    sides = {"FMR": fmr} | ({"FNMR": fnmr} if fnmr else {})
    ratios = {}
    for side, rates in sides.items():
        if len(rates) >= 2 and any(r.errors for r in rates):
            ratios[side] = worst_over_best(rates)
    rebuilt = _rebuilt(context, params, kept, names)
    shared = fnmr if fnmr and [g.group for g in fnmr] == [g.group for g in fmr] else None
    return Audit(
        attribute=name,
        groups=names,
        faces={g: int(np.sum(kept == g)) for g in names},
        people=people,
        fmr=fmr,
        fnmr=fnmr,
        fnmr_acquired=fnmr_acquired,
        fnmr_missing=missing,
        cross=cross,
        thresholds=tuple(thresholds),
        fta=tuple(fta),
        small=small,
        summaries=summary_intervals(fmr, shared, params.alpha, context.rng(f"bias-{name}")),
        ratios=ratios,
        tests=raw_tests(sides) + _rebuilt_tests(rebuilt),
        rebuilt=rebuilt,
    )


def pictures_asked(context: Any, params: Params) -> tuple[int, str]:
    """(faces of each group that are inverted, why none are)."""
    return context.pictures_asked(params.reconstructions, RECONSTRUCTIONS, "bias.reconstructions")  # type: ignore[no-any-return]


def _rebuilt(
    context: Any, params: Params, groups: NDArray[np.str_], names: Sequence[str]
) -> tuple[GroupValue, ...]:
    """Mean cosine of reconstruction to source by group: what inversion loses for whom."""
    wanted, _ = pictures_asked(context, params)
    if not wanted:
        return ()
    from fraudit.analyses.shared.reconstructions import default_scale
    from fraudit.inverters.inverting import invert_vectors

    embeddings, found = context.embeddings(), []
    most = context.max_faces(max(8, round(wanted * default_scale(context.inverter))))
    for g in names:
        rows = np.flatnonzero((groups == g) & embeddings.ok)
        count = min(len(rows), most)
        rows = np.sort(context.rng(f"bias-invert-{g}").choice(rows, count, replace=False))
        told = context.part(f"inverting faces of '{g}'", count).add
        made = invert_vectors(
            context.inverter, context.embedder, embeddings.vectors[rows], seed=context.seed, told=told
        )
        good = np.isfinite(made.similarity)
        if not good.any():
            continue
        values, people = made.similarity[good], context.faces.subjects[rows[good]]
        interval, missing = interval_or_reason(partial(clustered_mean, values, people))
        found.append(GroupValue(g, float(values.mean()), interval, missing, int(good.sum())))
    return tuple(found)


def attribute_groups(context: Any, params: Params) -> dict[str, NDArray[np.str_]]:
    """Attribute (and, where asked for, the intersection of the first two) -> str[N] groups."""
    return demographic_groups(context.faces, params.by, params.intersections)


def _without_threshold(
    context: Any, params: Params, groups: dict[str, NDArray[np.str_]]
) -> AnalysisResult:
    """What needs no threshold, for groups of at least `min_people` pictures."""
    ok, fta, rebuilt = context.embeddings().ok, {}, {}
    for name, labels in groups.items():
        kinds, counts = np.unique(labels[labels != ""], return_counts=True)
        names = [str(g) for g in kinds[counts >= params.min_people]]
        alone = context.faces.subjects
        fta[name] = [lost_share(g, ~ok[labels == g], alone[labels == g]) for g in names]
        rebuilt[name] = _rebuilt(context, params, labels, names)
    return withheld.result(context, params, fta, rebuilt, context.unknown_people)


def run(context: Any, params: Params) -> AnalysisResult:
    """Audit every attribute; those whose groups are too small are named with the reason."""
    if not 0 < params.fmr < 1:
        raise UsageError(f"bias.fmr: expected a fraction in (0, 1), found {params.fmr}")
    groups = attribute_groups(context, params)
    if not groups:
        known = ", ".join(sorted(context.faces.attributes))
        raise InsufficientData(
            f"the set '{context.faces.name}' has none of the usual demographic attributes; choose with --by or --param "
            f"bias.by=: {known or 'it has no attributes'}"
        )
    if context.declared is not None:
        raise InsufficientData(
            f"the set '{context.faces.name}' names no identities: which pairs within a group are of two people is only "
            "known of the pairs that it declares",
            "give a set that says who is shown",
        )
    if context.unknown_people:
        return _without_threshold(context, params, groups)
    threshold = context.threshold(params.fmr)
    audits: list[Audit] = []
    skipped: list[str] = []
    for name, labels in groups.items():
        context.progress(f"bias by {name}")
        try:
            audits.append(audit_attribute(context, params, name, labels))
        except InsufficientData as error:
            skipped.append(error.message)
    inverted, why = pictures_asked(context, params)
    told = context.inverter is not None and not inverted
    notes = (f"What inversion loses of whom was not looked at: {why}.",) if told else ()
    params = replace(params, reconstructions=inverted)
    return view.result(context, params, threshold, audits, skipped, notes)


def work(context: Any, params: Params) -> Work:
    """Reconstructions of every group, where those are asked for."""
    from fraudit.analyses.shared.reconstructions import default_scale

    each, _ = pictures_asked(context, params)
    if not each:
        return Work()
    most = context.max_faces(max(8, round(each * default_scale(context.inverter))))
    judged = len(context.faces) // 2
    made = 0
    for labels in attribute_groups(context, params).values():
        groups = np.unique(labels[labels != ""], return_counts=True)[1]
        made += int(np.minimum(np.minimum(groups, judged), most).sum())
    return Work(made, made)


ANALYSIS = Analysis(
    name="bias",
    title="Bias",
    summary="error rates per demographic group at one global threshold, with tests and fairness measures",
    order=40,
    params=Params,
    run=run,
    needs=("attributes",),
    key_figures=(
        KeyFigure(
            "Worst group gap",
            ("bias.worst_gap", "bias.*max_over_min_fnmr", "bias.*max_over_min_fmr", "bias.*max_over_min*"),
            "largest",
            place=15,
        ),
    ),
    cosmetic=frozenset({"reconstructions"}),
    from_vectors=True,
    work=work,
    comparison="fraudit.analyses.bias.comparison:COMPARISON",
)
