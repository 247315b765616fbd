"""Error rates of the same pairs at many thresholds, each exact there and with its interval.

A sweep's thresholds are short decimals, so that each can be said and typed as it is: what is shown at one of them is
what anybody computes at the same text. Between two neighbouring scores every threshold gives the same rates, so the
shortest decimal among them loses nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

import numpy as np
from numpy.typing import ArrayLike

from fraudit.errors import InsufficientData
from fraudit.stats.estimates import Estimate, estimated
from fraudit.stats.intervals import PairClusters, interval_or_reason
from fraudit.types import F64, I64, Bool, Interval

BEYOND = 0.005  # of the scores' spread
EVEN, LEVELS = 250, 60  # thresholds at equal steps, and along each error rate, of a sweep
MOST_WORK = 200_000_000  # pairs times thresholds: with more pairs there are fewer thresholds
LEAST_EVEN, LEAST_LEVELS = 40, 20


@dataclass(frozen=True, slots=True)
class Sweep:
    """One error rate at K thresholds.

    Attributes:
        errors: i64[K]. n: pairs. intervals: K, None where there is none. missing: why, where any lacks one.
    """

    errors: I64
    n: int
    intervals: tuple[Interval | None, ...]
    missing: str = ""


def plain_threshold(value: float, ordered: F64) -> float:
    """The shortest decimal that parts the scores as `value` does, f64[P] `ordered` being all of them, sorted.

    That is, above every score below `value` and at or below every other one. Where there is no score on a side, the
    decimal lies within a `BEYOND` of the scores' spread of it, or at `value` where that is farther away: a slider ends
    beside the last score, not at a round number far from it.
    """
    at = int(np.searchsorted(ordered, value, "left"))
    spread = float(ordered[-1] - ordered[0]) if len(ordered) else 0.0
    spread = spread or max(abs(value), 1.0)
    low = float(ordered[at - 1]) if at else value - spread * BEYOND
    high = float(ordered[at]) if at < len(ordered) else max(value, low + spread * BEYOND)
    exact = Decimal(repr(high))
    for digits in range(18):
        found = float(exact.quantize(Decimal(1).scaleb(-digits), ROUND_FLOOR))
        if low < found <= high:
            return found + 0.0  # no -0.0
    return high


def sweep_thresholds(
    genuine: ArrayLike, impostor: ArrayLike, wanted: Iterable[float] = (), work: int = 0
) -> F64:
    """f64[K] sorted thresholds for f64[*] scores (NaN left out): at equal steps and along both error rates.

    Args:
        wanted: further ones; each comes in as the decimal that parts the scores alike (`plain_threshold`).
        work: pairs that every threshold costs; beyond `MOST_WORK` in all there are fewer.
    Raises:
        InsufficientData: no genuine or no impostor pair has a score.
    """
    g, i = (np.sort(np.asarray(s, np.float64)[~np.isnan(s)]) for s in (genuine, impostor))
    for what, part in (("genuine", g), ("impostor", i)):
        if not len(part):
            raise InsufficientData(f"no {what} pair has a score", "check identities and failures to acquire")
    ordered = np.unique(np.concatenate([g, i]))
    less = min(1.0, MOST_WORK / max(work * (EVEN + 2 * LEVELS), 1))
    even, levels = max(LEAST_EVEN, round(EVEN * less)), max(LEAST_LEVELS, round(LEVELS * less))
    found = set(_even(float(ordered[0]), float(ordered[-1]), even))
    # The k-th highest impostor score is the lowest threshold with k false matches; k from all down to 1, in steps of
    # equal ratio. Likewise the k-th lowest genuine score.
    cuts = [i[len(i) - k] for k in _counts(len(i), levels)] + [g[k - 1] for k in _counts(len(g), levels)]
    top = float(ordered[-1]) + (float(ordered[-1] - ordered[0]) or 1.0) * 1e-9  # above every score
    cuts += [float(np.nextafter(i[-1], np.inf)), top, *wanted]
    found |= {plain_threshold(float(cut), ordered) for cut in cuts}
    return np.array(sorted(found))


def _counts(n: int, most: int) -> list[int]:
    return sorted({round(float(k)) for k in np.geomspace(1, n, most)})


def _even(low: float, high: float, most: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten over [low, high], at most about `most`."""
    if not high > low:
        return [low]
    rough = Decimal((high - low) / most)
    power = Decimal(1).scaleb(math.floor(rough.log10()))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    first, last = (int((Decimal(end) / step).to_integral_value(ROUND_FLOOR)) for end in (low, high))
    return [float(step * k) + 0.0 for k in range(first, last + 1)]


