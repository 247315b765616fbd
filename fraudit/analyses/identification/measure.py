"""1:N search measured: thresholds chosen on one half of the people, rates on the other (ISO/IEC 19795-1)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fraudit.analyses.identification.params import LEAST_ENROLLED, Params
from fraudit.analyses.shared.attributes import demographic_groups
from fraudit.audit.sweeps import save_searches, stored_pairs, thresholds_of
from fraudit.audit.template_pairs import compares_templates
from fraudit.errors import InsufficientData, UsageError
from fraudit.stats.gallery import Rule, SearchPlan, Templates, enrol, fuse, plan_searches
from fraudit.stats.growth import (
    BackTest,
    Extrapolation,
    GrowthPoint,
    back_test,
    extrapolate,
    fnir_counts,
    fpir_counts,
)
from fraudit.stats.growth import measured as smaller_galleries
from fraudit.stats.hubs import GroupShare, Hubs, Positives, group_shares, hubs, positives
from fraudit.stats.identification import Search, fpir_threshold, search
from fraudit.stats.search_rates import (
    SearchRate,
    fnir_causes,
    fnir_rate,
    fpir_causes,
    fpir_rate,
    rates_by_group,
)
from fraudit.stats.search_thresholds import (
    RuleDifference,
    SearchThreshold,
    choose,
    compare_rules,
    fnir_at_target,
    fpir_at_target,
)
from fraudit.types import F32, F64, I64, Bool

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

RULES_LEVEL = 0.05  # of all enrolment rules together
EXPECTED = 10  # false positives that choose a threshold: with fewer one odd picture decides it
CONSTANT_NORM = 1e-3  # vectors whose lengths differ by less (relative) tell no quality


@dataclass(frozen=True, slots=True)
class Vectors:
    """What is enrolled and searched: unit f[N,D], subjects i64[N], ok bool[N], quality f64[N] or None."""

    unit: F32 | F64
    subjects: I64
    ok: Bool
    quality: F64 | None


@dataclass(frozen=True, slots=True)
class Target:
    """One FPIR target: the threshold, and what it reaches on the judged people."""

    chosen: SearchThreshold
    fpir: SearchRate
    fnir: SearchRate

    @property
    def resolved(self) -> bool:
        """Whether there are enough searches on the calibration side to choose it."""
        return self.chosen.resolution.resolved and bool(np.isfinite(self.chosen.value))


@dataclass(frozen=True, slots=True)
class Growth:
    """A rate against the number of enrolled people.

    Attributes:
        kind: fpir or fnir. target: FPIR target whose threshold is used. points: measured. test: of the model, or
            None with `reason`. further: the extrapolation asked for, or None with `refused`.
    """

    kind: str
    target: float
    points: tuple[GrowthPoint, ...]
    test: BackTest | None
    reason: str
    further: Extrapolation | None = None
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """An enrolment rule: `pictures` a person by `rule`, at the target; `difference` from the usual rule."""

    pictures: int
    rule: Rule
    fpir: SearchRate
    fnir: SearchRate
    difference: RuleDifference | None
    reason: str = ""
    tests: int = 1


@dataclass(frozen=True, slots=True)
class GroupRates:
    """Rates by group of the searcher at one threshold, and whose entries take the false positives."""

    attribute: str
    fpir: dict[str, SearchRate]
    fnir: dict[str, SearchRate]
    entries: tuple[GroupShare, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Official:
    """One gallery of a published protocol, its probes searched for as the official code does.

    Thresholds are chosen on the searches they judge there, so that TPIR is comparable with published figures only.

    Attributes:
        gallery: name. enrolled: people. ranks: (rank, miss rate). tpir: (FPIR target, threshold, FNIR) of any rank.
    """

    gallery: str
    enrolled: int
    searches: int
    ranks: tuple[tuple[int, SearchRate], ...]
    tpir: tuple[tuple[float, float, SearchRate], ...]


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that was measured; `main` is the smallest resolved target, None where none is."""

    plan: SearchPlan
    judged: Search
    targets: tuple[Target, ...]
    main: Target | None
    ranks: tuple[tuple[int, SearchRate], ...]
    growth: tuple[Growth, ...] = ()
    hubs: Hubs | None = None
    hubs_reason: str = ""
    groups: tuple[GroupRates, ...] = ()
    enrolments: tuple[Enrolment, ...] = ()
    official: tuple[Official, ...] = ()


def vectors_of(context: AnalysisContext) -> Vectors:
    """The set's vectors; their length serves as quality where it says something. Templates are fused to one each."""
    found = context.embeddings()
    templates = context.faces.templates
    if templates is not None:
        at = templates.picture
        fused = fuse(found.vectors[at], templates.template, templates.medium, found.ok[at])
        return Vectors(fused.vectors, templates.subjects[fused.names], fused.ok, None)
    norms = np.linalg.norm(found.vectors.astype(np.float64), axis=1)
    used = norms[found.ok]
    steady = not len(used) or np.ptp(used) <= CONSTANT_NORM * max(float(used.mean()), 1e-12)
    return Vectors(found.unit(), context.faces.subjects, found.ok, None if steady else norms)


