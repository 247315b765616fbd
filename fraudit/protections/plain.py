"""What protects nothing and is often taken for protection: the vector itself, int8, principal axes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fraudit.errors import DataError, InsufficientData
from fraudit.protections.base import called, checked_key, cosines, only_known, whole
from fraudit.types import F32, ProtectionPlugin


def _same(vectors: F32, key: int) -> F32:
    checked_key(key)
    return np.asarray(vectors, np.float32)


def _int8(vectors: F32, key: int) -> F32:
    """round(127 v / max |v|) of each row: what a database of one byte a dimension keeps."""
    checked_key(key)
    v = np.asarray(vectors, np.float32)
    most = np.abs(v).max(axis=1, keepdims=True)
    return np.rint(v * (127 / np.where(most > 0, most, 1))).astype(np.float32)


IDENTITY = ProtectionPlugin(
    "identity",
    "the ID vector itself: the reference",
    _same,
    cosines,
    keyed=False,
    claims=False,
    source="none",
)
INT8 = ProtectionPlugin(
    "int8",
    "one byte a dimension, scaled to the largest entry: no protection",
    _int8,
    cosines,
    keyed=False,
    claims=False,
    source="quantisation as in vector databases",
)

USUAL: dict[str, float] = {"dims": 64}


def _unfitted(vectors: F32, key: int) -> F32:
    raise DataError("the scheme 'pca' needs its axes first: call learn(vectors) and use what it returns")


def pca(**given: float) -> ProtectionPlugin:
    """The first `dims` principal axes of people who are not judged.

    Raises:
        UsageError: an unknown parameter, or one out of range.
    """
    only_known("pca", given, tuple(USUAL))
    parameters = {**USUAL, **given}
    dims = whole("pca:dims", parameters["dims"], 1)

    def learn(vectors: F32) -> ProtectionPlugin:
        v = np.asarray(vectors, np.float64)
        room = min(v.shape[1], len(v) - 1)
        if dims > room:
            raise InsufficientData(
                f"pca: {dims} axes need as many dimensions and more vectors than that; found {v.shape[1]} dimensions "
                f"and {len(v)} vectors",
                f"choose pca:dims={max(room, 1)} or less",
            )
        axes = np.linalg.svd(v - v.mean(0), full_matrices=False)[2][:dims].T

        def protect(rows: F32, key: int) -> F32:
            checked_key(key)
            return np.asarray(rows @ axes, np.float32)

        return _plugin(parameters, protect)

    return _plugin(parameters, _unfitted, learn)


def _plugin(
    parameters: dict[str, float],
    protect: Callable[[F32, int], F32],
    learn: Callable[[F32], ProtectionPlugin] | None = None,
) -> ProtectionPlugin:
    return ProtectionPlugin(
        called("pca", parameters, USUAL),
        f"the first {parameters['dims']:g} principal axes: no protection",
        protect,
        cosines,
        keyed=False,
        claims=False,
        source="Pearson, Philosophical Magazine 2, 1901",
        parameters=parameters,
        configure=pca,
        learn=learn,
    )


PCA = pca()
