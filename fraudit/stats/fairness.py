"""Differences of error rates between demographic groups at one global threshold.

FDR: Pereira and Marcel, IEEE TBIOM 4(1), 2022. IR: NIST IR 8429. GARBE: Howard et al., ICPR 2022. Rates are
f64[G], one a group, in a common order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from fraudit.errors import InsufficientData
from fraudit.stats.intervals import t_value
from fraudit.stats.rates import GroupRate, PersonSums, group_rate, group_rates, impostor_sums, rates_by_group
from fraudit.types import AT_LEAST, F64, I64, Bool, Interval

__all__ = [
    "CrossGroup",
    "Gap",
    "GroupRate",
    "Ratio",
    "clearest_gap",
    "cross_group",
    "cross_group_fmr",
    "detectable_ratio",
    "difference_p_value",
    "fdr",
    "garbe",
    "gini",
    "group_rate",
    "holm",
    "inequity_rate",
    "max_difference",
    "max_over_geomean",
    "max_over_min",
    "rates_by_group",
    "ratio_of_rates",
    "score_statistic",
    "worst_over_best",
]  # fmt: skip


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


def _ratio_ends(rates: ArrayLike) -> F64:
    x = _several(rates)
    if x.max() == 0:
        raise InsufficientData("no group shows an error, so that no ratio of rates exists")
    if x.min() == 0:
        raise InsufficientData("a group shows no error, so that a ratio to its rate has no upper end")
    return x


def max_over_min(rates: ArrayLike) -> float:
    """Largest rate over the smallest; at least 1.

    Raises:
        InsufficientData: fewer than two groups, or a rate of 0.
    """
    x = _ratio_ends(rates)
    return float(x.max() / x.min())


def max_over_geomean(rates: ArrayLike) -> float:
    """NIST: largest rate over the geometric mean of all; raises as `max_over_min`."""
    x = _ratio_ends(rates)
    return float(x.max() / np.exp(np.log(x).mean()))


def inequity_rate(fmrs: ArrayLike, fnmrs: ArrayLike, alpha: float = 0.5) -> float:
    """(max FMR / min FMR)^alpha (max FNMR / min FNMR)^(1 - alpha); 1 is fair; raises as `max_over_min`."""
    return max_over_min(fmrs) ** alpha * max_over_min(fnmrs) ** (1 - alpha)


def score_statistic(above: float, n_above: float, below: float, n_below: float, ratio: float = 1.0) -> float:
    """Signed score statistic of p_above / p_below = ratio (Miettinen and Nurminen, Statistics in Medicine 4, 1985).

    Args:
        above, below: observed rates. n_above, n_below: pairs, or effective pairs, behind them.
    The variance is taken at the most likely rates that have this ratio, so that it exists where a rate is 0.
    """
    n = n_above + n_below
    x1, x0 = above * n_above, below * n_below
    a = n * ratio
    b = -(n_above * ratio + x1 + n_below + x0 * ratio)
    low = 2 * (x1 + x0) / (np.sqrt(max(b * b - 4 * a * (x1 + x0), 0.0)) - b)  # the smaller root, stable
    p0 = min(max(low, 0.0), 1.0)
    p1 = min(ratio * p0, 1.0)
    variance = p1 * (1 - p1) / n_above + ratio**2 * p0 * (1 - p0) / n_below
    difference = above - ratio * below
    if variance <= 0:
        return 0.0 if abs(difference) < 1e-15 else float(np.copysign(np.inf, difference))
    return float(difference / np.sqrt(variance * n / max(n - 1, 1e-9)))


def _freedom(first: GroupRate, second: GroupRate) -> float:
    """Satterthwaite's degrees of freedom of a comparison at a common rate."""
    u, v = 1 / first.n_eff, 1 / second.n_eff
    return (u + v) ** 2 / (u**2 / first.freedom + v**2 / second.freedom)


