"""FPIR and FNIR against N: all smaller galleries by hand, planted ways in which people differ, refusals."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from fraudit.errors import InsufficientData, UsageError
from fraudit.stats.gallery import Templates, enrol
from fraudit.stats.growth import Counts, back_test, extrapolate, fnir_counts, fpir_counts, measured
from fraudit.stats.identification import PARTS, fnir, fpir, search


@pytest.mark.parametrize("rank", [1, 2])
def test_smaller_galleries_are_the_mean_over_all_of_them(rank: int) -> None:
    rng = np.random.default_rng(0)
    gallery = enrol(rng.normal(size=(7, 3)), np.arange(7))
    who = np.concatenate([np.arange(14) % 7, 50 + np.arange(12)])
    asked = rng.normal(size=(26, 3))
    asked[:14] += gallery.vectors[who[:14]]
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    whole = search(gallery, asked, who, above=0.5)
    for size in (2, 4, 7):
        false, missed = [], []
        for chosen in combinations(range(7), size):
            use = np.array(chosen)
            part = Templates(gallery.vectors[use], gallery.names[use], gallery.ok[use])
            stay = np.isin(who, use) | (who >= 50)
            found = search(part, asked[stay], who[stay])
            false.append(fpir(found, 0.9))
            missed += [fnir(found, 0.4, rank)] * size  # every gallery has two searches of each mate
        assert measured(fpir_counts(whole, 0.9), [size])[0].value == pytest.approx(np.mean(false))
        assert measured(fnir_counts(whole, 0.4, rank), [size])[0].value == pytest.approx(np.mean(missed))


def planted(chances: np.ndarray, enrolled: int, seed: int = 0, certain: float = 0.0, rank: int = 1) -> Counts:
    """Each searcher finds every enrolled person with a chance f64[J] of his or her own."""
    rng = np.random.default_rng(seed)
    pool = np.full(PARTS, enrolled // PARTS)
    counts = rng.binomial(pool[None], chances[:, None])
    return Counts(counts, rng.random(len(chances)) < certain, pool, 0, rank, np.arange(len(chances)))


def test_where_all_people_are_alike_growth_is_binomial() -> None:
    found = back_test(planted(np.full(2000, 1e-3), 400))
    assert found.passed
    assert found.predicted == pytest.approx(1 - (1 - 1e-3) ** 400, abs=0.03)
    assert found.binomial == pytest.approx(found.measured, abs=0.03)


@pytest.mark.parametrize("form", ["beta", "probit"])
def test_where_people_differ_the_model_holds_and_the_binomial_does_not(form: str) -> None:
    from scipy.special import ndtr

    rng = np.random.default_rng(3)
    chances = rng.beta(0.05, 5.0, 4000) if form == "beta" else ndtr(-4 + 1.5 * rng.normal(size=4000))
    of = planted(chances, 400)
    test = back_test(of)
    assert test.passed
    assert test.predicted == pytest.approx(test.measured, rel=0.1)
    assert test.binomial > 2 * test.measured
    found = extrapolate(of, 8000)
    truth = float(np.mean(1 - (1 - chances) ** 8000))
    assert found.interval.low <= truth <= found.interval.high
    assert found.interval.high - found.interval.low < 0.25


def test_certain_misses_stay_and_ranks_beyond_one_are_modelled() -> None:
    rng = np.random.default_rng(4)
    chances = rng.beta(0.2, 8.0, 3000)
    of = planted(chances, 400, certain=0.2, rank=3)
    found = extrapolate(of, 4000)
    from scipy.stats import binom

    truth = 0.2 + 0.8 * float(binom.sf(2, 4000, chances).mean())
    assert back_test(of).passed
    assert found.value >= 0.19
    assert found.interval.low <= truth <= found.interval.high


def test_growth_that_no_form_follows_is_not_extrapolated() -> None:
    chances = np.where(np.arange(4000) % 2 == 0, 0.3, 0.0015)  # half find somebody at once, the others late
    of = planted(chances, 400)
    assert not back_test(of).passed
    with pytest.raises(InsufficientData, match="was measured"):
        extrapolate(of, 4000)


def test_more_than_a_hundred_times_as_many_people_are_refused() -> None:
    of = planted(np.full(2000, 1e-3), 400)
    with pytest.raises(InsufficientData, match="100 times"):
        extrapolate(of, 40_001)


@pytest.mark.parametrize(
    ("chances", "enrolled", "words"),
    [
        (np.full(2000, 1e-6), 400, "10 people"),
        (np.full(2000, 0.1), 0, "20 enrolled"),
        (np.full(12, 1.0), 400, "nothing else"),
    ],
)
def test_too_little_to_fit_is_refused_with_the_reason(chances: np.ndarray, enrolled: int, words: str) -> None:
    with pytest.raises(InsufficientData, match=words):
        back_test(planted(chances, enrolled))


def test_sizes_that_cannot_be_drawn_are_refused() -> None:
    of = planted(np.full(100, 0.01), 100)
    with pytest.raises(UsageError, match="between 1 and 100"):
        measured(of, [101])
    with pytest.raises(UsageError, match="no more than"):
        extrapolate(of, 100)


def test_intervals_of_smaller_galleries_hold() -> None:
    chances = np.random.default_rng(0).beta(0.1, 5.0, 200_000)
    truth = float(np.mean(1 - (1 - chances) ** 50))
    held = []
    for seed in range(60):
        drawn = np.random.default_rng([seed, 1]).choice(chances, 300)
        point = measured(planted(drawn, 200, seed), [50])[0]
        assert point.interval
        held.append(point.interval.low <= truth <= point.interval.high)
    assert np.mean(held) >= 0.88
