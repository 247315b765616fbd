"""Array types, as every signature spells them."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]
Rows = TypeVar("Rows", F32, F64)


def unit_rows(vectors: Rows) -> Rows:
    """[N,D], each row divided by its L2 norm; a row of norm 0 stays zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
