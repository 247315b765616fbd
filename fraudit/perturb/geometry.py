"""Errors of the alignment: a rolled, shifted or wrongly landmarked face."""

from __future__ import annotations

import cv2
import numpy as np

from fraudit.perturb.base import FaceFrame, eye_distance
from fraudit.types import F32, U8


def _warped(image: U8, matrix: np.ndarray) -> U8:
    height, width = image.shape[:2]
    moved = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(moved, np.uint8)


def roll(image: U8, degrees: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """Rotation by `degrees`, to a random side, around the middle of the face."""
    sign = 1.0 if rng.random() < 0.5 else -1.0
    x, y = FaceFrame.of(landmarks).pixels(np.array([[0.0, 0.6]]))[0]
    return _warped(image, cv2.getRotationMatrix2D((float(x), float(y)), sign * degrees, 1.0))


def shift(image: U8, eyes: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """Translation by `eyes` inter-eye distances in a random direction."""
    angle = rng.uniform(0, 2 * np.pi)
    step = eyes * eye_distance(landmarks)
    return _warped(image, np.array([[1.0, 0, step * np.cos(angle)], [0, 1.0, step * np.sin(angle)]]))


def jittered(landmarks: F32, sigma_eyes: float, rng: np.random.Generator) -> F32:
    """Each coordinate of each point gains normal noise of `sigma_eyes` inter-eye distances."""
    noise = rng.standard_normal((5, 2)) * (sigma_eyes * eye_distance(landmarks))
    return (landmarks + noise).astype(np.float32)


def landmark_jitter(image: U8, sigma_eyes: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """What a least-squares similarity alignment on jittered points makes of an aligned face."""
    return _warped(image, _similarity(jittered(landmarks, sigma_eyes, rng), landmarks))


def _similarity(source: F32, target: F32) -> np.ndarray:
    """f64[2,3]: least-squares x' = [a -b; b a] x + t from f32[K,2] to f32[K,2]."""
    source64, target64 = source.astype(np.float64), target.astype(np.float64)
    from_mean, to_mean = source64.mean(0), target64.mean(0)
    p, q = source64 - from_mean, target64 - to_mean
    scale = max(float((p**2).sum()), 1e-12)
    a = float((p * q).sum()) / scale
    b = float((p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum()) / scale
    linear = np.array([[a, -b], [b, a]])
    return np.column_stack([linear, to_mean - linear @ from_mean])
