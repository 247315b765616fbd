"""Distances between two clouds of feature vectors, in whatever space the caller names.

Frechet distance of two Gaussians (Dowson and Landau, J. Multivariate Analysis 12, 1982; on Inception features
it is the FID of Heusel et al., NeurIPS 2017); precision and recall of k-nearest-neighbour manifolds
(Kynkaanniemi et al., NeurIPS 2019, equations 1 and 2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.errors import InsufficientData
from fraudit.stats.axes import eigh, eigvalsh
from fraudit.stats.intervals import PairClusters, effective_interval, interval_or_reason, t_value
from fraudit.stats.jackknife import jackknife_variance
from fraudit.types import AT_LEAST, F64, I64, Bool, Interval

Rows = NDArray[np.floating[Any]]


def gaussian_frechet(mean_a: F64, cov_a: F64, mean_b: F64, cov_b: F64) -> float:
    """|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a^1/2 C_b C_a^1/2)^1/2), for f64[D] means and f64[D,D] covariances.

    The trace of the root is the sum of the roots of the eigenvalues of a symmetric matrix: no complex root of a
    nearly singular product has to be taken, and fewer samples than dimensions are no special case.
    """
    values, axes = eigh(cov_a)
    root = (axes * np.sqrt(np.maximum(values, 0))) @ axes.T
    inner = eigvalsh(root @ cov_b @ root)
    cross = float(np.sqrt(np.maximum(inner, 0)).sum())
    difference = mean_a - mean_b
    return max(0.0, float(difference @ difference + np.trace(cov_a) + np.trace(cov_b) - 2 * cross))


def frechet_distance(first: Rows, second: Rows) -> float:
    """Frechet distance between Gaussians fitted to [N,D] and [M,D] rows (covariances with N - 1).

    It is biased upwards for few rows: compare only figures of the same N, M and D.

    Raises:
        InsufficientData: fewer than two rows on a side.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if min(len(a), len(b)) < 2:
        raise InsufficientData(f"a Frechet distance needs two vectors a side; found {len(a)} and {len(b)}")
    return gaussian_frechet(
        a.mean(0), np.atleast_2d(np.cov(a, rowvar=False)), b.mean(0), np.atleast_2d(np.cov(b, rowvar=False))
    )


GROUPS = 10  # of people, left out in turn


def tenths_variance(statistic: Callable[[Bool], float], people: I64) -> float:
    """Variance of `statistic(keep bool[N])` by leaving out a tenth of the people at a time (Tukey).

    Raises:
        InsufficientData: fewer people than groups.
    """
    known, codes = np.unique(people, return_inverse=True)
    if len(known) < GROUPS:
        raise InsufficientData(f"an interval needs at least {GROUPS} people; found {len(known)}")
    part = codes.ravel() % GROUPS
    return jackknife_variance(np.array([statistic(part != g) for g in range(GROUPS)]))


def group_jackknife(statistic: Callable[[Bool], float], people: I64, level: float = 0.95) -> Interval:
    """Interval of `statistic(keep bool[N])` by leaving out one tenth of the people at a time.

    Standard error after Tukey's delete-a-group jackknife, t quantile on groups - 1; cut at 0.

    Raises:
        InsufficientData: fewer people than groups, or too few of them carry the vectors.
    """
    PairClusters(people, people).require()
    whole = statistic(np.ones(len(people), bool))
    half = t_value(level, GROUPS - 1) * float(np.sqrt(tenths_variance(statistic, people)))
    count = len(np.unique(people))
    return Interval(
        max(0.0, whole - half), whole + half, level, f"jackknife over {GROUPS} groups of {count} people"
    )


@dataclass(frozen=True, slots=True)
class Coverage:
    """Precision and recall of generated against real vectors.

    Attributes:
        precision: share of generated vectors that lie in the real manifold; recall: the reverse.
        precision_interval, recall_interval: clustered by person, the manifold's own error included; None where
            too few people carry the vectors, with the reasons. k: neighbours. n_real, n_generated: vectors.
    """

    precision: float
    precision_interval: Interval | None
    recall: float
    recall_interval: Interval | None
    k: int
    n_real: int
    n_generated: int
    precision_reason: str = ""
    recall_reason: str = ""


def _squared_distances(a: F64, b: F64) -> F64:
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T, 0.0)


def in_manifold(points: Rows, of: Rows, k: int = 3) -> Bool:
    """bool[N]: whether each of [N,D] lies within the distance of some of [M,D] to its k-th nearest neighbour.

    Raises:
        InsufficientData: M <= k.
    """
    x, y = np.asarray(points, np.float64), np.asarray(of, np.float64)
    if len(y) <= k:
        raise InsufficientData(f"a manifold of {k} neighbours needs more than {k} vectors; found {len(y)}")
    among = _squared_distances(y, y)
    np.fill_diagonal(among, np.inf)
    radius = np.partition(among, k - 1, axis=1)[:, k - 1]
    return np.asarray((_squared_distances(x, y) <= radius[None]).any(axis=1))


def _share(
    inside: Bool, again: Callable[[Bool], float], people: I64, known: I64
) -> tuple[Interval | None, str]:
    """Interval of the share of bool[N] vectors inside a manifold that is itself an estimate.

    The variance is that over people with the manifold fixed, or that of the jackknife which fits it again, whichever
    is larger.

    Args:
        again: the share among bool[len(known)] people.
    """

    def around() -> Interval:
        clusters = PairClusters(people, people)
        clusters.require()
        rate = float(inside.mean())
        spread = rate * (1 - rate) / len(inside)
        design = clusters.design(inside)
        if spread > 0:
            design = max(design, tenths_variance(again, known) / spread)
        words = f", manifold included, {AT_LEAST} (up to four times too wide)"
        return effective_interval(rate, len(inside), design, clusters.freedom(), what=words)

    return interval_or_reason(around)


def precision_recall(
    real: Rows, generated: Rows, real_people: I64, generated_people: I64, k: int = 3
) -> Coverage:
    """Precision and recall (Kynkaanniemi et al. 2019) of [M,D] generated against [N,D] real vectors."""
    inside, covered = in_manifold(generated, real, k), in_manifold(real, generated, k)
    known = np.unique(np.concatenate([real_people, generated_people]))

    def share(of_generated: bool) -> Callable[[Bool], float]:
        def again(keep: Bool) -> float:
            chosen = known[keep]
            r, g = real[np.isin(real_people, chosen)], generated[np.isin(generated_people, chosen)]
            return float((in_manifold(g, r, k) if of_generated else in_manifold(r, g, k)).mean())

        return again

    precision, recall = (
        _share(events, share(of_generated), people, known)
        for events, of_generated, people in ((inside, True, generated_people), (covered, False, real_people))
    )
    return Coverage(
        float(inside.mean()),
        precision[0],
        float(covered.mean()),
        recall[0],
        k,
        len(real),
        len(generated),
        precision[1],
        recall[1],
    )
