"""Differences of error rates between demographic groups at one global threshold.

FDR: Pereira and Marcel, IEEE TBIOM 4(1), 2022. IR: NIST IR 8429. GARBE: Howard et al., ICPR 2022. Rates are
f64[G], one a group, in a common order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from fraudit.errors import InsufficientData
from fraudit.stats.intervals import PairClusters, ratio_interval, rule_of_three
from fraudit.types import F64, I64, Bool, Interval


@dataclass(frozen=True, slots=True)
class GroupRate:
    """One group's error rate.

    Attributes:
        group: label. errors, n: pairs. subjects: people in them.
        rate: errors / n. variance: identity-clustered, of the rate. interval: of the rate.
        floored: `rate`, or its rule-of-three bound where it is 0; `is_floored` tells.
    """

    group: str
    errors: int
    n: int
    subjects: int
    rate: float
    variance: float
    interval: Interval

    @property
    def is_floored(self) -> bool:
        """Whether no error was seen."""
        return self.errors == 0

    @property
    def floored(self) -> float:
        """The rate, or 3 / subjects where no error was seen."""
        return self.rate if self.errors else rule_of_three(min(self.subjects, self.n))


def group_rate(
    group: str, errors: ArrayLike, left: ArrayLike, right: ArrayLike, level: float = 0.95
) -> GroupRate:
    """Rate of bool[P] errors over pairs of subjects `left`, `right` i64[P].

    Raises:
        InsufficientData: no pair.
    """
    e = np.asarray(errors, bool)
    if not len(e):
        raise InsufficientData(f"group '{group}' has no pair")
    clusters = PairClusters(left, right)
    rate, n_independent = float(e.mean()), clusters.n_independent
    variance = clusters.mean_variance(e)
    if variance == 0:  # No error, or nothing but errors: as much as the rule of three allows.
        variance = (rule_of_three(n_independent, level) / 1.959964) ** 2
    return GroupRate(
        group, int(e.sum()), len(e), clusters.n_subjects, rate, variance, clusters.rate_interval(e, level)
    )


def rates_by_group(
    errors: ArrayLike, groups: ArrayLike, left: ArrayLike, right: ArrayLike, level: float = 0.95
) -> tuple[GroupRate, ...]:
    """`group_rate` of each label in `groups` [P] (pairs within one group), sorted; '' is left out."""
    e, labels = np.asarray(errors, bool), np.asarray(groups).astype(str)
    a, b = np.asarray(left), np.asarray(right)
    return tuple(
        group_rate(str(g), e[labels == g], a[labels == g], b[labels == g], level)
        for g in np.unique(labels)
        if g != ""
    )


def _several(rates: ArrayLike) -> F64:
    x = np.asarray(rates, np.float64)
    if len(x) < 2:
        raise InsufficientData(f"a comparison of groups needs at least two; found {len(x)}")
    return x


def max_difference(rates: ArrayLike) -> float:
    """max_ij |x_i - x_j|."""
    x = _several(rates)
    return float(x.max() - x.min())


def fdr(fmrs: ArrayLike, fnmrs: ArrayLike, alpha: float = 0.5) -> float:
    """Fairness discrepancy rate 1 - (alpha A + (1 - alpha) B) of the largest differences; 1 is fair."""
    return 1 - (alpha * max_difference(fmrs) + (1 - alpha) * max_difference(fnmrs))


def gini(rates: ArrayLike) -> float:
    """n/(n-1) sum_ij |x_i - x_j| / (2 n^2 mean x); 0 where the mean is 0."""
    x = _several(rates)
    n, mean = len(x), float(x.mean())
    if mean == 0:
        return 0.0
    return float(n / (n - 1) * np.abs(x[:, None] - x[None, :]).sum() / (2 * n**2 * mean))


def garbe(fmrs: ArrayLike, fnmrs: ArrayLike, alpha: float = 0.5) -> float:
    """alpha Gini(FMR) + (1 - alpha) Gini(FNMR); 0 is fair."""
    return alpha * gini(fmrs) + (1 - alpha) * gini(fnmrs)


def _ends(rates: ArrayLike, bounds: ArrayLike | None) -> tuple[F64, float]:
    """(rates with zeros floored, largest observed rate)."""
    x = _several(rates)
    top = float(x.max())
    if top == 0:
        raise InsufficientData("no group shows an error, so that no ratio of rates exists")
    if (x > 0).all():
        return x, top
    if bounds is None:
        raise InsufficientData(
            "a group shows no error and no bound was given", "floor it at its rule-of-three bound"
        )
    return np.where(x > 0, x, np.asarray(bounds, np.float64)), top


def max_over_min(rates: ArrayLike, bounds: ArrayLike | None = None) -> float:
    """Largest observed rate over the smallest; at least 1.

    Args:
        bounds: f64[G] rule-of-three bounds that stand in for zero rates. A stand-in never counts as the
            largest rate: a small group without errors must not look like the worst one.
    Raises:
        InsufficientData: fewer than two groups, no error at all, or a zero rate without a bound.
    """
    x, top = _ends(rates, bounds)
    return max(1.0, top / float(x.min()))


def max_over_geomean(rates: ArrayLike, bounds: ArrayLike | None = None) -> float:
    """NIST: largest observed rate over the geometric mean of all; zero rates as in `max_over_min`."""
    x, top = _ends(rates, bounds)
    return max(1.0, top / float(np.exp(np.log(x).mean())))


def inequity_rate(
    fmrs: ArrayLike, fnmrs: ArrayLike, alpha: float = 0.5,
    fmr_bounds: ArrayLike | None = None, fnmr_bounds: ArrayLike | None = None,
) -> float:  # fmt: skip
    """(max FMR / min FMR)^alpha (max FNMR / min FNMR)^(1 - alpha); 1 is fair; zeros as in `max_over_min`."""
    return max_over_min(fmrs, fmr_bounds) ** alpha * max_over_min(fnmrs, fnmr_bounds) ** (1 - alpha)


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ratio of the worst group's rate to the best one's.

    Attributes:
        value: >= 1. interval: simultaneous over all pairs of groups. worst, best: labels.
        floored: labels whose zero rate was replaced by its rule-of-three bound.
    """

    value: float
    interval: Interval
    worst: str
    best: str
    floored: tuple[str, ...]


