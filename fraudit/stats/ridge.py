"""Ridge regression of vectors on vectors, its penalty chosen on rows it was not fitted to.

Used where one model's vectors are carried into another's space, and where vectors are learnt back from protected
templates. Penalties are in units of the variance of the standardised vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.errors import InsufficientData
from fraudit.types import F64, Bool, unit_rows

RIDGES = (1e-3, 1e-2, 1e-1, 1.0)
MANY_RIDGES = (*RIDGES, 10.0, 100.0)  # where there may be few pairs
CHOOSING = 5  # one of so many people chooses


@dataclass(frozen=True, slots=True)
class Ridge:
    """Ridge regression of standardised vectors.

    Attributes:
        mean, scale: f64[D], of the vectors it was fitted to. offset: f64[E], of the wanted ones (0: not centred).
        matrix: f64[D,E], `gain` included. ridge: penalty in units of the standardised vectors' variance.
        gain: by which the answer was lengthened. cosine: with the wanted vectors, of rows it was chosen on; from
            their mean where it was lengthened. pairs: it was fitted to.
    """

    mean: F64
    scale: F64
    offset: F64
    matrix: F64
    ridge: float
    gain: float
    cosine: float
    pairs: int

    def __call__(self, vectors: NDArray[Any]) -> F64:
        """f64[N,E] of f[N,D]."""
        return np.asarray(((vectors - self.mean) / self.scale) @ self.matrix + self.offset, np.float64)


def choosing_people(people: ArrayLike, seed: int = 0) -> Bool:
    """bool[N]: pictures of the fifth of the people i64[N], at least one, that choose the penalty.

    Raises:
        InsufficientData: fewer than two people.
    """
    known = np.unique(np.asarray(people))
    if len(known) < 2:
        raise InsufficientData(
            f"a translator needs pictures of two people, found {len(known)}", "use more people"
        )
    order = np.random.default_rng(seed).permutation(known)
    return np.isin(people, order[: max(1, len(order) // CHOOSING)])


def fit_ridge(
    vectors: NDArray[Any],
    wanted: NDArray[Any],
    choosing: Bool,
    *,
    ridges: Sequence[float] = RIDGES,
    centred: bool = True,
    lengthened: bool = True,
) -> Ridge:
    """Ridge regression from f[N,D] `vectors` to f[N,E] `wanted`, fitted to all rows after the penalty is chosen.

    Args:
        choosing: bool[N] rows that choose the penalty, fitted to the others (`choosing_people`); some, and not all.
        ridges: penalties to choose from. centred: whether the wanted vectors' mean is no part of the regression.
        lengthened: a regression shrinks; whether its answer is lengthened to what the choosing rows show, and judged
            by its direction from their mean. Else it is the likeliest vector, and judged as it is.
    """
    x, y = np.asarray(vectors), np.asarray(wanted)
    mean, scale = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
    scale[scale == 0] = 1.0
    offset = y.mean(0, dtype=np.float64) if centred else np.zeros(y.shape[1])
    z, target = (x - mean) / scale, y - offset
    start = 0.0 if lengthened else offset  # of what is judged
    aim = unit_rows(target[choosing] + start)
    solve = _Normal(z[~choosing], target[~choosing])
    tried = {}
    for ridge in ridges:
        answer = z[choosing] @ solve(ridge)
        cosine = float((unit_rows(answer + start) * aim).sum(1).mean())
        gain = float(np.sqrt(np.square(target[choosing]).sum() / max(np.square(answer).sum(), 1e-12)))
        tried[ridge] = (cosine, gain if lengthened else 1.0)
    best = max(tried, key=lambda r: tried[r][0])
    cosine, gain = tried[best]
    return Ridge(mean, scale, offset, _Normal(z, target)(best) * gain, best, gain, cosine, len(x))


class _Normal:
    """ridge -> f64[D,E] from f64[N,D] rows and f64[N,E] targets; of both Gram matrices the smaller one is solved."""

    def __init__(self, z: F64, target: F64) -> None:
        self._z, self._target, self._wide = z, target, len(z) < z.shape[1]
        self._gram = (z @ z.T if self._wide else z.T @ z) / len(z)
        self._right = (target if self._wide else z.T @ target) / len(z)

    def __call__(self, ridge: float) -> F64:
        from scipy.linalg import solve

        solid = self._gram + ridge * np.eye(len(self._gram))
        found = solve(solid, self._right, assume_a="pos", overwrite_a=True)
        return np.asarray(self._z.T @ found if self._wide else found, np.float64)
