"""One type for an estimate with its interval and what it rests on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fraudit.stats.intervals import interval_or_reason
from fraudit.types import Interval


@dataclass(frozen=True, slots=True)
class Estimate:
    """A rate, mean or difference, its interval or `reason` why it has none, and what it rests on.

    Attributes:
        n: comparisons, faces or pictures. people: in them. Both are 0 where a metric states them itself.
    """

    value: float
    interval: Interval | None = None
    n: int = 0
    people: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class GroupEstimate(Estimate):
    """An estimate of one group."""

    group: str = ""


def estimated(value: float, make: Callable[[], Interval], n: int = 0, people: int = 0) -> Estimate:
    """`value` with the interval that `make` gives, or the reason of its InsufficientData."""
    interval, reason = interval_or_reason(make)
    return Estimate(value, interval, n, people, reason)
