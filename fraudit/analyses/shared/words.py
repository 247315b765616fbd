"""Words and names of metrics that several analyses use."""

from __future__ import annotations

from fraudit.formatting import interval as interval_words
from fraudit.stats.estimates import Estimate
from fraudit.types import Interval


def slug(text: str) -> str:
    """A name as part of a metric's, table's or figure's name."""
    return "".join(c if c.isalnum() else "_" for c in text).strip("_").lower()


def judge_key(judge: str, own: bool) -> str:
    """Part of a metric's name: `self` for the audited model."""
    return "self" if own else slug(judge)


def judge_name(judge: str, own: bool) -> str:
    """The judge in a table or a figure."""
    return f"{judge} (the audited model)" if own else judge


def interval_and_people(found: Estimate, unit: str) -> str:
    """`95 % interval 60 to 75 %; 180 faces of 30 people`, or why there is no interval."""
    n = f"{found.n:,} {unit} of {found.people:,} people"
    if found.interval is None:
        return f"no interval: {found.reason}; {n}"
    bounds = interval_words(found.interval.low, found.interval.high, as_percent=True)
    return f"95 % interval {bounds}; {n}"


def interval_ends(interval: Interval | None) -> list[float] | None:
    """[low, high] as a table's cell takes it; None where there is no interval."""
    return [interval.low, interval.high] if interval else None
