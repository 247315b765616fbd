"""Things worn in front of a face, drawn in the face's own frame (see `FaceFrame`).

In that frame the eyes are at (-0.5, 0) and (0.5, 0), the mouth near y = 1.15 and the chin near y = 1.75.
"""

from __future__ import annotations

import cv2
import numpy as np

from fraudit.perturb.base import FaceFrame
from fraudit.types import F32, U8

_SUBPIXEL_BITS = 4


def _mask(shape: tuple[int, ...], polygons: list[np.ndarray], frame: FaceFrame) -> np.ndarray:
    """f32[H,W] in 0..1: union of polygons given in face coordinates, with anti-aliased rims."""
    mask = np.zeros(shape[:2], np.uint8)
    for polygon in polygons:
        points = np.rint(frame.pixels(polygon) * 2**_SUBPIXEL_BITS).astype(np.int32)
        cv2.fillPoly(mask, [points], 255, lineType=cv2.LINE_AA, shift=_SUBPIXEL_BITS)
    return mask.astype(np.float32) / 255.0


def _painted(image: U8, mask: np.ndarray, colour: np.ndarray) -> U8:
    opacity = mask[..., None]
    return np.clip(np.rint(image * (1 - opacity) + colour * opacity), 0, 255).astype(np.uint8)


def _superellipse(x: float, y: float, half_width: float, half_height: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.column_stack(
        [
            x + half_width * np.sign(cosine) * np.abs(cosine) ** 0.6,
            y + half_height * np.sign(sine) * np.abs(sine) ** 0.6,
        ]
    )


def sunglasses(image: U8, opacity: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """Dark lenses over both eyes; the tint and the size of the lenses grow with `opacity`."""
    frame = FaceFrame.of(landmarks)
    tint = rng.uniform(0, 35, 3)
    half_width, half_height = 0.30 + 0.14 * opacity, 0.18 + 0.16 * opacity
    drop = 0.05
    lenses = [_superellipse(side, drop, half_width, half_height) for side in (-0.5, 0.5)]
    rims = [
        np.array([[-0.5, -0.1], [0.5, -0.1], [0.5, -0.03], [-0.5, -0.03]]),
        np.array([[-1.1, -0.12], [-0.5, -0.1], [-0.5, -0.04], [-1.1, -0.06]]),
        np.array([[1.1, -0.12], [0.5, -0.1], [0.5, -0.04], [1.1, -0.06]]),
    ]
    shaded = _painted(image, _mask(image.shape, lenses, frame) * opacity, tint)
    return _painted(shaded, _mask(image.shape, rims, frame), tint)


def medical_mask(image: U8, reach: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """A surgical mask from the chin up; its upper edge is `reach` inter-eye distances above the mouth."""
    frame = FaceFrame.of(landmarks)
    colour = np.array([150.0, 195.0, 215.0]) + rng.uniform(-15, 15, 3)
    top = 1.15 - reach
    outline = np.array(
        [
            [-0.95, top + 0.25],
            [-0.45, top + 0.05],
            [0.0, top],
            [0.45, top + 0.05],
            [0.95, top + 0.25],
            [0.85, 1.45],
            [0.45, 1.85],
            [0.0, 1.95],
            [-0.45, 1.85],
            [-0.85, 1.45],
        ]
    )
    x, y = frame.coordinates(*image.shape[:2])
    pleats = 1.0 - 0.08 * (np.sin(y * 18.0) > 0.6) - 0.12 * np.clip(np.abs(x), 0, 1)
    return _painted(image, _mask(image.shape, [outline], frame), pleats[..., None] * colour)


def hat(image: U8, edge: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """A hat down to `edge` inter-eye distances above the eyes, and the shadow it casts."""
    frame = FaceFrame.of(landmarks)
    colour = rng.uniform(30, 180, 3)
    crown = np.array(
        [
            [-1.15, -edge],
            [-1.05, -2.0],
            [-0.7, -2.6],
            [0.7, -2.6],
            [1.05, -2.0],
            [1.15, -edge],
            [0.6, -edge - 0.08],
            [0.0, -edge - 0.1],
            [-0.6, -edge - 0.08],
        ]
    )
    brim = np.array(
        [
            [-1.3, -edge],
            [0.0, -edge - 0.14],
            [1.3, -edge],
            [1.15, -edge + 0.1],
            [0.0, -edge - 0.02],
            [-1.15, -edge + 0.1],
        ]
    )
    shadow = np.array([[-1.0, -edge], [1.0, -edge], [0.8, -edge + 0.25], [-0.8, -edge + 0.25]])
    shaded = _painted(image, _mask(image.shape, [shadow], frame) * 0.45, np.zeros(3))
    worn = _painted(shaded, _mask(image.shape, [crown], frame), colour)
    return _painted(worn, _mask(image.shape, [brim], frame), colour * 0.6)


def scarf(image: U8, edge: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """A knitted scarf from the neck up to the line `edge` inter-eye distances above the chin."""
    frame = FaceFrame.of(landmarks)
    first, second = rng.uniform(40, 220, (2, 3))
    top = 1.75 - edge
    outline = np.array(
        [
            [-1.4, top + 0.05],
            [-0.7, top - 0.05],
            [0.0, top + 0.03],
            [0.7, top - 0.05],
            [1.4, top + 0.05],
            [1.6, 3.0],
            [-1.6, 3.0],
        ]
    )
    x, y = frame.coordinates(*image.shape[:2])
    stripe = (np.sin((y + 0.12 * np.abs(np.sin(x * 14.0))) * 16.0) > 0)[..., None]
    return _painted(image, _mask(image.shape, [outline], frame), np.where(stripe, first, second))


def random_patch(image: U8, side_eyes: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """A square of one random colour, `side_eyes` wide, centred at a random place of the inner face."""
    frame = FaceFrame.of(landmarks)
    x, y = rng.uniform(-0.6, 0.6), rng.uniform(-0.2, 1.4)
    colour = rng.uniform(0, 255, 3)
    across, down = frame.coordinates(*image.shape[:2])
    inside_px = (side_eyes / 2 - np.maximum(np.abs(across - x), np.abs(down - y))) * frame.eye_px
    return _painted(image, np.clip(inside_px + 0.5, 0, 1), colour)
