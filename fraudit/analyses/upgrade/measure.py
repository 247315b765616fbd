"""Old enrolments in a new model's space: FNMR and FNIR beside both models' own, over the same people. Numbers alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fraudit.analyses.shared.transfer import SAME, Both, both_models, carried, counts_of
from fraudit.analyses.upgrade.params import NAME, Params
from fraudit.errors import InsufficientData
from fraudit.stats.calibration import Calibration
from fraudit.stats.estimates import Estimate, estimated
from fraudit.stats.family import LATER_LEVEL
from fraudit.stats.gallery import enrol
from fraudit.stats.identification import Search, search
from fraudit.stats.intervals import Difference, clustered_rate
from fraudit.stats.paired import rate_difference
from fraudit.stats.pairs import capped_genuine, impostor_pairs, pair_cosines
from fraudit.stats.search_rates import SearchRate
from fraudit.stats.search_thresholds import choose, compare_rules, fnir_at_target, fpir_at_target
from fraudit.stats.verification import resolution
from fraudit.types import F64, I64, Bool, Interval

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

MOST_GENUINE, MOST_IMPOSTOR = 100_000, 500_000
SPACES = ("old", "new")


@dataclass(frozen=True, slots=True)
class Point:
    """One way to enrol and probe, at one FMR target.

    Attributes:
        fnmr: on judged people. fmr: reached on them. threshold: chosen on others.
        loss: FNMR less that of new enrolments; gain: FNMR less that of the old model; None with `reason`.
        sure: interval of `loss` at the level that severities rest on.
    """

    target: float
    threshold: float
    fnmr: Estimate
    fmr: Estimate
    loss: Difference | None = None
    gain: Difference | None = None
    sure: Interval | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Searched:
    """The same in 1:N search, at one FPIR target; `reason` where the target is not resolved."""

    target: float
    fnir: SearchRate
    fpir: SearchRate
    loss: Difference | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Way:
    """Enrolments and probes: `old` and `new` model alone, or old enrolments translated by `pairs` pictures.

    Attributes:
        points: by FMR target. searched: at the main FPIR target, None where none is resolved.
        kind: of translator, '' where there is none. better: see `Carried`.
    """

    name: str
    pairs: int
    points: tuple[Point, ...]
    searched: Searched | None
    kind: str = ""
    better: float = float("nan")


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that was measured.

    Attributes:
        ways: old, new, then translated ones by rising number of pictures. people: translator, calibration, judged.
        missing: faces left out, by reason; faces: of the set.
        unresolved: FMR and FPIR targets that these people cannot resolve, in words.
        smallest: fewest pictures that lose nothing beyond the margin at the main target (and so do all more), or None.
    """

    ways: tuple[Way, ...]
    people: tuple[int, int, int]
    missing: Mapping[str, int]
    faces: int
    names: tuple[str, str]
    main: float
    unresolved: tuple[str, ...]
    smallest: int | None

    @property
    def translated(self) -> tuple[Way, ...]:
        """Ways with a translator, by rising number of pictures."""
        return tuple(way for way in self.ways if way.kind)

    def at(self, way: Way) -> Point:
        """The way's point at the main FMR target."""
        return next(point for point in way.points if point.target == self.main)


