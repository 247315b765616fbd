"""IoM hashing by Gaussian random projections (GRP): which of q random projections is the largest, m times.

Jin, Hwang, Lai, Kim and Teoh, "Ranking-Based Locality Sensitive Hashing-Enabled Cancelable Biometrics: Index-of-Max
Hashing", IEEE TIFS 13, 2018: the key draws m times q vectors of independent standard Gaussians; entry i of the template
is the index (1 .. q) of the largest inner product with the vectors of group i. Two templates are as alike as the share
of their equal entries. The usual m = 300 is that of the authors' program, q = 16 that of
later work on faces (the program has q = 50, for fingerprints).
"""

from __future__ import annotations

import numpy as np

from fraudit.protections.base import called, equal_share, key_rng, only_known, whole
from fraudit.types import F32, ProtectionPlugin

USUAL: dict[str, float] = {"m": 300, "q": 16}


def iom(**given: float) -> ProtectionPlugin:
    """The scheme with `m` indices, each of `q` projections.

    Raises:
        UsageError: an unknown parameter, or one out of range.
    """
    only_known("iom", given, tuple(USUAL))
    parameters = {**USUAL, **given}
    m, q = whole("iom:m", parameters["m"], 1, 4096), whole("iom:q", parameters["q"], 2, 256)

    def protect(vectors: F32, key: int) -> F32:
        rng, (count, dim) = key_rng(key, "iom"), vectors.shape
        drawn = rng.standard_normal((dim, m * q), dtype=np.float32)
        values = np.asarray(vectors, np.float32) @ drawn
        return (values.reshape(count, m, q).argmax(axis=2) + 1).astype(np.float32)

    def features(templates: F32) -> F32:
        """f32[N,m*q]: 1 where the index is the one that was largest."""
        return np.asarray(templates[:, :, None] == np.arange(1, q + 1), np.float32).reshape(
            len(templates), -1
        )

    return ProtectionPlugin(
        called("iom", parameters, USUAL),
        f"index of the largest of {q} random projections, {m} times, Hamming",
        protect,
        equal_share,
        source="Jin, Hwang, Lai, Kim and Teoh, IEEE TIFS 13(2), 2018 (GRP)",
        parameters=parameters,
        configure=iom,
        features=features,
    )


IOM = iom()
