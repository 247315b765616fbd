"""Perturbation stability: how little a picture's ID vector moves when the picture is corrupted a little.

A quality that needs the black box alone and no training: the mean cosine of a picture's vector to those of K lightly
corrupted copies. It is near the stochastic-embedding quality of SER-FIQ (Terhörst et al., CVPR 2020), with noise put on
the picture since the inside of a black box is out of reach. Larger is better; 1 where nothing moves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudit.errors import InsufficientData
from fraudit.types import F64, I64, Bool

NOT_UNIT = 1e-3  # deviation of a norm from 1 beyond which rows are taken for raw vectors


def perturbation_stability(
    unit: NDArray[np.floating],
    copies: NDArray[np.floating],
    ok: Bool | None = None,
    ok_copies: Bool | None = None,
) -> tuple[F64, I64]:
    """(f64[N] mean cosine to the copies in [-1, 1], i64[N] copies it rests on).

    Args:
        unit: f32[N,D] unit rows. copies: f32[K,N,D] unit rows of the corrupted copies.
        ok: bool[N]; ok_copies: bool[K,N], where there is a vector; None: everywhere but in rows of zeros.
    Returns:
        NaN and 0 where the picture or all its copies have no vector. A copy in which no face was found is left out,
        and counted by that: the caller sees K less the second array.
    Raises:
        InsufficientData: no copies, other faces or another dimension, or rows that are not of norm 1.
    """
    if copies.ndim != 3 or not len(copies) or copies.shape[1:] != unit.shape:
        raise InsufficientData(
            f"stability needs copies of the same faces: vectors {unit.shape}, copies {copies.shape}",
            "pass f32[K,N,D] with K at least 1",
        )
    there = _there(unit, ok, "vectors")
    total, count = np.zeros(len(unit)), np.zeros(len(unit), np.int64)
    for k, rows in enumerate(copies):
        use = there & _there(rows, None if ok_copies is None else ok_copies[k], f"copy {k}")
        # 1 - |u - v|^2 / 2 keeps differences that a dot product in single precision rounds away.
        away = unit[use].astype(np.float64) - rows[use]
        total[use] += 1 - np.einsum("nd,nd->n", away, away) / 2
        count[use] += 1
    return np.where(count > 0, total / np.maximum(count, 1), np.nan), count


def _there(rows: NDArray[np.floating], ok: Bool | None, what: str) -> Bool:
    norms = np.linalg.norm(rows.astype(np.float64), axis=1)
    there = (norms > 0) & (np.ones(len(rows), bool) if ok is None else np.asarray(ok, bool))
    if (np.abs(norms[there] - 1) > NOT_UNIT).any():
        raise InsufficientData(f"{what}: expected rows of norm 1, found {norms[there].max():.3g}")
    return there
