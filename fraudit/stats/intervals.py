"""Confidence intervals for rates and means of pairs that share people.

Two pairs are dependent when they share a person, and few people may carry most pairs. Four parts, in this order
(docs/statistics.md has them in words):

1. Variance. The plug-in estimator of Fogliato et al., "Confidence Intervals for Error Rates in 1:1 Matching
   Tasks" (arXiv 2306.01198): with r_e the summed residuals of identity pair e,

       Var = (sum_e r_e^2 + max(sum_{e != e' sharing a person} r_e r_e', 0)) / P^2.

   A person with a large share of the pairs pulls the mean towards itself; its residual is divided by the square
   root of what is expected of it when people differ alone (Bell and McCaffrey, Survey Methodology 28, 2002).
2. Quantile. Student's t with Satterthwaite's degrees of freedom of that variance, from the shares alone.
3. Few events. Where few people err, nothing can be learnt of how errors cluster; the design effect is then
   drawn towards a stated one (`FEW`, `CORRELATION`). So no error never gives a wider bound than one error.
4. Rates. Clopper and Pearson's interval at the effective number of pairs (Korn and Graubard, Survey Methodology
   24, 1998), which holds for rates near 0 and 1.

Where fewer than `LEAST_PEOPLE` effective people carry the pairs there is no interval, but a reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from fraudit.errors import InsufficientData
from fraudit.types import AT_LEAST, F64, I64, Interval

LEAST_PEOPLE = 8.0  # effective people (Kish) below which no interval is printed
FEW = 2.0  # the stated design effect weighs as much as this many people with an error
CORRELATION = 0.3  # of the errors of one person's pictures, in the stated design effect

# Degrees of freedom below which the interval of a figure at 95 % covered more than 98 % of the hard worlds
# (benchmarks/results/power.md, "At least this certain"). Figures that are not named never did.
WIDE_BELOW = {"rate": 10.0, "rate, choice included": 30.0, "rate a person": 40.0, "TAR": 25.0, "AUC": 150.0}


def wide_words(figure: str, freedom: float) -> str:
    """`, at least this certain` where an interval with so many degrees of freedom is known to be too wide, or ''."""
    return f", {AT_LEAST}" if freedom < WIDE_BELOW.get(figure, 0.0) else ""


def z_value(level: float) -> float:
    """Two-sided standard normal quantile: 1.96 at 0.95."""
    return float(special.ndtri(0.5 + level / 2))


def t_value(level: float, freedom: float) -> float:
    """Two-sided quantile of Student's t with `freedom` > 0 degrees of freedom (need not be whole)."""
    return float(special.stdtrit(freedom, 0.5 + level / 2))


def rule_of_three(n: float, level: float = 0.95) -> float:
    """Upper bound of a rate after 0 events in n independent trials: -ln(1 - level) / n, about 3 / n."""
    return min(1.0, -float(np.log1p(-level)) / n) if n > 0 else 1.0


def interval_or_reason(make: Callable[[], Interval]) -> tuple[Interval | None, str]:
    """(interval, '') or (None, why there is none), for `Metric.interval` and `Metric.interval_missing`."""
    try:
        return make(), ""
    except InsufficientData as error:
        return None, error.message


def clopper_pearson(events: float, n: float, level: float = 0.95, method: str = "") -> Interval:
    """Exact binomial interval of `events` in n independent trials; both may be effective, not whole, numbers."""
    if n <= 0:
        raise InsufficientData("an interval needs at least one trial; found none")
    tail = (1 - level) / 2
    low = 0.0 if events <= 0 else float(special.betaincinv(events, n - events + 1, tail))
    high = 1.0 if events >= n else float(special.betaincinv(events + 1, n - events, 1 - tail))
    return Interval(low, high, level, method or f"Clopper-Pearson, {n:,.0f} independent pairs")


@dataclass(frozen=True, slots=True)
class Shares:
    """How pairs are spread over people, for the small-sample corrections.

    Attributes:
        weight: f64[K], each person's share of the pairs; sums to 1.
        expected: f64[K], mean square of a person's residual over its variance when people differ alone.
    """

    weight: F64
    expected: F64

    @classmethod
    def of(cls, pairs: ArrayLike) -> Shares:
        """From f64[K] numbers of pairs (or faces) each person is in; zeros are left out by the caller."""
        w = np.asarray(pairs, np.float64)
        total = w.sum()
        w = w / total if total > 0 else w
        # residual_i = n_i (e_i - sum_j w_j e_j), so E residual_i^2 = n_i^2 s^2 (1 - 2 w_i + sum w^2).
        return cls(w, np.maximum(1 - 2 * w + float(w @ w), 1e-9))

    @property
    def people(self) -> float:
        """Kish's effective number of people: 1 / sum w^2."""
        square = float(self.weight @ self.weight)
        return 1 / square if square > 0 else 0.0

    @property
    def freedom(self) -> float:
        """Satterthwaite's degrees of freedom of the corrected variance when people differ alone.

        The variance is the quadratic form M = (I - 1 w')' D (I - 1 w') with D = diag(w^2 / expected) of people's
        deviations; freedom = (tr M)^2 / tr M^2, both in closed form.
        """
        w = self.weight
        if self.people <= 1.0001:
            return 1.0
        d = w * w / self.expected
        s2, s, wd, dd = float(w @ w), float(d.sum()), float(w @ d), float(d @ d)
        square = (
            dd
            + 2 * (s2 * dd + wd**2)
            + s**2 * s2**2
            - 4 * float(d * d @ w)
            + 2 * s * float(d @ (w * w))
            - 4 * s * s2 * wd
        )
        return max(1.0, s2**2 / square) if square > 0 else 1.0


