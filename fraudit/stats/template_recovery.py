"""What someone who holds protected templates recovers of the vectors: least squares, or an inverse that is learnt.

Whoever has a scheme and its key can protect vectors of his own under it, as many as he likes: vectors of other people,
and further ones drawn like them. Where the scheme is linear he reads its matrix off the axes and solves for the vector;
where it is not he regresses vectors on templates. Without the key he can do the same under other keys alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fraudit.errors import InsufficientData
from fraudit.types import F32, F64, I64, unit_rows

SHRUNK = 0.1  # of the covariance of other people's vectors, towards the even one


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known of vectors before a template is seen: mean f64[D], covariance f64[D,D] of other people's."""

    mean: F64
    covariance: F64

    @classmethod
    def of(cls, unit: F32) -> Prior:
        """From f32[N,D] vectors of length 1; the covariance is drawn a little towards the even one.

        Raises:
            InsufficientData: fewer than two vectors.
        """
        if len(unit) < 2:
            raise InsufficientData(f"an attacker needs vectors of other people; found {len(unit)}")
        v = np.asarray(unit, np.float64)
        found = np.cov(v, rowvar=False).reshape(v.shape[1], v.shape[1])
        even = np.eye(len(found)) * np.trace(found) / len(found)
        return cls(v.mean(0), (1 - SHRUNK) * found + SHRUNK * even)

    def draw(self, count: int, rng: np.random.Generator) -> F32:
        """f32[count,D] vectors of length 1 that look like those of other people."""
        root = np.linalg.cholesky(self.covariance + 1e-12 * np.eye(len(self.mean)))
        return unit_rows(
            (self.mean + rng.standard_normal((count, len(self.mean))) @ root.T).astype(np.float32)
        )


def linear_map(protect: Callable[[F32], F32], dim: int, rng: np.random.Generator) -> F64 | None:
    """f64[D,E] matrix of a scheme under one key, read off the axes; None where it is not linear.

    Args:
        protect: f32[N,D] vectors of length 1 -> f32[N,E].
    """
    matrix = np.asarray(protect(np.eye(dim, dtype=np.float32)), np.float64)
    probes = unit_rows(rng.standard_normal((64, dim)).astype(np.float32))
    found = np.asarray(protect(probes), np.float64)
    scale = float(np.abs(found).max())
    return matrix if np.abs(probes @ matrix - found).max() <= 1e-4 * max(scale, 1e-12) else None


def least_squares(templates: F32, matrix: F64, prior: Prior) -> F64:
    """f64[N,D]: the vectors of f32[N,E] = v @ matrix; where the matrix loses dimensions, the likeliest by the prior."""
    seen = matrix.T @ prior.covariance @ matrix
    away = np.asarray(templates, np.float64) - prior.mean @ matrix
    step = 1e-9 * np.trace(seen) / len(seen)
    return np.asarray(
        prior.mean + away @ np.linalg.solve(seen + step * np.eye(len(seen)), matrix.T @ prior.covariance)
    )


def mean_cosine(recovered: F64 | F32, vectors: F32) -> float:
    """Mean cosine of f64[N,D] rows to those of f32[N,D]."""
    return float((unit_rows(np.asarray(recovered, np.float32)) * unit_rows(vectors)).sum(1).mean())


def to_others(recovered: F32, vectors: F32, people: I64) -> tuple[F64, F64]:
    """Mean cosine to other people's vectors, what chance would give: (f64[N] of each recovered unit row, f64[N] parts).

    A part is what a person adds in both roles, of the recovered and of the true vector, less what is counted twice
    (Hajek's projection): the parts of independent people are independent, and with one row a person they have the
    same mean as the cosines.
    """
    between = np.asarray(recovered, np.float64) @ np.asarray(vectors, np.float64).T
    other = people[:, None] != people[None]
    rows, columns = (
        np.asarray((between * other).sum(axis) / np.maximum(other.sum(axis), 1)) for axis in (1, 0)
    )
    return rows, rows + columns - rows.mean()
