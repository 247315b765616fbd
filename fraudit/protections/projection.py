"""Random orthogonal projection: the key's orthonormal axes; with as many axes as dimensions it is a rotation.

Cosines under one key are kept exactly by a rotation, so that no accuracy is lost, and whoever has the key has the
vector. (Teoh, Goh and Ngo, IEEE TPAMI 28, 2006, without their thresholds.)
"""

from __future__ import annotations

import numpy as np

from fraudit.protections.base import called, cosines, key_axes, only_known, whole
from fraudit.types import F32, ProtectionPlugin

USUAL: dict[str, float] = {"dims": 0}


def projection(**given: float) -> ProtectionPlugin:
    """The scheme with `dims` axes (0: as many as the vector has).

    Raises:
        UsageError: an unknown parameter, or one out of range.
    """
    only_known("projection", given, tuple(USUAL))
    parameters = {**USUAL, **given}
    dims = whole("projection:dims", parameters["dims"], 0)

    def protect(vectors: F32, key: int) -> F32:
        axes = key_axes(key, "projection", "dims", vectors.shape[1], dims)
        return np.asarray(vectors @ axes, np.float32)

    return ProtectionPlugin(
        called("projection", parameters, USUAL),
        "random orthogonal projection" if dims else "random rotation",
        protect,
        cosines,
        source="Teoh, Goh and Ngo, IEEE TPAMI 28(12), 2006 (without thresholds)",
        parameters=parameters,
        configure=projection,
    )


PROJECTION = projection()
