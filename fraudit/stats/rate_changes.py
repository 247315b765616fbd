"""Differences of two rates over parts of the same pairs: before and after pictures are left out, one bin and another.

Both rates are means of the same events over two sets of pairs that may overlap. Each pair adds one influence value to
the difference, and the variance is the double sum over pairs that share a person (`PairClusters.sum_variance`), so that
what a person adds to both rates cancels. Quantile: Student's t; where few people carry the variance its degrees of
freedom are at most three times their effective number, as for differences of sums (`fraudit.stats.paired`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from fraudit.errors import InsufficientData
from fraudit.stats.intervals import PairClusters, stated_design, t_value
from fraudit.stats.paired import carrying
from fraudit.types import F64, I64, Bool, Interval


@dataclass(frozen=True, slots=True)
class Change:
    """A difference (second minus first) with its test.

    Attributes:
        value: the difference. interval: of it, or None with the reason in `missing`.
        p: two-sided, of no difference, not corrected; 1 where there is no interval.
        n: pairs that the difference rests on. people: that they are of.
    """

    value: float
    interval: Interval | None
    missing: str
    p: float
    n: int
    people: int


def rate_influence(events: ArrayLike, part: ArrayLike) -> tuple[float, F64]:
    """(share of bool[P] events among the pairs of bool[P] `part`, f64[P] what each pair adds to its error).

    Raises:
        InsufficientData: no pair in `part`.
    """
    e, use = np.asarray(events, np.float64), np.asarray(part, bool)
    count = int(use.sum())
    if not count:
        raise InsufficientData("a rate needs at least one pair; found none")
    rate = float(e[use].mean())
    return rate, np.where(use, (e - rate) / count, 0.0)


def influence_change(
    value: float,
    influence: ArrayLike,
    left: ArrayLike,
    right: ArrayLike,
    level: float = 0.95,
    bounds: tuple[float, float] = (-1.0, 1.0),
    clusters: PairClusters | None = None,
) -> Change:
    """The difference `value` whose error is the sum of f64[P] `influence` over pairs of subjects i64[P].

    Half a discordant pair is added in each direction, at the design effect that is stated where nothing was seen, as in
    `paired.sums_difference`.

    Args:
        bounds: that the difference cannot leave. clusters: of `left` and `right`, where they are at hand.
    """
    y = np.asarray(influence, np.float64)
    who = clusters if clusters is not None else PairClusters(left, right)
    value = float(value)
    try:
        who.require()
    except InsufficientData as error:
        return Change(value, None, error.message, 1.0, who.n_pairs, who.n_subjects)
    freedom = who.freedom(y)
    sums = person_influence(y, left, right)
    if sums.any():
        freedom = max(1.0, min(freedom, 3 * carrying(sums)))
    spread = float(np.sqrt(who.sum_variance(y) + _least(left, right, who) ** 2))
    half = t_value(level, freedom) * spread
    method = f"paired, identity-clustered (linearised), {who.n_subjects:,} people, t {freedom:.0f}"
    low, high = max(bounds[0], value - half), min(bounds[1], value + half)
    p = float(2 * special.stdtr(freedom, -abs(value) / spread))
    return Change(
        value, Interval(min(low, value), max(high, value), level, method), "", p, who.n_pairs, who.n_subjects
    )


def _least(left: ArrayLike, right: ArrayLike, who: PairClusters) -> float:
    """Error of a difference in which nothing was seen to differ: stated design effect over pairs."""
    a, b = np.asarray(left).ravel(), np.asarray(right).ravel()
    if (a == b).all():
        sizes = np.unique(a, return_counts=True)[1].astype(np.float64)
    else:  # pairs of two people, on average
        sizes = np.array([max(1.0, 2 * who.n_pairs / max(who.n_subjects * (who.n_subjects - 1), 1))])
    return stated_design(sizes) / who.n_pairs


def person_influence(influence: F64, left: ArrayLike, right: ArrayLike) -> F64:
    """f64[S]: sums over the pairs of each person; a pair of two people adds to both."""
    a, b = np.asarray(left).ravel(), np.asarray(right).ravel()
    codes: I64 = np.unique(np.concatenate([a, b]), return_inverse=True)[1].reshape(2, -1)
    size = int(codes.max()) + 1 if codes.size else 0
    sums = np.bincount(codes[0], influence, size)
    other = a != b
    return np.asarray(sums + np.bincount(codes[1][other], influence[other], size), np.float64)


def rate_change(
    events: ArrayLike,
    first: Bool,
    second: Bool,
    left: ArrayLike,
    right: ArrayLike,
    level: float = 0.95,
    clusters: PairClusters | None = None,
) -> tuple[float, float, Change]:
    """(rate of the first part, of the second, second minus first).

    Args:
        events: bool[P]. first, second: bool[P], which pairs each rate is over; they may overlap.
        left, right: i64[P], subjects.
    Raises:
        InsufficientData: a part without pairs.
    """
    one, a = rate_influence(events, first)
    two, b = rate_influence(events, second)
    used = np.asarray(first, bool) | np.asarray(second, bool)
    if clusters is not None and used.all():
        found = influence_change(two - one, b - a, left, right, level, clusters=clusters)
    else:
        found = influence_change(
            two - one, (b - a)[used], np.asarray(left)[used], np.asarray(right)[used], level
        )
    return one, two, found
