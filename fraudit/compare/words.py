"""Figures of a comparison in words: shares in percent and their differences in points, as in a run's report."""

from __future__ import annotations

import re

from fraudit.compare.values import Delta
from fraudit.formatting import MISSING, interval, number, percent, points

_RATE = re.compile(r"(mean_|worst_)?(fnmr|fmr|tar|far|fnir|fpir|tpir|eer|accuracy|fta|unscored)(?=$|[@_])")
_OTHER = re.compile(r"threshold|_std|ratio|over_min")
_CHANGE = re.compile(r"increase|change|gap|loss")


def is_share(d: Delta) -> bool:
    """Whether a metric is an error rate or another share of pairs, faces or people, by its name."""
    parts = d.name.split(".")[1:]
    return not d.new.unit and any(_RATE.match(part) and not _OTHER.search(part) for part in parts)


def value_alone(d: Delta, which: str) -> str:
    """`2.3 %` of the base or the new run; `2.3 points` where the metric is a difference of shares itself."""
    value = (d.base if which == "base" else d.new).value
    if value is None or not is_share(d):
        return number(value)
    return points(value) if _CHANGE.search(d.name) else percent(value)


def value_words(d: Delta, which: str) -> str:
    """`2.3 % (1.5 to 3.6 %)` of the base or the new run."""
    metric = d.base if which == "base" else d.new
    if metric.value is None or metric.interval is None:
        return value_alone(d, which)
    share, change = is_share(d), bool(_CHANGE.search(d.name))
    low, high = metric.interval.low, metric.interval.high
    ends = interval(low, high, as_percent=share and not change, as_points=share and change)
    return f"{value_alone(d, which)} ({ends})"


def difference_alone(d: Delta) -> str:
    """`+0.83 points`, signed; a dash where there is none."""
    if d.value is None:
        return MISSING
    return f"{'+' if d.value > 0 else ''}{(points if is_share(d) else number)(d.value)}"


def interval_alone(d: Delta) -> str:
    """`0.10 to 1.56 points` of the difference; a dash where there is none."""
    return interval(d.interval.low, d.interval.high, as_points=is_share(d)) if d.interval else MISSING


def difference_words(d: Delta) -> str:
    """`+0.83 points (0.10 to 1.56 points)`, or why there is none."""
    if d.value is None:
        return d.reason
    return difference_alone(d) + (f" ({interval_alone(d)})" if d.interval else "")
