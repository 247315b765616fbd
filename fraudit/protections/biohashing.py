"""BioHashing: signs of the vector on the key's orthonormal axes.

Jin, Ling and Goh, Pattern Recognition 37, 2004: m <= D random vectors of the key, made orthonormal by Gram and Schmidt;
bit i is 1 where the inner product with axis i is above tau = 0. Compared by the Hamming distance. (Teoh, Goh and Ngo,
IEEE TPAMI 28, 2006, analyse it as quantised random projections.)
"""

from __future__ import annotations

import numpy as np

from fraudit.protections.base import called, equal_share, key_axes, only_known, whole
from fraudit.types import F32, ProtectionPlugin

USUAL: dict[str, float] = {"bits": 0}


def biohashing(**given: float) -> ProtectionPlugin:
    """The scheme with `bits` bits (0: as many as the vector has dimensions).

    Raises:
        UsageError: an unknown parameter, or one out of range.
    """
    only_known("biohashing", given, tuple(USUAL))
    parameters = {**USUAL, **given}
    bits = whole("biohashing:bits", parameters["bits"], 0)

    def protect(vectors: F32, key: int) -> F32:
        axes = key_axes(key, "biohashing", "bits", vectors.shape[1], bits)
        return np.asarray(vectors @ axes > 0, np.float32)

    return ProtectionPlugin(
        called("biohashing", parameters, USUAL),
        "signs on random orthonormal axes, Hamming",
        protect,
        equal_share,
        source="Jin, Ling and Goh, Pattern Recognition 37(11), 2004",
        parameters=parameters,
        configure=biohashing,
    )


BIOHASHING = biohashing()