_Scored = tuple[Calibration, F64, F64]  # of other people; scores of judged genuine and impostor pairs


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Rows (of `Both.rest`) that are compared: enrolled on the left, probed on the right."""

    genuine: tuple[I64, I64]
    impostor: tuple[I64, I64]
    judged: tuple[I64, I64]
    subjects: I64

    def calibrated(self, enrolled: NDArray[Any], probes: NDArray[Any]) -> _Scored:
        """(calibration, f64[G] genuine and f64[J] impostor scores of judged people)."""
        left, right = self.impostor
        who = self.subjects[left], self.subjects[right]
        scores = _cosines(enrolled, probes, self.impostor)
        people = np.unique(np.concatenate(who))
        made = Calibration(people, people, scores, np.zeros((0, 1)), who[0], who[1])
        return made, _cosines(enrolled, probes, self.genuine), _cosines(enrolled, probes, self.judged)


def _cosines(enrolled: NDArray[Any], probes: NDArray[Any], pairs: tuple[I64, I64]) -> F64:
    if enrolled is probes:
        return pair_cosines(probes, *pairs)
    both = np.concatenate([enrolled, probes])
    return pair_cosines(both, pairs[0], pairs[1] + len(enrolled))


def _compared(both: Both, context: AnalysisContext) -> _Pairs:
    subjects, plan = both.subjects[both.rest], both.plan
    rng = context.rng("upgrade.pairs")
    inside, outside = np.flatnonzero(plan.judged), np.flatnonzero(~plan.judged)
    genuine = capped_genuine(subjects[inside], context.seed, MOST_GENUINE)
    lists = [(inside[genuine[0]], inside[genuine[1]])]
    for rows in (outside, inside):
        left, right = impostor_pairs(subjects[rows], MOST_IMPOSTOR, rng)
        lists.append((rows[left], rows[right]))
    mixed = []
    for left, right in lists:  # either picture may be the older one
        turn = rng.random(len(left)) < 0.5
        mixed.append((np.where(turn, right, left), np.where(turn, left, right)))
    return _Pairs(mixed[0], mixed[1], mixed[2], subjects)


def measure_upgrade(context: AnalysisContext, params: Params) -> Found:
    """All ways at all targets.

    Raises:
        InsufficientData: too few people or pictures, no target that they resolve, or the same model twice.
    """
    both = both_models(context, params.share, params.most, "an upgrade")
    if both.same:
        raise InsufficientData(f"{SAME}: there is nothing to upgrade", "name another model as the new one")
    counts = counts_of(params.pairs, len(both.known), f"{NAME}.share")
    pairs = _compared(both, context)
    n = len(pairs.impostor[0])
    targets = sorted((t for t in set(params.fmr) if resolution(n, t) != "no"), reverse=True)
    unresolved = [f"FMR {t:g} ({n:,} impostor pairs)" for t in sorted(set(params.fmr) - set(targets))]
    if not targets:
        raise InsufficientData(
            f"no FMR target can be resolved by {n:,} impostor pairs of the people who choose thresholds",
            "use more people, or a higher --param upgrade.fmr",
        )
    old, new = (np.ascontiguousarray(v[both.rest]) for v in (both.first, both.second))
    spaces: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {"old": (old, old), "new": (new, new)}
    models = {name: pairs.calibrated(*spaces[name]) for name in SPACES}
    searches = {name: _searches(both, *spaces[name], context.seed) for name in SPACES}
    fpir = _fpir_target(searches["new"][0], params)
    if fpir is None:
        unresolved.append(f"FPIR {min(params.fpir):g}")
    ways = [
        Way(name, 0, _points(pairs, models[name], models, targets), _searched(searches[name], None, fpir))
        for name in SPACES
    ]
    told = context.part("translators", len(counts))
    for count in counts:
        made = carried(both, count, context.seed, network=params.network)
        points = _points(pairs, pairs.calibrated(made.unit, new), models, targets, paired=True)
        found = _searches(both, made.unit, new, context.seed) if fpir else None
        searched = _searched(found, searches["new"], fpir) if found else None
        ways.append(Way(f"translated, {count:,} pictures", count, points, searched, made.kind, made.better))
        told.add()
    judged = both.plan.judged
    people = [
        len(np.unique(both.subjects[rows])) for rows in (both.known, both.rest[~judged], both.rest[judged])
    ]
    main = _main_target(targets, n)
    done = Found(
        tuple(ways),
        (people[0], people[1], people[2]),
        both.missing,
        both.faces,
        both.names,
        main,
        tuple(unresolved),
        None,
    )
    return replace(done, smallest=smallest_of(done, params.margin))


def _main_target(targets: list[float], impostor: int) -> float:
    """The smallest FMR target whose threshold at least ten false matches chose, else the largest."""
    steady = [t for t in targets if t * impostor >= 10]
    return min(steady) if steady else max(targets)


def smallest_of(found: Found, margin: float) -> int | None:
    """Fewest pictures that lose at most `margin` of FNMR, as do all larger numbers.

    Tested from the most pictures down until one fails, so that no correction is needed.
    """
    best = None
    for way in reversed(found.translated):
        loss = found.at(way).loss
        if loss is None or loss.interval.high > margin:
            break
        best = way.pairs
    return best


def _points(
    pairs: _Pairs,
    own: _Scored,
    models: dict[str, _Scored],
    targets: list[float],
    paired: bool = False,
) -> tuple[Point, ...]:
    found = []
    for target in targets:
        at = own[0].threshold(target)
        fnmr = _rate(own[1] < at, pairs.subjects, pairs.genuine)
        fmr = _rate(own[2] >= at, pairs.subjects, pairs.judged)
        point = Point(target, at, fnmr, fmr)
        if paired:
            try:
                loss, gain = (_against(pairs, models[name], own, target, 0.95) for name in ("new", "old"))
                sure = _against(pairs, models["new"], own, target, 1 - LATER_LEVEL).interval
                point = replace(point, loss=loss, gain=gain, sure=sure)
            except InsufficientData as error:
                point = replace(point, reason=error.message)
        found.append(point)
    return tuple(found)


def _rate(events: Bool, subjects: I64, pairs: tuple[I64, I64]) -> Estimate:
    left, right = subjects[pairs[0]], subjects[pairs[1]]
    people = len(np.unique(np.concatenate([left, right])))
    return estimated(float(events.mean()), lambda: clustered_rate(events, left, right), len(events), people)


def _against(pairs: _Pairs, model: _Scored, own: _Scored, target: float, level: float) -> Difference:
    """FNMR of `own` less that of `model`, each at its own threshold, over the same pairs."""
    events = [scored[1] < scored[0].threshold(target) for scored in (model, own)]
    tails = [scored[0].tail(target, scored[1]) for scored in (model, own)]
    left, right = (pairs.subjects[side] for side in pairs.genuine)
    return rate_difference(events[0], events[1], left, right, tails[0], tails[1], level)


def _searches(both: Both, enrolled: NDArray[Any], probes: NDArray[Any], seed: int) -> tuple[Search, Search]:
    """(calibration, judged) searches: probes among enrolments."""
    subjects, plan = both.subjects[both.rest], both.plan
    made = []
    for judged in (False, True):
        rows = plan.gallery(judged)
        gallery = enrol(enrolled[rows], subjects[rows])
        asked = np.sort(np.concatenate([plan.searches(judged, True), plan.searches(judged, False)]))
        made.append(search(gallery, probes[asked], subjects[asked], seed=seed))
    return made[0], made[1]


def _fpir_target(calibration: Search, params: Params) -> float | None:
    """The smallest FPIR target that the calibration searches resolve."""
    good = []
    for target in params.fpir:
        chosen = choose(calibration, target)
        if chosen.resolution.resolved and np.isfinite(chosen.value):
            good.append(target)
    return min(good, default=None)


def _searched(
    own: tuple[Search, Search], new: tuple[Search, Search] | None, target: float | None
) -> Searched | None:
    if target is None:
        return None
    chosen = choose(own[0], target)
    rates = fnir_at_target(own[1], chosen), fpir_at_target(own[1], chosen)
    if new is None:
        return Searched(target, *rates)
    try:
        return Searched(target, *rates, compare_rules(new, own, target).fnir)
    except InsufficientData as error:
        return Searched(target, *rates, reason=error.message)
