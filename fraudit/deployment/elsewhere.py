"""Thresholds applied to another set: do their promises hold there?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from fraudit.deployment.asked import Asked
from fraudit.deployment.galleries import galleries
from fraudit.deployment.measure import Found, group_masks, half_of, thinning
from fraudit.deployment.shown import Shown
from fraudit.errors import ArtifactError, InsufficientData, UsageError
from fraudit.policy import OperatingPoint
from fraudit.stats.pairs import impostor_histogram
from fraudit.stats.promises import Measured, kept_elsewhere
from fraudit.types import Bool


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """One operating point on another set.

    Attributes:
        point: name. rate, cost: there; None with the reason in `missing`. verdict: see `Promise`; of each group too,
            where every group is asked for. groups: rate of each.
    """

    point: str
    kind: str
    rate: Measured | None
    cost: Measured | None
    verdict: str
    missing: str = ""
    groups: Mapping[str, Measured] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckedSet:
    """Every point on another set, by the set's name. `thinned`: what was drawn rather than taken whole."""

    name: str
    people: int
    rows: tuple[Elsewhere, ...]
    notes: tuple[str, ...]


def require_other(shown: Shown, other: Shown) -> None:
    """Raises UsageError where both sets are the same, ArtifactError where the vectors are of two models."""
    if shown.fingerprint != other.fingerprint:
        raise ArtifactError(
            f"--check: the vectors of '{other.faces.name}' are of another model ({other.model})",
            "a threshold holds for its own model alone",
        )
    if shown.digest and shown.digest == other.digest:
        raise UsageError(
            f"--check: '{other.faces.name}' is the set that the threshold is made on",
            "check another one; on this one the other half of the people is the check",
        )


def check_elsewhere(found: Found, other: Shown) -> CheckedSet:
    """Apply every threshold to all people of another set.

    Raises:
        UsageError: it is the same set. InsufficientData: no pair of two people.
    """
    require_other(found.shown, other)
    asked, notes = found.asked, []
    groups: dict[str, Bool] = {}
    if asked.every_group:
        have = tuple(name for name in asked.every_group if name in other.faces.attributes)
        if other.declared is None and have:
            groups = group_masks(other, have)
        lacks = [name for name in asked.every_group if name not in have or not groups]
        if lacks:
            notes.append(f"'{other.faces.name}' has no {' or '.join(lacks)}: not checked by it")
    rows = [_row(point, other, asked, groups, notes) for point in found.points if point.resolvable]
    return CheckedSet(other.faces.name, other.n_people, tuple(rows), tuple(dict.fromkeys(notes)))


def _row(
    point: OperatingPoint, other: Shown, asked: Asked, groups: dict[str, Bool], notes: list[str]
) -> Elsewhere:
    threshold = point.threshold
    assert threshold is not None
    everyone = np.ones(len(other.ok), bool)
    try:
        if point.kind == "fmr":
            largest = point.target
            if other.declared is None:  # as many scores as the threshold passes there, which may be far more
                passed = impostor_histogram(other.unit, other.people, other.ok).fmr(threshold)
                largest = min(1.0, max(largest, 1.01 * passed))
            half = half_of(other, everyone, largest, asked.seed, groups)
            notes += thinning(other, everyone, half, other.faces.name)
        else:
            half = galleries(other, point.enrolled or 0, asked.seed, groups).judge
        rate, cost, verdict, by = kept_elsewhere(half, threshold, point.target, asked.confidence)
    except InsufficientData as error:
        return Elsewhere(point.name, point.kind, None, None, "", error.message)
    return Elsewhere(point.name, point.kind, rate, cost, verdict, rate.missing, by)