def worst_over_best(groups: tuple[GroupRate, ...], level: float = 0.95) -> Ratio:
    """max/min with an interval that holds although worst and best were picked from all groups.

    The delta interval of the log ratio is taken at the Bonferroni level of the G (G - 1) / 2 comparisons.

    Raises:
        InsufficientData: fewer than two groups, or no error in any.
    """
    x, _ = _ends([g.rate for g in groups], [g.floored for g in groups])
    worst = max(groups, key=lambda g: g.rate)
    best = groups[int(np.argmin(np.where([g is worst for g in groups], np.inf, x)))]
    comparisons = len(groups) * (len(groups) - 1) / 2
    inner = 1 - (1 - level) / comparisons
    found = ratio_interval(worst.rate, worst.variance, best.floored, best.variance, level=inner)
    value = max(1.0, worst.rate / best.floored)
    method = f"log ratio, identity-clustered, simultaneous over {comparisons:.0f} pairs of groups"
    if best.is_floored:
        method += f"; no error in '{best.group}', floored at its rule-of-three bound"
    return Ratio(
        value,
        Interval(min(found.low, value), max(found.high, value), level, method),
        worst.group,
        best.group,
        tuple(g.group for g in groups if g.is_floored),
    )


def difference_p_value(first: GroupRate, second: GroupRate) -> float:
    """Two-sided p of equal rates: z test with identity-clustered variances, groups without common people.

    Where a group shows no error the variance is the rule-of-three bound's, so that few pairs prove nothing.
    """
    spread = np.sqrt(first.variance + second.variance)
    return float(2 * special.ndtr(-abs(first.rate - second.rate) / spread)) if spread > 0 else 1.0


def holm(p_values: ArrayLike) -> F64:
    """Holm's step-down adjusted p values f64[M], in the order given (Holm, Scand. J. Statistics 6, 1979)."""
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    out = np.empty(len(p))
    out[order] = np.minimum(stepped, 1.0)
    return out


@dataclass(frozen=True, slots=True)
class CrossGroup:
    """Cross-group FMR.

    Attributes:
        groups: G labels. rates, low, high: G x G, None where there is no pair; n: i64[G,G] pairs; symmetric.
    """

    groups: tuple[str, ...]
    rates: tuple[tuple[float | None, ...], ...]
    low: tuple[tuple[float | None, ...], ...]
    high: tuple[tuple[float | None, ...], ...]
    n: I64


def cross_group_fmr(
    matched: Bool, left_group: ArrayLike, right_group: ArrayLike, left: I64, right: I64, level: float = 0.95
) -> CrossGroup:
    """FMR of impostor pairs by both groups, identity-clustered.

    Args:
        matched: bool[P] false matches. left_group, right_group: P labels; '' is left out.
        left, right: i64[P] subjects.
    """
    a, b = np.asarray(left_group).astype(str), np.asarray(right_group).astype(str)
    names = tuple(str(g) for g in np.unique(np.concatenate([a, b])) if g != "")
    size = len(names)
    cells: list[list[list[float | None]]] = [[[None] * size for _ in names] for _ in range(3)]
    n = np.zeros((size, size), np.int64)
    for i, one in enumerate(names):
        for j in range(i, size):
            part = ((a == one) & (b == names[j])) | ((a == names[j]) & (b == one))
            n[i, j] = n[j, i] = int(part.sum())
            if not n[i, j]:
                continue
            rate = group_rate("", matched[part], left[part], right[part], level)
            for k, value in enumerate((rate.rate, rate.interval.low, rate.interval.high)):
                cells[k][i][j] = cells[k][j][i] = value
    rows = [tuple(tuple(row) for row in table) for table in cells]
    return CrossGroup(names, rows[0], rows[1], rows[2], n)
