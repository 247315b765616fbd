"""Thresholds for a FPIR with more people enrolled than can be tried: chosen where the extrapolated upper end keeps it.

From the strictest threshold at which the growth of FPIR can be fitted and its back-test passes, downwards as long as
the upper end of the extrapolated FPIR (`fraudit.stats.growth.extrapolate`) is at most the target. An estimate, no
promise: it rests on a model of growth that was tested on the galleries at hand alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fraudit.errors import InsufficientData
from fraudit.stats.growth import LEAST_EVENTS, Extrapolation, extrapolate, fpir_counts
from fraudit.stats.identification import Search, fpir_threshold
from fraudit.types import F64, I64

STEP = 1.3  # by which the number of searches that return somebody grows on the way down
HALVINGS = 5  # of the last stretch


@dataclass(frozen=True, slots=True)
class Grown:
    """The lowest threshold whose extrapolated FPIR keeps the target.

    Attributes:
        threshold: accept at or above it; None with the reason. bound: upper end of the FPIR there, one-sided.
        smallest: upper end at the strictest threshold that could be fitted; 1 where none could.
        found: the extrapolation at the threshold, None where there is none.
    """

    threshold: float | None
    reason: str
    bound: float
    smallest: float
    found: Extrapolation | None


def lowest_kept(found: Search, target: float) -> float:
    """The lowest threshold that can come into question: more people enrolled never lower a FPIR."""
    return fpir_threshold(found, target)


def _strictest(top: F64, searcher: I64) -> int | None:
    """How many of the highest f64[S] scores it takes until `LEAST_EVENTS` people are in them."""
    first = np.sort(np.unique(searcher[np.argsort(-top, kind="stable")], return_index=True)[1])
    return int(first[LEAST_EVENTS - 1]) + 1 if len(first) >= LEAST_EVENTS else None


def grown_threshold(found: Search, target: float, people: int, confidence: float = 0.95) -> Grown:
    """The lowest threshold whose FPIR with `people` enrolled is at most `target` by its one-sided upper end.

    Args:
        found: searches with the candidates from `lowest_kept` on. target: in (0, 1). people: more than are enrolled.
    """
    top, searcher = found.top[~found.mated], found.searcher[~found.mated]
    scores = np.sort(top[np.isfinite(top)])[::-1]
    most = int(np.floor(target * len(top) * (1 + 1e-12)))
    least = _strictest(top, searcher)
    if least is None or least > most:
        return Grown(
            None,
            f"{LEAST_EVENTS} people whose search returns somebody are needed at FPIR {target:g} with "
            f"{len(found.people):,} enrolled to tell how it grows, and there are not so many",
            1.0,
            1.0,
            None,
        )

    def at(count: int) -> Extrapolation | str:
        try:
            return extrapolate(fpir_counts(found, float(scores[count - 1])), people, 2 * confidence - 1)
        except InsufficientData as error:
            return error.message

    tried = at(least)
    if isinstance(tried, str):
        return Grown(None, tried, 1.0, 1.0, None)
    smallest = tried.interval.high
    if smallest > target:
        return Grown(
            None,
            f"with {people:,} enrolled the FPIR is at most {smallest:.2g} at the strictest threshold that "
            f"{LEAST_EVENTS} people reach",
            1.0,
            smallest,
            None,
        )
    passed, best, failed = least, tried, most + 1
    while passed < most:
        count = min(most, max(passed + 1, int(STEP * passed)))
        tried = at(count)
        if isinstance(tried, str) or tried.interval.high > target:
            failed = count
            break
        passed, best = count, tried
    for _ in range(HALVINGS):
        if failed - passed <= 1:
            break
        middle = (passed + failed) // 2
        tried = at(middle)
        if isinstance(tried, str) or tried.interval.high > target:
            failed = middle
        else:
            passed, best = middle, tried
    return Grown(float(scores[passed - 1]), "", best.interval.high, smallest, best)
