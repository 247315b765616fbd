"""What a smaller template loses against the full vector, the fitting of its axes included in every interval."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fraudit.errors import InsufficientData
from fraudit.stats.intervals import Difference, clustered_rate, t_value
from fraudit.stats.jackknife import LEAST_GROUPS
from fraudit.stats.operating import ScoredPairs, tar_difference
from fraudit.stats.pca import UNFITTED, Variant
from fraudit.stats.verification import OperatingPoint
from fraudit.types import AT_LEAST, F64, I64, UNCERTAIN, Interval, PairList

# Where a code has so few different scores that more than this part of the FAR is one and the same score, the
# threshold jumps from sample to sample and no interval is given.
COARSE = 0.5
# Of fewer than this part of the axes the interval of the accuracy covered every world (benchmarks/results/power.md).
FEW_AXES = 0.5
# With fewer people in the pairs, TAR after fitted axes and its loss are covered less often than they say: 88 to 93 %
# with 20, 92 to 99 % with 60 (benchmarks/results/power.md).
FEW_PEOPLE = 60


@dataclass(frozen=True, slots=True)
class Loss:
    """What a variant loses against the full vector.

    Attributes:
        accuracy, tar: with intervals. fmr: achieved at the threshold of `tar`.
        tar_loss: full minus variant over the same pairs; positive is worse. strict: its interval at `strict_level`.
        All intervals are identity-clustered and include the fitting of axes, means and scales; None where `reason`
        says why. That of the accuracy of few axes says that it is too wide: one kind of pair errs far more than the
        other, and how many there are of each is counted as chance.
    """

    accuracy: tuple[float, Interval | None]
    tar: tuple[float, Interval | None]
    fmr: float
    value: float
    tar_loss: Difference | None
    strict: Interval | None
    reason: str = ""


def fitting_variance(variant: Variant, thresholds: F64, weights: F64, fold: I64) -> float:
    """What fitting adds to the variance of a sum of weights f64[P] of the pairs at or above thresholds f64[P].

    c[j, g] is how fold j's part of the sum changes where everything is fitted without fold g's people too. With
    c = mean + a_g + b_j + e, it is the jackknife over folds of what a_g stands for. What e adds (pairs of fold j
    near the threshold, which fold g's people happen to move) is taken off: judging's own variance has it already.

    Raises:
        InsufficientData: fewer than five folds: no jackknife.
    """
    codes = np.unique(fold, return_inverse=True)[1].ravel()
    groups = int(codes.max()) + 1
    if variant.name in UNFITTED:
        return 0.0
    if variant.again is None:
        raise InsufficientData(
            f"the fitting of axes needs {LEAST_GROUPS} folds of people for its part of an interval; found {groups}"
        )
    before = weights * (variant.scores >= thresholds)
    with np.errstate(invalid="ignore"):
        after = weights * (variant.again >= thresholds)
    change = np.stack([np.bincount(codes, row - before, groups) for row in after], axis=1)
    judged, left_out = np.nonzero(~np.eye(groups, dtype=bool))
    values = change[judged, left_out]
    design = np.concatenate([np.eye(groups)[judged], np.eye(groups)[left_out][:, 1:]], axis=1)
    rest = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    noise = float(rest @ rest) / (len(values) - 2 * groups + 1)
    totals = np.bincount(left_out, values, groups)
    between = float(((totals - totals.mean()) ** 2).sum()) - (groups - 1) ** 2 * noise
    # Of all folds only G - 1 are judged without g; the jackknife's factor is (G - 1) / G.
    return max(between, 0.0) * groups / (groups - 1)


def _widened(
    interval: Interval,
    value: float,
    variance: float,
    groups: int,
    room: tuple[float, float],
    few: bool = False,
) -> Interval:
    """The interval with a further variance on `groups` - 1 degrees of freedom, within `room`; `few`: says so."""
    half = t_value(interval.level, groups - 1) * float(np.sqrt(variance))
    low = max(value - float(np.hypot(value - interval.low, half)), room[0])
    high = min(value + float(np.hypot(interval.high - value, half)), room[1])
    method = interval.method + (f"; fitting by jackknife over {groups} folds" if variance > 0 else "")
    method += f", {UNCERTAIN}" if few else ""
    return Interval(min(low, value), max(high, value), interval.level, method)


def _tar_weights(scored: ScoredPairs, point: OperatingPoint) -> F64:
    """f64[P]: what each pair that is accepted adds to TAR@FAR; for an impostor pair by the slope of the ROC."""
    influence, hit = scored.tar_influence(point), scored.scores >= point.threshold
    found = np.zeros(len(hit))
    for part in (scored.same, ~scored.same & scored.scored):
        if (part & hit).any() and (part & ~hit).any():
            found[part] = influence[part & hit][0] - influence[part & ~hit][0]
    return found


def _require_fine(scored: ScoredPairs, far: float) -> None:
    """Raise InsufficientData where one score holds too many impostor pairs for a threshold at `far`."""
    impostor = np.sort(scored.scores[~scored.same & scored.scored])[::-1]
    at = impostor[min(int(far * len(impostor)), len(impostor) - 1)]
    tied = int((impostor == at).sum())
    if tied > 2 and tied > COARSE * far * len(impostor):
        raise InsufficientData(
            f"{tied:,} of {len(impostor):,} impostor pairs have one and the same score where FAR {far:g} is "
            f"reached: a code this short has too few different scores for an interval"
        )


def loss_of(
    variant: Variant, full: Variant, pairs: PairList, subjects: I64, far: float, strict_level: float = 0.99
) -> Loss:
    """Rates of a variant and its paired losses against `full`, whose axes were learnt from as many people as here."""
    left, right, same = subjects[pairs.left], subjects[pairs.right], pairs.same
    # Without identities every face is its own subject, but a genuine pair still is one person.
    right = np.where(same, left, right)
    scored = ScoredPairs(variant.scores, same, left, right)
    point = variant.point
    codes = np.unique(pairs.fold, return_inverse=True)[1].ravel()
    groups = int(codes.max()) + 1
    few = variant.name not in UNFITTED and len(np.unique([left, right])) < FEW_PEOPLE
    accuracy, value = float(variant.right.mean()), full.point.tar_all - point.tar_all

    try:
        scored.clusters.require()
        _require_fine(scored, far)
        added = fitting_variance(
            variant, np.full(len(same), point.threshold), _tar_weights(scored, point), codes
        )
        tar_interval = _widened(scored.tar_at_far(far)[1], point.tar_all, added, groups, (0.0, 1.0), few)
        signs = np.where(same, 1.0, -1.0) / len(same)
        accuracy_interval = _widened(
            clustered_rate(variant.right, left, right),
            accuracy,
            fitting_variance(variant, variant.thresholds[codes], signs, codes),
            groups,
            (0.0, 1.0),
        )
        if variant.d < FEW_AXES * full.d:
            accuracy_interval = replace(accuracy_interval, method=f"{accuracy_interval.method}, {AT_LEAST}")
        whole = ScoredPairs(full.scores, same, left, right).tar_at_far(far)[1]
        room = (whole.low - 1.0, whole.high)
        ends = [
            _widened(
                tar_difference(variant.scores, full.scores, same, left, right, far, level).interval,
                value,
                added,
                groups,
                room,
                few,
            )
            for level in (0.95, strict_level)
        ]
    except InsufficientData as error:
        return Loss(
            (accuracy, None), (point.tar_all, None), point.far_achieved, value, None, None, error.message
        )
    return Loss(
        (accuracy, accuracy_interval),
        (point.tar_all, tar_interval),
        point.far_achieved,
        value,
        Difference(value, ends[0]),
        ends[1],
    )


def smallest_safe(losses: dict[int, Difference], margin: float, bound: bool = True) -> int | None:
    """Smallest d from which on every loss (or its upper bound) stays within `margin`; None where none does.

    d = D loses nothing by construction and is the answer only where no smaller d is.
    """
    dims = sorted(losses)
    answer = None
    for d in reversed(dims):
        worst = losses[d].interval.high if bound else losses[d].value
        if d != dims[-1] and worst > margin:
            break
        answer = d
    if bound and answer == dims[-1] and losses[answer].interval.high > margin:
        return None
    return answer
