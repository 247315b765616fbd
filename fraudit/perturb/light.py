"""Light and weather. Exposure acts on linear light under a gamma of 2.2, so it is a gain on pixel values."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from fraudit.perturb.base import FaceFrame
from fraudit.types import F32, U8

_GAMMA = 2.2
_VALUES = np.arange(256, dtype=np.float64)


def _mapped(image: U8, values: np.ndarray) -> U8:
    return np.asarray(cv2.LUT(image, np.clip(np.rint(values), 0, 255).astype(np.uint8)), np.uint8)


def brightness(image: U8, stops: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """Over-exposure by `stops`; what exceeds white is lost."""
    return _mapped(image, _VALUES * 2 ** (stops / _GAMMA))


def darkness(image: U8, stops: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """Under-exposure by `stops`, quantised to 8 bits."""
    return _mapped(image, _VALUES * 2 ** (-stops / _GAMMA))


def contrast(image: U8, loss: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """Differences to the picture's mean value shrink by the share `loss`."""
    mean = float(image.mean())
    return _mapped(image, mean + (1 - loss) * (_VALUES - mean))


def fog(image: U8, density: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """A patchy white veil: its mean opacity is `density`, its patches are a sum of octaves of noise."""
    height, width = image.shape[:2]
    veil = np.zeros((height, width), np.float32)
    for octave in range(4):
        cells = 2 ** (octave + 1) + 1
        grid = rng.standard_normal((cells, cells)).astype(np.float32)
        veil += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    opacity = np.clip(density * (1 + 0.25 * np.tanh(veil)), 0, 1)[..., None]
    return np.rint(image + opacity * (235.0 - image.astype(np.float32)).clip(0)).astype(np.uint8)


def side_light(x: float, y: float) -> Callable[[U8, float, np.random.Generator, F32], U8]:
    """Light from one side: the far side of the face loses `stops` of exposure.

    Args:
        x, y: unit direction towards the light in the face's own frame (x to the viewer's right, y down).
    Returns:
        A corruption's function.
    """

    def apply(image: U8, stops: float, rng: np.random.Generator, landmarks: F32) -> U8:
        along_x, along_y = FaceFrame.of(landmarks).coordinates(*image.shape[:2])
        away = -(x * along_x + y * (along_y - np.float32(0.6)))
        # A smooth terminator one inter-eye distance wide through the middle of the face.
        shade = 1 / (1 + np.exp(np.clip(-4 * away, -30, 30)))
        gain = np.exp2((-stops / _GAMMA) * shade).astype(np.float32)
        return np.rint(image * gain[..., None]).astype(np.uint8)

    return apply
