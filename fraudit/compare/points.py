"""Operating points that a run did not print, from the scores and vectors it stored."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fraudit.compare.hooks import comparisons, short_name
from fraudit.compare.values import Side

_POINT = re.compile(r"(fnmr|fmr|tar)@(fmr|far)=([0-9.]+(?:[eE][+-]?[0-9]+)?)")


def point_of(name: str) -> tuple[str, float] | None:
    """(`fnmr`, `fmr` or `tar`; target) of a rule's name, None where it names no such point."""
    found = _POINT.fullmatch(short_name(name.strip()))
    if found is None or (found[1] == "tar") != (found[2] == "far"):
        return None
    target = float(found[3])
    return (found[1], target) if 0 < target < 1 else None


def with_points(side: Side, names: Iterable[str], analyses: Iterable[str] | None = None) -> Side:
    """The side with the operating points that rules name and its run did not print, as far as it stored enough.

    What the data cannot resolve, or a baseline no longer holds, stays unknown.

    Args:
        analyses: whose points; by default those of all.
    """
    wanted = list(names)
    kept = None if analyses is None else set(analyses)
    for name, comparison in comparisons():
        if comparison.points is not None and (kept is None or name in kept):
            side = comparison.points(side, wanted)
    return side
