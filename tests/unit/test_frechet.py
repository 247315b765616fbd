"""Frechet distance against closed forms and scipy; precision and recall against the definition in plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from fraudit.errors import InsufficientData
from fraudit.stats.frechet import (
    frechet_distance,
    gaussian_frechet,
    group_jackknife,
    in_manifold,
    precision_recall,
)


def test_the_distance_of_two_gaussians_on_a_line_is_the_closed_form() -> None:
    # (m1 - m2)^2 + (s1 - s2)^2
    found = gaussian_frechet(np.array([1.0]), np.array([[4.0]]), np.array([4.0]), np.array([[9.0]]))
    assert found == pytest.approx(9 + 1)


def test_commuting_covariances_give_the_sum_over_axes() -> None:
    a, b = np.diag([1.0, 4.0, 9.0]), np.diag([4.0, 4.0, 1.0])
    assert gaussian_frechet(np.zeros(3), a, np.zeros(3), b) == pytest.approx(1 + 0 + 4)


def test_full_covariances_agree_with_scipys_matrix_root() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(60, 7)), rng.normal(size=(50, 7)) @ rng.normal(size=(7, 7)) + 1
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    shift = a.mean(0) - b.mean(0)
    oracle = shift @ shift + np.trace(ca + cb - 2 * linalg.sqrtm(ca @ cb).real)
    assert frechet_distance(a, b) == pytest.approx(oracle, rel=1e-9)


def test_fewer_vectors_than_dimensions_is_no_special_case() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=(10, 40))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    # the same covariance, moved by d: the distance is |d|^2
    assert frechet_distance(a, a + 0.5) == pytest.approx(40 * 0.25)
    with pytest.raises(InsufficientData, match="two vectors a side"):
        frechet_distance(a[:1], a)


def test_precision_and_recall_follow_the_definition() -> None:
    rng = np.random.default_rng(2)
    real, made, k = rng.normal(size=(30, 4)), rng.normal(size=(25, 4)) * 0.5 + 0.8, 3

    def inside(point: np.ndarray, cloud: np.ndarray) -> bool:
        for i, centre in enumerate(cloud):
            others = np.delete(cloud, i, axis=0)
            radius = np.sort(np.linalg.norm(others - centre, axis=1))[k - 1]
            if np.linalg.norm(point - centre) <= radius:
                return True
        return False

    expected = [inside(p, real) for p in made]
    assert in_manifold(made, real, k).tolist() == expected
    found = precision_recall(real, made, np.arange(30), np.arange(25), k)
    assert found.precision == pytest.approx(np.mean(expected))
    assert found.recall == pytest.approx(np.mean([inside(p, made) for p in real]))
    assert 0 < found.precision < 1
    assert found.precision_interval.low <= found.precision <= found.precision_interval.high


def test_a_collapsed_generator_has_precision_without_recall() -> None:
    rng = np.random.default_rng(3)
    real = rng.normal(size=(200, 8))
    made = real[:1] + 1e-3 * rng.normal(size=(200, 8))
    found = precision_recall(real, made, np.arange(200), np.arange(200))
    assert found.precision == 1
    assert found.recall < 0.05


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    """For a mean over people of one value each, delete-a-group gives the t interval of the ten group means."""
    values = np.random.default_rng(4).normal(5, 1, 100)
    people = np.arange(100)
    found = group_jackknife(lambda keep: float(values[keep].mean()), people)
    means = np.array([values[people % 10 == g].mean() for g in range(10)])
    half = 2.262157 * means.std(ddof=1) / np.sqrt(10)  # t, 9 degrees of freedom
    assert found.high - values.mean() == pytest.approx(half, rel=1e-6)
    with pytest.raises(InsufficientData, match="at least 10 people"):
        group_jackknife(lambda keep: 0.0, np.arange(9))
    with pytest.raises(InsufficientData, match="too few people"):
        group_jackknife(lambda keep: 0.0, np.r_[np.arange(12), np.zeros(200, int)])


def test_too_few_people_get_precision_without_an_interval() -> None:
    rng = np.random.default_rng(5)
    people = np.repeat(np.arange(5), 8)
    found = precision_recall(rng.normal(size=(40, 4)), rng.normal(size=(40, 4)), people, people)
    assert 0 <= found.precision <= 1
    assert found.precision_interval is None
    assert "too few people" in found.precision_reason


def test_the_interval_of_precision_holds_for_a_manifold_of_other_people() -> None:
    """People of three near pictures each; the truth is the mean over worlds."""
    values, bounds = [], []
    for seed in range(60):
        rng = np.random.default_rng([6, seed])
        people = np.repeat(np.arange(40), 3)
        real = rng.normal(size=(40, 6))[people] + 0.5 * rng.normal(size=(120, 6))
        made = rng.normal(size=(40, 6))[people] + 0.5 * rng.normal(size=(120, 6))
        found = precision_recall(real, made, people, people)
        values.append(found.precision)
        bounds.append((found.precision_interval.low, found.precision_interval.high))
    low, high = np.array(bounds).T
    assert np.mean((low <= np.mean(values)) & (np.mean(values) <= high)) >= 0.9
