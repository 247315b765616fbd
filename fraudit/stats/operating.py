"""Intervals of figures that depend on a threshold read off the same scores: TAR@FAR, EER; and of AUC and d'.

Each figure is linearised into one influence value a pair; the variance of their sum is the identity-clustered
double sum of `fraudit.stats.intervals`, genuine and impostor pairs of one person included. AUC's influence
values are DeLong's placements (Biometrics 44, 1988). A genuine pair without a score (NaN) counts as
rejected for TAR@FAR; the other figures leave it out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.errors import InsufficientData
from fraudit.stats import verification as v
from fraudit.stats.groups import impostor_rates
from fraudit.stats.intervals import (
    Difference,
    PairClusters,
    effective_interval,
    stated_design,
    steady_design,
    t_value,
)
from fraudit.types import F64, Bool, Interval


class ScoredPairs:
    """Scored pairs with their people, prepared once.

    Args:
        scores: f64[P], similarities, NaN where a face has no vector.
        same: bool[P], genuine.
        left, right: i64[P], subjects of both sides.
    Raises:
        InsufficientData: no genuine or no impostor pair has a score.
    """

    def __init__(self, scores: ArrayLike, same: ArrayLike, left: ArrayLike, right: ArrayLike) -> None:
        self.scores, self.same = np.asarray(scores, np.float64), np.asarray(same, bool)
        self.left, self.right = np.asarray(left), np.asarray(right)
        self.scored: Bool = ~np.isnan(self.scores)
        self.genuine, impostor = v.split(self.scores, self.same)  # the genuine ones in the order of `left`
        self.impostor = v.ascending(impostor)  # many, looked at for many thresholds
        for what, part in (("genuine", self.genuine), ("impostor", self.impostor)):
            if not (~np.isnan(part)).any():
                raise InsufficientData(
                    f"no {what} pair has a score", "check identities and failures to acquire"
                )
        self.clusters = PairClusters(self.left, self.right)

    def _rate(
        self,
        value: float,
        influence: F64,
        missed: Bool,
        what: str,
        level: float,
        gain: float = 1.0,
        figure: str = "",
    ) -> Interval:
        """Interval of a figure in [0, 1] whose error is the sum of f64[P] `influence`.

        Genuine pairs are the trials, since they are the fewer; `missed` bool[P] tells which of them fall short, so
        that few people who do are told from many. `gain`: independent pairs that one genuine pair is worth. `figure`:
        its name in `WIDE_BELOW`.

        Raises:
            InsufficientData: too few people carry the genuine or the impostor pairs.
        """
        self.clusters.require()
        n = gain * float(self.same.sum())
        spread = value * (1 - value)
        variance = self.clusters.sum_variance(influence)
        measured = max(1.0, variance * n / spread) if spread > 0 else 1.0
        people, sizes = np.unique(self.left[self.same], return_counts=True)
        erring = len(np.unique(self.left[self.same & missed]))
        stated = stated_design(sizes)
        design = steady_design(measured, min(erring, len(people)), stated)
        freedom = self.clusters.freedom(influence)
        return effective_interval(value, n, design, freedom, level, what, stated, figure)

    def _slope(self, far: float) -> float:
        """dTAR/dFMR of the ROC around `far`, over a step of the FMR's own standard error."""
        n = int((~self.same & self.scored).sum())
        threshold = float(v.fmr_threshold(self.impostor, far))
        error = np.sqrt(self.clusters.sum_variance(self._fmr_influence(threshold)))
        step = max(float(error), 1.5 / n)
        low, high = max(far - step, 0.0), min(far + step, 1.0)
        ends = [v.tar_at_far(self.genuine, self.impostor, x) for x in (low, high)]
        span = max(ends[1].far_achieved - ends[0].far_achieved, high - low)
        return (ends[1].tar_all - ends[0].tar_all) / span

    def _fmr_influence(self, threshold: float) -> F64:
        use = ~self.same & self.scored
        hit = (self.scores >= threshold).astype(np.float64)
        return np.where(use, hit - hit[use].mean(), 0.0) / use.sum()

    def _tar_influence(self, threshold: float) -> F64:
        hit = (self.scores >= threshold).astype(np.float64)
        return np.where(self.same, hit - hit[self.same].mean(), 0.0) / self.same.sum()

    def tar_influence(self, point: v.OperatingPoint) -> F64:
        """f64[P] summing to TAR@FAR's error; the threshold's uncertainty enters by the ROC's slope."""
        slope = self._slope(point.far)
        return self._tar_influence(point.threshold) - slope * self._fmr_influence(point.threshold)

    def tar_at_far(self, far: float, level: float = 0.95) -> tuple[v.OperatingPoint, Interval]:
        """TAR@FAR and the interval of `tar_all`."""
        point = v.tar_at_far(self.genuine, self.impostor, far)
        return point, self._rate(
            point.tar_all,
            self.tar_influence(point),
            ~(self.scores >= point.threshold),
            ", threshold included",
            level,
            figure="TAR",
        )

    def eer(self, level: float = 0.95) -> tuple[v.Eer, Interval]:
        """EER (its FVC2000 interval is inside) and the confidence interval of its mid-point."""
        found = v.eer(self.genuine, self.impostor)
        # A miss more moves the crossing by 1 / (1 + slope) alone; the root keeps to the safe side with few people.
        gain = float(np.sqrt(1 + self._slope(min(max(found.value, 0.0), 1.0))))
        missed = self.scores < found.threshold
        return found, self._rate(
            found.value, self.eer_influence(found), missed, ", threshold included", level, gain
        )

    def eer_influence(self, found: v.Eer) -> F64:
        """f64[P] summing to the EER's error, its threshold's included."""
        use = self.same & self.scored
        miss = (self.scores < found.threshold).astype(np.float64)
        fnmr = np.where(use, miss - miss[use].mean(), 0.0) / use.sum()
        slope = self._slope(min(max(found.value, 0.0), 1.0))
        # Shift (dN, dF) of the curve moves its crossing with FNMR = FMR by (dN + slope dF) / (1 + slope).
        return (fnmr + slope * self._fmr_influence(found.threshold)) / (1 + slope)

    def auc(self, level: float = 0.95) -> tuple[float, Interval]:
        """ROC AUC and its interval."""
        value = v.auc(self.genuine, self.impostor)
        # A genuine pair is compared with every impostor pair, so that it tells more than a yes or no would.
        overlap = self.scores < np.nanquantile(self.impostor, 0.99)
        return value, self._rate(
            value, self.auc_influence(), overlap, ", DeLong placements", level, 2.0, "AUC"
        )

    def auc_influence(self) -> F64:
        """f64[P] summing to the AUC's error: DeLong's placements."""
        g, i = self.same & self.scored, ~self.same & self.scored
        influence = np.zeros(len(self.scores))
        for part, other, sign in ((g, i, 1), (i, g, -1)):
            against = np.sort(sign * self.scores[other])
            mine = sign * self.scores[part]
            placement = (np.searchsorted(against, mine, "left") + np.searchsorted(against, mine, "right")) / (
                2 * len(against)
            )
            influence[part] = (placement - placement.mean()) / part.sum()
        return influence

    def d_prime(self, level: float = 0.95) -> tuple[float, Interval]:
        """d' and its interval by the delta method.

        Raises:
            InsufficientData: neither class varies.
        """
        value = v.d_prime(self.genuine, self.impostor)
        self.clusters.require()
        influence = self.d_prime_influence(value)
        freedom = self.clusters.freedom()
        half = t_value(level, freedom) * float(np.sqrt(self.clusters.sum_variance(influence)))
        method = f"delta method, identity-clustered, t {freedom:.0f}"
        return value, Interval(max(0.0, float(value - half)), float(value + half), level, method)

    def d_prime_influence(self, value: float) -> F64:
        """f64[P] summing to the error of d' = `value`."""
        g, i = self.same & self.scored, ~self.same & self.scored
        means = [float(self.scores[part].mean()) for part in (g, i)]
        variances = [float(self.scores[part].var()) for part in (g, i)]
        spread, sign = np.sqrt(sum(variances) / 2), np.sign(means[0] - means[1])
        influence = np.zeros(len(self.scores))
        for part, direction, mean, variance in (
            (g, 1, means[0], variances[0]),
            (i, -1, means[1], variances[1]),
        ):
            centred = self.scores[part] - mean
            gradient = sign * direction * centred / spread - value * (centred**2 - variance) / (4 * spread**2)
            influence[part] = gradient / part.sum()
        return influence


