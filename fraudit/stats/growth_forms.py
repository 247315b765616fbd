"""Two forms of how the chance that a stranger is above a threshold differs between searches: beta and probit-normal.

Their sources stand in `fraudit.stats.growth`, which fits both.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import optimize, special

from fraudit.types import F64

_LOG_A = (-6.0, float(np.log(100.0)))  # beta: from all or nothing to nearly equal
_LOG_S = (-4.0, 2.0)  # probit: likewise
_Z = np.linspace(-8.5, 8.5, 341)
_W = np.exp(-(_Z**2) / 2) / np.exp(-(_Z**2) / 2).sum()


def _log_rising(b: float, n: float) -> float:
    """log Gamma(b + n) - log Gamma(b), exact where b is large."""
    if b < 1e3:
        return float(special.gammaln(b + n) - special.gammaln(b))
    series = (1 / (b + n) - 1 / b) / 12
    return float(n * np.log(b) + (b + n - 0.5) * np.log1p(n / b) - n + series)


def _beta_share(log_a: float, log_mean: float, draw: float, rank: int) -> float:
    """Chance of at least `rank` among `draw` people where p ~ Beta of this mean."""
    a, mean = float(np.exp(log_a)), float(np.exp(log_mean))
    b = a * (1 - mean) / mean
    start = _log_rising(b, draw) - _log_rising(a + b, draw)
    if rank == 1:
        return float(-np.expm1(start))
    total, log_chance = 0.0, start
    for k in range(min(rank, int(draw) + 1)):
        total += float(np.exp(log_chance))
        log_chance += (
            float(np.log((draw - k) / (k + 1) * (a + k) / (b + draw - k - 1))) if draw > k else -np.inf
        )
    return max(1 - total, 1e-300)


def _probit_share(log_s: float, m: float, draw: float, rank: int) -> float:
    """Chance of at least `rank` among `draw` people where probit(p) ~ Normal(m, s)."""
    p = np.minimum(special.ndtr(m + np.exp(log_s) * _Z), 1 - 1e-15)
    if rank == 1:
        return float(_W @ -np.expm1(draw * np.log1p(-p)))
    return float(_W @ special.betainc(rank, max(draw - rank + 1, 1e-9), p))


_FORMS = (
    (_beta_share, _LOG_A, (-40.0, -1e-9), -1),  # more alike: larger a
    (_probit_share, _LOG_S, (-60.0, 12.0), 1),  # more alike: smaller s
)


def by_both_forms(points: F64, draws: F64, goal: float, rank: int) -> F64:
    """f64[2]: what each form predicts at `goal` that goes through f64[2] `points` at f64[2] `draws` (rising).

    Where the points ask for people who differ less than at random, or more than the form can, its end is taken.
    """
    out = []
    for share, (least, most), place, sign in _FORMS:

        def placed(
            shape: float, share: Callable[..., float] = share, place: tuple[float, float] = place
        ) -> float:
            def off(where: float) -> float:
                return float(np.log(max(share(shape, where, draws[1], rank), 1e-300)) - np.log(points[1]))

            return float(optimize.brentq(off, *place, xtol=1e-7))

        def first(
            shape: float, share: Callable[..., float] = share, placed: Callable[[float], float] = placed
        ) -> float:
            return float(share(shape, placed(shape), draws[0], rank) - points[0])

        alike, apart = (most, least) if sign < 0 else (least, most)
        if first(alike) >= 0:
            shape = alike
        elif first(apart) <= 0:
            shape = apart
        else:
            shape = float(optimize.brentq(first, least, most, xtol=1e-4))
        out.append(share(shape, placed(shape), goal, rank))
    return np.array(out)