def ratio_of_rates(above: GroupRate, below: GroupRate, level: float = 0.95) -> tuple[float, float | None]:
    """(low, high) of above / below: the ratios that the score test does not refuse; high is None where unbounded.

    Koopman's interval (Biometrics 40, 1984) on effective pairs with a t quantile. Where `below` shows no error the
    ratio has a lower bound alone, where `above` shows none it has an upper one alone (low is 0).
    """
    q = t_value(level, _freedom(above, below))

    def excess(log_ratio: float, sign: float) -> float:
        found = score_statistic(above.rate, above.n_eff, below.rate, below.n_eff, float(np.exp(log_ratio)))
        return found - sign * q

    if above.errors == 0 and below.errors == 0:
        return 0.0, None
    far = 60.0
    low, high = 0.0, None
    if above.errors and excess(-far, 1) > 0:
        low = float(np.exp(optimize.brentq(excess, -far, far, args=(1.0,)))) if excess(far, 1) < 0 else np.inf
    if below.errors and excess(far, -1) < 0:
        high = (
            float(np.exp(optimize.brentq(excess, -far, far, args=(-1.0,)))) if excess(-far, -1) > 0 else 0.0
        )
    return low, high


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ratio of the worst group's rate to the best one's.

    Attributes:
        value: >= 1, or None where the best group shows no error (or too few people carry the pairs).
        interval: of the true largest over the true smallest rate; None where it is not bounded above.
        at_least: its lower end, at least 1. worst, best: labels by observed rates.
        missing: why there is no value, or no interval.
        left_out: labels of groups that too few people carry.
    """

    value: float | None
    interval: Interval | None
    at_least: float
    worst: str
    best: str
    missing: str = ""
    left_out: tuple[str, ...] = ()


def worst_over_best(groups: tuple[GroupRate, ...], level: float = 0.95) -> Ratio:
    """max/min with an interval that holds although worst and best were picked from all groups.

    Score intervals of all G (G - 1) / 2 pairs of groups at the Bonferroni level hold together; the true max/min lies
    between the largest of their lower and the largest of their upper ends. Groups that have no interval for want of
    people take no part.

    Raises:
        InsufficientData: fewer than two groups, or no error in any.
    """
    _several([g.rate for g in groups])
    if not any(g.errors for g in groups):
        raise InsufficientData("no group shows an error, so that no ratio of rates exists")
    used = [g for g in groups if not g.missing]
    left_out = tuple(g.group for g in groups if g.missing)
    if len(used) < 2 or not any(g.errors for g in used):
        why = next(
            (g.missing for g in groups if g.missing), "no error in the groups that enough people carry"
        )
        return Ratio(None, None, 1.0, "", "", why, left_out)
    order = sorted(used, key=lambda g: g.rate)
    worst, best = order[-1], order[0]
    pairs = [(a, b) for i, a in enumerate(order) for b in order[:i]]
    inner = 1 - (1 - level) / len(pairs)
    ends = [ratio_of_rates(a, b, inner) for a, b in pairs]
    lows = [low for low, _ in ends]
    # The pair may be ordered the other way in truth: its reversed ratio is bounded by 1 / low.
    highs = [high for _, high in ends] + [1 / low if low > 0 else None for low in lows]
    at_least = max(1.0, *lows)
    method = (
        f"score intervals, identity-clustered, simultaneous over {len(pairs)} pairs of groups, {AT_LEAST}"
    )
    if best.errors == 0:
        why = (
            f"no error in {best.n:,} pairs of '{best.group}': the ratio has no upper end; "
            f"it is at least {at_least:.3g} ({100 * level:.0f} % confidence)"
        )
        return Ratio(None, None, at_least, worst.group, best.group, why, left_out)
    value = worst.rate / best.rate
    bounded = [high for high in highs if high is not None]
    if len(bounded) < len(highs):
        why = f"not bounded above: too few errors; at least {at_least:.3g} ({100 * level:.0f} % confidence)"
        return Ratio(value, None, at_least, worst.group, best.group, why, left_out)
    interval = Interval(min(at_least, value), max(*bounded, value), level, method)
    return Ratio(value, interval, at_least, worst.group, best.group, "", left_out)


@dataclass(frozen=True, slots=True)
class Gap:
    """The two groups whose rates differ most clearly.

    Attributes:
        above, below: the groups. low, high: of above / below, simultaneous over all pairs of groups; high may be None.
        p: of equal rates, not corrected.
    """

    above: GroupRate
    below: GroupRate
    low: float
    high: float | None
    p: float


def clearest_gap(groups: tuple[GroupRate, ...], level: float = 0.95) -> Gap | None:
    """The pair with the smallest p among groups that enough people carry; None where no two are, or none errs."""
    used = sorted((g for g in groups if not g.missing), key=lambda g: g.rate)
    pairs = [(a, b) for i, a in enumerate(used) for b in used[:i] if a.errors or b.errors]
    if not pairs:
        return None
    p_values = [difference_p_value(a, b) for a, b in pairs]
    k = int(np.argmin(p_values))
    low, high = ratio_of_rates(*pairs[k], 1 - (1 - level) / (len(used) * (len(used) - 1) / 2))
    return Gap(*pairs[k], low, high, p_values[k])


def difference_p_value(first: GroupRate, second: GroupRate) -> float:
    """Two-sided p of equal rates: score test on effective pairs with a t quantile; groups without common people.

    The variance is that of the common rate, so that a group without errors has one too. 1 where a group has no
    interval for want of people.
    """
    if first.missing or second.missing:
        return 1.0
    size = abs(score_statistic(first.rate, first.n_eff, second.rate, second.n_eff))
    return float(2 * special.stdtr(_freedom(first, second), -size)) if size > 0 else 1.0


def detectable_ratio(first: GroupRate, second: GroupRate, level: float, power: float = 0.8) -> float | None:
    """Smallest ratio of two groups' rates that `difference_p_value` < `level` finds in a share `power` of such sets.

    The lower rate is taken to be the common one that was observed, at the effective pairs that were observed; either
    group may be the worse one, so the larger of both ratios is given. None where no ratio is found so often, or where a
    group has no interval, or neither has an error.
    """
    if first.missing or second.missing or not (first.errors or second.errors):
        return None
    base = (first.rate * first.n_eff + second.rate * second.n_eff) / (first.n_eff + second.n_eff)
    needed = t_value(1 - level, _freedom(first, second))
    pairs = [(first.n_eff, second.n_eff), (second.n_eff, first.n_eff)]

    def spare(ratio: float) -> float:
        """By how much the statistic exceeds what is needed with this power, for the harder direction."""
        found = []
        for n1, n0 in pairs:
            high = ratio * base
            shift = score_statistic(high, n1, base, n0)
            own = high * (1 - high) / n1 + base * (1 - base) / n0  # its variance where the rates do differ
            common = ((high - base) / shift) ** 2 if shift > 0 else own
            found.append(shift - needed - float(special.ndtri(power)) * float(np.sqrt(own / common)))
        return min(found)

    most = 1 / base
    if most <= 1.001 or spare(most * (1 - 1e-9)) < 0:
        return None
    return float(optimize.brentq(spare, 1 + 1e-6, most * (1 - 1e-9), xtol=1e-4))


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
        groups: G labels. rates, low, high: G x G, None where there is no pair (low, high: or too few people);
            n: i64[G,G] pairs; symmetric.
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
    within: dict[tuple[int, int], PersonSums] = {}
    between: dict[tuple[int, int], PersonSums] = {}
    for i, one in enumerate(names):
        for j in range(i, len(names)):
            part = ((a == one) & (b == names[j])) | ((a == names[j]) & (b == one))
            if part.any():
                cells = within if i == j else between
                cells[i, j] = impostor_sums(one, matched[part], left[part], right[part])
    return cross_group(names, within, between, level)


def cross_group(
    names: tuple[str, ...],
    within: dict[tuple[int, int], PersonSums],
    between: dict[tuple[int, int], PersonSums],
    level: float = 0.95,
) -> CrossGroup:
    """CrossGroup of sums by cell (i, j), i <= j; intervals of cells within and between groups are pooled apart."""
    size = len(names)
    cells: list[list[list[float | None]]] = [[[None] * size for _ in names] for _ in range(3)]
    n = np.zeros((size, size), np.int64)
    for part in (within, between):
        for (i, j), found in zip(part, group_rates(list(part.values()), level), strict=True):
            n[i, j] = n[j, i] = found.n
            ends = (found.interval.low, found.interval.high) if found.interval else (None, None)
            for k, value in enumerate((found.rate, *ends)):
                cells[k][i][j] = cells[k][j][i] = value
    rows = [tuple(tuple(row) for row in table) for table in cells]
    return CrossGroup(names, rows[0], rows[1], rows[2], n)
