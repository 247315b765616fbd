"""A score as evidence: its log-likelihood ratio, and the probability that follows from it and a stated prior.

Needs numpy alone, so that a deployment can read a calibration and use it. It is made in `fraudit.stats.likelihood`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fraudit.errors import DataError, UsageError
from fraudit.types import F64

MOST_KNOTS = 1000
KINDS = ("logistic", "isotonic")


@dataclass(frozen=True, slots=True)
class LogOdds:
    """Score to log-likelihood ratio (natural logarithm): log p(score | same person) / p(score | two people).

    Attributes:
        kind: `logistic`: slope * score + offset. `isotonic`: straight lines between the knots (scores, llrs).
        slope, offset: of `logistic`, slope >= 0. scores, llrs: f64[K] of `isotonic`: rising, never falling.
        low, high: no ratio lies beyond; as far as the number of people seen can tell.
    """

    kind: str
    low: float
    high: float
    slope: float = 0.0
    offset: float = 0.0
    scores: tuple[float, ...] = ()
    llrs: tuple[float, ...] = ()

    def llr(self, scores: ArrayLike) -> F64:
        """f64 of the shape of `scores`; NaN stays NaN."""
        s = np.asarray(scores, np.float64)
        with np.errstate(invalid="ignore"):  # 0 * infinity
            raw = (
                self.slope * s + self.offset
                if self.kind == "logistic"
                else np.interp(s, self.scores, self.llrs)
            )
        return np.asarray(np.where(np.isnan(s), np.nan, np.clip(raw, self.low, self.high)))

    def probability(self, scores: ArrayLike, prior: float) -> F64:
        """Of the same person, f64 of the shape of `scores`.

        Args:
            prior: share of genuine comparisons among those that the deployment makes, in (0, 1). There is no default:
                it is no property of the model.
        Raises:
            UsageError: prior out of range.
        """
        if not 0 < prior < 1:
            raise UsageError(
                f"a prior is a probability between 0 and 1; found {prior:g}",
                "state how often a comparison is of one person, such as 0.01",
            )
        odds = self.llr(scores) + math.log(prior) - math.log1p(-prior)
        return np.asarray(0.5 * (1 + np.tanh(odds / 2)))

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        found: dict[str, Any] = {"kind": self.kind, "low": self.low, "high": self.high}
        if self.kind == "logistic":
            return found | {"slope": self.slope, "offset": self.offset}
        return found | {"scores": list(self.scores), "llrs": list(self.llrs)}

    @classmethod
    def from_dict(cls, value: Any, where: str = "the calibration") -> LogOdds:
        """From plain JSON that anybody may have written.

        Raises:
            DataError: a key missing or unknown, no finite number, knots out of order.
        """
        if not isinstance(value, Mapping):
            raise DataError(f"{where}: expected an object, found {type(value).__name__}")
        kind = value.get("kind")
        if kind not in KINDS:
            raise DataError(f"{where}: kind is one of {', '.join(KINDS)}; found {str(kind)[:40]!r}")
        own = ("slope", "offset") if kind == "logistic" else ("scores", "llrs")
        expected = {"kind", "low", "high", *own}
        for key in sorted(expected - set(value)):
            raise DataError(f"{where}: {key} is missing")
        for key in sorted(map(str, set(value) - expected)):
            raise DataError(f"{where}: {key[:40]!r} is not known in a {kind} calibration")
        low, high = (finite(value[key], f"{where}: {key}") for key in ("low", "high"))
        if low > high:
            raise DataError(f"{where}: low {low:g} lies above high {high:g}")
        if kind == "logistic":
            slope, offset = (finite(value[key], f"{where}: {key}") for key in own)
            if slope < 0:
                raise DataError(f"{where}: slope {slope:g} is below 0; a higher score means more alike")
            return cls(kind, low, high, slope, offset)
        scores, llrs = (_numbers(value[key], f"{where}: {key}") for key in own)
        if len(scores) != len(llrs):
            raise DataError(f"{where}: {len(scores)} scores and {len(llrs)} llrs; expected equally many")
        if any(b <= a for a, b in itertools.pairwise(scores)):
            raise DataError(f"{where}: scores have to rise from knot to knot")
        if any(b < a for a, b in itertools.pairwise(llrs)):
            raise DataError(f"{where}: llrs may not fall from knot to knot")
        return cls(kind, low, high, scores=scores, llrs=llrs)


def finite(value: Any, what: str) -> float:
    """A finite number of plain JSON. Raises DataError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{what}: expected a number, found {_short(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise DataError(f"{what}: expected a finite number, found {number}")
    return number


def _short(value: Any) -> str:
    return "null" if value is None else f"{type(value).__name__} {str(value)[:30]!r}"


def _numbers(value: Any, what: str) -> tuple[float, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_KNOTS:
        raise DataError(f"{what}: expected a list of 1 to {MOST_KNOTS:,} numbers")
    return tuple(finite(each, what) for each in value)
