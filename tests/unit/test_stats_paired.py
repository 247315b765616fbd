"""Differences of two models: combined intervals, thresholds included, coverage on planted models."""

from __future__ import annotations

import numpy as np
import pytest

from fraudit.errors import InsufficientData
from fraudit.stats.calibration import threshold_tail
from fraudit.stats.intervals import Difference
from fraudit.stats.operating import ScoredPairs
from fraudit.stats.paired import (
    curve_difference,
    independent_difference,
    rate_difference,
    sums_difference,
    widened,
)
from fraudit.types import Interval
from tests.fixtures.planted import scored_pairs
from tests.fixtures.wilson import wilson


def test_independent_difference_is_newcombes_hybrid_score_interval() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table II, method 10: 56/70 - 48/80 is 0.2 (0.0524, 0.3339)
    a, b = wilson(48 / 80, 80), wilson(56 / 70, 70)
    found = independent_difference(48 / 80, a, 56 / 70, b)
    assert found.value == pytest.approx(0.2)
    assert (found.interval.low, found.interval.high) == (
        pytest.approx(0.0524, abs=5e-5),
        pytest.approx(0.3339, abs=5e-5),
    )


def test_independent_difference_turns_its_sign_with_the_order() -> None:
    a, b = Interval(0.1, 0.4), Interval(0.3, 0.8)
    one, other = independent_difference(0.2, a, 0.5, b), independent_difference(0.5, b, 0.2, a)
    assert one.interval.low == pytest.approx(-other.interval.high)
    assert one.interval.high == pytest.approx(-other.interval.low)


def test_a_further_variance_adds_in_squares() -> None:
    found = widened(Difference(1.0, Interval(1 - 3.0, 1 + 3.0)), (4.0 / 1.959963985) ** 2, "x")
    assert (found.interval.low, found.interval.high) == (pytest.approx(-4.0), pytest.approx(6.0))


def test_thresholds_of_different_people_are_refused() -> None:
    people = np.arange(20)
    with pytest.raises(InsufficientData, match="different people"):
        rate_difference(people == 1, people == 2, people, people, np.zeros(3), np.zeros(4))


def test_a_threshold_too_strict_by_the_calibration_people_raises_fnmr() -> None:
    # FNMR falls as FMR rises: slope < 0. Calibration people who match too often push the threshold up.
    assert threshold_tail(-2.0, [0.01])[0] > 0


def test_sums_of_the_same_model_never_give_an_interval_without_width() -> None:
    sums = np.zeros(50)
    # Half a discordant pair in each direction: t(49) = 2.01 over 1,225 pairs of people.
    assert sums_difference(0.0, 0.0, sums, sums, 1225).interval.high == pytest.approx(2.01 / 1225, rel=0.05)
    assert sums_difference(0.1, 0.1, sums, sums, 1225).interval.high > 0


def test_a_false_match_more_never_gives_a_lower_upper_bound() -> None:
    people, n = 60, 60 * 59 // 2 * 4
    highs = []
    for matches in range(6):
        hits = np.zeros(people)
        for k in range(matches):
            hits[[2 * k, 2 * k + 1]] += 1
        rate = matches / n
        sums = (hits - rate * (people - 1) * 4) / n
        highs.append(sums_difference(0.0, rate, np.zeros(people), sums, n).interval.high)
    assert highs == sorted(highs)
    assert highs[0] < highs[1]


@pytest.mark.parametrize("spread_over", [1, 3, 9])
def test_fewer_errors_never_give_a_higher_upper_bound_than_the_same_errors(spread_over: int) -> None:
    people = np.repeat(np.arange(60), 9)
    base = np.zeros(len(people), bool)
    base[: 27 * spread_over : spread_over] = True
    same = rate_difference(base, base, people, people).interval.high
    for kept in (26, 18, 9, 0):
        new = base & (np.cumsum(base) <= kept)
        found = rate_difference(base, new, people, people)
        assert found.value <= found.interval.high <= same


@pytest.mark.parametrize("figure", ["eer", "auc", "d_prime"])
def test_curve_differences_are_second_minus_first_and_contain_themselves(figure: str) -> None:
    rng = np.random.default_rng(4)
    pairs = scored_pairs(rng, 60, 4, 0.6)
    left, right, _ = pairs.people()
    worse = pairs.score + rng.normal(0, 0.3, len(pairs))
    first, second = (ScoredPairs(s, pairs.same, left, right) for s in (pairs.score, worse))
    found = curve_difference(first, second, figure)  # type: ignore[arg-type]
    assert found.interval.low < found.value < found.interval.high
    assert (found.value > 0) == (figure == "eer")
    assert found.excludes_zero  # this much noise shows on 60 people
    back = curve_difference(second, first, figure)  # type: ignore[arg-type]
    assert back.value == pytest.approx(-found.value)


def test_pairing_narrows_the_interval_of_models_that_err_alike() -> None:
    rng = np.random.default_rng(5)
    pairs = scored_pairs(rng, 80, 4, 0.6)
    left, right, _ = pairs.people()
    near = pairs.score + rng.normal(0, 0.02, len(pairs))
    first, second = (ScoredPairs(s, pairs.same, left, right) for s in (pairs.score, near))
    paired = curve_difference(first, second, "auc").interval
    both = independent_difference(*first.auc(), *second.auc()).interval
    assert paired.high - paired.low < 0.5 * (both.high - both.low)
