"""The identity bootstrap without a list of weights is the plain one, draw by draw."""

from __future__ import annotations

import numpy as np
import pytest

from fraudit.errors import InsufficientData, UsageError
from fraudit.stats import bootstrap as b
from tests.fixtures.identity_bootstrap import identity_bootstrap, identity_weights, weighted_rate


def pairs(seed=0, people=60, count=2000, genuine=0.3):
    rng = np.random.default_rng(seed)
    left = rng.integers(0, people, count) * 7 + 3  # numbers with gaps
    right = np.where(rng.random(count) < genuine, left, rng.integers(0, people, count) * 7 + 3)
    return rng.random(count) < 0.1, left, right


@pytest.mark.parametrize("genuine", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("cells", [60, 1000, 10**6])
def test_every_draw_is_that_of_the_plain_form(genuine, cells, monkeypatch):
    monkeypatch.setattr(b, "CELLS", cells)
    monkeypatch.setattr(b, "WIDE", 1)
    events, left, right = pairs(genuine=genuine)
    plain = np.array([weighted_rate(events)(w) for w in identity_weights(left, right, 200, 5)])
    assert np.abs(b.bootstrap_rates(events, left, right, 200, 5) - plain).max() < 1e-12


def test_the_interval_is_that_of_the_plain_form():
    events, left, right = pairs(3)
    plain = identity_bootstrap(weighted_rate(events), left, right, draws=500, seed=2)
    ours = b.bootstrap_interval(events, left, right, 500, 2)
    assert ours.low == pytest.approx(plain.low, abs=1e-9)
    assert ours.high == pytest.approx(plain.high, abs=1e-9)
    assert ours.method == plain.method
    assert ours.low < events.mean() < ours.high


def test_draws_without_a_pair_are_no_numbers():
    found = b.bootstrap_rates([True, False], [1, 2], [1, 3], 200, 0)
    plain = np.array([weighted_rate([True, False])(w) for w in identity_weights([1, 2], [1, 3], 200, 0)])
    assert np.isnan(plain).any()
    assert np.array_equal(found, plain, equal_nan=True)


def test_names_of_people_may_be_words():
    events, left, right = pairs(4)
    words = [np.array([f"p{x:04d}" for x in side]) for side in (left, right)]
    assert np.array_equal(b.bootstrap_rates(events, *words, 100), b.bootstrap_rates(events, left, right, 100))


def test_what_cannot_be_drawn_is_refused_with_the_reason():
    with pytest.raises(InsufficientData, match="at least one pair"):
        b.bootstrap_rates([], [], [])
    with pytest.raises(InsufficientData, match="no pair errs"):
        b.bootstrap_interval(np.zeros(9, bool), np.arange(9), np.arange(9))
    with pytest.raises(UsageError, match="at least 100 draws; found 5"):
        b.bootstrap_interval([True, False], [1, 2], [1, 2], 5)
