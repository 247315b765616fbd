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
from fraudit.stats.folds import fold_accuracy
from fraudit.stats.intervals import (
    Difference,
    PairClusters,
    Shares,
    paired_difference,
    require_people,
    stated_design,
    t_value,
    z_value,
)
from fraudit.stats.operating import ScoredPairs
from fraudit.types import Interval

Curve = Literal["eer", "auc", "d_prime"]


def at_level(value: float, found: Interval, level: float) -> Interval:
    """An interval of another level from one whose figures are no longer at hand.

    Each half is stretched by the ratio of normal quantiles: exact for a normal estimate, too narrow by up to a tenth
    where few people stand behind it and `level` is far above the one that was stored.
    """
    if level == found.level:
        return found
    factor = z_value(level) / z_value(found.level)
    low, high = value - factor * (value - found.low), value + factor * (found.high - value)
    return Interval(low, high, level, found.method)


def independent_difference(
    first: float,
    first_interval: Interval,
    second: float,
    second_interval: Interval,
    level: float | None = None,
) -> Difference:
    """Difference of two figures from their own intervals (MOVER), asymmetry kept.

    Args:
        level: of the difference; by default the lower one of both intervals.
    """
    value = second - first
    wanted = min(first_interval.level, second_interval.level) if level is None else level
    a, b = at_level(first, first_interval, wanted), at_level(second, second_interval, wanted)
    low = value - float(np.hypot(max(second - b.low, 0.0), max(a.high - first, 0.0)))
    high = value + float(np.hypot(max(b.high - second, 0.0), max(first - a.low, 0.0)))
    return Difference(value, Interval(low, high, wanted, "from both intervals as if independent (MOVER)"))


def widened(difference: Difference, variance: float, what: str, freedom: float | None = None) -> Difference:
    """The same difference with a further, independent variance in its interval (`freedom` degrees; None: known)."""
    found = difference.interval
    extra = (z_value(found.level) if freedom is None else t_value(found.level, freedom)) ** 2 * variance
    low = difference.value - float(np.hypot(difference.value - found.low, np.sqrt(extra)))
    high = difference.value + float(np.hypot(found.high - difference.value, np.sqrt(extra)))
    return Difference(difference.value, Interval(low, high, found.level, f"{found.method}, {what}"))


def rate_difference(
    first: ArrayLike,
    second: ArrayLike,
    left: ArrayLike,
    right: ArrayLike,
    first_tail: ArrayLike | None = None,
    second_tail: ArrayLike | None = None,
    level: float = 0.95,
) -> Difference:
    """Paired difference of two rates, each at its own threshold.

    Args:
        first, second: bool[P] events. left, right: i64[P] people.
        first_tail, second_tail: f64[S], what each calibration person adds to the rate's error through the threshold
            that was chosen on it (`threshold_tail`); these people are not among those of the pairs.
    """
    found = with_tails(paired_difference(first, second, left, right, level), first_tail, second_tail)
    a, b = np.asarray(first, bool), np.asarray(second, bool)
    if (
        not (b & ~a).any() and (a & ~b).any()
    ):  # fewer errors never leave more doubt than the same errors would
        same = with_tails(paired_difference(a, a, left, right, level), first_tail, second_tail).interval.high
        ci = found.interval
        found = Difference(
            found.value, Interval(ci.low, max(min(ci.high, same), found.value), level, ci.method)
        )
    return found


def with_tails(found: Difference, first_tail: ArrayLike | None, second_tail: ArrayLike | None) -> Difference:
    """`found` with the uncertainty of both thresholds (`threshold_tail`s f64[S] of the same people; None: none)."""
    if first_tail is None or second_tail is None:
        return found
    a, b = np.asarray(first_tail, np.float64), np.asarray(second_tail, np.float64)
    if a.shape != b.shape:
        raise InsufficientData(f"thresholds of different people: {len(a)} and {len(b)}")
    return widened(found, float((b - a) @ (b - a)), "thresholds included", carrying(b - a))


