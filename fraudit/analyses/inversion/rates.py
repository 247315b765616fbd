"""Rates of the inversion audit from what judges said; no words, no pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.analyses.inversion.measure import Sources, Verdict
from fraudit.analyses.inversion.params import Params
from fraudit.analyses.shared.attributes import demographic_groups
from fraudit.analyses.shared.counted import mean_or_none
from fraudit.formatting import fmr_words
from fraudit.stats.estimates import Estimate
from fraudit.stats.family import FAMILY_LEVEL
from fraudit.stats.intervals import interval_or_reason, paired_difference
from fraudit.stats.inversion import excess, group_gap, other_pairs, tally, tally_at
from fraudit.stats.pairs import angular
from fraudit.stats.strangers import Trials

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext
    from fraudit.audit.thresholds import Threshold

# Share of reports of an inverter that shows strangers in which any finding may be low or worse (docs/severity.md): half
# of it for type I, an eighth for each of the four other rules. A finding looks at one end of an interval.
ATTACK_ERROR, OTHER_ERROR = FAMILY_LEVEL / 2, FAMILY_LEVEL / 8
ATTACK_LEVEL, OTHER_LEVEL = 1 - 2 * ATTACK_ERROR, 1 - 2 * OTHER_ERROR
CHANCE_PAIRS = 30_000  # comparisons with other people's reconstructions; beyond, a seeded sample


@dataclass(frozen=True, slots=True)
class Success:
    """How often reconstructions match one kind of picture of the person, beside what strangers get.

    Attributes:
        own: success. ceiling: real pictures in place of reconstructions. chance: reconstructions of other people
            against the same pictures. excess: own less chance; sure: the same at the level of findings.
    """

    own: Estimate
    ceiling: Estimate
    chance: Estimate | None
    excess: Estimate | None
    sure: Estimate | None


@dataclass(frozen=True, slots=True)
class Point:
    """Success at one operating point of one judge.

    Attributes:
        one, two: type I and II; None where there is nothing to compare.
        strangers_real: real sources that match other people's sources, over the comparisons of `one.chance`.
        generic: chance less `strangers_real`, paired, at the level of findings.
        missing: why there are no figures: the FMR cannot be resolved.
    """

    fmr: float
    threshold: Threshold
    one: Success | None = None
    two: Success | None = None
    strangers_real: Estimate | None = None
    generic: Estimate | None = None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Attack:
    """Success by one judge, operating points in ascending strictness, and mean similarity and distance."""

    judge: str
    own: bool
    points: tuple[Point, ...]
    similarity: Estimate | None
    distance: Estimate | None
    not_seen: int

    @property
    def strictest(self) -> Point | None:
        """The strictest operating point that can be resolved."""
        usable = [p for p in self.points if not p.missing]
        return usable[-1] if usable else None


def _success(
    scores: Any,
    ceiling: Any,
    across: Any,
    at: float,
    people: Any,
    usable: Any,
    pairs: Any,
    real: Any,
    level: float,
) -> Success | None:
    """Counts of one kind of picture; `pairs` (i, j) are the comparisons with other people's reconstructions.

    Args:
        real: comparisons of real pictures of strangers. level: of the excess that findings look at.
    """
    if not usable.any():
        return None
    own = people[usable]
    mine = Trials(scores[usable] >= at, own, own)
    i, j = pairs
    chance = over = sure = None
    if len(i):
        strange = Trials(across[i, j] >= at, people[i], people[j])
        chance = tally_at(strange, real)
        over, sure = excess(mine, strange), excess(mine, strange, level)
    return Success(tally(mine.events, own, own), tally(ceiling[usable] >= at, own, own), chance, over, sure)


def _generic(
    verdict: Verdict, at: float, real: Trials, pairs: Any
) -> tuple[Estimate | None, Estimate | None]:
    """(real sources that match strangers, by how much more reconstructions do) over the same comparisons."""
    i, j = pairs
    if not len(i):
        return None, None
    left, right = real.made, real.shown
    made = verdict.strangers[i, j] >= at
    found, reason = interval_or_reason(
        lambda: paired_difference(real.events, made, left, right, OTHER_LEVEL).interval
    )
    count = len(np.unique(np.concatenate([left, right])))
    more = Estimate(float(made.mean() - real.events.mean()), found, len(i), count, reason)
    return tally_at(real, real), more


def unresolved(fmr: float, at: Threshold) -> str:
    """Why no success is told at an operating point whose threshold is not resolvable."""
    need = f"{round(3 / fmr):,}"
    why = (
        f"FMR {fmr_words(fmr)} needs {need} impostor pairs to fix the threshold; there are {at.n_impostor:,}"
    )
    return at.missing or why


def attack(verdict: Verdict, sources: Sources, params: Params, seed: int = 0) -> Attack:
    """Count what one judge accepts."""
    keep, has, people = verdict.keep, verdict.has_other, sources.people
    pairs = [
        other_pairs(people, people, usable, CHANCE_PAIRS, np.random.default_rng([seed, 70]))
        for usable in (keep, has)
    ]
    points = []
    for fmr in sorted(params.fmrs, reverse=True):
        at = verdict.thresholds[fmr]
        if not at.resolvable:
            points.append(Point(fmr, at, missing=unresolved(fmr, at)))
            continue
        v, (i, j), (all_pairs, other) = verdict, pairs[0], pairs
        real = Trials(v.strangers_real[i, j] >= at.value, people[i], people[j])
        points.append(
            Point(
                fmr,
                at,
                _success(
                    v.source, v.real, v.strangers, at.value, people, keep, all_pairs, real, ATTACK_LEVEL
                ),
                _success(
                    v.other,
                    v.source_other,
                    v.strangers_other,
                    at.value,
                    people,
                    has,
                    other,
                    real,
                    OTHER_LEVEL,
                ),
                *_generic(verdict, at.value, real, all_pairs),
                missing="" if keep.any() else "this judge has no vector of any source",
            )
        )
    return Attack(
        verdict.name,
        verdict.own,
        tuple(points),
        mean_or_none(verdict.source, people),
        mean_or_none(angular(verdict.source), people),
        int((keep & ~verdict.ok_made).sum()),
    )


def headline_attack(attacks: Sequence[Attack], kin: frozenset[str] = frozenset()) -> Attack:
    """The first independent judge that can say something, then one of `kin`; without any, the model itself."""
    others = sorted((a for a in attacks if not a.own and a.strictest), key=lambda a: a.judge in kin)
    return others[0] if others else next(a for a in attacks if a.own)


@dataclass(frozen=True, slots=True)
class GroupSuccess:
    """One group's type I success and its excess over chance; `sure`: at the level of all comparisons of groups."""

    group: str
    own: Estimate
    excess: Estimate | None
    sure: Estimate | None


