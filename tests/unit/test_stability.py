"""Perturbation stability is the mean cosine to the copies that there are."""

from __future__ import annotations

import numpy as np
import pytest

from fraudit.errors import InsufficientData
from fraudit.stats.stability import perturbation_stability
from tests.fixtures.planted import unit


def test_the_mean_cosine_is_that_of_the_copies_with_a_vector() -> None:
    rng = np.random.default_rng(0)
    rows = unit(rng.normal(size=(4, 16)))
    copies = np.stack([unit(rows + s * rng.normal(size=rows.shape)) for s in (0.1, 0.2, 0.3)])
    copies[1, 0] = 0  # no face found in this copy
    ok = np.array([True, True, True, False])
    ok_copies = np.ones((3, 4), bool)
    ok_copies[:, 2] = False
    value, count = perturbation_stability(rows, copies, ok, ok_copies)
    cosines = (copies * rows).sum(axis=2)
    assert value[0] == pytest.approx(cosines[[0, 2], 0].mean(), abs=1e-6)
    assert value[1] == pytest.approx(cosines[:, 1].mean(), abs=1e-6)
    assert np.isnan(value[2:]).all()
    assert count.tolist() == [2, 3, 0, 0]


def test_a_picture_near_noise_is_less_stable() -> None:
    rng = np.random.default_rng(1)
    strength = np.repeat([3.0, 1.0, 0.3], 50)  # how much of the vector is signal
    signal = strength[:, None] * unit(rng.normal(size=(150, 32)))
    noise = rng.normal(size=(5, 150, 32)) / np.sqrt(32) * 0.3
    value, _ = perturbation_stability(unit(signal), np.stack([unit(signal + n) for n in noise]))
    means = value.reshape(3, 50).mean(axis=1)
    assert means[0] > means[1] > means[2]
    same, _ = perturbation_stability(unit(signal), unit(signal)[None])
    assert np.allclose(same, 1, atol=1e-12)


def test_other_faces_and_raw_vectors_are_refused() -> None:
    rows = unit(np.eye(4))
    with pytest.raises(InsufficientData, match="same faces"):
        perturbation_stability(rows, rows)
    with pytest.raises(InsufficientData, match="norm 1"):
        perturbation_stability(3 * rows, rows[None])
