"""Five-point alignment: the least-squares similarity transform onto a model's template.

With points as complex numbers z = x + iy, a similarity without reflection is z -> c z + t, and the
least-squares c is <z - mean, w - mean> / |z - mean|^2: the closed form of Umeyama (1991), eq. 40-43, in
two dimensions, where the rotation needs no singular value decomposition.
"""

from __future__ import annotations

import cv2
import numpy as np

from fraudit.errors import DataError
from fraudit.types import F32, F64, U8, Bool, Preprocess

MIN_SPREAD_PX = 0.5  # RMS distance of the points from their mean; below it they say nothing of the pose
MIN_SCALE = 1e-3


def similarity_transforms(src: F32 | F64, dst: F32 | F64) -> tuple[F64, Bool]:
    """Similarity transforms that take each row of `src` nearest to `dst` in the least-squares sense.

    Args:
        src: [N,K,2] points (x, y) in pixels, K >= 2; NaN rows are allowed.
        dst: [K,2] or [N,K,2] points.
    Returns:
        f64[N,2,3] matrices M with dst ~ M @ (x, y, 1), and bool[N]: False (and M = 0) where the points are
        not finite, lie on one spot (RMS spread below 0.5 px) or have no relation to `dst`.
    """
    given = np.asarray(src, np.float64)
    finite: Bool = np.asarray(np.isfinite(given).all(axis=(-2, -1)))
    src64 = np.where(finite[..., None, None], given, 0.0)
    dst64 = np.broadcast_to(np.asarray(dst, np.float64), src64.shape)
    z = src64[..., 0] + 1j * src64[..., 1]
    w = dst64[..., 0] + 1j * dst64[..., 1]
    z_mean, w_mean = z.mean(-1, keepdims=True), w.mean(-1, keepdims=True)
    z0, w0 = z - z_mean, w - w_mean
    energy = (np.abs(z0) ** 2).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        c = (np.conj(z0) * w0).sum(-1) / energy
        good = finite & np.isfinite(c) & (energy >= z.shape[-1] * MIN_SPREAD_PX**2) & (np.abs(c) >= MIN_SCALE)
    c = np.where(good, c, 0)
    t = np.where(good, w_mean[..., 0] - c * z_mean[..., 0], 0)
    matrices = np.empty((*c.shape, 2, 3))
    matrices[..., 0, 0], matrices[..., 0, 1], matrices[..., 0, 2] = c.real, -c.imag, t.real
    matrices[..., 1, 0], matrices[..., 1, 1], matrices[..., 1, 2] = c.imag, c.real, t.imag
    return matrices, good


def similarity_transform(src: F32, dst: F32) -> F64:
    """f64[2,3] similarity that takes points `src` [K,2] nearest to `dst` [K,2].

    Raises:
        DataError: wrong shape, or the points are not finite or degenerate.
    """
    points = np.asarray(src)
    if points.ndim != 2 or points.shape[1] != 2 or points.shape != np.shape(dst) or len(points) < 2:
        raise DataError(
            f"landmarks: expected [K,2] on both sides with K >= 2, found {points.shape} and {np.shape(dst)}"
        )
    matrices, good = similarity_transforms(points[None], dst)
    if not good[0]:
        raise DataError("degenerate landmarks")
    return matrices[0]


def align(image: U8, landmarks: F32, size: tuple[int, int], template: F32) -> U8:
    """The face warped to a model's template, bilinear, black outside the picture.

    Args:
        image: u8[H,W,3].
        landmarks: f32[5,2] in pixels of `image`.
        size: (height, width) of the answer.
        template: f32[5,2], where the landmarks land.
    Returns:
        u8[h,w,3].
    Raises:
        DataError: degenerate landmarks, or not a u8[H,W,3] picture.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise DataError(f"picture: expected u8[H,W,3], found {image.dtype}{list(image.shape)}")
    return _warp(image, similarity_transform(landmarks, template), size)


def fitted(picture: U8, size: tuple[int, int]) -> U8:
    """u8[h,w,3]: the whole picture in the middle of black, made smaller where it does not fit; never larger."""
    height, width = size
    scale = min(1.0, height / picture.shape[0], width / picture.shape[1])
    if scale < 1.0:
        inner = (max(1, int(picture.shape[1] * scale)), max(1, int(picture.shape[0] * scale)))
        picture = np.asarray(cv2.resize(picture, inner, interpolation=cv2.INTER_AREA), np.uint8)
    top, left = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
    shown = np.zeros((height, width, 3), np.uint8)
    shown[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return shown


def as_shown(picture: U8, landmarks: F32, preprocess: Preprocess) -> U8:
    """The face as a model is shown it, u8[h,w,3]: aligned, or the whole picture. Raises DataError, see `align`."""
    if preprocess.whole:
        return fitted(picture, preprocess.size)
    return align(picture, landmarks, preprocess.size, preprocess.template)


def _warp(image: U8, matrix: F64, size: tuple[int, int]) -> U8:
    height, width = size
    warped = cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0
    )
    return np.asarray(warped, np.uint8)
