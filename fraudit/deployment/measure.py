"""Thresholds chosen on half of the people and judged on the other half, and what a score is worth as evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fraudit.deployment.asked import Asked
from fraudit.deployment.galleries import Galleries, galleries, largest_gallery
from fraudit.deployment.grown import grown_point
from fraudit.deployment.shown import Shown
from fraudit.errors import InsufficientData
from fraudit.formatting import fmr_words
from fraudit.policy import OperatingPoint, point_of
from fraudit.stats.calibration import calibration_half
from fraudit.stats.halves import Half
from fraudit.stats.likelihood import Calibrated, calibrate
from fraudit.stats.operating import ScoredPairs
from fraudit.stats.pairs import count_impostor_pairs, genuine_pairs, pair_cosines, rate_pairs
from fraudit.stats.promises import promised_threshold
from fraudit.types import Bool


@dataclass(frozen=True, slots=True)
class Found:
    """What was found.

    Attributes:
        points: in the order asked for. choose, judge: halves for FMR. gallery: for FPIR, None with the reason.
        calibrated: score to evidence, None with the reason. thinned: what was drawn rather than taken whole.
    """

    asked: Asked
    shown: Shown
    points: tuple[OperatingPoint, ...]
    choose: Half
    judge: Half
    gallery: Galleries | None
    gallery_missing: str
    calibrated: Calibrated | None
    calibrated_missing: str
    thinned: tuple[str, ...]

    @property
    def resolvable(self) -> bool:
        """Whether any target has a threshold."""
        return any(point.resolvable for point in self.points)


def group_masks(shown: Shown, attributes: tuple[str, ...]) -> dict[str, Bool]:
    """Group -> bool[N] pictures, of every attribute; a label of two attributes is named with its attribute.

    Raises:
        UsageError: an attribute that the set does not have.
    """
    labels = shown.groups(attributes)
    every = [str(g) for values in labels.values() for g in np.unique(values) if g]
    return {
        (str(g) if every.count(str(g)) == 1 and not str(g)[0].isdigit() else f"{name} {g}"): values == g
        for name, values in labels.items()
        for g in np.unique(values)
        if g
    }


def half_of(shown: Shown, mask: Bool, largest: float, seed: int, groups: Mapping[str, Bool]) -> Half:
    """The pictures bool[N] `mask` as one half, with the part of every group that is in it.

    Args:
        largest: highest FMR that the scores kept have to reach.
    Raises:
        InsufficientData: no pair of two people.
    """
    declared, people = shown.declared, shown.people
    if declared is not None:
        use = mask[declared.left] & mask[declared.right]
        left, right = declared.left[use], declared.right[use]
        scores = pair_cosines(shown.unit, left, right, shown.ok)
        return Half.of_pairs(scores, people[left], people[right], declared.same[use])

    def of(part: Bool) -> Half:
        use = mask & part
        return Half.of_vectors(shown.unit[use], people[use], largest, shown.ok[use], None, seed)

    parts: dict[str, tuple[Any, Bool]] = {
        name: (of, part) for name, part in groups.items() if (mask & part).any()
    }
    whole = of(np.ones(len(mask), bool))
    return whole.with_groups(parts) if parts else whole


def thinning(shown: Shown, mask: Bool, half: Half, what: str) -> list[str]:
    """Where not all pairs of a half were taken, in words."""
    if shown.declared is not None:
        return []
    people, said = shown.people[mask], []
    pairs = count_impostor_pairs(shown.people[mask & shown.ok])
    if half.impostor.n < pairs:
        said.append(
            f"{what}: {half.impostor.n:,} of {pairs:,} pairs of two people, those among pictures drawn at random"
        )
    genuine = len(genuine_pairs(people)[0])
    if len(half.genuine) < genuine:
        said.append(
            f"{what}: {len(half.genuine):,} of {genuine:,} genuine pairs, so that few people do not carry them"
        )
    return said


def scored_pairs(shown: Shown, mask: Bool, seed: int) -> ScoredPairs:
    """Genuine and impostor pairs of one half for a calibration (a sample where there are many).

    Raises:
        InsufficientData: none of either.
    """
    rows, declared, people = np.flatnonzero(mask), shown.declared, shown.people
    if declared is None:
        pairs = rate_pairs(people[rows], seed)
        left, right, same = rows[pairs.left], rows[pairs.right], pairs.same
    else:
        use = mask[declared.left] & mask[declared.right]
        left, right, same = declared.left[use], declared.right[use], declared.same[use]
    scores = pair_cosines(shown.unit, left, right, shown.ok)
    return ScoredPairs(scores, same, people[left], people[right])


def _calibrated(shown: Shown, held: Bool, asked: Asked) -> tuple[Calibrated | None, str]:
    try:
        sides = [scored_pairs(shown, half, asked.seed) for half in (held, ~held)]
        return calibrate(sides[0], sides[1], asked.seed, asked.confidence), ""
    except InsufficientData as error:
        return None, error.message


def _gallery(shown: Shown, asked: Asked, groups: Mapping[str, Bool]) -> tuple[Galleries | None, str]:
    if not asked.fpir:
        return None, ""
    try:
        tried = 0 if asked.people > largest_gallery(shown) else asked.people  # beyond, growth is extrapolated
        return galleries(shown, tried, asked.seed, groups), ""
    except InsufficientData as error:
        return None, error.message


def _fpir_point(found: Galleries, target: float, asked: Asked, people: int) -> OperatingPoint:
    if asked.people > found.enrolled:
        return grown_point(found, target, asked, people)
    promise = promised_threshold(found.choose, found.judge, target, asked.confidence, bool(asked.every_group))
    name = f"fpir={fmr_words(target)},people={found.enrolled}"
    return point_of(promise, name, people, found.enrolled, found.estimate(promise.threshold))


def _no_point(target: float, asked: Asked, people: int, reason: str) -> OperatingPoint:
    name = f"fpir={fmr_words(target)}" + (f",people={asked.people}" if asked.people else "")
    return OperatingPoint(
        name,
        "fpir",
        target,
        asked.confidence,
        None,
        reason,
        None,
        1.0,
        None,
        None,
        "",
        "",
        people,
        asked.people or None,
    )


def measure_thresholds(shown: Shown, asked: Asked, odds: bool = True) -> Found:
    """Every threshold asked for, and the calibration.

    Args:
        odds: whether scores are calibrated too.
    Raises:
        InsufficientData: a half without a pair of two people. UsageError: an attribute that the set lacks.
    """
    attributes = asked.every_group or (shown.usual() if asked.profile else ())
    if asked.every_group and shown.declared is not None:
        raise InsufficientData(
            f"--every-group needs to know who is shown; '{shown.faces.name}' declares pairs alone"
        )
    groups = group_masks(shown, attributes) if shown.declared is None else {}
    held = calibration_half(shown.faces.subjects, asked.seed, shown.declared)
    largest = max(asked.fmr, default=0.01)
    choose, judge = (half_of(shown, mask, largest, asked.seed, groups) for mask in (held, ~held))
    points = [
        point_of(
            promised_threshold(choose, judge, target, asked.confidence, bool(asked.every_group)),
            f"fmr={fmr_words(target)}",
            shown.n_people,
        )
        for target in asked.fmr
    ]
    gallery, missing = _gallery(shown, asked, groups)
    points += [
        _no_point(target, asked, shown.n_people, missing)
        if gallery is None
        else _fpir_point(gallery, target, asked, shown.n_people)
        for target in asked.fpir
    ]
    calibrated, no_odds = _calibrated(shown, held, asked) if odds else (None, "it was not asked for")
    thinned = [
        *thinning(shown, held, choose, "choosing half"),
        *thinning(shown, ~held, judge, "judged half"),
    ]
    return Found(
        asked, shown, tuple(points), choose, judge, gallery, missing, calibrated, no_odds, tuple(thinned)
    )