def require_people(shares: Shares) -> None:
    """Refuse an interval where too few people carry the pairs.

    Raises:
        InsufficientData: fewer than `LEAST_PEOPLE` effective people.
    """
    if shares.people < LEAST_PEOPLE:
        raise InsufficientData(
            f"too few people for an interval: {len(shares.weight)} in all, {shares.people:.1f} effective by their "
            f"shares of the pairs; at least {LEAST_PEOPLE:.0f} are needed"
        )


def effective_interval(
    rate: float,
    n: float,
    design: float,
    freedom: float,
    level: float = 0.95,
    what: str = "",
    stated: float = 1.0,
    figure: str = "",
) -> Interval:
    """Korn and Graubard's interval: Clopper-Pearson at n / design pairs, fewer by (z / t)^2.

    Args:
        rate: in [0, 1]. n: pairs. design: design effect, >= 1. freedom: degrees of freedom of its variance.
        what: words put into the method after `identity-clustered`.
        stated: design effect without evidence. The upper bound is never below that of no error at it, and the
            lower one never above that of nothing but errors: a bound never falls where errors are added.
        figure: its name in `WIDE_BELOW`, which decides whether the method says `at least this certain`.
    """
    n_eff = n / max(design, 1.0)
    shrink = (z_value(level) / t_value(level, freedom)) ** 2
    method = f"Clopper-Pearson, identity-clustered{what}, effective n {n_eff:,.0f} of {n:,.0f} pairs, t {freedom:.0f}"
    method += wide_words(figure, freedom)
    found = clopper_pearson(rate * n_eff * shrink, n_eff * shrink, level, method)
    none = clopper_pearson(0, n / max(stated, 1.0) * shrink, level).high
    return Interval(min(found.low, max(0.0, 1 - none)), max(found.high, min(1.0, none)), level, method)


def steady_design(measured: float, erring: float, stated: float) -> float:
    """Design effect where few people err: the measured one, or drawn towards the stated one if that is larger.

    Args:
        measured: from the clustered variance. erring: people (or identity pairs) with an error, or without one,
            whichever are fewer. stated: from `Shares`' sizes and `CORRELATION`.
    """
    return max(1.0, measured, (erring * measured + FEW * stated) / (erring + FEW))


def stated_design(sizes: ArrayLike) -> float:
    """Design effect that is taken without evidence: 1 + CORRELATION (sqrt(pairs of a pair's own cluster) - 1).

    Args:
        sizes: pairs of each identity pair. A person with c pictures has about c^2 / 2 pairs but no more than c
            independent sources of error, hence the root.
    """
    n = np.asarray(sizes, np.float64)
    total = n.sum()
    return 1 + CORRELATION * (max(1.0, float(np.sqrt(n @ n / total))) - 1) if total > 0 else 1.0


def numbered(values: ArrayLike) -> tuple[NDArray[Any], I64]:
    """What np.unique(values [N], return_inverse=True) gives; whole numbers that lie close are counted, not sorted."""
    v = np.asarray(values).ravel()
    low, span = (int(v.min()), int(v.max()) - int(v.min()) + 1) if v.dtype.kind in "iu" and len(v) else (0, 0)
    if not 0 < span <= 4 * len(v) + 1024 or abs(low) > 2**62:
        known, codes = np.unique(v, return_inverse=True)
        return known, codes.ravel().astype(np.int64)
    at = v.astype(np.int64) - low
    there = np.zeros(span, bool)
    there[at] = True
    place = np.cumsum(there) - 1
    return (np.flatnonzero(there) + low).astype(v.dtype), place[at]


