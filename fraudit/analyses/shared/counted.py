"""Counted rates and means as metrics and as points of a chart, or the reason they are missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike

from fraudit.errors import InsufficientData
from fraudit.stats.estimates import Estimate
from fraudit.stats.inversion import mean_of
from fraudit.types import Interval, Metric


def counted_metric(name: str, found: Estimate | None, missing: str, label: str, **more: Any) -> Metric:
    """A metric of a counted rate or mean, or the reason it is missing."""
    if found is None:
        return Metric(name, None, missing=missing, label=label, **more)
    return Metric(
        name,
        found.value,
        n=found.n,
        interval=found.interval,
        interval_missing=found.reason,
        label=label,
        **more,
    )


def mean_or_none(values: ArrayLike, people: ArrayLike) -> Estimate | None:
    """The mean with its interval, or None where nobody has a value."""
    try:
        return mean_of(values, people)
    except InsufficientData:
        return None


def chart_interval(interval: Interval | None) -> dict[str, float | None]:
    """`low` and `high` as a chart's row takes them; None where there is no interval."""
    return {"low": interval.low if interval else None, "high": interval.high if interval else None}


def chart_curve(means: Sequence[Estimate | None]) -> dict[str, list[float | None]]:
    """`y`, `low` and `high` of a chart's series through means."""
    ends = [chart_interval(m.interval if m else None) for m in means]
    return {
        "y": [m.value if m else None for m in means],
        "low": [e["low"] for e in ends],
        "high": [e["high"] for e in ends],
    }
