"""Array types, as every signature spells them, and the two templates that models share.

The types' own modules name them for type checking alone: numpy is imported by who works with arrays, so that commands
that only list or show start at once.
"""

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

# Five points (left eye, right eye, nose, left mouth, right mouth) as the viewer sees them, x then y.
ARCFACE_112: F32 = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    dtype=np.float32,
)

# Mean place of YuNet's five points in MTCNN's boxes (margin 0) stretched to 160 px, made symmetric;
# benchmarks/facenet_template.py, 572 boxes of CelebA. The boxes are 0.75 as wide as high, so the official
# crop widens the face; a similarity cannot, and meets these points in the least-squares sense.
FACENET_160: F32 = np.array(
    [[42.5056, 62.1345], [116.4944, 62.1345], [79.5, 95.4495], [47.173, 120.1626], [111.827, 120.1626]],
    dtype=np.float32,
)


def unit_rows(vectors: Rows) -> Rows:
    """[N,D], each row divided by its L2 norm; a row of norm 0 stays zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