@dataclass(frozen=True, slots=True)
class Groups:
    """Type I success by group of one attribute at one operating point.

    Attributes:
        rates: groups of enough people. small: (group, people) that are not judged.
        gap: the difference of excess whose lower bound is highest, None where no difference can be told; it holds
            for all comparisons of groups at once. more, less: the two groups of `gap`.
    """

    attribute: str
    fmr: float
    rates: tuple[GroupSuccess, ...]
    small: tuple[tuple[str, int], ...]
    gap: Estimate | None = None
    more: str = ""
    less: str = ""


def by_group(
    context: AnalysisContext, params: Params, sources: Sources, verdicts: Sequence[Verdict], chosen: Attack
) -> list[Groups]:
    """Success by group for the chosen judge, for attributes with two groups of enough people."""
    point = chosen.strictest
    if point is None or point.one is None or not context.faces.attributes:
        return []
    verdict = next(v for v in verdicts if v.name == chosen.judge and v.own == chosen.own)
    named = demographic_groups(context.faces, params.by)
    parts = {name: _parts(labels[sources.rows], sources, verdict, params) for name, labels in named.items()}
    tests = sum(len(large) * (len(large) - 1) // 2 for large, _ in parts.values())
    level = 1 - 2 * OTHER_ERROR / max(tests, 1)
    seed = context.seed
    found = []
    for name, (large, small) in parts.items():
        rates = tuple(
            _group(label, part, sources, verdict, point.threshold.value, level, seed)
            for label, part in large.items()
        )
        found.append(Groups(name, point.fmr, rates, small, *_widest(rates)))
    return found


def _parts(own: Any, sources: Sources, verdict: Verdict, params: Params) -> tuple[dict[str, Any], Any]:
    """(group -> bool[N] of its sources, ((group, people), ...) of the small ones)."""
    large, small = {}, []
    for label in (str(g) for g in np.unique(own[verdict.keep]) if g != ""):
        part = verdict.keep & (own == label)
        count = len(np.unique(sources.people[part]))
        if count < params.min_people:
            small.append((label, count))
        else:
            large[label] = part
    return large, tuple(small)


def _group(
    label: str, part: Any, sources: Sources, verdict: Verdict, at: float, level: float, seed: int
) -> GroupSuccess:
    people = sources.people
    i, j = other_pairs(people, people, part, CHANCE_PAIRS, np.random.default_rng([seed, 71]))
    mine = Trials(verdict.source[part] >= at, people[part], people[part])
    strange = Trials(verdict.strangers[i, j] >= at, people[i], people[j])
    some = len(i) > 0
    return GroupSuccess(
        label,
        tally(mine.events, mine.made, mine.shown),
        excess(mine, strange) if some else None,
        excess(mine, strange, level) if some else None,
    )


def _widest(rates: Sequence[GroupSuccess]) -> tuple[Estimate | None, str, str]:
    """The two groups whose difference has the highest lower bound."""
    best: tuple[Estimate | None, str, str] = (None, "", "")
    low = -np.inf
    for a in rates:
        for b in rates:
            if a is b or a.sure is None or b.sure is None or a.sure.value < b.sure.value:
                continue
            gap = group_gap(a.sure, b.sure)
            if gap.interval is not None and gap.interval.low > low:
                best, low = (gap, a.group, b.group), gap.interval.low
    return best