def carrying(sums: ArrayLike) -> float:
    """How many people carry a variance, (sum x^2)^2 / sum x^4 of their f64[S] sums, at least 1: its freedom."""
    squares = np.square(np.asarray(sums, np.float64))
    return max(1.0, float(squares.sum() ** 2 / (squares @ squares))) if squares.any() else 1.0


def sums_difference(
    first: float,
    second: float,
    first_sums: ArrayLike,
    second_sums: ArrayLike,
    n: int,
    level: float = 0.95,
    pairs: ArrayLike | None = None,
) -> Difference:
    """Paired difference of two rates over all pairs of some people.

    Args:
        first_sums, second_sums: f64[S], each person's summed residuals over n, so that a rate's variance is at most
            their sum of squares (Fogliato et al., arXiv 2306.01198; see `fraudit.stats.groups`).
        n: pairs. pairs: f64[S], pairs that involve each person; None: as many for everyone.

    Student's t and the small-sample correction of `fraudit.stats.intervals.Shares`. Half a discordant pair is added
    in each direction (Agresti and Min), at the design effect that is stated where nothing was seen.

    Raises:
        InsufficientData: other people, or too few.
    """
    a, b = np.asarray(first_sums, np.float64), np.asarray(second_sums, np.float64)
    if a.shape != b.shape:
        raise InsufficientData(f"rates over different people: {len(a)} and {len(b)}")
    of = np.ones(len(a)) if pairs is None else np.asarray(pairs, np.float64)
    use = of > 0
    shares = Shares.of(of[use])
    require_people(shares)
    value = second - first
    away = (b - a)[use]
    per_pair = max(1.0, 2 * n / max(len(away) * (len(away) - 1), 1))  # pairs of two people, on average
    spread = float((away**2 / shares.expected).sum()) + (stated_design([per_pair]) / n) ** 2
    freedom = max(1.0, min(shares.freedom, 3 * carrying(away))) if away.any() else shares.freedom
    half = t_value(level, freedom) * float(np.sqrt(spread))
    method = f"paired, identity-clustered, {len(away):,} people, t {freedom:.0f}"
    return Difference(value, Interval(value - half, value + half, level, method))


def accuracy_difference(
    first: ArrayLike,
    second: ArrayLike,
    same: ArrayLike,
    fold: ArrayLike,
    left: ArrayLike,
    right: ArrayLike,
    level: float = 0.95,
) -> Difference:
    """Paired difference of the accuracy over folds, each model's fold thresholds included.

    Args:
        first, second: f64[P] scores (NaN: none). same: bool[P]. fold: i64[P]. left, right: i64[P] people.

    What the choice of thresholds adds is a jackknife over folds: both accuracies over all pairs at the thresholds
    that were chosen without one fold after the other.

    Raises:
        InsufficientData: fewer than two folds, or too few people.
    """
    truth = np.asarray(same, bool)
    models = [fold_accuracy(scores, truth, fold) for scores in (first, second)]
    found = paired_difference(models[0].correct, models[1].correct, left, right, level)
    at = []
    for model, scores in zip(models, (first, second), strict=True):
        known = np.nan_to_num(np.asarray(scores, np.float64), nan=-np.inf)
        at.append([float(((known >= t) == truth).mean()) for t in model.thresholds])
    away = np.subtract(at[1], at[0])
    folds = len(away)
    variance = float((folds - 1) / folds * np.square(away - away.mean()).sum())
    return widened(found, variance, "thresholds included", float(folds - 1))


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
    first.clusters.require()
    influence = influences[1] - influences[0]
    variance = first.clusters.sum_variance(influence)
    if figure == "eer":  # as tar_difference: never below half a discordant pair in each direction
        n = int(min(first.same.sum(), PairClusters(first.left, first.right).n_independent))
        variance = max(variance, 1.0 / (n + 2) ** 2)
    freedom = first.clusters.freedom(influence)
    half = t_value(level, freedom) * float(np.sqrt(variance))
    method = f"paired, identity-clustered (linearised), t {freedom:.0f}"
    return Difference(value, Interval(value - half, value + half, level, method))