def searched(
    context: AnalysisContext,
    v: Vectors,
    plan: SearchPlan,
    judged: bool,
    pictures: int,
    rule: Rule,
    above: float = np.inf,
    depth: int = 1,
) -> Search:
    """One side's searches among its gallery under one enrolment rule."""
    rows = plan.gallery(judged, pictures)
    gallery = enrol(
        v.unit[rows], v.subjects[rows], rule, None if v.quality is None else v.quality[rows], v.ok[rows]
    )
    asked = np.sort(np.concatenate([plan.searches(judged, True), plan.searches(judged, False)]))
    return search(
        gallery, v.unit[asked], v.subjects[asked], ok=v.ok[asked], above=above, depth=depth, seed=context.seed
    )


def main_target(targets: Sequence[Target]) -> Target | None:
    """The smallest FPIR target that the headline may rest on: EXPECTED false positives at least chose its threshold.

    Where none has so many, the largest one that is resolved; None where none is.
    """
    good = [t for t in targets if t.resolved and t.fnir.interval is not None]
    steady = [t for t in good if t.chosen.resolution.n * t.chosen.target >= EXPECTED]
    if steady:
        return min(steady, key=lambda t: t.chosen.target)
    return max(good, key=lambda t: t.chosen.target, default=None)


def measure_searches(context: AnalysisContext, params: Params) -> Found:
    """All figures of the section.

    Raises:
        InsufficientData: too few people.
    """
    v = vectors_of(context)
    most = max(params.enrolled)
    plan = plan_searches(
        v.subjects, context.seed, most_enrolled=most, enrolled_share=params.share, most=params.most
    )
    if plan.people[1] < LEAST_ENROLLED:
        raise InsufficientData(
            f"1:N search needs at least {LEAST_ENROLLED} enrolled people on each side; {len(np.unique(v.subjects))} "
            f"people give {int(plan.people[1])}",
            "use more people, or raise --param identification.share",
        )
    pictures = params.enrolled[0]
    calibration = searched(context, v, plan, False, pictures, "mean")
    chosen = [choose(calibration, t) for t in sorted(set(params.targets), reverse=True)]
    finite = [c.value for c in chosen if np.isfinite(c.value)]
    judged = searched(
        context,
        v,
        plan,
        True,
        pictures,
        "mean",
        above=min(finite) if finite else np.inf,
        depth=max(params.ranks),
    )
    targets = tuple(Target(c, fpir_at_target(judged, c), fnir_at_target(judged, c)) for c in chosen)
    main = main_target(targets)
    ranks = tuple(
        (r, fnir_rate(judged, rank=r)) for r in sorted(set(params.ranks)) if r <= int(plan.people[1])
    )
    if main is None:
        return Found(plan, judged, targets, None, ranks, official=official(context, params, v))
    dense = max((t for t in targets if t.resolved), key=lambda t: t.chosen.target)
    wrong = positives(judged, dense.chosen.value)
    found_hubs, reason = _hubs(wrong, context.seed)
    return Found(
        plan,
        judged,
        targets,
        main,
        ranks,
        growth=tuple(_growth(judged, dense.chosen, kind, params.people) for kind in ("fpir", "fnir")),
        hubs=found_hubs,
        hubs_reason=reason,
        groups=tuple(_groups(context, params, judged, dense.chosen.value, wrong)),
        enrolments=tuple(_enrolments(context, v, plan, params, main.chosen.target, (calibration, judged))),
        official=official(context, params, v),
    )


def leave_sweep(context: AnalysisContext, found: Found) -> None:
    """FPIR of the judged searches at every threshold of the run's sweep, for the report's explorer."""
    # Searches compare fused templates; the kept pairs do so too where the set lists such pairs.
    if context.faces.templates is not None and not compares_templates(context):
        return
    with suppress(InsufficientData):  # no pairs are stored
        thresholds = thresholds_of(context, stored_pairs(context))
        rates = [fpir_rate(found.judged, threshold) for threshold in thresholds.tolist()]
        n, people = rates[0].n, rates[0].people
        enrolled = len(found.judged.people)
        save_searches(context, thresholds, n, people, enrolled, [(r.errors, r.interval) for r in rates])


def official(context: AnalysisContext, params: Params, v: Vectors) -> tuple[Official, ...]:
    """Every gallery of a set with templates, its probes, and how the official code would count them."""
    templates = context.faces.templates
    if templates is None or templates.probes is None:
        return ()
    out: list[Official] = []
    probes = templates.probes
    for name, rows in templates.galleries.items():
        order = rows[np.argsort(v.subjects[rows], kind="stable")]
        gallery = Templates(np.asarray(v.unit[order], np.float64), v.subjects[order], v.ok[order])
        found = search(
            gallery,
            v.unit[probes],
            v.subjects[probes],
            ok=v.ok[probes],
            depth=max(params.ranks),
            seed=context.seed,
        )
        ranks = tuple((r, fnir_rate(found, rank=r)) for r in sorted(set(params.ranks)) if r <= len(order))
        reached = []
        if (~found.mated).any():
            for target in params.targets:
                threshold = fpir_threshold(found, target)
                reached.append((target, threshold, fnir_rate(found, threshold, None)))
        out.append(Official(name, len(found.people), len(probes), ranks, tuple(reached)))
    return tuple(out)


