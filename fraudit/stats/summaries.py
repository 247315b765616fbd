"""One figure over all groups (GARBE, FDR, IR, worst over geometric mean) beside what equal groups would show.

A maximum over noisy rates is biased upwards: groups that are equal in truth never look equal. Each figure therefore
comes with its median among equal groups of the same sizes, a median-unbiased estimate, and an interval that reaches
fairness. They come from one model: the groups' true rates lie on a line from equality (all at the common rate) through
what was observed, `d` times as far apart on a log scale, and each observed rate is drawn from a beta distribution
with the mean of its true rate and the variance of its effective pairs. The interval holds every point of the line
from which the observed figure is no surprise (test inversion; Cox and Hinkley, Theoretical Statistics, 1974,
section 7.2), the estimate is the point whose median draw is the observed figure.

People are not permuted between groups: pairs within a permuted group would be pairs across real ones, which have
another false-match rate, so that a permuted set is not a set of equal groups.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fraudit.stats.intervals import t_value, z_value
from fraudit.stats.rates import GroupRate
from fraudit.types import F64, Interval

STEPS = np.concatenate(
    [[0.0], np.geomspace(0.1, 5.0, 14)]
)  # log ratio of the largest to the smallest true rate
FEWEST = 0.5  # effective errors below which a drawn rate counts as none
FEW_DRAWS = 20  # usable draws below which a quantile is not taken
NAMES = ("fdr", "ir", "garbe")


@dataclass(frozen=True, slots=True)
class Summary:
    """A figure over groups.

    Attributes:
        value: of the observed rates, or None with the reason in `missing`.
        interval: of the figure of the true rates, or None with the reason in `interval_missing`.
        expected: median among equal groups of these sizes; usual: where 95 % of those lie.
        corrected: median-unbiased estimate.
    """

    value: float | None
    missing: str = ""
    interval: Interval | None = None
    interval_missing: str = ""
    expected: float | None = None
    usual: Interval | None = None
    corrected: float | None = None


def _gini(x: F64) -> F64:
    """f64[...] Gini coefficient (as `fairness.gini`) over the last axis."""
    n = x.shape[-1]
    weight = 2 * np.arange(1, n + 1) - n - 1
    total = x.sum(-1)
    found = 2 * (np.sort(x, -1) @ weight) / (n * 2 * np.where(total > 0, total, 1.0)) * n / (n - 1)
    return np.asarray(np.where(total > 0, found, 0.0), np.float64)


def _gap(x: F64) -> F64:
    return np.asarray(x.max(-1) - x.min(-1), np.float64)


def _log_ratio(x: F64) -> F64:
    return np.asarray(np.log(x.max(-1)) - np.log(x.min(-1)), np.float64)


def _log_over_mean(x: F64) -> F64:
    return np.asarray(np.log(x.max(-1)) - np.log(x).mean(-1), np.float64)


class _Side:
    """One error rate of all groups: observed, its line of true rates, and draws."""

    def __init__(self, rates: tuple[GroupRate, ...]) -> None:
        self.rate: F64 = np.array([g.rate for g in rates])
        scale = [(z_value(0.95) / t_value(0.95, g.freedom)) ** 2 for g in rates]
        self.n: F64 = np.array([g.n_eff for g in rates]) * np.array(scale)
        self.seen = bool((self.rate > 0).all())
        self.common = float(self.rate @ self.n / self.n.sum())
        floored = np.maximum(self.rate, FEWEST / np.maximum(self.n, 1.0))
        direction = np.log(floored) - float(np.log(floored) @ self.n / self.n.sum())
        self.apart = float(np.ptp(direction))
        if self.apart < 1e-9:
            direction = np.linspace(-0.5, 0.5, len(rates))
        self.direction: F64 = direction / np.ptp(direction)

    def true(self, step: float) -> F64:
        """f64[G] true rates whose extremes differ by exp(step)."""
        return np.minimum(self.common * np.exp(step * self.direction), 1 - 1e-6)

    def draw(self, step: float, count: int, rng: np.random.Generator) -> F64:
        """f64[count,G] rates that might be observed."""
        p = self.true(step)
        if self.common <= 0:
            return np.zeros((count, len(p)))
        size = np.maximum(self.n - 1, 0.5)
        return rng.beta(p * size, (1 - p) * size, (count, len(p)))


def _crossing(curve: F64, at: F64, observed: float) -> tuple[float, bool]:
    """(value of `at` where `curve`, rising, first reaches `observed`, whether it does)."""
    above = np.flatnonzero(curve >= observed)
    if not len(above):
        return float(at[-1]), False
    k = int(above[0])
    if k == 0:
        return float(at[0]), True
    share = (observed - curve[k - 1]) / max(curve[k] - curve[k - 1], 1e-300)
    return float(at[k - 1] + share * (at[k] - at[k - 1])), True


@dataclass(frozen=True, slots=True)
class _Inverted:
    """Test inversion of a figure (0 is fair): ends, median-unbiased estimate, and quantiles among equal groups."""

    low: float
    middle: float
    high: float | None
    equal: tuple[float, float, float]


Figure = Callable[[list[F64]], F64]


def _invert(
    figure: Figure, sides: list[_Side], positive: bool, rng: np.random.Generator, draws: int, level: float
) -> _Inverted | None:
    """The points of the line from equality through the observed rates that the observed figure does not refuse.

    Args:
        positive: the figure needs every rate above 0, so that draws with a rate of 0 are left out.
    """
    observed = float(figure([s.rate for s in sides]))
    far = max(s.apart for s in sides)
    pace = [s.apart / far if far >= 1e-9 else 1.0 for s in sides]
    tail = (1 - level) / 2
    curves, truth = [], []
    for step in STEPS:
        drawn = [s.draw(step * v, draws, rng) for s, v in zip(sides, pace, strict=True)]
        if positive:
            some = np.all([(x * s.n >= FEWEST).all(-1) for x, s in zip(drawn, sides, strict=True)], axis=0)
            drawn = [x[some] for x in drawn]
        truth.append(float(figure([s.true(step * v) for s, v in zip(sides, pace, strict=True)])))
        values = figure(drawn) if len(drawn[0]) > FEW_DRAWS else np.full(1, np.nan)
        curves.append(np.quantile(values, [tail, 0.5, 1 - tail]))
    at, curve = np.array(truth), np.array(curves)
    known = np.isfinite(curve).all(1)
    if not known[0]:
        return None
    at, curve = at[known], curve[known]
    low, _ = _crossing(curve[:, 2], at, observed)
    middle, _ = _crossing(curve[:, 1], at, observed)
    high, bounded = _crossing(np.maximum.accumulate(curve[:, 0]), at, observed)
    equal = (float(curve[0, 0]), float(curve[0, 1]), float(curve[0, 2]))
    return _Inverted(low, middle, high if bounded else None, equal)


def _summary(
    part: Callable[[F64], F64],
    weights: tuple[float, ...],
    sides: list[_Side],
    positive: bool,
    show: Callable[[float], float],
    most: float | None,
    rng: np.random.Generator,
    draws: int,
    level: float,
) -> Summary:
    """Summary of the weighted sum of `part` (0 is fair) over the sides; `show` gives it as it is printed.

    Where there are two sides, their distances from equality need not be in the observed proportion: the upper end is
    never below that of the two sides' own estimates and upper ends combined as independent ones are (MOVER; Zou and
    Donner, Statistics in Medicine 27, 2008).

    Args:
        positive: the figure needs every rate above 0. most: the largest value possible, None where there is none.
    """
    if positive and not all(s.seen for s in sides):
        return Summary(None, "a group shows no error, so that a ratio to its rate has no upper end")

    def figure(rates: list[F64]) -> F64:
        return np.asarray(sum(w * part(x) for w, x in zip(weights, rates, strict=True)), np.float64)

    observed = float(figure([s.rate for s in sides]))
    joint = _invert(figure, sides, positive, rng, draws, level)
    if joint is None:
        return Summary(show(observed), interval_missing="too few errors for an interval")
    high = joint.high
    if len(sides) > 1 and high is not None:
        own = [_invert(lambda x: part(x[0]), [s], positive, rng, draws, level) for s in sides]
        ends = [o.high if o is not None and o.high is not None else most for o in own]
        middle = [o.middle if o is not None else 0.0 for o in own]
        if any(e is None for e in ends):
            high = None
        else:
            reach = [w * (float(e or 0.0) - m) for w, e, m in zip(weights, ends, middle, strict=True)]
            combined = sum(w * m for w, m in zip(weights, middle, strict=True)) + float(np.linalg.norm(reach))
            high = max(high, combined)
    lower, median, upper = joint.equal
    usual = sorted([show(lower), show(upper)])
    shared = Interval(usual[0], usual[1], level, "draws of equal groups of these sizes")
    known = (show(median), shared, show(joint.middle))
    if high is None and most is None:
        why = f"not bounded above: too few errors; at least {show(joint.low):.3g} ({100 * level:.0f} % confidence)"
        return Summary(show(observed), "", None, why, *known)
    top = float(most or 0.0) if high is None else max(high, observed)
    top = top if most is None else min(top, most)
    between = sorted([show(min(joint.low, observed)), show(top)])
    method = "test inversion over draws of each group's clustered sampling distribution; reaches equal groups"
    return Summary(show(observed), "", Interval(between[0], between[1], level, method), "", *known)


def summary_intervals(
    fmrs: tuple[GroupRate, ...],
    fnmrs: tuple[GroupRate, ...] | None,
    alpha: float,
    rng: np.random.Generator,
    draws: int = 1000,
    level: float = 0.95,
) -> dict[str, Summary]:
    """`max_over_geomean_fmr`, and with FNMRs of the same groups `fdr`, `ir`, `garbe`.

    Groups that too few people carry take no part; where fewer than two are left there is a reason and no value.
    """
    few = {g.group: g.missing for g in (*fmrs, *(fnmrs or ())) if g.missing}
    names = ["max_over_geomean_fmr", *(NAMES if fnmrs is not None else ())]
    xs = tuple(g for g in fmrs if g.group not in few)
    if len(xs) < 2:
        why = next(iter(few.values()), "fewer than two groups")
        return {name: Summary(None, why) for name in names}
    x = _Side(xs)

    weights = (alpha, 1 - alpha)

    def one(
        part: Callable[[F64], F64],
        sides: list[_Side],
        positive: bool,
        show: Callable[[float], float],
        most: float | None,
    ) -> Summary:
        share = weights if len(sides) == 2 else (1.0,)
        return _summary(part, share, sides, positive, show, most, rng, draws, level)

    def expo(v: float) -> float:
        return float(np.exp(v))

    found = {"max_over_geomean_fmr": one(_log_over_mean, [x], True, expo, None)}
    if fnmrs is not None:
        both = [x, _Side(tuple(g for g in fnmrs if g.group not in few))]
        found["fdr"] = one(_gap, both, False, lambda v: 1 - v, 1.0)
        found["garbe"] = one(_gini, both, False, float, 1.0)
        found["ir"] = one(_log_ratio, both, True, expo, None)
    return found
