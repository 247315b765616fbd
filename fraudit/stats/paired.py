"""Differences of two models, second minus first, each with an interval.

Where both models were measured on the same pairs, the difference is paired: errors that both make cancel. Where only
two intervals are known, they are combined as if independent (MOVER: Zou and Donner, Statistics in Medicine 27,
2008); on the same faces this is wider than needed, since what is hard for one model is mostly hard for the other.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fraudit.errors import InsufficientData
from fraudit.stats import verification as v
from fraudit.stats.intervals import Difference, PairClusters, paired_difference, rule_of_three, z_value
from fraudit.stats.operating import ScoredPairs
from fraudit.types import Interval

Curve = Literal["eer", "auc", "d_prime"]


def independent_difference(
    first: float, first_interval: Interval, second: float, second_interval: Interval
) -> Difference:
    """Difference of two figures from their own intervals (MOVER), asymmetry kept."""
    value = second - first
    a, b = first_interval, second_interval
    low = value - float(np.hypot(max(second - b.low, 0.0), max(a.high - first, 0.0)))
    high = value + float(np.hypot(max(b.high - second, 0.0), max(first - a.low, 0.0)))
    level = min(a.level, b.level)
    return Difference(value, Interval(low, high, level, "from both intervals as if independent (MOVER)"))


def widened(difference: Difference, variance: float, what: str) -> Difference:
    """The same difference with a further, independent variance in its interval."""
    found = difference.interval
    extra = z_value(found.level) ** 2 * variance
    low = difference.value - float(np.hypot(difference.value - found.low, np.sqrt(extra)))
    high = difference.value + float(np.hypot(found.high - difference.value, np.sqrt(extra)))
    return Difference(difference.value, Interval(low, high, found.level, f"{found.method}, {what}"))


def rate_difference(
    first: ArrayLike, second: ArrayLike, left: ArrayLike, right: ArrayLike,
    first_tail: ArrayLike | None = None, second_tail: ArrayLike | None = None, level: float = 0.95,
) -> Difference:  # fmt: skip
    """Paired difference of two rates, each at its own threshold.

    Args:
        first, second: bool[P] events. left, right: i64[P] people.
        first_tail, second_tail: f64[S], what each calibration person adds to the rate's error through the threshold
            that was chosen on it (`threshold_tail`); these people are not among those of the pairs.
    """
    return with_tails(paired_rates(first, second, left, right, level), first_tail, second_tail)


def paired_rates(
    first: ArrayLike, second: ArrayLike, left: ArrayLike, right: ArrayLike, level: float = 0.95
) -> Difference:
    """`paired_difference`; without a discordant pair, clustering is taken from the errors both models make.

    Nothing can be learnt of how discordant pairs cluster where there is none. Errors cluster in people at least as
    much as differences do, so their effective n stands in; without any error, the number of people.
    """
    a, b = np.asarray(first, bool), np.asarray(second, bool)
    if a.shape != b.shape or (a != b).any() or not 0 < a.mean() < 1:
        return paired_difference(first, second, left, right, level)
    n_eff = PairClusters(left, right).effective_n(a)
    half = z_value(level) / (n_eff + 2)
    method = (
        f"paired, no discordant pair, effective n {n_eff:.0f} of the errors' {len(a)} pairs (Agresti-Min)"
    )
    return Difference(0.0, Interval(-half, half, level, method))


def with_tails(found: Difference, first_tail: ArrayLike | None, second_tail: ArrayLike | None) -> Difference:
    """`found` with the uncertainty of both thresholds (`threshold_tail`s f64[S] of the same people; None: none)."""
    if first_tail is None or second_tail is None:
        return found
    a, b = np.asarray(first_tail, np.float64), np.asarray(second_tail, np.float64)
    if a.shape != b.shape:
        raise InsufficientData(f"thresholds of different people: {len(a)} and {len(b)}")
    return widened(found, float((b - a) @ (b - a)), "thresholds included")


def sums_difference(
    first: float, second: float, first_sums: ArrayLike, second_sums: ArrayLike, n: int, level: float = 0.95
) -> Difference:
    """Paired difference of two rates over all pairs of some people.

    Args:
        first_sums, second_sums: f64[S], each person's summed residuals over n, so that a rate's variance is at most
            their sum of squares (Fogliato et al., arXiv 2306.01198; see `fraudit.stats.groups`).
        n: pairs.
    """
    a, b = np.asarray(first_sums, np.float64), np.asarray(second_sums, np.float64)
    if a.shape != b.shape:
        raise InsufficientData(f"rates over different people: {len(a)} and {len(b)}")
    value = second - first
    spread = float((b - a) @ (b - a))
    # Equal counts do not prove equal rates: never below one pair, or the rule of three where neither errs.
    same_end = first == second and first in (0.0, 1.0)
    floor = (rule_of_three(min(len(a), n)) / z_value(0.95)) ** 2 if same_end else float(n) ** -2
    half = z_value(level) * float(np.sqrt(max(spread, floor)))
    return Difference(
        value, Interval(value - half, value + half, level, f"paired, identity-clustered, {len(a):,} people")
    )


def curve_difference(
    first: ScoredPairs, second: ScoredPairs, figure: Curve, level: float = 0.95
) -> Difference:
    """Paired difference of EER, AUC or d' on the same pairs, thresholds included.

    Raises:
        InsufficientData: neither class of a model varies (d').
    """
    values, influences = [], []
    for model in (first, second):
        if figure == "eer":
            found = v.eer(model.genuine, model.impostor)
            values.append(found.value)
            influences.append(model.eer_influence(found))
        elif figure == "auc":
            values.append(v.auc(model.genuine, model.impostor))
            influences.append(model.auc_influence())
        else:
            values.append(v.d_prime(model.genuine, model.impostor))
            influences.append(model.d_prime_influence(values[-1]))
    value = float(values[1] - values[0])
    variance = first.clusters.sum_variance(influences[1] - influences[0])
    if figure == "eer":  # as tar_difference: never below half a discordant pair in each direction
        n = int(min(first.same.sum(), PairClusters(first.left, first.right).n_independent))
        variance = max(variance, 1.0 / (n + 2) ** 2)
    half = z_value(level) * float(np.sqrt(variance))
    return Difference(
        value, Interval(value - half, value + half, level, "paired, identity-clustered (linearised)")
    )
