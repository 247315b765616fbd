"""Sensor noise. Each pixel value and a uniform draw index a table of outcomes: exact, fast, and monotone.

The grain is one pixel of a 112 px aligned face: in a large picture noise of single pixels would be averaged
away by the alignment, and the same severity would mean less than on a small one.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import ndtri, pdtr

from fraudit.perturb.base import TEMPLATE_EYE_PX, eye_distance
from fraudit.types import F32, U8

_DRAWS = 4096
_LEVELS = np.arange(256, dtype=np.float64)[:, None]
_UNIFORM = ((np.arange(_DRAWS) + 0.5) / _DRAWS)[None, :]


def _u8(values: np.ndarray) -> U8:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


@lru_cache(maxsize=32)
def _gaussian_table(sigma: float) -> U8:
    return _u8(_LEVELS + sigma * ndtri(_UNIFORM)).ravel()


@lru_cache(maxsize=32)
def _speckle_table(sigma: float) -> U8:
    return _u8(_LEVELS * (1 + sigma * ndtri(_UNIFORM))).ravel()


@lru_cache(maxsize=32)
def _shot_table(photons: float) -> U8:
    counts = np.arange(int(photons + 10 * np.sqrt(photons) + 20))
    rows = [np.searchsorted(pdtr(counts, rate), _UNIFORM[0]) for rate in _LEVELS[:, 0] / 255.0 * photons]
    return _u8(np.stack(rows) * (255.0 / photons)).ravel()


@lru_cache(maxsize=32)
def _impulse_table(share: float) -> U8:
    table = np.repeat(_LEVELS, _DRAWS, axis=1)
    table[:, _UNIFORM[0] < share / 2] = 0
    table[:, _UNIFORM[0] >= 1 - share / 2] = 255
    return _u8(table).ravel()


def _draw(image: U8, table: U8, rng: np.random.Generator, landmarks: F32) -> U8:
    height, width = image.shape[:2]
    grain = max(1, round(eye_distance(landmarks) / TEMPLATE_EYE_PX))
    draws = rng.integers(0, _DRAWS, (-(-height // grain), -(-width // grain), 3), dtype=np.uint16)
    if grain > 1:
        draws = draws.repeat(grain, axis=0)[:height].repeat(grain, axis=1)[:, :width]
    index = image.astype(np.int32)
    index *= _DRAWS
    index += draws
    return table.take(index)


def gaussian_noise(image: U8, sigma: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """Additive normal noise of standard deviation `sigma` in 0..255 units, per channel."""
    return _draw(image, _gaussian_table(sigma), rng, landmarks)


def shot_noise(image: U8, photons: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """Poisson noise of a sensor that counts `photons` at white, per channel."""
    return _draw(image, _shot_table(photons), rng, landmarks)


def impulse_noise(image: U8, share: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """Salt and pepper: `share` of the samples become 0 or 255, per channel."""
    return _draw(image, _impulse_table(share), rng, landmarks)


def speckle_noise(image: U8, sigma: float, rng: np.random.Generator, landmarks: F32) -> U8:
    """Multiplicative normal noise: x (1 + `sigma` n), per channel."""
    return _draw(image, _speckle_table(sigma), rng, landmarks)
