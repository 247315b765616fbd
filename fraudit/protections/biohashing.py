"""BioHashing: signs of the vector on the key's orthonormal axes.

Jin, Ling and Goh, Pattern Recognition 37, 2004: m <= D random vectors of the key, made orthonormal by Gram and Schmidt;
bit i is 1 where the inner product with axis i is above tau = 0. Compared by the Hamming distance. (Teoh, Goh and Ngo,
IEEE TPAMI 28, 2006, analyse it as quantised random projections.)
"""

from __future__ import annotations

import numpy as np

from fraudit.errors import DataError
from fraudit.protections.base import called, equal_share, key_rng, only_known, orthonormal, whole
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
        rng, dim = key_rng(key, "biohashing"), vectors.shape[1]
        if bits > dim:
            raise DataError(
                f"biohashing: {bits} orthonormal axes need vectors of as many dimensions; found {dim}",
                f"choose biohashing:bits={dim} or less",
            )
        return np.asarray(vectors @ orthonormal(dim, bits or dim, rng) > 0, np.float32)

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
