"""Confidence intervals for rates of pairs that share people.

Two pairs are dependent when they share a person. The variance of a mean over pairs is the plug-in estimator
of Fogliato et al., "Confidence Intervals for Error Rates in 1:1 Matching Tasks" (arXiv 2306.01198):
with r_e the summed residuals of identity pair e,

    Var = (sum_e r_e^2 + max(sum_{e != e' sharing a person} r_e r_e', 0)) / P^2,

and the interval is Wilson's with the effective n = p (1 - p) / Var.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from fraudit.errors import InsufficientData
from fraudit.types import Interval


def z_value(level: float) -> float:
    """Two-sided standard normal quantile: 1.96 at 0.95."""
    return float(special.ndtri(0.5 + level / 2))


def rule_of_three(n: float, level: float = 0.95) -> float:
    """Upper bound of a rate after 0 events in n independent trials: -ln(1 - level) / n, about 3 / n."""
    return min(1.0, -float(np.log1p(-level)) / n) if n > 0 else 1.0


def wilson(rate: float, n: float, level: float = 0.95, method: str = "") -> Interval:
    """Wilson's score interval for a rate on n trials (n need not be whole: an effective n)."""
    if n <= 0:
        raise InsufficientData("an interval needs at least one trial; found none")
    z2 = z_value(level) ** 2
    centre = rate + z2 / (2 * n)
    half = np.sqrt(z2 * (rate * (1 - rate) + z2 / (4 * n)) / n)
    low, high = (centre - half) / (1 + z2 / n), (centre + half) / (1 + z2 / n)
    return Interval(
        0.0 if rate == 0 else float(max(0.0, low)),
        1.0 if rate == 1 else float(min(1.0, high)),
        level,
        method or f"Wilson, n {n:.0f}",
    )


def clopper_pearson(events: int, n: int, level: float = 0.95) -> Interval:
    """Exact binomial interval; assumes independent trials."""
    if n <= 0:
        raise InsufficientData("an interval needs at least one trial; found none")
    tail = (1 - level) / 2
    low = 0.0 if events == 0 else float(special.betaincinv(events, n - events + 1, tail))
    high = 1.0 if events == n else float(special.betaincinv(events + 1, n - events, 1 - tail))
    return Interval(low, high, level, f"Clopper-Pearson, {n} independent pairs")


class PairClusters:
    """Who shares a person with whom, prepared once for many variances over the same pairs.

    Args:
        left, right: i64[P], subject of each side; equal for a genuine pair.
    """

    def __init__(self, left: ArrayLike, right: ArrayLike) -> None:
        both = np.concatenate([np.asarray(left).ravel(), np.asarray(right).ravel()])
        known, codes = np.unique(both, return_inverse=True)
        codes = codes.reshape(2, -1).astype(np.int64)
        low, high = codes.min(axis=0), codes.max(axis=0)
        self.n_pairs = codes.shape[1]
        self.n_subjects = len(known)
        edges, self._edge = np.unique(low * len(known) + high, return_inverse=True)
        self._low, self._high = edges // max(len(known), 1), edges % max(len(known), 1)
        self._impostor = self._low != self._high

    @property
    def n_independent(self) -> int:
        """Trials for the rule of three: subjects, or pairs where those are fewer."""
        return min(self.n_subjects, self.n_pairs)

    def sum_variance(self, residuals: ArrayLike) -> float:
        """Variance of the sum of f64[P] centred residuals: the double sum over pairs that share a person."""
        y = np.bincount(self._edge, weights=np.asarray(residuals, np.float64), minlength=len(self._low))
        per_subject = np.bincount(self._low, weights=y, minlength=self.n_subjects)
        per_subject += np.bincount(
            self._high[self._impostor], weights=y[self._impostor], minlength=self.n_subjects
        )
        own = float(y @ y)
        # Squaring a subject's sum counts an impostor identity pair twice (once a side), a genuine one once.
        shared = float(per_subject @ per_subject) - own - float(y[self._impostor] @ y[self._impostor])
        return own + max(shared, 0.0)

    def mean_variance(self, values: ArrayLike) -> float:
        """Variance of the mean of f64[P] values."""
        v = np.asarray(values, np.float64)
        return self.sum_variance(v - v.mean()) / len(v) ** 2

    def effective_n(self, values: ArrayLike) -> float:
        """Independent pairs that would give the same variance of the mean of f64[P] values: var / Var(mean).

        Where the values do not vary, or their sums per subject do not, no variance can be estimated: then the
        number of subjects.
        """
        v = np.asarray(values, np.float64)
        mean_variance = self.mean_variance(v)
        return float(v.var()) / mean_variance if mean_variance > 0 else float(self.n_independent)

    def rate_interval(self, events: ArrayLike, level: float = 0.95) -> Interval:
        """Interval of the share of bool[P] events. Wilson with effective n; at 0 and 1 rule of three."""
        e = np.asarray(events, bool)
        n, k = len(e), int(e.sum())
        if not n:
            raise InsufficientData("an interval needs at least one pair; found none")
        if k in (0, n):
            bound = rule_of_three(self.n_independent, level)
            what = "subjects" if self.n_subjects <= self.n_pairs else "pairs"
            method = f"rule of three on {self.n_independent:,} {what}"
            return Interval(0.0, bound, level, method) if k == 0 else Interval(1 - bound, 1.0, level, method)
        p = k / n
        n_eff = self.effective_n(e)
        found = wilson(p, n_eff, level)
        low, high = found.low, found.high
        # Wilson's bound is too tight beside 0 and 1: Brown, Cai, DasGupta, Stat. Science 16(2), 2001.
        if k == 1:
            low = min(low, -float(np.log(level)) / n)
        if k == n - 1:
            high = max(high, 1 + float(np.log(level)) / n)
        return Interval(low, high, level, f"Wilson, identity-clustered, effective n {n_eff:.0f} of {n} pairs")


