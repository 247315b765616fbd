"""How alike two models see the same face: the cosine of its two vectors, of all faces or from a sketch of them.

A sketch keeps a few numbers a face on random axes of its own (Johnson and Lindenstrauss, 1984): enough for the
mean cosine with another model's vectors, too little to rebuild a vector from.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.errors import InsufficientData
from fraudit.stats.intervals import clustered_mean, clustered_rate
from fraudit.types import F64, I64, Interval

AXES = 4
_BLOCK = 512


def face_cosines(first: NDArray[Any], second: NDArray[Any]) -> F64:
    """f64[N] cosines of the rows of two f32[N,D] of unit rows.

    From the squared distance, 1 - |u - v|^2 / 2, which keeps differences of 1e-12 that a dot product rounds away.

    Raises:
        InsufficientData: other faces, or another dimension.
    """
    if first.shape != second.shape:
        raise InsufficientData(f"vectors of {first.shape} and {second.shape}: no face by face comparison")
    out = np.empty(len(first))
    for start in range(0, len(first), 8192):
        part = slice(start, start + 8192)
        away = first[part].astype(np.float64) - second[part]
        out[part] = 1 - np.einsum("nd,nd->n", away, away) / 2
    return out


def projections(unit: NDArray[Any], rows: ArrayLike) -> F64:
    """f64[K,AXES]: unit rows `rows` i64[K] of f32[N,D] on Gaussian axes that are the same for a face in every run."""
    chosen = np.asarray(rows, np.int64)
    rng = np.random.default_rng([1984, unit.shape[1], len(chosen)])
    out = np.empty((len(chosen), AXES))
    for start in range(0, len(chosen), _BLOCK):
        part = unit[chosen[start : start + _BLOCK]].astype(np.float64)
        axes = rng.normal(size=(len(part), AXES, unit.shape[1]))
        out[start : start + len(part)] = np.einsum("nad,nd->na", axes, part)
    return out


def sketch_cosines(first: ArrayLike, second: ArrayLike) -> F64:
    """f64[K], one unbiased and noisy estimate of the cosine a face, from two `projections` f64[K,AXES].

    |u - v|^2 on AXES Gaussian axes is chi-squared with AXES degrees of freedom: means over faces are exact enough,
    single faces are not.
    """
    away = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    return np.asarray(1 - np.square(away).mean(axis=1) / 2)


def mean_cosine(cosines: ArrayLike, subjects: ArrayLike, level: float = 0.95) -> tuple[float, Interval]:
    """Mean over faces of f64[N] cosines and its interval, clustered by subject i64[N]."""
    values = np.asarray(cosines, np.float64)
    found = clustered_mean(values, subjects, level)
    return float(values.mean()), Interval(found.low, min(found.high, 1.0), level, found.method)


def low_cosine(
    cosines: ArrayLike, subjects: ArrayLike, share: float = 0.01, level: float = 0.95
) -> tuple[float, Interval]:
    """The cosine that a `share` of the faces does not reach, and its interval.

    Woodruff, JASA 47 (1952): the quantiles at both ends of the identity-clustered interval of the share below it.
    """
    values = np.asarray(cosines, np.float64)
    value = float(np.quantile(values, share))
    below = values < value if (values < value).any() else values <= value
    who = np.asarray(subjects)
    found = clustered_rate(below, who, who, level)
    ends = np.quantile(values, [found.low, min(found.high, 1.0)])
    return value, Interval(
        float(min(ends[0], value)), float(max(ends[1], value)), level, f"Woodruff; {found.method}"
    )


def sketched_rows(count: int, most: int) -> I64:
    """i64[K] faces that a sketch keeps: all, or `most` drawn evenly."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng([1984, count]).choice(count, most, replace=False))
