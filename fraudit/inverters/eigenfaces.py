"""Eigenfaces: a linear model of aligned pictures, fitted by a randomised SVD.

A picture x is mean + sum_j scale_j c_j basis_j with c of unit variance over the fitting set. The SVD is that
of Halko, Martinsson & Tropp 2011 (algorithm 4.4: a range finder with power iterations). With `mirror` the
model is that of the pictures and their mirrors together: the covariance then commutes with mirroring, so it
splits into a symmetric and an antisymmetric part, each fitted on half a picture: exact, at half the work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fraudit.errors import DataError
from fraudit.types import F32, U8

_CHUNK = 512


@dataclass(frozen=True, slots=True)
class Eigenfaces:
    """A fitted model of S x S pictures with C channels.

    Attributes:
        mean: f32[S,S,C], pixel units 0..255.
        basis: f32[k,S*S*C], orthonormal rows, by falling variance.
        scale: f32[k], standard deviation of the pictures along each row, pixel units.
        explained: share of the pixel variance that the k rows hold, 0..1.
    """

    mean: F32
    basis: F32
    scale: F32
    explained: float

    @property
    def k(self) -> int:
        """Number of components."""
        return len(self.scale)

    def encode(self, images: U8 | F32) -> F32:
        """[N,S,S,C] in 0..255 -> f32[N,k] of unit variance over the fitting set.

        Raises DataError where the shape is not the model's.
        """
        if images.shape[1:] != self.mean.shape:
            raise DataError(
                f"expected pictures of shape {self.mean.shape}, found {images.shape[1:]}",
                hint="align the pictures to the size that the eigenfaces were fitted on",
            )
        out = np.empty((len(images), self.k), np.float32)
        mean = self.mean.reshape(-1)
        for start in range(0, len(images), _CHUNK):
            part = images[start : start + _CHUNK].reshape(-1, mean.size).astype(np.float32) - mean
            out[start : start + _CHUNK] = part @ self.basis.T
        return np.asarray(out / self.scale, np.float32)

    def decode(self, codes: F32) -> F32:
        """f32[N,k] -> f32[N,S,S,C] in pixel units, not clipped."""
        flat = (np.asarray(codes, np.float32) * self.scale) @ self.basis
        return np.asarray(flat.reshape(len(flat), *self.mean.shape) + self.mean, np.float32)


def _randomised_svd(
    rows: F32, k: int, seed: list[int], power: int = 2, oversample: int = 20
) -> tuple[F32, F32]:
    """Leading right singular vectors f32[k,P] and singular values f32[k] of rows f32[N,P]."""
    rng = np.random.default_rng(seed)
    width = min(k + oversample, *rows.shape)
    q = rows @ rng.standard_normal((rows.shape[1], width), dtype=np.float32)
    for _ in range(power):
        q = np.linalg.qr(q)[0]
        q = rows @ np.linalg.qr(rows.T @ q)[0]
    q = np.linalg.qr(q)[0]
    _, values, vectors = np.linalg.svd(q.T @ rows, full_matrices=False)
    return vectors[:k].astype(np.float32), values[:k].astype(np.float32)


def fit_eigenfaces(
    images: U8 | F32,
    k: int,
    seed: int,
    mirror: bool = True,
    told: Callable[[int, int], None] = lambda *_: None,
) -> Eigenfaces:
    """Fit k eigenfaces.

    Args:
        images: [N,S,S,C] in 0..255, S even where `mirror`.
        k: components kept, at most N - 1 (2 N - 1 where `mirror`) and at most the number of pixels.
        seed: of the random range finder.
        mirror: count every picture's mirror too (see the module's text).
        told: (parts of the fit done, in all).

    Raises DataError where shapes or k do not allow a fit.
    """
    n, side, width, channels = images.shape
    most = min((2 if mirror else 1) * n - 1, side * width * channels)
    if not 1 <= k <= most or (mirror and width % 2):
        raise DataError(
            f"cannot fit {k} eigenfaces on {n} pictures of {side} x {width}",
            hint=f"k must lie in 1..{most}, and the width must be even where mirrors count",
        )
    mean = np.zeros(images.shape[1:], np.float64)
    for start in range(0, n, _CHUNK):
        mean += images[start : start + _CHUNK].sum(0, dtype=np.float64)
    mean /= n
    if mirror:
        mean = (mean + mean[:, ::-1]) / 2
    centre = mean.astype(np.float32)

    half = width // 2
    signs = (1, -1) if mirror else (0,)
    vectors, values, total = [], [], 0.0
    for sign in signs:
        columns = half if sign else width
        rows = np.empty((n, side * columns * channels), np.float32)
        for start in range(0, n, _CHUNK):
            part = images[start : start + _CHUNK].astype(np.float32) - centre
            if sign:
                part = (part[:, :, :half] + sign * part[:, :, : half - 1 : -1]) / np.float32(np.sqrt(2))
            rows[start : start + _CHUNK] = part.reshape(len(part), -1)
        total += float(np.einsum("ij,ij->", rows, rows, dtype=np.float64))
        basis, singular = _randomised_svd(rows, min(k, *rows.shape), [seed, 1 + sign])
        del rows
        if sign:
            left = basis.reshape(-1, side, half, channels) / np.float32(np.sqrt(2))
            basis = np.concatenate([left, sign * left[:, :, ::-1]], axis=2).reshape(len(basis), -1)
        vectors.append(basis)
        values.append(singular)
        told(len(values), len(signs))
    singular = np.concatenate(values)
    order = np.argsort(-singular, kind="stable")[:k]
    kept = singular[order]
    # With mirrors, each split's n rows stand for 2n pictures whose squares count half each.
    return Eigenfaces(
        mean=centre,
        basis=np.ascontiguousarray(np.concatenate(vectors)[order]),
        scale=np.maximum(kept / np.float32(np.sqrt(n)), np.float32(1e-6)),
        explained=float((kept.astype(np.float64) ** 2).sum() / total),
    )
