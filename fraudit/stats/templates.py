"""1:1 verification of templates: TAR at FAR 1e-1 to 1e-6 over a protocol's pairs, as IJB-B and IJB-C state it.

Two templates are compared by the cosine of their fused vectors (Whitelam et al., IARPA Janus Benchmark-B, CVPRW 2017;
Maze et al., IARPA Janus Benchmark-C, ICB 2018). Pairs of templates of one person do not count as so many pieces of
evidence: the people of templates are what is resampled, as for pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.stats import verification as v
from fraudit.stats.intervals import interval_or_reason
from fraudit.stats.operating import ScoredPairs
from fraudit.stats.pairs import pair_cosines
from fraudit.types import F64, I64, Bool, Interval


@dataclass(frozen=True, slots=True)
class TemplatePoint:
    """TAR at one FAR.

    Attributes:
        point: threshold, FAR achieved, TAR over scored pairs and over all (`tar_all`).
        interval: of `tar_all`, the threshold's uncertainty included; None where `missing` says why.
        missing: '' or why there is no interval.
    """

    point: v.OperatingPoint
    interval: Interval | None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class TemplateRates:
    """A 1:1 protocol on templates.

    Attributes:
        points: one a FAR, in the order asked for.
        n_genuine, n_impostor: pairs, those without a score included. people: of whom they are.
        lost: templates of pairs that have no vector; their genuine pairs count as rejected, their impostor pairs are
            left out.
    """

    points: tuple[TemplatePoint, ...]
    n_genuine: int
    n_impostor: int
    people: int
    lost: int


def template_scores(fused: NDArray[Any], left: I64, right: I64, ok: Bool | None = None) -> tuple[F64, Bool]:
    """(cosines f64[P], usable bool[T]) of pairs of templates, computed in blocks; NaN where one has no vector.

    Args:
        fused: f32[T,D], of any length; rows of length 0 or not finite have no vector.
        left, right: i64[P], rows. ok: bool[T], False where nothing was fused.
    """
    values = np.asarray(fused)
    norms = np.linalg.norm(values, axis=1)
    usable = np.isfinite(norms) & (norms > 0)
    if ok is not None:
        usable &= ok
    unit = np.zeros_like(values)
    unit[usable] = values[usable] / norms[usable, None]
    return pair_cosines(unit, left, right, usable), usable


def verify_templates(
    fused: NDArray[Any],
    subjects: ArrayLike,
    left: I64,
    right: I64,
    same: Bool,
    ok: Bool | None = None,
    fars: Sequence[float] = v.FARS,
    level: float = 0.95,
) -> TemplateRates:
    """TAR at each FAR over a protocol's pairs of templates.

    The threshold is the smallest observed score whose FAR is at most the target. (insightface's code takes the point of
    the ROC nearest to the target, which may lie above it.)

    Args:
        fused: f32[T,D], fused vectors. subjects: i64[T], who each template shows.
        left, right: i64[P], rows of `fused`. same: bool[P], genuine.
        ok: bool[T], False where nothing was fused. fars: targets in (0, 1]. level: of the intervals.
    Raises:
        InsufficientData: no genuine or no impostor pair has a score.
    """
    scores, usable = template_scores(fused, left, right, ok)
    people = np.asarray(subjects, np.int64)
    pairs = ScoredPairs(scores, same, people[left], people[right])
    named = np.zeros(len(people), bool)
    named[left] = named[right] = True
    return TemplateRates(
        tuple(_point(pairs, far, level) for far in fars),
        int(pairs.same.sum()),
        int((~pairs.same).sum()),
        len(np.unique(people[named])),
        int((named & ~usable).sum()),
    )


def _point(pairs: ScoredPairs, far: float, level: float) -> TemplatePoint:
    point = v.tar_at_far(pairs.genuine, pairs.impostor, far)
    if not point.resolvable:
        needed = int(np.ceil(3 / far))
        return TemplatePoint(
            point,
            None,
            f"FAR {far:g} needs {needed:,} impostor pairs (rule of three); there are {point.n_impostor:,}",
        )
    return TemplatePoint(point, *interval_or_reason(lambda: pairs.tar_at_far(far, level)[1]))
