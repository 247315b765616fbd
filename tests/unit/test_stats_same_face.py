"""Cosines of the same face under two models, whole and from a sketch."""

from __future__ import annotations

import numpy as np
import pytest

from fraudit.errors import InsufficientData
from fraudit.stats.same_face import (
    AXES,
    face_cosines,
    low_cosine,
    mean_cosine,
    projections,
    sketch_cosines,
    sketched_rows,
)
from tests.fixtures.planted import unit


def _pair(cosine: float, n: int = 3000, dim: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """f32[n,dim] twice, rows at this cosine exactly."""
    rng = np.random.default_rng(1)
    first = unit(rng.normal(size=(n, dim))).astype(np.float64)
    other = rng.normal(size=(n, dim))
    other -= (other * first).sum(1, keepdims=True) * first
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    return first.astype(np.float32), (cosine * first + np.sqrt(1 - cosine**2) * other).astype(np.float32)


@pytest.mark.parametrize("cosine", [1.0, 0.999999, 0.99, 0.5, -0.2])
def test_the_planted_cosine_comes_back(cosine: float) -> None:
    first, second = _pair(cosine)
    assert np.allclose(face_cosines(first, second), cosine, atol=1e-6)


@pytest.mark.parametrize("cosine", [0.99999, 0.99, 0.9, 0.5])
def test_a_sketch_gives_the_mean_cosine_without_bias(cosine: float) -> None:
    first, second = _pair(cosine)
    rows = sketched_rows(len(first), 2000)
    kept = projections(first, rows).astype(np.float16).astype(np.float64)  # as a baseline keeps it
    found = sketch_cosines(kept, projections(second, rows))
    error = (1 - cosine) * np.sqrt(2 / AXES / len(rows))
    assert found.mean() == pytest.approx(cosine, abs=4 * error + 1e-6)


def test_a_sketch_is_far_too_little_to_find_the_vector_again() -> None:
    first, _ = _pair(1.0, 500, 128)
    rng = np.random.default_rng([1984, 128, 500])
    axes = rng.normal(size=(500, AXES, 128))  # as `projections` draws them for up to 512 faces
    kept = projections(first, np.arange(500))
    again = np.stack([np.linalg.lstsq(a, k, rcond=None)[0] for a, k in zip(axes, kept, strict=True)])
    cosines = (unit(again) * first).sum(1)
    assert cosines.mean() == pytest.approx(np.sqrt(AXES / 128), abs=0.03)


def test_other_faces_and_dimensions_are_refused() -> None:
    with pytest.raises(InsufficientData, match="no face by face"):
        face_cosines(np.ones((3, 4)), np.ones((3, 5)))


def test_the_mean_and_the_low_end_lie_in_their_intervals_and_see_a_few_bad_faces() -> None:
    rng = np.random.default_rng(2)
    cosines, people = 1 - 0.002 * rng.random(900), np.repeat(np.arange(300), 3)
    cosines[::50] = 0.4  # two in a hundred
    mean, span = mean_cosine(cosines, people)
    assert span.low < mean < span.high < 1
    low, span = low_cosine(cosines, people)
    assert low == pytest.approx(0.4)
    assert span.low <= low <= span.high