def false_non_matches(genuine: F64, threshold: float) -> Bool:
    """bool[P]: genuine pairs below `threshold`, those without a score (NaN) included."""
    return ~(genuine >= threshold)


def false_matches(impostor: F64, threshold: float) -> Bool:
    """bool[P]: impostor pairs at or above `threshold`; NaN never is."""
    return impostor >= threshold


class SweptPairs:
    """Scored pairs with their people, prepared once for their error rates at any threshold.

    FNMR is over all genuine pairs, one without a score counting as rejected; FMR over the impostor pairs with a score.

    Args:
        scores: f64[P], NaN: none. same: bool[P]. left, right: i64[P] people of both sides.
    """

    def __init__(self, scores: ArrayLike, same: ArrayLike, left: ArrayLike, right: ArrayLike) -> None:
        s, y = np.asarray(scores, np.float64), np.asarray(same, bool)
        a, b = np.asarray(left), np.asarray(right)
        strange = ~y & ~np.isnan(s)
        self.genuine, self.impostor = s[y], s[strange]
        self._clusters = {
            "fnmr": PairClusters(a[y], b[y]) if y.any() else None,
            "fmr": PairClusters(a[strange], b[strange]) if strange.any() else None,
        }

    def _of(self, kind: str) -> tuple[F64, PairClusters | None, Callable[[F64, float], Bool]]:
        if kind == "fnmr":
            return self.genuine, self._clusters[kind], false_non_matches
        return self.impostor, self._clusters[kind], false_matches

    def rate(self, kind: str, threshold: float) -> Estimate:
        """`fmr` or `fnmr` at a threshold that is taken as it is, with its identity-clustered interval.

        Raises:
            InsufficientData: no such pair.
        """
        scores, clusters, wrong = self._of(kind)
        if clusters is None:
            raise InsufficientData(f"no {'genuine' if kind == 'fnmr' else 'impostor'} pair has a score")
        events = wrong(scores, threshold)
        return estimated(
            float(events.sum()) / len(events), lambda: clusters.rate_interval(events), len(events)
        )

    def sweep(self, kind: str, thresholds: F64) -> Sweep | None:
        """`fmr` or `fnmr` at f64[K] sorted thresholds; None where there is no such pair."""
        scores, clusters, wrong = self._of(kind)
        if clusters is None:
            return None
        ordered = np.sort(scores)  # NaN last: never at or above a threshold
        known = len(ordered) - int(np.isnan(ordered).sum())
        below = np.searchsorted(ordered[:known], thresholds, "left")
        errors = below + (len(scores) - known) if kind == "fnmr" else known - below
        found: dict[int, tuple[Interval | None, str]] = {}
        for count, threshold in zip(errors.tolist(), thresholds.tolist(), strict=True):
            if count not in found:  # as many errors of a sweep are the same errors
                events = wrong(scores, threshold)
                found[count] = interval_or_reason(lambda e=events: clusters.rate_interval(e))  # type: ignore[misc]
        intervals = tuple(found[count][0] for count in errors.tolist())
        missing = next((why for _, why in found.values() if why), "")
        return Sweep(errors.astype(np.int64), len(scores), intervals, missing)
