"""Verification rates of similarity scores.

A pair matches when score >= threshold. `genuine` and `impostor` are f64[*] similarities, larger means more
alike. A score that is missing (NaN: a face without a vector) never matches: it raises FNMR, never FMR.
Definitions: ISO/IEC 19795-1; EER: Maio et al., FVC2000, IEEE TPAMI 24(3), 2002; rule of thirty: Doddington et
al., Speech Communication 31, 2000.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.errors import InsufficientData
from fraudit.types import F64, Bool

FARS: tuple[float, ...] = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
Resolution = Literal["rule of thirty", "rule of three", "no"]


def _scored(scores: ArrayLike, what: str) -> F64:
    """Sorted scores; NaN (no score) is dropped. Raises InsufficientData where none is left.

    Those that `ascending` gave are not sorted again: a million of them are looked at for many thresholds.
    """
    array = np.asarray(scores, np.float64).ravel()
    count = len(array) - int(np.isnan(array).sum())
    if np.isnan(array[:count]).any() or (array[1:count] < array[: count - 1]).any():
        array = ascending(array)
    array = array[:count]
    if not count:
        raise InsufficientData(
            f"no {what} pair has a score", "check the identities and the failures to acquire"
        )
    return array


def ascending(scores: ArrayLike) -> F64:
    """f64[P] scores from the lowest to the highest, NaN last: what the functions here need not sort again."""
    return np.sort(np.asarray(scores, np.float64).ravel())


def fmr(impostor: ArrayLike, thresholds: ArrayLike) -> F64:
    """Share of impostor scores >= each threshold: f64 of the shape of `thresholds`. NaN is left out."""
    ordered = _scored(impostor, "impostor")
    return np.asarray(
        1.0 - np.searchsorted(ordered, np.asarray(thresholds, np.float64), "left") / len(ordered)
    )


def fnmr(genuine: ArrayLike, thresholds: ArrayLike) -> F64:
    """Share of genuine scores < each threshold: f64 of the shape of `thresholds`. NaN is left out."""
    ordered = _scored(genuine, "genuine")
    return np.asarray(np.searchsorted(ordered, np.asarray(thresholds, np.float64), "left") / len(ordered))


def resolution(n_impostor: int, target_fmr: float) -> Resolution:
    """By which rule `n_impostor` pairs resolve `target_fmr`: 30/x pairs, 3/x pairs, or not at all."""
    expected = n_impostor * target_fmr * (1 + 1e-9)
    return "rule of thirty" if expected >= 30 else "rule of three" if expected >= 3 else "no"


@dataclass(frozen=True, slots=True)
class FmrThreshold:
    """A threshold for a target FMR and what it achieves.

    Attributes:
        value: similarity; a pair matches when score >= value.
        target: FMR that was asked for.
        fmr: FMR on the impostor scores it was chosen on, <= target.
        n_impostor: number of those scores.
        resolution: whether that many pairs can resolve the target.
        observed: False where every observed score exceeds the target; `value` is then just above the highest.
    """

    value: float
    target: float
    fmr: float
    n_impostor: int
    resolution: Resolution
    observed: bool = True

    def __float__(self) -> float:
        return self.value

    @property
    def resolvable(self) -> bool:
        """Whether at least the rule of three holds (n >= 3 / target)."""
        return self.resolution != "no"


def fmr_threshold(impostor: ArrayLike, target_fmr: float, observed: ArrayLike | None = None) -> FmrThreshold:
    """Smallest observed threshold whose FMR is at most `target_fmr`; ties never exceed the target.

    Args:
        impostor: f64[P], similarities of different-subject pairs; NaN is left out.
        target_fmr: fraction in (0, 1]; 1e-3 means 0.1 %.
        observed: further observed scores (the genuine ones) that may serve as thresholds.
    Raises:
        InsufficientData: no impostor score at all. Too few for the target is told by `.resolution`.
    """
    ordered = _scored(impostor, "impostor")
    n = len(ordered)
    # Matches allowed, as an integer: 1e-3 of 3,000 is 3 although 3000 * 1e-3 may round below it.
    allowed = min(n, int(np.floor(target_fmr * n * (1 + 1e-12))))
    above, more = ordered, np.empty(0) if observed is None else np.asarray(observed, np.float64).ravel()
    more = more[~np.isnan(more)]
    if allowed < n:
        too_low = ordered[n - 1 - allowed]
        above, more = ordered[np.searchsorted(ordered, too_low, "right") :], more[more > too_low]
    above = np.append(above[:1], more)
    found = len(above) > 0
    value = float(above.min()) if found else float(np.nextafter(ordered[-1], np.inf))
    achieved = float((n - np.searchsorted(ordered, value, "left")) / n)
    return FmrThreshold(value, target_fmr, achieved, n, resolution(n, target_fmr), found)


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """TAR at a FAR target, with the threshold read off the same ROC (the field's definition of TAR@FAR).

    Attributes:
        far: target. threshold: similarity. far_achieved: FMR at the threshold, <= far.
        tar: 1 - FNMR over the genuine pairs that have a score.
        tar_all: the same over all genuine pairs; those without a score count as rejected.
        n_genuine, n_impostor: pairs with a score; n_genuine_all: all genuine pairs.
        resolution: whether the impostor pairs can resolve the target.
    """

    far: float
    threshold: float
    far_achieved: float
    tar: float
    tar_all: float
    n_genuine: int
    n_genuine_all: int
    n_impostor: int
    resolution: Resolution

    @property
    def resolvable(self) -> bool:
        """Whether at least the rule of three holds."""
        return self.resolution != "no"


def tar_at_far(genuine: ArrayLike, impostor: ArrayLike, far: float) -> OperatingPoint:
    """TAR at the smallest observed threshold whose FMR is at most `far`."""
    everyone = np.asarray(genuine, np.float64).ravel()
    ordered = _scored(everyone, "genuine")
    at = fmr_threshold(impostor, far, observed=ordered)
    accepted = len(ordered) - int(np.searchsorted(ordered, at.value, "left"))
    return OperatingPoint(
        far,
        at.value,
        at.fmr,
        accepted / len(ordered),
        accepted / len(everyone),
        len(ordered),
        len(everyone),
        at.n_impostor,
        at.resolution,
    )


@dataclass(frozen=True, slots=True)
class Rates:
    """Error rates at one threshold under both conventions for faces without a vector.

    `fnmr` and `fmr` count every pair: a pair without a score does not match, so that it is an error when
    genuine and none when impostor. `fnmr_scored` and `fmr_scored` leave such pairs
    out; None where none has a score.
    """

    threshold: float
    fnmr: float | None
    fmr: float | None
    fnmr_scored: float | None
    fmr_scored: float | None
    n_genuine: int
    n_impostor: int
    n_genuine_missing: int
    n_impostor_missing: int


def rates_at(scores: ArrayLike, same: ArrayLike, threshold: float) -> Rates:
    """Rates of f64[P] scores (NaN: no score) with bool[P] labels at a threshold."""
    s, y = np.asarray(scores, np.float64), np.asarray(same, bool)
    missing = np.isnan(s)
    accept = s >= threshold
    gone_g, gone_i = int((missing & y).sum()), int((missing & ~y).sum())
    n_g, n_i = int(y.sum()), int((~y).sum())
    rejected, accepted = int((~accept & y).sum()), int((accept & ~y).sum())

    def share(part: int, whole: int) -> float | None:
        return part / whole if whole else None

    return Rates(
        float(threshold),
        share(rejected, n_g),
        share(accepted, n_i),
        share(rejected - gone_g, n_g - gone_g),
        share(accepted, n_i - gone_i),
        n_g,
        n_i,
        gone_g,
        gone_i,
    )


@dataclass(frozen=True, slots=True)
class RocPoints:
    """ROC/DET points in ascending threshold: f64[K] each. Between two points the curve is a staircase."""

    thresholds: F64
    fmr: F64
    fnmr: F64


def roc_points(genuine: ArrayLike, impostor: ArrayLike) -> RocPoints:
    """FMR and FNMR at every distinct observed score, and just above the highest (where nothing matches)."""
    g, i = _scored(genuine, "genuine"), _scored(impostor, "impostor")
    levels = np.unique(np.concatenate([g, i]))
    levels = np.append(levels, np.nextafter(levels[-1], np.inf))
    return RocPoints(
        levels,
        1.0 - np.searchsorted(i, levels, "left") / len(i),
        np.searchsorted(g, levels, "left") / len(g),
    )


def thin(points: RocPoints, max_points: int = 400) -> RocPoints:
    """Fewer points of the same curve.

    Corners of the staircase are kept exactly. Only where more than `max_points` remain are those merged that
    fall into one cell of a log-log grid (rates within 6 %, then 12 %, ...); both extremes of a cell stay.
    """
    x, y = points.fmr, points.fnmr
    # A point is superfluous where both neighbours lie on the same horizontal or vertical line through it.
    straight = ((x[:-2] == x[1:-1]) & (x[1:-1] == x[2:])) | ((y[:-2] == y[1:-1]) & (y[1:-1] == y[2:]))
    keep = np.flatnonzero(np.concatenate([[True], ~straight, [True]]))
    cells = 40
    while len(keep) > max_points and cells >= 4:
        floor = 1e-9
        grid = [np.round(np.log10(np.maximum(v[keep], floor)) * cells) for v in (x, y)]
        new = np.flatnonzero(np.concatenate([[True], (np.diff(grid[0]) != 0) | (np.diff(grid[1]) != 0)]))
        last = np.append(new[1:] - 1, len(keep) - 1)
        keep = keep[np.unique(np.concatenate([new, last]))]
        cells //= 2
    return RocPoints(points.thresholds[keep], x[keep], y[keep])


@dataclass(frozen=True, slots=True)
class Eer:
    """Equal error rate: the mid-point of the FVC2000 interval [low, high] at `threshold`."""

    value: float
    low: float
    high: float
    threshold: float


def eer(genuine: ArrayLike, impostor: ArrayLike) -> Eer:
    """EER with the FVC2000 interval of the two thresholds between which FMR and FNMR cross."""
    points = roc_points(genuine, impostor)
    after = int(
        np.argmax(points.fnmr >= points.fmr)
    )  # t2: first threshold with FNMR >= FMR; the last one always has
    before = after if points.fnmr[after] == points.fmr[after] or after == 0 else after - 1  # t1
    at = before if _total(points, before) <= _total(points, after) else after
    low, high = sorted((float(points.fmr[at]), float(points.fnmr[at])))
    return Eer((low + high) / 2, low, high, float(points.thresholds[at]))


def _total(points: RocPoints, at: int) -> float:
    return float(points.fmr[at] + points.fnmr[at])


def d_prime(genuine: ArrayLike, impostor: ArrayLike) -> float:
    """|mu_G - mu_I| / sqrt((var_G + var_I) / 2), population variances (Daugman's decidability).

    Raises:
        InsufficientData: both classes have no spread, so that the figure is not defined.
    """
    g, i = _scored(genuine, "genuine"), _scored(impostor, "impostor")
    spread = np.sqrt((g.var() + i.var()) / 2)
    if spread == 0:
        raise InsufficientData("d' is not defined: neither genuine nor impostor scores vary")
    return float(abs(g.mean() - i.mean()) / spread)


def auc(genuine: ArrayLike, impostor: ArrayLike) -> float:
    """Area under the ROC: P(genuine > impostor) + P(equal) / 2."""
    g, i = _scored(genuine, "genuine"), _scored(impostor, "impostor")
    below, upto = np.searchsorted(i, g, "left"), np.searchsorted(i, g, "right")
    return float((below + upto).sum() / (2.0 * len(g) * len(i)))


def score_histogram(genuine: ArrayLike, impostor: ArrayLike, bins: int = 80) -> dict[str, list[float]]:
    """Densities on common bins: `edges` [bins + 1], `genuine` [bins], `impostor` [bins]; each area is 1."""
    g, i = _scored(genuine, "genuine"), _scored(impostor, "impostor")
    low, high = min(g[0], i[0]), max(g[-1], i[-1])
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, bins + 1)
    density = {
        name: np.histogram(s, edges, density=True)[0].tolist()
        for name, s in (("genuine", g), ("impostor", i))
    }
    return {"edges": edges.tolist(), **density}


def split(scores: NDArray[Any], same: Bool) -> tuple[F64, F64]:
    """(genuine, impostor) scores of a scored pair list, NaN kept."""
    s, y = np.asarray(scores, np.float64), np.asarray(same, bool)
    return s[y], s[~y]
