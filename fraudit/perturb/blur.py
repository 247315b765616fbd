"""Blurs, sized in inter-eye distances so that a severity means the same on a small and a large face."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from fraudit.perturb.base import FaceFrame, eye_distance
from fraudit.types import F32, U8

_ZOOM_STEPS = 8
_BORDER = cv2.BORDER_REFLECT_101
_FINE_PX = 4.0


def _coarsely(image: U8, extent_px: float, blurred: Callable[[U8, int], U8], most: int = 8) -> U8:
    """A blur of many pixels done on a reduced picture: what the reduction loses, the blur loses anyway."""
    factor = min(most, max(1, int(extent_px / _FINE_PX)))
    if factor == 1:
        return blurred(image, 1)
    height, width = image.shape[:2]
    side = (max(1, round(width / factor)), max(1, round(height / factor)))
    small = np.asarray(cv2.resize(image, side, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(
        cv2.resize(blurred(small, factor), (width, height), interpolation=cv2.INTER_LINEAR), np.uint8
    )


def gaussian_blur(image: U8, sigma_eyes: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """Gaussian blur of standard deviation `sigma_eyes` inter-eye distances."""
    sigma = sigma_eyes * eye_distance(landmarks)

    def blurred(small: U8, factor: int) -> U8:
        return np.asarray(cv2.GaussianBlur(small, (0, 0), sigma / factor, borderType=_BORDER), np.uint8)

    return _coarsely(image, sigma, blurred)


def defocus_blur(image: U8, radius_eyes: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """Uniform disk of `radius_eyes` inter-eye distances, its rim anti-aliased."""
    radius = radius_eyes * eye_distance(landmarks)

    def blurred(small: U8, factor: int) -> U8:
        half = int(np.ceil(radius / factor)) + 1
        offset = np.arange(-half, half + 1, dtype=np.float32)
        rim = radius / factor + 0.5 - np.hypot(offset[None, :], offset[:, None])
        kernel = np.clip(rim, 0, 1).astype(np.float32)
        return np.asarray(cv2.filter2D(small, -1, kernel / kernel.sum(), borderType=_BORDER), np.uint8)

    return _coarsely(image, radius, blurred)


def motion_blur(image: U8, length_eyes: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """Uniform motion over `length_eyes` inter-eye distances in a random direction."""
    angle = rng.uniform(0, np.pi)
    reach = max(length_eyes * eye_distance(landmarks), 1e-3) / 2

    def blurred(small: U8, factor: int) -> U8:
        half = int(np.ceil(reach / factor)) + 1
        offset = np.arange(-half, half + 1, dtype=np.float32)
        x, y = np.meshgrid(offset, offset)
        along = np.abs(x * np.cos(angle) + y * np.sin(angle))
        across = np.abs(-x * np.sin(angle) + y * np.cos(angle))
        kernel = (np.clip(reach / factor + 0.5 - along, 0, 1) * np.clip(1 - across, 0, 1)).astype(np.float32)
        return np.asarray(cv2.filter2D(small, -1, kernel / kernel.sum(), borderType=_BORDER), np.uint8)

    # Across the motion the picture stays sharp: no more than halved.
    return _coarsely(image, reach, blurred, most=2)


def zoom_blur(image: U8, zoom: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """Mean of the picture magnified by 1 .. 1 + `zoom` around the middle of the face."""
    height, width = image.shape[:2]
    frame = FaceFrame.of(landmarks)
    x, y = frame.pixels(np.array([[0.0, 0.6]]))[0]
    total = np.zeros((height, width, 3), np.float32)
    for factor in np.linspace(1.0, 1.0 + zoom, _ZOOM_STEPS):
        matrix = np.array([[factor, 0, x * (1 - factor)], [0, factor, y * (1 - factor)]])
        cv2.accumulate(cv2.warpAffine(image, matrix, (width, height), borderMode=_BORDER), total)
    return np.rint(total / _ZOOM_STEPS).astype(np.uint8)
