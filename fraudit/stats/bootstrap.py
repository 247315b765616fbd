"""Identity bootstrap: people are drawn, not pairs.

A genuine pair weighs as often as its person was drawn, an impostor pair the product of both (the vertex
bootstrap of arXiv 2306.01198). It is conservative (Owen and Eckles, Annals of Applied Statistics 6, 2012):
where people hardly share pairs its variance is up to three times too large. Prefer a closed interval where
one exists.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from fraudit.errors import InsufficientData
from fraudit.types import F64, Interval


def identity_weights(left: ArrayLike, right: ArrayLike, draws: int, seed: int) -> F64:
    """f64[draws,P] weights of pairs whose sides are subjects `left` and `right`."""
    both = np.concatenate([np.asarray(left).ravel(), np.asarray(right).ravel()])
    known, codes = np.unique(both, return_inverse=True)
    a, b = codes.reshape(2, -1)
    rng = np.random.default_rng([seed, 21])
    counts = rng.multinomial(len(known), np.full(len(known), 1 / len(known)), size=draws).astype(np.float64)
    return np.where(a == b, counts[:, a], counts[:, a] * counts[:, b])


def identity_bootstrap(
    statistic: Callable[[F64], float],
    left: ArrayLike,
    right: ArrayLike,
    *,
    draws: int = 400,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of `statistic(weights f64[P])` over seeded draws of people.

    Draws in which the statistic is not finite are left out.

    Raises:
        InsufficientData: the statistic is finite in fewer than half of the draws.
    """
    weights = identity_weights(left, right, draws, seed)
    values = np.array([statistic(w) for w in weights])
    values = values[np.isfinite(values)]
    if 2 * len(values) < draws:
        raise InsufficientData(
            f"the figure could be computed in {len(values)} of {draws} draws", "use more people"
        )
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(
        float(low), float(high), level, f"identity bootstrap, {len(values)} draws of people, percentiles"
    )


def weighted_rate(events: ArrayLike) -> Callable[[F64], float]:
    """Statistic for `identity_bootstrap`: weighted share of bool[P] events (NaN where no weight is left)."""
    e = np.asarray(events, np.float64)

    def share(weights: F64) -> float:
        total = weights.sum()
        return float(weights @ e / total) if total > 0 else float("nan")

    return share
