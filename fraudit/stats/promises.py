"""Thresholds with a promise: the lowest one whose upper bound of the FMR (or FPIR) meets the target.

People are halved. On the first half the threshold is chosen: from the strictest one downwards, as long as the
one-sided upper bound of the rate stays at or below the target. On the second half the rate and its cost are measured
once; nothing is chosen there, so that their intervals are those of a given number.

What the promise means: over sets of people drawn as this one was, the true rate at the threshold exceeds the target
in at most 1 - confidence of them. Walking down over many thresholds needs no correction: the true rate falls as the
threshold rises, so to promise too much, the walk must pass the one threshold at which the true rate equals the target,
where the bound fails with probability 1 - confidence (Bates et al., "Distribution-free, risk-controlling prediction
sets", J. ACM 68, 2021, Theorem 1). Several groups need none either: the worst group is one group, fixed though unknown,
and the promise for it fails only where its own bound fails (intersection-union test: Berger, Technometrics 24, 1982).

The bound is that of `fraudit.stats.intervals.effective_interval` with the person-clustered variance, and one thing
stricter: without evidence the pictures of two people count as one comparison. Relatives match in all their pictures,
so a thousand picture pairs of three pairs of people say nothing of an FMR of 1e-3. Without any match the bound is about
3 / (pairs of people): the smallest rate that can be promised. Few pairs of people have very many pictures, and where
none of them matches the rate is low and so is its variance; they are taken to be as alike as smaller pairs
(`Tail.unseen`).

What no bound on a sample can see: a kind of person rarer than about 3 in the people of the choosing half.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fraudit.errors import DataError, UsageError
from fraudit.stats.halves import Half
from fraudit.stats.intervals import (
    PairClusters,
    Shares,
    effective_interval,
    interval_or_reason,
    steady_design,
    t_value,
    z_value,
)
from fraudit.stats.tails import Tail
from fraudit.stats.thresholds import THRESHOLD_PEOPLE
from fraudit.types import Interval

LOWEST_TARGET, HIGHEST_TARGET = 1e-6, 0.5
STEP = 1.1  # by which the number of matches grows from one threshold to the next on the way down


@dataclass(frozen=True, slots=True)
class Measured:
    """A rate at a given threshold.

    Attributes:
        value: in [0, 1]. events, n: trials that match (or are missed), and all. people: who are in them.
        interval: two-sided at the confidence, or None with the reason in `missing`.
        lower, upper: one-sided bounds, each at the confidence; 0 and 1 where there is no interval.
    """

    value: float
    events: int
    n: int
    people: int
    interval: Interval | None
    missing: str
    lower: float
    upper: float


def measured_rate(tail: Tail, threshold: float, confidence: float = 0.95, tests: int = 1) -> Measured:
    """FMR (or FPIR) at a threshold that was chosen on other people.

    Args:
        tests: bounds that have to hold at once (Bonferroni).
    """
    full = tail.reaching(threshold)
    return _measured(full, full.count(threshold), confidence, tests)


def measured_cost(half: Half, threshold: float, confidence: float = 0.95, tests: int = 1) -> Measured | None:
    """FNMR (or FNIR) at a threshold that was chosen on other people; None without a genuine pair."""
    if not len(half.genuine):
        return None
    missed = ~(half.genuine >= threshold)
    clusters = PairClusters(half.people, half.people)
    alpha = (1 - confidence) / tests
    both, missing = interval_or_reason(lambda: clusters.rate_interval(missed, 1 - alpha))
    one = clusters.rate_interval(missed, 1 - 2 * alpha) if both else Interval(0.0, 1.0)
    return Measured(
        float(missed.mean()),
        int(missed.sum()),
        len(missed),
        clusters.n_subjects,
        both,
        missing,
        one.low,
        one.high,
    )


def _enough(tail: Tail) -> str:
    """'' or why nothing can be said: too few people carry the comparisons."""
    people = Shares.of(tail.pairs[tail.pairs > 0]).people
    if people >= THRESHOLD_PEOPLE:
        return ""
    return (
        f"{len(tail.pairs)} people, {people:.1f} effective by their shares of the comparisons; at least "
        f"{THRESHOLD_PEOPLE:.0f} are needed"
    )


def _interval(tail: Tail, count: int, level: float) -> Interval:
    """Two-sided interval of the rate where the `count` highest trials match."""
    sums = tail.sums(count)
    spread, share = sums.spread(), Shares.of(tail.pairs[tail.pairs > 0])
    total, noise = sums.total, spread.unit * sums.total
    variance, even = tail.attraction(count)
    gathered = variance / noise if noise > 0 else 0.0
    stated = min(tail.squares / total, total)
    unseen = tail.unseen(count) / noise if noise > 0 else 0.0
    design = steady_design(spread.design + gathered + unseen, sums.erring / sums.sides, stated)
    freedom = share.freedom
    if gathered > 0:  # Welch and Satterthwaite, over people who search and people who are enrolled
        freedom = max(1.0, design**2 / ((design - gathered) ** 2 / freedom + gathered**2 / even))
    return effective_interval(count / total, total, min(design, total), freedom, level, "", stated)


def _measured(tail: Tail, count: int, confidence: float, tests: int = 1) -> Measured:
    alpha = (1 - confidence) / tests
    missing = _enough(tail)
    both = None if missing else _interval(tail, count, 1 - alpha)
    one = Interval(0.0, 1.0) if missing else _interval(tail, count, 1 - 2 * alpha)
    return Measured(count / tail.n, count, tail.n, len(tail.pairs), both, missing, one.low, one.high)


def upper_bound(tail: Tail, count: int, confidence: float = 0.95) -> float:
    """One-sided upper bound of the rate where the `count` highest trials match."""
    return _interval(tail, count, 2 * confidence - 1).high


def needed_pairs(tail: Tail, target: float, confidence: float = 0.95) -> int:
    """Pairs of other people (or searchers) without a match that would promise `target`, as these people are spread."""
    freedom = Shares.of(tail.pairs[tail.pairs > 0]).freedom
    level = 2 * confidence - 1
    exact = np.log1p(-confidence) / np.log1p(-target) * (t_value(level, freedom) / z_value(level)) ** 2
    return int(np.ceil(exact - 1e-9))


def smallest_promise(tail: Tail, confidence: float = 0.95) -> float:
    """The smallest rate that can be promised: the bound without a match, 1 where too few people carry the trials."""
    return 1.0 if _enough(tail) else upper_bound(tail, 0, confidence)


@dataclass(frozen=True, slots=True)
class Lowest:
    """The lowest threshold that can be promised on one half of the people.

    Attributes:
        threshold: accept at or above it; None with the reason.
        matches, n: of the choosing half at it. bound: one-sided upper bound of the rate there.
        smallest: rate that could be promised at best (the bound without a match).
        needed, there: pairs of people that the target needs, and those there are (Kish); searchers for a FPIR.
    """

    threshold: float | None
    reason: str
    matches: int
    n: int
    bound: float
    smallest: float
    needed: int
    there: int


def lowest_threshold(tail: Tail, target: float, confidence: float = 0.95) -> Lowest:
    """Walk down from the strictest threshold while the upper bound is at or below `target`.

    The number of matches grows by `STEP`; the last stretch is halved. Scores that are equal match together.
    """
    _check(target, confidence)
    there, needed = int(tail.independent), needed_pairs(tail, target, confidence)
    few = _enough(tail)
    if few:
        return Lowest(None, f"not resolvable: {few}", 0, tail.n, 1.0, 1.0, needed, there)
    smallest = smallest_promise(tail, confidence)
    if smallest > target:
        reason = (
            f"not resolvable: {short(target)} needs {_round_up(needed):,} {_unit(tail)}, there are {there:,}; "
            f"the smallest that can be promised is {short(two_digits(smallest))}"
        )
        return Lowest(None, reason, 0, tail.n, smallest, smallest, needed, there)
    most = int(np.floor(target * tail.n * (1 + 1e-12)))
    finite = tail.scores[: min(most + 1, len(tail.scores))]
    finite = finite[np.isfinite(finite)]
    ends = np.flatnonzero(finite[1:] != finite[:-1]) + 1  # numbers of matches that ties allow
    if len(finite) == len(tail.scores):
        ends = np.append(ends, len(finite))
    ends = np.concatenate([[0], ends[ends <= most]]).astype(np.int64)
    passed, at, failed = 0, 0, len(ends)
    while at + 1 < len(ends):
        at = max(at + 1, int(np.searchsorted(ends, STEP * ends[at], "left")))
        at = min(at, len(ends) - 1)
        if upper_bound(tail, int(ends[at]), confidence) > target:
            failed = at
            break
        passed = at
    while failed - passed > 1:
        middle = (passed + failed) // 2
        if upper_bound(tail, int(ends[middle]), confidence) > target:
            failed = middle
        else:
            passed = middle
    matches = int(ends[passed])
    value = tail.scores[matches - 1] if matches else np.nextafter(tail.scores[0], np.inf)
    bound = upper_bound(tail, matches, confidence)
    return Lowest(float(value), "", matches, tail.n, bound, smallest, needed, there)


def _unit(tail: Tail) -> str:
    return "pairs of people" if tail.sides == 2 else "searches of people who are not enrolled"


def short(rate: float) -> str:
    """`0.05`, `1e-4` or `2.5e-4`."""
    return f"{rate:.3g}" if rate >= 0.01 else f"{rate:.1e}".replace(".0e", "e").replace("e-0", "e-")


def _round_up(count: int) -> int:
    """To two digits."""
    step = 10 ** max(len(str(count)) - 2, 0)
    return -(-count // step) * step


def two_digits(rate: float) -> float:
    """Rounded up to two digits, so that it still can be promised."""
    scale = 10.0 ** (np.floor(np.log10(rate)) - 1)
    return float(min(1.0, np.ceil(rate / scale - 1e-9) * scale))


def _check(target: float, confidence: float) -> None:
    if not LOWEST_TARGET * (1 - 1e-9) <= target <= HIGHEST_TARGET:
        raise UsageError(f"a target lies between {LOWEST_TARGET:g} and {HIGHEST_TARGET:g}; found {target:g}")
    if not 0.5 < confidence < 1:
        raise UsageError(f"a confidence lies between 0.5 and 1; found {confidence:g}", "such as 0.95")


@dataclass(frozen=True, slots=True)
class GroupPromise:
    """One group at the common threshold.

    Attributes:
        group: label. own: the lowest threshold that this group alone needs, with its reason where there is none.
        bound: of its rate at the common threshold, on the choosing half; None where there is none.
        rate, cost: on the judged half, bounds that hold for all groups at once; None without such a pair.
        missing: why there is no rate.
    """

    group: str
    own: Lowest | None
    bound: float | None
    rate: Measured | None
    cost: Measured | None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Promise:
    """A threshold with a promise, or the reason why there is none.

    Attributes:
        kind: `fmr` or `fpir`. target, confidence: as asked.
        threshold: accept at or above it; None with `reason`.
        chosen: the threshold for all people together, and the smallest rate that can be promised.
        smallest: rate that could be promised at best, for the worst group where groups are asked for.
        bound: of the rate on people not used, from the choosing half; for the worst group where asked for.
        rate: on the judged half: FMR or FPIR. cost: FNMR or FNIR there; None without genuine pairs.
        verdict: of the judged half: `holds` (its upper bound is at or below the target), `broken` (its lower bound is
            above), `not contradicted`, or '' where nothing could be judged.
        groups: what each pays. worst: the group that decided the threshold, '' for all people.
    """

    kind: str
    target: float
    confidence: float
    threshold: float | None
    reason: str
    chosen: Lowest
    smallest: float
    bound: float | None
    rate: Measured | None
    cost: Measured | None
    verdict: str
    groups: tuple[GroupPromise, ...] = ()
    worst: str = ""

    @property
    def resolvable(self) -> bool:
        """Whether there is a threshold."""
        return self.threshold is not None


def promised_threshold(
    choose: Half, judge: Half, target: float, confidence: float = 0.95, every_group: bool = False
) -> Promise:
    """The lowest threshold whose rate on people not used is at most `target` at `confidence`, and what it costs.

    Args:
        choose, judge: halves of the people; nobody is in both.
        target: FMR (FPIR where the halves hold searches), 1e-6 to 0.5. confidence: one-sided.
        every_group: the bound holds for all people and for each group at once.
    Raises:
        DataError: a person is in both halves. UsageError: target or confidence out of range, or no groups given.
    """
    _check(target, confidence)
    _apart(choose, judge)
    chosen = lowest_threshold(choose.impostor, target, confidence)
    own: dict[str, Lowest] = {}
    if every_group:
        if not choose.groups and not choose.groups_missing:
            raise UsageError("a promise for every group needs the people's groups; none are given")
        own = {
            name: lowest_threshold(part.impostor, target, confidence) for name, part in choose.groups.items()
        }
    every = {"": chosen, **own}
    smallest = (
        1.0 if every_group and choose.groups_missing else max(found.smallest for found in every.values())
    )
    kind = "fmr" if choose.impostor.sides == 2 else "fpir"
    reason = _why_not(every, choose.groups_missing if every_group else {})
    if reason:
        groups = tuple(
            GroupPromise(name, found, None, None, None, found.reason) for name, found in own.items()
        )
        groups += tuple(
            GroupPromise(name, None, None, None, None, why)
            for name, why in choose.groups_missing.items()
            if every_group
        )
        return Promise(kind, target, confidence, None, reason, chosen, smallest, None, None, None, "", groups)
    found = {name: lowest.threshold for name, lowest in every.items() if lowest.threshold is not None}
    worst = max(found, key=found.__getitem__)
    threshold = found[worst]
    bounds = {
        name: _bound_at((choose if not name else choose.groups[name]).impostor, threshold, confidence)
        for name in every
    }
    rate = measured_rate(judge.impostor, threshold, confidence)
    groups = _paid(choose, judge, own, threshold, confidence, bounds) if every_group else ()
    verdict = _verdict([rate, *(g.rate for g in groups if g.rate)], target)
    return Promise(
        kind,
        target,
        confidence,
        threshold,
        "",
        chosen,
        smallest,
        max(bounds.values()),
        rate,
        measured_cost(judge, threshold, confidence),
        verdict,
        groups,
        worst,
    )


def kept_elsewhere(
    half: Half, threshold: float, target: float, confidence: float = 0.95
) -> tuple[Measured, Measured | None, str, dict[str, Measured]]:
    """(rate, cost, verdict, rate of each group) of a threshold from elsewhere on people that had no part in it.

    The verdict is of all people and of every group in `half`, whose bounds hold at once.
    """
    rate = measured_rate(half.impostor, threshold, confidence)
    groups = {
        name: measured_rate(part.impostor, threshold, confidence, len(half.groups))
        for name, part in half.groups.items()
    }
    return (
        rate,
        measured_cost(half, threshold, confidence),
        _verdict([rate, *groups.values()], target),
        groups,
    )


def _apart(choose: Half, judge: Half) -> None:
    first, second = (np.union1d(half.impostor.people, half.people) for half in (choose, judge))
    both = len(np.intersect1d(first, second, assume_unique=True))
    if both:
        raise DataError(
            f"a threshold is judged on other people than it was chosen on; {both} are in both halves",
            "halve the people, not the pictures or pairs",
        )


def _why_not(every: Mapping[str, Lowest], missing: Mapping[str, str]) -> str:
    if not every[""].reason and (missing or any(found.reason for found in every.values())):
        failing = {name: found.reason for name, found in every.items() if found.reason} | dict(missing)
        name, why = next(iter(failing.items()))
        more = f"; and for {len(failing) - 1} more groups" if len(failing) > 1 else ""
        return f"for {name}: {why}{more}"
    return every[""].reason


def _bound_at(tail: Tail, threshold: float, confidence: float) -> float:
    full = tail.reaching(threshold)
    return upper_bound(full, full.count(threshold), confidence)


def _paid(
    choose: Half,
    judge: Half,
    own: Mapping[str, Lowest],
    threshold: float,
    confidence: float,
    bounds: Mapping[str, float],
) -> tuple[GroupPromise, ...]:
    found = []
    for name, lowest in own.items():
        part = judge.groups.get(name)
        if part is None:
            missing = judge.groups_missing.get(name, "nobody of this group is in the judged half")
            found.append(GroupPromise(name, lowest, bounds[name], None, None, missing))
            continue
        rate = measured_rate(part.impostor, threshold, confidence, len(own))
        cost = measured_cost(part, threshold, confidence, len(own))
        found.append(GroupPromise(name, lowest, bounds[name], rate, cost, rate.missing))
    return tuple(found)


def _verdict(rates: list[Measured], target: float) -> str:
    known = [rate for rate in rates if rate.interval is not None]
    if any(rate.lower > target for rate in known):
        return "broken"
    if len(known) < len(rates) or not known:
        return "not contradicted" if known else ""
    return "holds" if all(rate.upper <= target for rate in known) else "not contradicted"