class PairClusters:
    """Who shares a person with whom, prepared once for many variances over the same pairs.

    Args:
        left, right: i64[P], subject of each side; equal for a genuine pair (or for a single face).
    """

    def __init__(self, left: ArrayLike, right: ArrayLike) -> None:
        both = np.concatenate([np.asarray(left).ravel(), np.asarray(right).ravel()])
        known, codes = numbered(both)
        codes = codes.reshape(2, -1)
        low, high = np.minimum(*codes), np.maximum(*codes)
        self.n_pairs = codes.shape[1]
        self.n_subjects = len(known)
        edges, self._edge = numbered(low * len(known) + high)
        self._low, self._high = edges // max(len(known), 1), edges % max(len(known), 1)
        self._impostor = self._low != self._high
        self._size: F64 = np.bincount(self._edge, minlength=len(edges)).astype(np.float64)
        own, cross = self._per_person(self._size)
        self._own, self._cross = Shares.of(own), Shares.of(cross)
        self._freedoms = (self._own.freedom, self._cross.freedom)  # read often: once a threshold of a curve
        self._stated = stated_design(self._size)

    def _per_person(self, edge_values: F64) -> tuple[F64, F64]:
        """f64[K] sums over each person's genuine pairs, and over its impostor pairs, of f64[E] edge values."""
        g, i = ~self._impostor, self._impostor
        own = np.bincount(self._low[g], weights=edge_values[g], minlength=self.n_subjects)
        cross = np.bincount(self._low[i], weights=edge_values[i], minlength=self.n_subjects)
        cross += np.bincount(self._high[i], weights=edge_values[i], minlength=self.n_subjects)
        return own.astype(np.float64), cross.astype(np.float64)

    def _present(self) -> list[Shares]:
        return [s for s in (self._own, self._cross) if s.weight.any()]

    @property
    def n_independent(self) -> int:
        """Subjects, or pairs where those are fewer."""
        return min(self.n_subjects, self.n_pairs)

    def require(self) -> None:
        """Raise InsufficientData, with the reason, where too few people carry the pairs."""
        if self.n_pairs == 0:
            raise InsufficientData("an interval needs at least one pair; found none")
        fewest = min(self._present(), key=lambda s: s.people)
        require_people(Shares(fewest.weight[fewest.weight > 0], fewest.expected[fewest.weight > 0]))

    def freedom(self, residuals: ArrayLike | None = None) -> float:
        """Degrees of freedom: of the only kind of pairs, or combined (Welch) by the variances of f64[P] residuals."""
        known = [f for f, s in zip(self._freedoms, (self._own, self._cross), strict=True) if s.weight.any()]
        if len(known) == 1 or residuals is None:
            return min(known)
        y = self._sums(residuals)
        parts = [self._variance(np.where(self._impostor == kind, y, 0.0)) for kind in (False, True)]
        square = sum(v**2 / f for v, f in zip(parts, self._freedoms, strict=True))
        return float(sum(parts) ** 2 / square) if square > 0 else min(known)

    def _sums(self, values: ArrayLike) -> F64:
        found = np.bincount(self._edge, weights=np.asarray(values, np.float64), minlength=len(self._low))
        return found.astype(np.float64)

    def _variance(self, y: F64, corrected: bool = True) -> float:
        own_expected, cross_expected = (
            s.expected if corrected else np.ones(self.n_subjects) for s in (self._own, self._cross)
        )
        own, cross = self._per_person(y)
        per_person = own / np.sqrt(own_expected) + cross / np.sqrt(cross_expected)
        i = self._impostor
        genuine = float((y[~i] ** 2 / own_expected[self._low[~i]]).sum())
        impostor = float((y[i] ** 2).sum())
        # Squaring a person's sum holds each identity pair's own square too: a genuine one once, an impostor twice.
        twice = 1 / cross_expected[self._low[i]] + 1 / cross_expected[self._high[i]]
        shared = float(per_person @ per_person) - genuine - float((y[i] ** 2 * twice).sum())
        return genuine + impostor + max(shared, 0.0)

    def sum_variance(self, residuals: ArrayLike, corrected: bool = True) -> float:
        """Variance of the sum of f64[P] centred residuals: the double sum over pairs that share a person.

        `corrected` divides each person's residuals by the root of what is expected of them (`Shares.expected`), and
        takes the even variance of genuine pairs where that is larger.
        """
        y = self._sums(residuals)
        found = self._variance(y, corrected)
        return found + self._even_excess(y, np.asarray(residuals, np.float64)) if corrected else found

    def mean_variance(self, values: ArrayLike, corrected: bool = True) -> float:
        """Variance of the mean of f64[P] values."""
        v = np.asarray(values, np.float64)
        return self.sum_variance(v - v.mean(), corrected) / len(v) ** 2

    def _even_excess(self, y: F64, residuals: F64) -> float:
        """By how much the variance of the genuine pairs is larger where people of many pairs weigh less in it.

        Large people decide both the sum and the plain estimate of its variance, which is then too small when they
        happen to err little. Here the covariance within a person is averaged with weights pairs^(-1/2).
        """
        genuine = ~self._impostor
        if not genuine.any():
            return 0.0
        n, sums = self._size[genuine], y[genuine]
        own = np.bincount(self._edge, weights=residuals**2, minlength=len(self._size))[genuine]
        several = n > 1
        weight = 1 / np.sqrt(np.maximum(n - 1, 1))
        norm = float((weight * n * (n - 1))[several].sum())
        within = float((weight * (sums**2 - own))[several].sum()) / norm if norm > 0 else 0.0
        even = float(own.sum()) + max(within, 0.0) * float((n * (n - 1)).sum())
        return max(0.0, even - float((sums**2 / self._own.expected[self._low[genuine]]).sum()))

    def effective_n(self, values: ArrayLike) -> float:
        """Independent pairs that would give the same variance of the mean of f64[P] values: P / design effect."""
        return self.n_pairs / self.design(values)

    def design(self, values: ArrayLike) -> float:
        """Design effect of the mean of f64[P] values (events, or differences of events), at least 1.

        Where few people have a value that differs from the usual one it is drawn towards `stated_design`.
        """
        v = np.asarray(values, np.float64)
        spread = float(v.var())
        measured = max(1.0, self.mean_variance(v) * self.n_pairs / spread) if spread > 0 else 1.0
        usual = np.round(v.mean()) if v.min() >= 0 else 0.0  # of events their majority, of differences none
        differing = self._sums(v != usual)
        erring = min(float((differing > 0).sum()), float((differing < self._size).sum()))
        return steady_design(measured, erring, self._stated)

    def rate_interval(self, events: ArrayLike, level: float = 0.95) -> Interval:
        """Interval of the share of bool[P] events (`effective_interval`).

        Raises:
            InsufficientData: no pair, or too few people carry them.
        """
        e = np.asarray(events, bool)
        self.require()
        rate = float(e.mean())
        freedom = self.freedom(e - rate)
        return effective_interval(rate, len(e), self.design(e), freedom, level, "", self._stated, "rate")


