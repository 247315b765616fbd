"""Structural similarity of pictures at several scales (Wang, Simoncelli and Bovik 2003)."""

from __future__ import annotations

import numpy as np

from fraudit.errors import DataError
from fraudit.types import F64, U8

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the paper's five scales, finest first
SIGMA, REACH = 1.5, 5  # pixels: a window of 11 x 11
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ms_ssim(first: U8, second: U8) -> float:
    """MS-SSIM of two u8[S,S,3] pictures, of brightness (ITU-R BT.601); 1 where they are the same.

    Small pictures have fewer scales (three at 64 px), whose weights are scaled to sum to 1: compare only figures of
    one size. Negative contrast-structure terms count as 0.

    Raises:
        DataError: two shapes, or a side below the window's 11 pixels.
    """
    if first.shape != second.shape or first.ndim != 3 or min(first.shape[:2]) < 2 * REACH + 1:
        raise DataError(
            f"expected two pictures of one shape, at least 11 px a side, found {first.shape} and {second.shape}"
        )
    a, b = _grey(first), _grey(second)
    scales = 1
    while scales < len(WEIGHTS) and min(a.shape) // 2**scales >= 2 * REACH + 1:
        scales += 1
    weights = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    found = 1.0
    for scale, weight in enumerate(weights):
        whole, structure = _terms(a, b)
        found *= max(whole if scale == scales - 1 else structure, 0.0) ** float(weight)
        a, b = _half(a), _half(b)
    return float(found)


def _grey(picture: U8) -> F64:
    return picture.astype(np.float64) @ np.array([0.299, 0.587, 0.114])


def _half(x: F64) -> F64:
    even = x[: len(x) // 2 * 2, : x.shape[1] // 2 * 2]
    return (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4


def _terms(a: F64, b: F64) -> tuple[float, float]:
    """(mean of luminance times contrast and structure, mean of contrast and structure), where windows fit whole."""
    from scipy.ndimage import gaussian_filter

    def mean(x: F64) -> F64:
        return gaussian_filter(x, SIGMA, radius=REACH)[REACH:-REACH, REACH:-REACH]

    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    structure = (2 * cov + C2) / (va + vb + C2)
    luminance = (2 * ma * mb + C1) / (ma**2 + mb**2 + C1)
    return float((luminance * structure).mean()), float(structure.mean())