def _hubs(found: Positives, seed: int) -> tuple[Hubs | None, str]:
    try:
        return hubs(found, seed), ""
    except InsufficientData as error:
        return None, error.message


def _sizes(enrolled: int, points: int = 6) -> list[int]:
    """Gallery sizes from a 32nd of the enrolled on, doubling."""
    return sorted({max(2, round(enrolled / 2**k)) for k in range(points)})


def _growth(judged: Search, at: SearchThreshold, kind: str, people: int) -> Growth:
    threshold, target = at.value, at.target
    of = fpir_counts(judged, threshold) if kind == "fpir" else fnir_counts(judged, threshold)
    points = smaller_galleries(of, _sizes(of.enrolled))
    try:
        test = back_test(of)
    except InsufficientData as error:
        return Growth(kind, target, points, None, error.message, None, error.message if people else "")
    if not people:
        return Growth(kind, target, points, test, "")
    try:
        return Growth(kind, target, points, test, "", extrapolate(of, people))
    except (InsufficientData, UsageError) as error:
        return Growth(kind, target, points, test, "", None, error.message)


def _person_labels(labels: np.ndarray, subjects: I64, people: I64) -> np.ndarray:
    """str[K] label of each person: that of most of his or her pictures, '' where none is known or two tie."""
    out = []
    order = np.argsort(subjects, kind="stable")
    first, end = (np.searchsorted(subjects[order], people, side) for side in ("left", "right"))
    for start, stop in zip(first, end, strict=True):
        rows = order[start:stop]
        known = labels[rows][labels[rows] != ""]
        names, counts = np.unique(known, return_counts=True)
        tied = len(counts) > 1 and np.sort(counts)[-1] == np.sort(counts)[-2]
        out.append(str(names[counts.argmax()]) if len(names) and not tied else "")
    return np.array(out, dtype=np.str_)


def _groups(
    context: AnalysisContext, params: Params, judged: Search, threshold: float, wrong: Positives
) -> list[GroupRates]:
    found = []
    subjects, searchers = context.faces.subjects, np.unique(judged.searcher)
    both = (
        (~judged.mated, fpir_causes(judged, threshold)),
        (judged.mated, fnir_causes(judged, threshold)),
    )
    for attribute, labels in demographic_groups(context.faces, params.by).items():
        own = dict(zip(searchers.tolist(), _person_labels(labels, subjects, searchers).tolist(), strict=True))
        of_search = np.array([own[s] for s in judged.searcher.tolist()], dtype=np.str_)
        sides = [rates_by_group(causes, of_search[use]) for use, causes in both]
        entries: tuple[GroupShare, ...] = ()
        reason = ""
        try:
            entries = group_shares(
                wrong,
                judged.people,
                _person_labels(labels, subjects, judged.people),
                context.seed,
            )
        except InsufficientData as error:
            reason = error.message
        found.append(GroupRates(attribute, sides[0], sides[1], entries, reason))
    return found


def _enrolments(
    context: AnalysisContext,
    v: Vectors,
    plan: SearchPlan,
    params: Params,
    target: float,
    usual: tuple[Search, Search],
) -> list[Enrolment]:
    """Every rule x pictures, each against the usual one over the same searches.

    Only people with so many enrolment pictures gain from more; all are searched for, as in a real gallery.
    """
    rules: tuple[Rule, ...] = ("mean", "best") if v.quality is None else ("mean", "best", "quality")
    first = params.enrolled[0]
    ways = [(k, r) for k in params.enrolled for r in rules if k > 1 or r == "mean"]
    ways = [
        way
        for way in dict.fromkeys(ways)
        if way == (first, "mean") or len(plan.gallery(True, way[0])) > len(plan.gallery(True, way[0] - 1))
    ]
    tests = max(1, len(ways) - 1)
    level = 1 - RULES_LEVEL / tests
    found = []
    for pictures, rule in ways:
        same = (pictures, rule) == (first, "mean")
        pair = (
            usual
            if same
            else tuple(searched(context, v, plan, side, pictures, rule) for side in (False, True))
        )
        chosen = choose(pair[0], target)
        rates = fpir_at_target(pair[1], chosen), fnir_at_target(pair[1], chosen)
        difference, reason = None, ""
        if not same:
            try:
                difference = compare_rules(usual, (pair[0], pair[1]), target, level=level)
            except InsufficientData as error:
                reason = error.message
        found.append(Enrolment(pictures, rule, *rates, difference, reason, tests))
    return found