def clustered_rate(events: ArrayLike, left: ArrayLike, right: ArrayLike, level: float = 0.95) -> Interval:
    """Interval of the share of bool[P] events over pairs of subjects `left`, `right` i64[P]."""
    return PairClusters(left, right).rate_interval(events, level)


def clustered_mean(values: ArrayLike, clusters: ArrayLike, level: float = 0.95) -> Interval:
    """Interval of the mean of f64[N] values of faces clustered by subject: corrected variance, t quantile.

    Raises:
        InsufficientData: too few people carry the faces.
    """
    v = np.asarray(values, np.float64)
    people = PairClusters(clusters, clusters)
    people.require()
    freedom = people.freedom()
    half = t_value(level, freedom) * float(np.sqrt(people.mean_variance(v)))
    mean = float(v.mean())
    return Interval(
        mean - half,
        mean + half,
        level,
        f"t {freedom:.0f} on {people.n_subjects} subjects, identity-clustered",
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """Second minus first, with its interval; `excludes_zero` tells whether the interval does."""

    value: float
    interval: Interval

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.interval.low > 0 or self.interval.high < 0


def paired_difference(
    first: ArrayLike, second: ArrayLike, left: ArrayLike, right: ArrayLike, level: float = 0.95
) -> Difference:
    """Difference of two rates (second - first) over the same pairs, identity-clustered.

    Args:
        first, second: bool[P] events of the two models on the same pairs.
        left, right: i64[P] subjects.

    Wald on the discordant pairs with half a pair added to each of the four cells (Agresti and Min, Biometrics
    61, 2005), pairs divided by the design effect, Student's t. Never beyond what the first rate leaves room for.

    Raises:
        InsufficientData: not the same pairs, or too few people carry them.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape or not len(a):
        raise InsufficientData(f"paired rates need the same pairs twice; found {len(a)} and {len(b)}")
    d = b - a
    clusters = PairClusters(left, right)
    clusters.require()
    n_eff, freedom = clusters.effective_n(d), clusters.freedom(d - d.mean())
    up, down = float((d > 0).mean()) * n_eff + 0.5, float((d < 0).mean()) * n_eff + 0.5
    total = n_eff + 2
    centre = (up - down) / total
    half = t_value(level, freedom) * np.sqrt(max((up + down) - (up - down) ** 2 / total, 0.0)) / total
    value, base = float(d.mean()), clusters.rate_interval(a, level)
    method = f"paired, identity-clustered (Agresti-Min), effective n {n_eff:,.0f} of {len(d):,} pairs, t {freedom:.0f}"
    low = max(min(value, centre - half), -base.high)
    high = min(max(value, centre + half), 1 - base.low)
    return Difference(value, Interval(float(low), float(high), level, method))
