"""The identity bootstrap of a rate: people are drawn anew, not pairs, and no list of weights is held.

A genuine pair counts as often as its person was drawn, an impostor pair as often as the product of both (the vertex
bootstrap of arXiv 2306.01198). With counts c of a draw, pairs n and errors e by person, and likewise N, E (people x
people, sparse) of impostor pairs, a draw's rate is (c e + c E c') / (c n + c N c'): sums of whole numbers, and so those
of the plain form to the last digit. It is conservative where people hardly share pairs (Owen and Eckles, Annals of
Applied Statistics 6, 2012), and it says nothing where no pair errs; the closed interval (`fraudit.stats.intervals`) is
the one to quote. It is here because other reports have it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fraudit.errors import InsufficientData, UsageError
from fraudit.stats.intervals import numbered
from fraudit.threads import thread_count
from fraudit.types import F64, I64, Interval

CELLS = 262_144  # people x draws at once: 2 MB of counts, which fit a core's cache
WIDE, MOST_CELLS = 32, 2_000_000  # draws at once where there are more people, and 16 MB of counts at the most
LEAST_DRAWS = 100


class _Sums:
    """f64[P] whole numbers summed by person (genuine pairs) and by pair of people (impostor pairs)."""

    def __init__(self, low: I64, high: I64, people: int, values: F64) -> None:
        from scipy.sparse import coo_array

        use = values != 0
        low, high, values = low[use], high[use], values[use]
        own = low == high
        self.own: F64 = np.bincount(low[own], values[own], people).astype(np.float64)
        cross = coo_array((values[~own], (low[~own], high[~own])), (people, people))
        self.cross: Any = cross.tocsr()  # equal places are summed

    def over(self, counts: F64) -> F64:
        """f64[B] sums of the draws f64[people,B]."""
        total = self.own @ counts
        if self.cross.nnz:
            total = total + np.einsum("pb,pb->b", counts, self.cross @ counts)
        return np.asarray(total)


def bootstrap_rates(
    events: ArrayLike, left: ArrayLike, right: ArrayLike, draws: int = 1000, seed: int = 0
) -> F64:
    """f64[draws]: the share of bool[P] events over pairs of people `left`, `right` [P] in each draw of people.

    NaN in a draw that has no pair.

    Raises:
        InsufficientData: no pair.
    """
    e = np.asarray(events, np.float64).ravel()
    both = np.concatenate([np.asarray(left).ravel(), np.asarray(right).ravel()])
    if not len(e):
        raise InsufficientData("a rate needs at least one pair; found none")
    known, codes = numbered(both)
    one, two = codes.reshape(2, -1)
    low, high, people = np.minimum(one, two), np.maximum(one, two), len(known)
    errors, pairs = _Sums(low, high, people, e), _Sums(low, high, people, np.ones(len(e)))
    rng = np.random.default_rng([seed, 21])
    share = np.full(people, 1 / people)
    at_once = max(1, CELLS // people, min(WIDE, MOST_CELLS // people))
    sizes = [min(at_once, draws - start) for start in range(0, draws, at_once)]

    def rates(counts: I64) -> F64:
        drawn = np.ascontiguousarray(counts.T, np.float64)
        total = pairs.over(drawn)
        return np.divide(errors.over(drawn), total, out=np.full(len(total), np.nan), where=total > 0)

    threads = thread_count()
    found: list[F64] = []
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(sizes), threads):  # a few at a time, so that draws do not pile up
            drawn = [rng.multinomial(people, share, size=size) for size in sizes[start : start + threads]]
            found.extend(pool.map(rates, drawn))
    return np.concatenate(found)


def bootstrap_interval(
    events: ArrayLike,
    left: ArrayLike,
    right: ArrayLike,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of the share of bool[P] events over seeded draws of people (`bootstrap_rates`).

    Raises:
        UsageError: fewer than `LEAST_DRAWS` draws. InsufficientData: no pair, no pair or every pair with an event (all
            draws are then equal), or fewer than half of the draws have a pair.
    """
    if draws < LEAST_DRAWS:
        raise UsageError(f"percentiles of a bootstrap need at least {LEAST_DRAWS} draws; found {draws}")
    e = np.asarray(events, bool)
    if len(e) and e.all() == e.any():
        raise InsufficientData(
            "every draw of a bootstrap gives the same rate where no pair errs, or every pair does"
        )
    values = bootstrap_rates(e, left, right, draws, seed)
    values = values[np.isfinite(values)]
    if 2 * len(values) < draws:
        raise InsufficientData(
            f"the figure could be computed in {len(values)} of {draws} draws", "use more people"
        )
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(
        float(low), float(high), level, f"identity bootstrap, {len(values)} draws of people, percentiles"
    )