def clustered_rate(events: ArrayLike, left: ArrayLike, right: ArrayLike, level: float = 0.95) -> Interval:
    """Interval of the share of bool[P] events over pairs of subjects `left`, `right` i64[P]."""
    return PairClusters(left, right).rate_interval(events, level)


def clustered_mean(values: ArrayLike, clusters: ArrayLike, level: float = 0.95) -> Interval:
    """Interval of the mean of f64[N] values of faces clustered by subject: t quantile on clusters - 1."""
    v, codes = np.asarray(values, np.float64), np.unique(np.asarray(clusters), return_inverse=True)[1]
    count = int(codes.max()) + 1 if len(codes) else 0
    if count < 2:
        raise InsufficientData(f"an interval needs at least 2 subjects; found {count}")
    sums = np.bincount(codes.ravel(), weights=v - v.mean())
    error = np.sqrt(float(sums @ sums) * count / (count - 1)) / len(v)
    half = float(special.stdtrit(count - 1, 0.5 + level / 2)) * error
    return Interval(
        float(v.mean() - half), float(v.mean() + half), level, f"t on {count} subjects, identity-clustered"
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
    61, 2005), n divided by the design effect of the clustering. Without a discordant pair the subjects are n.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape or not len(a):
        raise InsufficientData(f"paired rates need the same pairs twice; found {len(a)} and {len(b)}")
    d = b - a
    clusters = PairClusters(left, right)
    n_eff = clusters.effective_n(d)
    up, down = float((d > 0).mean()) * n_eff + 0.5, float((d < 0).mean()) * n_eff + 0.5
    total = n_eff + 2
    centre = (up - down) / total
    half = z_value(level) * np.sqrt(max((up + down) - (up - down) ** 2 / total, 0.0)) / total
    value = float(d.mean())
    method = f"paired, identity-clustered (Agresti-Min), effective n {n_eff:.0f} of {len(d)} pairs"
    return Difference(
        value, Interval(float(min(value, centre - half)), float(max(value, centre + half)), level, method)
    )


def ratio_interval(
    above: float, above_variance: float, below: float, below_variance: float, covariance: float = 0.0,
    level: float = 0.95,
) -> Interval:  # fmt: skip
    """Interval of above / below by the delta method on the log ratio.

    Raises:
        InsufficientData: a rate is 0, where no log exists; floor it at its rule-of-three bound and say so.
    """
    if above <= 0 or below <= 0:
        raise InsufficientData("a ratio's interval needs two rates above 0", "floor a zero rate at its bound")
    log_variance = above_variance / above**2 + below_variance / below**2 - 2 * covariance / (above * below)
    half = z_value(level) * np.sqrt(max(log_variance, 0.0))
    centre = np.log(above / below)
    return Interval(
        float(np.exp(centre - half)), float(np.exp(centre + half)), level, "delta method on the log ratio"
    )
