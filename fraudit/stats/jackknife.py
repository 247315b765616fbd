"""Intervals of figures whose training is part of their chance: the jackknife that leaves out groups of people.

A probe's score, or what a projection loses, depends on the people that are judged and on those that were trained
on. Leaving out one group of people everywhere, in training and in judging, and computing the whole figure again
shows both: with t_g the figure without group g of G,

    Var = (G - 1) / G * sum_g (t_g - mean of t)^2

(Quenouille; Tukey; groups: Kott, "The delete-a-group jackknife", J. Official Statistics 17, 2001). It is not too
small on average whatever the figure (Efron and Stein, Annals of Statistics 9, 1981): what depends on two groups at
once, one trained on and one judged, counts twice, and where little can be read that is nearly all there is. Where
the figure is a mean over faces this part is known (`joint_variance`) and counts once. The part from judging
alone is taken from more and smaller groups, for which nothing need be trained again; both together are the least
that is believed. The quantile is Student's t with G - 1 degrees of freedom. Near the end of
a figure's range errors are not symmetric: the interval is made on the scale log(ceiling - x), or the logit where
there is a floor too, by the delta method. The figure meant is the one expected from training and judging on sets of
this size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from fraudit.errors import InsufficientData
from fraudit.types import AT_LEAST, F64, Interval

LEAST_GROUPS = 5  # below, Student's t makes an interval that says nothing


def jackknife_variance(deleted: F64) -> float:
    """Of f64[G] figures without each group; groups without a figure (NaN) are left out."""
    usable = deleted[np.isfinite(deleted)]
    count = len(usable)
    return float((count - 1) / count * ((usable - usable.mean()) ** 2).sum()) if count else 0.0


def joint_variance(changes: F64) -> float:
    """Variance of a figure from what a trained and a judged group do together.

    Args:
        changes: f64[G,G], G >= 4: the figure's change where group j is judged without group g in training; [j,g].

    For a figure that is the mean over ordered pairs of groups of h(g, j) a change is -h(g, j) / (G (G - 2)), but
    for terms of one group, which are removed (a two-way layout without its diagonal: Yates, J. Agricultural Science
    37, 1947). A regression's h is the same both ways: product of both groups' residuals and of their vectors. So
    with s^2 the mean product of both ways, in units of h, the variance is 2 s^2 / (G (G - 1)), which the jackknife
    takes for 4 s^2 / (G (G - 2)). A change that comes one way alone, such as another penalty, is no part of it.
    """
    groups = len(changes)
    pairs = np.triu_indices(groups, 1)
    scaled = changes * groups * (groups - 2)
    both, apart = (scaled + scaled.T) / 2, (scaled - scaled.T) / 2
    sums = both.sum(axis=1) - np.diag(both)
    middle = float(sums.sum()) / (groups * (groups - 1))
    own = (sums - (groups - 1) * middle) / (groups - 2)
    alike = (both - middle - own - own[:, None])[pairs]
    lean = apart.sum(axis=1) / groups
    unlike = (apart - lean[:, None] + lean)[pairs]
    freedom = groups * (groups - 3) / 2
    product = float(alike @ alike) / freedom - 2 * float(unlike @ unlike) / ((groups - 1) * (groups - 2))
    return 2 * max(product, 0.0) / (groups * (groups - 1))


@dataclass(frozen=True, slots=True)
class Jackknifed:
    """A figure and what it is without each group of people.

    Attributes:
        value: with everybody. deleted: f64[G], without group g. error: standard error. freedom: degrees of freedom.
        interval: at 95 %, within the figure's range.
    """

    value: float
    deleted: F64
    error: float
    freedom: int
    interval: Interval
    floor: float
    ceiling: float

    @classmethod
    def of(
        cls, value: float, deleted: F64, floor: float = -np.inf, ceiling: float = np.inf,
        judging: tuple[float, float] = (0.0, 0.0), level: float = 0.95,
        together: float | None = None,
    ) -> Jackknifed:  # fmt: skip
        """Jackknife interval within [floor, ceiling]; groups without which the figure is not defined are left out.

        Args:
            judging: variance of judging alone, what was trained kept, over the same groups and over more of them.
            together: `joint_variance`; None where it is not known, so that it counts twice and the interval says so.

        Raises:
            InsufficientData: the figure is not defined, or without fewer than LEAST_GROUPS of the groups.
        """
        usable = deleted[np.isfinite(deleted)]
        if not np.isfinite(value) or len(usable) < LEAST_GROUPS:
            raise InsufficientData(
                f"the score is defined without {len(usable)} of {len(deleted)} groups of people; "
                f"its interval needs {LEAST_GROUPS}"
            )
        count = len(usable)
        variance = jackknife_variance(usable) - judging[0] + judging[1]
        freedom = count - 1
        method = f"jackknife over {count} groups of people, trained again without each; t({freedom})"
        method += f", {AT_LEAST}" if together is None else ""
        once = together or 0.0
        error = float(np.sqrt(max(variance - once * count / (count - 2), judging[1] + once)))
        like = Interval(float(value), float(value), level, method)
        return _estimate(float(value), deleted, error, freedom, (floor, ceiling), like)

    def scaled(self, factor: float, shift: float) -> Jackknifed:
        """factor * figure + shift, for a positive factor."""
        return _estimate(
            factor * self.value + shift,
            factor * self.deleted + shift,
            factor * self.error,
            self.freedom,
            (factor * self.floor + shift, factor * self.ceiling + shift),
            self.interval,
        )

    def with_error(self, error: float) -> Jackknifed:
        """The same figure with a standard error of at least `error`."""
        if error <= self.error:
            return self
        like, ends = self.interval, (self.floor, self.ceiling)
        if not like.wide:
            like = replace(like, method=f"{like.method}, {AT_LEAST}")
        return _estimate(self.value, self.deleted, error, self.freedom, ends, like)

    def minus(self, other: float, error: float) -> Jackknifed:
        """Less a figure with a standard error of its own."""
        ends = (self.floor - other, self.ceiling - other)
        total = float(np.hypot(self.error, error))
        return _estimate(self.value - other, self.deleted - other, total, self.freedom, ends, self.interval)


def _estimate(
    value: float, deleted: F64, error: float, freedom: int, ends: tuple[float, float], like: Interval
) -> Jackknifed:
    half = float(special.stdtrit(freedom, 0.5 + like.level / 2)) * error
    low, high = _ends(value, half, *ends)
    interval = Interval(min(float(low), value), max(float(high), value), like.level, like.method)
    return Jackknifed(float(value), deleted, error, freedom, interval, *ends)


def _ends(value: float, half: float, floor: float, ceiling: float) -> tuple[float, float]:
    """value -+ half on the scale of a figure within [floor, ceiling]."""
    room, above = ceiling - value, value - floor
    if not np.isfinite(ceiling) or room <= 0 or above <= 0:
        return max(value - half, floor), min(value + half, ceiling)
    if not np.isfinite(floor):
        step = min(half / room, 50.0)
        return ceiling - room * float(np.exp(step)), ceiling - room * float(np.exp(-step))
    step = min(half * (ceiling - floor) / (room * above), 50.0)
    odds = np.array([above / room * np.exp(-step), above / room * np.exp(step)])
    low, high = floor + (ceiling - floor) * odds / (1 + odds)
    return float(low), float(high)


def without_each(groups: int, figure: Callable[[int], float]) -> F64:
    """f64[groups]: figure(g) for each, NaN where it raises InsufficientData."""
    found = np.full(groups, np.nan)
    for g in range(groups):
        try:
            found[g] = figure(g)
        except InsufficientData:
            continue
    return found
