"""Two databases of two models, one picture of each person in each: how many people can be linked. Numbers alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fraudit.analyses.linkability.params import NAME, Params
from fraudit.analyses.shared.transfer import Both, Carried, both_models, carried, counts_of
from fraudit.stats.family import LATER_LEVEL
from fraudit.stats.gallery import enrol
from fraudit.stats.identification import Search, search
from fraudit.stats.linkability import Linkability, system_linkability
from fraudit.stats.pairs import pair_cosines
from fraudit.stats.search_rates import SearchRate, fnir_rate
from fraudit.stats.search_thresholds import choose, fnir_at_target
from fraudit.types import F64, I64, Interval

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

MOST_OTHERS = 200_000  # non-mated pairs of D_sys
SHUFFLES = 4  # draws of shuffled pairs: one map may lie well by luck
SURE = 1 - LATER_LEVEL  # D_sys and rank 1, each one-sided at half of the analysis' error budget


@dataclass(frozen=True, slots=True)
class Attack:
    """What an attacker with `pairs` pictures reaches.

    Attributes:
        linked: D_sys of translated vectors against the other database's.
        missed: 1 less rank 1, of judged people. fnir: at the FPIR target, None with `reason`. chance: of rank 1.
        kind: of translator; '' compares vectors as they are. null: the same with shuffled pairs, None without.
        sure: lower ends of D_sys and of rank 1 at the level that severities rest on, None where there is none.
    """

    pairs: int
    linked: Linkability
    missed: SearchRate
    fnir: SearchRate | None
    chance: float
    kind: str
    reason: str = ""
    better: float = float("nan")
    sure: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True, slots=True)
class Found:
    """Attacks by rising number of pictures, and the luckiest of `SHUFFLES` with shuffled pairs, of as many as the last.

    Attributes:
        people: the attacker's, and in both databases. missing: faces left out, by reason. faces: of the set.
        same: whether both models' vectors are equal.
    """

    attacks: tuple[Attack, ...]
    null: Attack
    people: tuple[int, int]
    missing: Mapping[str, int]
    faces: int
    names: tuple[str, str]
    fpir: float
    dims: tuple[int, int]
    same: bool = False

    @property
    def last(self) -> Attack:
        """The attack with most pictures."""
        return self.attacks[-1]


def measure_links(context: AnalysisContext, params: Params) -> Found:
    """All attacks.

    Raises:
        InsufficientData: too few people or pictures.
    """
    both = both_models(context, params.share, 1, "linking")
    counts = counts_of([n for n in params.pairs if n], len(both.known), f"{NAME}.share")
    dims = both.first.shape[1], both.second.shape[1]
    attacks = []
    if 0 in params.pairs and dims[0] == dims[1]:
        plain = Carried(np.asarray(both.first[both.rest], np.float64), 0, "", float("nan"))
        attacks.append(_attack(both, plain, params, context))
    told = context.part("attackers", len(counts) + SHUFFLES)
    for count in counts:
        made = carried(both, count, context.seed, network=params.network)
        attacks.append(_attack(both, made, params, context))
        told.add()
    lucky = []
    for draw in range(SHUFFLES):
        null = carried(both, counts[-1], context.seed + draw, network=False, shuffled=True)
        lucky.append(_attack(both, null, params, context))
        told.add()
    chance = max(lucky, key=_reach)
    sizes = [len(np.unique(both.subjects[rows])) for rows in (both.known, both.rest)]
    return Found(
        tuple(attacks),
        chance,
        (sizes[0], sizes[1]),
        both.missing,
        both.faces,
        both.names,
        params.fpir,
        dims,
        both.same,
    )


def _reach(attack: Attack) -> float:
    """Upper end of D_sys, beyond all others where there is no interval."""
    found = attack.linked.interval
    return float("inf") if found is None else found.high


def _attack(both: Both, made: Carried, params: Params, context: AnalysisContext) -> Attack:
    other = both.second[both.rest]
    calibration, judged = (_search(both, made.unit, other, side, context.seed) for side in (False, True))
    missed, sure = (fnir_rate(judged, rank=1, level=level) for level in (0.95, SURE))
    chosen = choose(calibration, params.fpir)
    fnir, reason = None, ""
    if chosen.resolution.resolved and np.isfinite(chosen.value):
        fnir = fnir_at_target(judged, chosen)
    else:
        reason = (
            f"not resolvable: FPIR {params.fpir:g} needs {chosen.resolution.needed:,} searches of people who are not "
            f"enrolled, there are {chosen.resolution.n:,}"
        )
    scores, left, right = _scores(both, made.unit, other, context)
    linked = system_linkability(scores, left, right, seed=context.seed)
    strict = system_linkability(scores, left, right, seed=context.seed, level=SURE)
    return Attack(
        made.pairs,
        linked,
        missed,
        fnir,
        1 / len(judged.people),
        made.kind,
        reason,
        made.better,
        (_low(strict.interval), 1 - sure.interval.high if sure.interval else None),
    )


def _low(interval: Interval | None) -> float | None:
    return interval.low if interval else None


def _search(both: Both, carried_over: NDArray[Any], other: NDArray[Any], judged: bool, seed: int) -> Search:
    """The first database's people among those of the second."""
    subjects, plan = both.subjects[both.rest], both.plan
    rows = plan.gallery(judged)
    asked = np.sort(np.concatenate([plan.searches(judged, True), plan.searches(judged, False)]))
    gallery = enrol(other[rows], subjects[rows])
    return search(gallery, carried_over[asked], subjects[asked], seed=seed)


def _scores(
    both: Both, carried_over: NDArray[Any], other: NDArray[Any], context: AnalysisContext
) -> tuple[F64, I64, I64]:
    """(cosines, people of the first and of the second database): all mated pairs, and a sample of the others."""
    subjects = both.subjects[both.rest]
    rng = context.rng("linkability.pictures")
    mixed = rng.permutation(len(subjects))
    order = mixed[np.argsort(subjects[mixed], kind="stable")]
    starts = np.flatnonzero(np.diff(subjects[order], prepend=-1))
    many = np.diff(np.append(starts, len(order))) > 1
    first, second = order[starts[many]], order[starts[many] + 1]  # two different pictures of each person
    count = len(first)
    at = rng.choice(count * (count - 1), min(MOST_OTHERS, count * (count - 1)), replace=False)
    a, b = at // (count - 1), at % (count - 1)
    b += b >= a
    left, right = np.append(first, first[a]), np.append(second, second[b])
    stacked = np.concatenate([carried_over, other])
    return pair_cosines(stacked, left, right + len(carried_over)), subjects[left], subjects[right]
