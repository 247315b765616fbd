"""What cameras, codecs and screens do to a picture."""

from __future__ import annotations

import cv2
import numpy as np

from fraudit.errors import DataError
from fraudit.perturb.base import CROP_EYES, eye_distance
from fraudit.types import F32, U8

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def jpeg(image: U8, quality: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """JPEG at `quality` (OpenCV's scale, 4:2:0), at the picture's own resolution."""
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    if not done:
        raise DataError(f"a picture of {image.shape[1]}x{image.shape[0]} px cannot be written as JPEG")
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])


def _reduced(image: U8, factor: float, interpolation: int) -> U8:
    height, width = image.shape[:2]
    small = (max(1, round(width * factor)), max(1, round(height * factor)))
    reduced = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(reduced, (width, height), interpolation=interpolation), np.uint8)


def pixelation(image: U8, block_eyes: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """Square blocks of `block_eyes` inter-eye distances, each its own mean."""
    block_px = block_eyes * eye_distance(landmarks)
    return image.copy() if block_px <= 1 else _reduced(image, 1 / block_px, cv2.INTER_NEAREST)


def low_resolution(image: U8, side_px: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """The face (the aligned crop, 3.2 eye distances wide) seen with `side_px` pixels, enlarged again."""
    factor = side_px / (CROP_EYES * eye_distance(landmarks))
    return image.copy() if factor >= 1 else _reduced(image, factor, cv2.INTER_CUBIC)


def colour_cast(image: U8, strength: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """Wrong white balance: warm or cool at random; red and blue gain and lose the share `strength`."""
    sign = 1.0 if rng.random() < 0.5 else -1.0
    gains = np.array([1 + sign * strength, 1.0, 1 - sign * strength])
    values = np.arange(256)[:, None] * gains[None, :]
    return np.asarray(cv2.LUT(image, np.clip(np.rint(values), 0, 255).astype(np.uint8)[:, None, :]), np.uint8)


def grey(image: U8, share: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """Colour fades to luma (Rec. 601) by `share`; 1 is a grey picture."""
    luma = (image @ _LUMA)[..., None]
    return np.clip(np.rint(image * (1 - share) + luma * share), 0, 255).astype(np.uint8)
