"""Whether labels say anything of vectors: a test over people.

A person's contribution is the product of what their labels and their vectors have beyond the expected, in two parts:

    u_p = sum over faces of (y - y_p) (x - x_p) / W   +   (y_p - mean y) (x_p - mean x) / (B + W / n)

with y_p, x_p the person's means over n faces, and W, B the variances of vectors within and between people. The weights
are those of generalised least squares of vectors on labels (Liang and Zeger, Biometrika 73, 1986): what differs within
a person is not hidden by who the person is, so it counts for more where a model knows people well. They depend on the
vectors alone. Where labels say nothing, u_p has mean 0 whatever the person's number of pictures and however
labels stick to people, so that its sign may be flipped (Hemerik, Goeman and Finos, J. Royal Statistical Society B 82,
2020). The statistic is |sum u_p|^2 in ridge-whitened axes, the largest of three penalties, each standardised over the
flips.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.stats.axes import eigh
from fraudit.stats.intervals import Shares
from fraudit.types import F64

PENALTIES: tuple[float, ...] = (1e-2, 1.0, 1e2)  # times the mean variance of an axis


class ScoreTest:
    """The vectors, prepared once for many labels.

    Args:
        vectors: f32[N,D]. subjects: [N], of at least two people.
    """

    def __init__(self, vectors: NDArray[Any], subjects: ArrayLike) -> None:
        x = np.asarray(vectors, np.float64)
        self._codes = np.unique(np.asarray(subjects), return_inverse=True)[1].ravel()
        self._order = np.argsort(self._codes, kind="stable")
        self._starts = np.flatnonzero(np.diff(self._codes[self._order], prepend=-1))
        self._n = np.bincount(self._codes).astype(np.float64)
        own = self._means(x)
        self._inside = x - own[self._codes]
        spare = float(len(x) - len(self._n))
        within = float((self._inside**2).sum()) / spare if spare else 0.0
        total = float(own.var(axis=0, ddof=1).sum())
        between = max(total - within * float((1 / self._n).mean()), 0.0)
        self._unit = within or total or 1.0
        variance = (between + within / self._n) / self._unit
        self._weight = 1 / np.maximum(variance, 1e-9)
        self._share = Shares.of(self._weight)
        self._beyond = own - np.average(own, axis=0, weights=self._weight)
        # Every person the same in the axes, as in the probes.
        each = 1 / self._n[self._codes]
        centred = x - np.average(x, axis=0, weights=each)
        values, axes = eigh(centred.T @ (centred * each[:, None]))
        keep = values > max(float(values[-1]), 0.0) * 1e-9
        self._axes, values = axes[:, keep], values[keep]
        middle = float(values.mean()) if len(values) else 1.0
        self._gains = np.stack([1 / (values + p * middle) for p in PENALTIES], axis=1)

    def _means(self, rows: F64) -> F64:
        found = np.add.reduceat(rows[self._order], self._starts, axis=0)
        return np.asarray(found / self._n.reshape(-1, *[1] * (rows.ndim - 1)), np.float64)

    def contributions(self, column: F64) -> tuple[F64, F64]:
        """(f64[P,R] of what differs within people, and between them) of f64[N] labels, in the axes."""
        own = self._means(column)
        off = column - own[self._codes]
        inside = self._means(self._inside * off[:, None]) * self._n[:, None]
        beyond = own - np.average(own, weights=self._weight)
        between = self._beyond * (beyond * self._weight)[:, None]
        return inside @ self._axes, between @ self._axes

    def p_value(self, columns: F64, flips: NDArray[Any]) -> float:
        """p value of "labels say nothing of vectors".

        Args:
            columns: f64[N,C], the label: one column for a number, one a class else.
            flips: i8[F,P] of -1 and 1; what was observed is counted among them.
        """
        found = np.zeros((1 + len(flips), len(PENALTIES)))
        signs = flips.astype(np.float32)
        # A label's own mean is estimated: what is left of it varies less than it does around the true one.
        lost = np.sqrt(self._share.expected)[:, None]
        for column in np.asarray(columns, np.float64).T:
            inside, between = self.contributions(column)
            flipped = signs @ (inside + between / lost).astype(np.float32)
            sums = np.concatenate([(inside + between).sum(axis=0)[None], flipped.astype(np.float64)])
            found += sums**2 @ self._gains
        spread = found.std(axis=0)
        best = ((found - found.mean(axis=0)) / np.where(spread > 0, spread, 1.0)).max(axis=1)
        return float((best >= best[0] - 1e-9).mean())


def sign_flips(people: int, draws: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """i8[draws,people] of -1 and 1."""
    return (2 * rng.integers(0, 2, (draws, people), np.int8) - 1).astype(np.int8)
