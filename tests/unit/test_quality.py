"""Measures of quality follow what is done to a picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fraudit.faces.quality import brightness, contrast, eye_distance, sharpness
from fraudit.types import ARCFACE_112


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(40, 200, (60, 50, 3), dtype=np.uint8)


def test_blur_lowers_sharpness_step_by_step() -> None:
    values = [
        sharpness(cv2.GaussianBlur(picture(), (0, 0), s) if s else picture()) for s in (0, 0.6, 1, 2, 4)
    ]
    assert values == sorted(values, reverse=True)
    assert sharpness(np.full((20, 20, 3), 90, np.uint8)) == 0


def test_brightness_and_contrast_are_mean_and_deviation_of_luma() -> None:
    half = np.zeros((10, 10, 3), np.uint8)
    half[:5] = 200
    assert brightness(half) == pytest.approx(100)
    assert contrast(half) == pytest.approx(100)
    assert brightness(np.full((4, 4, 3), (255, 0, 0), np.uint8)) == pytest.approx(0.299 * 255)
    lighter = picture() + np.uint8(50)
    assert brightness(lighter) - brightness(picture()) == pytest.approx(50)
    assert contrast(lighter) == pytest.approx(contrast(picture()))


def test_the_distance_of_the_eyes_is_in_pixels_of_the_picture() -> None:
    both = eye_distance(np.stack([ARCFACE_112, 2 * ARCFACE_112]))
    assert both[1] == pytest.approx(2 * both[0])
    assert both[0] == pytest.approx(np.hypot(73.5318 - 38.2946, 51.5014 - 51.6963), rel=1e-5)
