"""The test over people: its level where people are unequal, its power where a label varies within people."""

from __future__ import annotations

import numpy as np
import pytest

from fraudit.stats.score_test import ScoreTest, sign_flips


@pytest.mark.parametrize("kind", ["constant", "varies"])
def test_p_values_hold_where_people_have_unequal_numbers_of_pictures(kind: str) -> None:
    """1 to 40 pictures, labels that stick to people or partly: at most their level is found, and what is planted is."""
    rng = np.random.default_rng(7)
    p = []
    for _ in range(300):
        counts = np.clip(np.rint(np.exp(rng.normal(1, 1.1, 60))), 1, 40).astype(int)
        subjects = np.repeat(np.arange(60), counts)
        x = rng.standard_normal((60, 6))[subjects] + 0.7 * rng.standard_normal((len(subjects), 6))
        own = rng.standard_normal(60)[subjects]
        label = own if kind == "constant" else own + rng.standard_normal(len(subjects))
        read = ScoreTest(x, subjects)
        flips = sign_flips(60, 199, rng)
        p.append(read.p_value(label[:, None], flips))
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    assert np.min(p) >= 1 / 200
    assert read.p_value(x[:, :1], flips) == pytest.approx(1 / 200)


def planted(seed: int, within: float, people: int = 300, dim: int = 64) -> float:
    """p of a label, half of it the person's own, that explains 5 % of one of 64 axes; three pictures a person."""
    rng = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(people), 3)
    label = (rng.standard_normal(people)[subjects] + rng.standard_normal(len(subjects))) / np.sqrt(2)
    own = np.sqrt(1 - within**2) * rng.standard_normal((people, dim))[subjects]
    x = own + within * rng.standard_normal((len(subjects), dim))
    x[:, 0] += np.sqrt(0.05 / 0.95) * label
    return ScoreTest(x, subjects).p_value(label[:, None], sign_flips(people, 999, rng))


@pytest.mark.parametrize(("within", "least"), [(0.5, 0.95), (0.7, 0.7)])
def test_what_differs_within_people_is_not_hidden_by_who_they_are(within: float, least: float) -> None:
    found = np.array([planted(seed, within) for seed in range(20)])
    assert (found <= 0.007).mean() >= least


def test_one_picture_a_person_and_equal_pictures_have_a_p_value() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((80, 5)), rng.standard_normal((80, 1))
    flips = sign_flips(80, 199, rng)
    assert 0 < ScoreTest(x, np.arange(80)).p_value(y, flips) <= 1
    assert ScoreTest(x, np.arange(80)).p_value(x[:, :1], flips) == pytest.approx(1 / 200)
    subjects = np.repeat(np.arange(40), 2)
    assert 0 < ScoreTest(x[subjects], subjects).p_value(y[subjects], sign_flips(40, 199, rng)) <= 1
    assert ScoreTest(np.ones((80, 5)), subjects).p_value(y, sign_flips(40, 199, rng)) == 1.0
