"""Eigenvalues of symmetric matrices, and orthonormal columns, on one thread.

A matrix of a few hundred rows is done in milliseconds. On several threads OpenBLAS meets at a barrier for every
column, and on a machine that does other work each of them waits for a core: 128 x 128 took 380 ms on two threads and
3.5 ms on one, 512 x 512 took 4.5 s and 72 ms (measured while other processes ran). The last bit of an answer may
differ between the two.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.types import F64


@functools.cache
def _libraries() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()  # looks through the loaded libraries, which takes a millisecond or two


def eigh(matrix: NDArray[Any]) -> tuple[F64, F64]:
    """(f64[D] rising, f64[D,D] axes in columns) of a symmetric matrix [D,D]."""
    with _libraries().limit(limits=1, user_api="blas"):
        values, axes = np.linalg.eigh(matrix)
    return values, axes


def eigvalsh(matrix: NDArray[Any]) -> F64:
    """f64[D] rising eigenvalues of a symmetric matrix [D,D]."""
    with _libraries().limit(limits=1, user_api="blas"):
        return np.asarray(np.linalg.eigvalsh(matrix))


def qr(matrix: NDArray[Any]) -> tuple[F64, F64]:
    """(f64[D,K] orthonormal columns, f64[K,K] upper triangle) of f64[D,K], K <= D."""
    with _libraries().limit(limits=1, user_api="blas"):
        q, r = np.linalg.qr(matrix)
    return q, r