def all_pairs_fmr(
    unit: NDArray[Any], subjects: ArrayLike, threshold: float, ok: Bool | None = None, level: float = 0.95
) -> tuple[float, int, Interval]:
    """(FMR, pairs, interval) over every pair of different people among the rows of f32[N,D], streamed.

    Raises:
        InsufficientData: no pair of different people, or too few people carry them.
    """
    people = np.asarray(subjects, np.int64)
    use = np.ones(len(people), bool) if ok is None else ok
    (found,), _ = impostor_rates(unit, people, np.full(len(people), "all"), threshold, use, level)
    if found.interval is None:
        raise InsufficientData(found.missing)
    return found.rate, found.n, found.interval


def tar_difference(
    first: ArrayLike,
    second: ArrayLike,
    same: ArrayLike,
    left: ArrayLike,
    right: ArrayLike,
    far: float,
    level: float = 0.95,
) -> Difference:
    """TAR@FAR of the second model minus that of the first on the same pairs, each at its own threshold.

    Args:
        first, second: f64[P] scores (NaN: no vector).
        same: bool[P]. left, right: i64[P] subjects. far: FAR target.

    The interval is paired and identity-clustered and includes the uncertainty of both thresholds. Its
    variance is never taken below that of half a discordant pair in each direction.
    """
    a, b = ScoredPairs(first, same, left, right), ScoredPairs(second, same, left, right)
    points = [v.tar_at_far(m.genuine, m.impostor, far) for m in (a, b)]
    influence = b.tar_influence(points[1]) - a.tar_influence(points[0])
    n = int(a.same.sum())
    genuine = PairClusters(a.left[a.same], a.right[a.same]).n_independent
    variance = max(a.clusters.sum_variance(influence), 1.0 / (min(n, genuine) + 2) ** 2)
    value = points[1].tar_all - points[0].tar_all
    a.clusters.require()
    half = t_value(level, a.clusters.freedom(influence)) * float(np.sqrt(variance))
    return Difference(
        value,
        Interval(
            value - half, value + half, level, "paired, identity-clustered, thresholds included (linearised)"
        ),
    )
