"""Plain measures of a picture's quality: sharpness, brightness, contrast, resolution.

Sharpness, brightness and contrast are taken in the aligned face, so that they describe what the model sees;
resolution is taken in the picture, because alignment hides it.
"""

from __future__ import annotations

import cv2
import numpy as np

from fraudit.types import F32, F64, U8

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def luma(image: U8) -> F64:
    """f64[H,W] luma in 0..255 of u8[H,W,3] RGB."""
    return image.astype(np.float64) @ np.array(LUMA)


def sharpness(image: U8) -> float:
    """log(1 + variance of the Laplacian of the luma); lower is more blurred (Pech-Pacheco et al., ICPR 2000)."""
    return float(np.log1p(cv2.Laplacian(luma(image), cv2.CV_64F, ksize=1).var()))


def brightness(image: U8) -> float:
    """Mean luma, 0..255."""
    return float(luma(image).mean())


def contrast(image: U8) -> float:
    """Standard deviation of the luma, 0..127.5 (root-mean-square contrast)."""
    return float(luma(image).std())


def eye_distance(landmarks: F32) -> F64:
    """Pixels f64[N] between the eyes of f32[N,5,2] points in the picture."""
    points = np.asarray(landmarks, np.float64)
    return np.linalg.norm(points[:, 1] - points[:, 0], axis=1)
