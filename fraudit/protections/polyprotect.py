"""PolyProtect: m neighbouring entries of the vector become one polynomial value, with the key's coefficients.

Hahn and Marcel, "Towards Protecting Face Embeddings in Mobile Face Verification Scenarios", IEEE T-BIOM 4, 2022: for
entries v_1 .. v_m of a window

    p = c_1 v_1^e_1 + c_2 v_2^e_2 + ... + c_m v_m^e_m

with m = 5, C of m different whole numbers in [-50, 50] without 0, and E a permutation of 1 .. m, both of the key and
the same for all windows. The next window begins m - overlap entries later; the last one is filled with zeros.
Templates are compared by their cosine.
"""

from __future__ import annotations

import numpy as np

from fraudit.errors import DataError
from fraudit.protections.base import called, cosines, key_rng, only_known, whole
from fraudit.types import F32, I64, ProtectionPlugin

MOST = 50  # of a coefficient's size
USUAL: dict[str, float] = {"overlap": 4, "m": 5}


def coefficients(key: int, m: int) -> tuple[I64, I64]:
    """(i64[m] different coefficients in [-50, 50] without 0, i64[m] exponents: a permutation of 1 .. m) of a key."""
    rng = key_rng(key, "polyprotect")
    values = np.concatenate([np.arange(-MOST, 0), np.arange(1, MOST + 1)])
    return rng.choice(values, m, replace=False).astype(np.int64), rng.permutation(m).astype(np.int64) + 1


def windows(dim: int, m: int, overlap: int) -> int:
    """How many values a vector of `dim` entries gives: windows until the last entry is in one."""
    return max(0, -(-(dim - m) // (m - overlap))) + 1


def shifted_cosines(a: F32, b: F32, most: int) -> F32:
    """f32[N] in [0,1]: the largest cosine, without its sign, of rows of f32[N,E] moved against each other.

    A vector's entries are small, so that a template is nearly the vector times the coefficient of the power 1. Two keys
    give power 1 to other places of a window, which moves one template against the other by up to `most` values.
    """
    far = range(-min(most, a.shape[1] - 1), min(most, a.shape[1] - 1) + 1)
    moved = [
        cosines(a[:, max(s, 0) : a.shape[1] + min(s, 0)], b[:, max(-s, 0) : b.shape[1] - max(s, 0)])
        for s in far
    ]
    return np.asarray(np.abs(moved).max(axis=0), np.float32)


def polyprotect(**given: float) -> ProtectionPlugin:
    """The scheme with windows of `m` entries that share `overlap` of them with the next one.

    Raises:
        UsageError: an unknown parameter, or one out of range.
    """
    only_known("polyprotect", given, tuple(USUAL))
    parameters = {**USUAL, **given}
    m = whole("polyprotect:m", parameters["m"], 2, 9)
    overlap = whole("polyprotect:overlap", parameters["overlap"], 0, m - 1)

    def protect(vectors: F32, key: int) -> F32:
        c, e = coefficients(key, m)
        count, dim = vectors.shape
        if dim < m:
            raise DataError(
                f"polyprotect: windows of {m} entries need vectors of at least {m} dimensions; found {dim}",
                "lower it with polyprotect:m=2:overlap=0, or choose another scheme",
            )
        values, step = windows(dim, m, overlap), m - overlap
        filled = np.zeros((count, (values - 1) * step + m))
        filled[:, :dim] = vectors
        at = np.arange(values)[:, None] * step + np.arange(m)
        return np.asarray((filled[:, at] ** e) @ c, np.float32)

    def linked(a: F32, b: F32) -> F32:
        return shifted_cosines(a, b, (m - 1) // (m - overlap))

    return ProtectionPlugin(
        called("polyprotect", parameters, USUAL),
        f"polynomials of {m} neighbouring entries, overlap {overlap}",
        protect,
        cosines,
        source="Hahn and Marcel, IEEE T-BIOM 4(1), 2022",
        parameters=parameters,
        configure=polyprotect,
        link=linked,
    )


POLYPROTECT = polyprotect()
