"""How certain a threshold is, and what that means for a rate at it.

A threshold that was chosen on some people is an estimate. Its interval turns that of the FMR around: the thresholds at
which the FMR of these people is at the ends of its own interval. A rate judged on other people takes both into
account by MOVER (Zou and Donner, Statistics in Medicine 27, 2008), asymmetry kept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fraudit.errors import InsufficientData
from fraudit.stats import verification as v
from fraudit.stats.calibration import Calibration
from fraudit.stats.intervals import (
    FEW,
    PairClusters,
    Shares,
    clopper_pearson,
    require_people,
    t_value,
    wide_words,
    z_value,
)
from fraudit.stats.operating import ScoredPairs, all_pairs_fmr
from fraudit.types import Bool, Interval

THRESHOLD_PEOPLE = 12.0  # effective people (Kish) below which a threshold has no interval


def calibration_fmr(found: Calibration, threshold: float, level: float = 0.95) -> Interval:
    """Interval of the FMR at `threshold` over the pairs of the calibration people.

    Raises:
        InsufficientData: too few people.
    """
    if found.left is not None and found.right is not None:
        return PairClusters(found.left, found.right).rate_interval(found.impostor >= threshold, level)
    return all_pairs_fmr(found.unit, found.people, threshold, level=level)[2]


def enough_for_threshold(people: ArrayLike) -> tuple[bool, str]:
    """(whether faces of i64[M] `people` give a threshold an interval, why not).

    Among ten people there is often no pair of relatives, or of people who look alike, so that the threshold comes
    out too low more often than its interval says (84 % instead of 95 % covered, `benchmarks/results/power.md`).
    """
    shares = Shares.of(np.unique(np.asarray(people), return_counts=True)[1])
    if shares.people >= THRESHOLD_PEOPLE:
        return True, ""
    return False, (
        f"the threshold was chosen on {len(shares.weight)} people, {shares.people:.1f} effective; its interval needs "
        f"{THRESHOLD_PEOPLE:.0f}"
    )


def threshold_interval(impostor: ArrayLike, fmr: Interval, method: str = "") -> Interval:
    """Thresholds at which the share of f64[P] `impostor` scores is at the ends of the interval `fmr`."""
    scores = np.asarray(impostor, np.float64)
    scores = v.ascending(scores[~np.isnan(scores)])
    low, high = (float(v.fmr_threshold(scores, max(end, 0.5 / len(scores)))) for end in (fmr.high, fmr.low))
    return Interval(low, high, fmr.level, method or f"FMR interval turned around ({fmr.method})")


def with_threshold(rate: Interval, value: float, at_low: float, at_high: float, words: str = "") -> Interval:
    """Interval of a rate that also holds for the choice of the threshold on other people.

    Args:
        rate: interval of `value` at the threshold as it is. at_low, at_high: the rate at both ends of the threshold's.
        words: put to the method, such as `wide_words`.
    """
    ends = sorted((at_low, value, at_high))
    low = value - float(np.hypot(value - rate.low, value - ends[0]))
    high = value + float(np.hypot(rate.high - value, ends[2] - value))
    method = f"{rate.method}; with the threshold's interval (MOVER){'' if rate.wide else words}"
    return Interval(max(0.0, low), min(1.0, high), rate.level, method)


def person_rate(events: Bool, people: ArrayLike, level: float = 0.95) -> tuple[float, Interval]:
    """(mean over people of each one's share of bool[P] events, interval): every person weighs the same.

    Clopper and Pearson at the number of people that would give the variance among people, fewer by (z / t)^2 and,
    where few people have an event, drawn towards the number of people there are.

    Raises:
        InsufficientData: too few people.
    """
    value, rates = person_mean(events, people)
    count = len(rates)
    require_people(Shares.of(np.ones(count)))
    spread = value * (1 - value)
    measured = float(rates.var(ddof=1)) / spread if spread > 0 else 1.0
    differ = min((rates > 0).sum(), (rates < 1).sum())
    design = max(measured, (differ * measured + FEW) / (differ + FEW))
    shrink = (z_value(level) / t_value(level, count - 1)) ** 2
    used = count / design * shrink
    method = (
        f"Clopper-Pearson, {count:,} people of equal weight, effective n {count / design:,.0f}, t {count - 1}"
    ) + wide_words("rate a person", count - 1)
    found = clopper_pearson(value * used, used, level, method)
    # Errors never leave less doubt than none among as many people, nor the lack of them less than errors alone.
    none, all_of_them = (clopper_pearson(share * count * shrink, count * shrink, level) for share in (0, 1))
    low, high = min(found.low, all_of_them.low), max(found.high, none.high)
    return value, Interval(low, high, level, method)


def person_mean(events: Bool, people: ArrayLike) -> tuple[float, np.ndarray]:
    """(mean, f64[S] each person's share of bool[P] events)."""
    codes = np.unique(np.asarray(people), return_inverse=True)[1].ravel()
    if not len(codes):
        raise InsufficientData("no pair of any person")
    rates = np.bincount(codes, weights=events) / np.bincount(codes)
    return float(rates.mean()), rates


def eer_threshold_interval(pairs: ScoredPairs, found: v.Eer, level: float = 0.95) -> Interval:
    """Thresholds at which FNMR and FMR differ by no more than chance explains at the EER's threshold.

    Where few errors happen to be seen the threshold comes out too high, and the variance of so few errors too small. So
    the difference may be off by what the intervals of both rates leave to either side (MOVER; Zou and Donner 2008), and
    by no less than what its own variance leaves.

    Raises:
        InsufficientData: too few people.
    """
    use, accept = pairs.scored, pairs.scores >= found.threshold
    influence, reach = np.zeros(len(accept)), [0.0, 0.0]
    for part, wrong, side in ((pairs.same & use, ~accept, 1), (~pairs.same & use, accept, -1)):
        hit = wrong[part].astype(np.float64)
        influence[part] = side * (hit - hit.mean()) / part.sum()
        rate = PairClusters(pairs.left[part], pairs.right[part]).rate_interval(wrong[part], level)
        ends = (rate.high - hit.mean(), hit.mean() - rate.low)[::side]
        reach = [float(np.hypot(one, end)) for one, end in zip(reach, ends, strict=True)]
    spread = t_value(level, pairs.clusters.freedom(influence)) * np.sqrt(
        pairs.clusters.sum_variance(influence)
    )
    more, less = (max(one, float(spread)) for one in reach)
    points = v.roc_points(pairs.genuine, pairs.impostor)
    gap = points.fnmr - points.fmr
    low = int(np.argmax(gap >= -more))
    high = int(np.argmax(gap > less)) if (gap > less).any() else len(gap) - 1
    return Interval(
        min(float(points.thresholds[low]), found.threshold),
        max(float(points.thresholds[high]), found.threshold),
        level,
        "difference of FNMR and FMR turned around, identity-clustered",
    )
