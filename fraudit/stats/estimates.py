"""One type for an estimate with its interval and what it rests on."""

from __future__ import annotations

from dataclasses import dataclass

from fraudit.types import Interval


@dataclass(frozen=True, slots=True)
class Estimate:
    """A rate, mean or difference, its interval or `reason` why it has none, and what it rests on.

    Attributes:
        n: comparisons, faces or pictures. people: in them.
    """

    value: float
    interval: Interval | None
    n: int
    people: int
    reason: str = ""
