"""How certain thresholds are, and rates at them: coverage on planted scores."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fraudit.errors import InsufficientData
from fraudit.stats import thresholds as t
from fraudit.stats import verification as v
from fraudit.stats.calibration import Calibration
from fraudit.stats.intervals import clustered_rate
from fraudit.stats.operating import ScoredPairs
from fraudit.types import Interval


def _calibration(rng: np.random.Generator, people: int = 120, pairs: int = 1500) -> Calibration:
    """Declared impostor pairs with independent standard normal scores."""
    left = rng.integers(0, people, pairs)
    right = (left + rng.integers(1, people, pairs)) % people
    empty = np.zeros((0, 2), np.float32)
    nobody = np.zeros(0, np.int64)
    return Calibration(nobody, nobody, rng.normal(size=pairs), empty, left, right)


def test_a_threshold_lies_in_its_interval_and_so_does_the_truth_as_often_as_stated() -> None:
    truth, worlds, hits = stats.norm.isf(0.02), 150, 0
    for seed in range(worlds):
        found = _calibration(np.random.default_rng(seed))
        at = found.threshold(0.02)
        interval = t.threshold_interval(found.impostor, t.calibration_fmr(found, at))
        assert interval.low <= at <= interval.high
        hits += interval.low <= truth <= interval.high
    assert hits / worlds >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / worlds)


def test_a_rates_interval_that_includes_the_choice_holds_where_the_plain_one_does_not() -> None:
    # 2,000 judged genuine pairs of 400 people, 300 calibration pairs: the threshold is the larger uncertainty.
    truth = stats.norm.cdf(stats.norm.isf(0.05) - 2.0)
    worlds, plain, chosen = 150, 0, 0
    who = np.repeat(np.arange(400), 5)
    for seed in range(worlds):
        rng = np.random.default_rng(seed)
        found = _calibration(rng, pairs=300)
        genuine = rng.normal(2.0, 1, 2000)
        at = found.threshold(0.05)
        ends = t.threshold_interval(found.impostor, t.calibration_fmr(found, at))
        rate = float(np.mean(genuine < at))
        as_it_is = clustered_rate(genuine < at, who, who)
        both = t.with_threshold(
            as_it_is, rate, *(float(np.mean(genuine < end)) for end in (ends.low, ends.high))
        )
        plain += as_it_is.low <= truth <= as_it_is.high
        chosen += both.low <= truth <= both.high
    assert plain / worlds < 0.6
    assert chosen / worlds >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / worlds)


def test_a_rate_with_an_exact_threshold_keeps_its_interval() -> None:
    rate = Interval(0.02, 0.09, 0.95, "x")
    assert t.with_threshold(rate, 0.05, 0.05, 0.05).low == pytest.approx(0.02)
    wider = t.with_threshold(rate, 0.05, 0.02, 0.09)
    assert wider.low == pytest.approx(0.05 - np.hypot(0.03, 0.03))
    assert wider.high == pytest.approx(0.05 + np.hypot(0.04, 0.04))


@pytest.mark.parametrize("shape", [(0.2, 1.8), (2.0, 18.0)])
def test_the_mean_over_people_is_covered_whatever_their_numbers_of_pairs(shape: tuple[float, float]) -> None:
    truth, worlds, hits = shape[0] / sum(shape), 200, 0
    for seed in range(worlds):
        rng = np.random.default_rng(seed)
        pairs = np.clip(np.rint(np.exp(rng.normal(1, 1.2, 60))), 1, 100).astype(int)
        who = np.repeat(np.arange(60), pairs)
        events = rng.random(len(who)) < rng.beta(*shape, 60)[who]
        value, interval = t.person_rate(events, who)
        assert value == pytest.approx(np.mean([events[who == p].mean() for p in range(60)]))
        assert interval.low <= value <= interval.high
        hits += interval.low <= truth <= interval.high
    assert hits / worlds >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / worlds)


def test_few_people_have_no_mean_interval_and_no_event_no_wider_one_than_one_event() -> None:
    with pytest.raises(InsufficientData, match="too few people"):
        t.person_rate(np.zeros(10, bool), np.repeat(np.arange(5), 2))
    who = np.repeat(np.arange(50), 4)
    bounds = []
    for errors in (0, 1, 2, 5):
        events = np.zeros(200, bool)
        events[: 4 * errors : 4] = True
        bounds.append(t.person_rate(events, who)[1].high)
    assert bounds == sorted(bounds)


def test_the_threshold_of_the_eer_is_covered() -> None:
    worlds, hits, who = 100, 0, np.repeat(np.arange(150), 2)
    for seed in range(worlds):
        rng = np.random.default_rng(seed)
        left = rng.integers(0, 150, 2000)
        right = (left + rng.integers(1, 150, 2000)) % 150
        same = np.arange(2300) < 300
        pairs = ScoredPairs(
            rng.normal(np.where(same, 2.0, 0.0), 1), same, np.r_[who, left], np.r_[who, right]
        )
        interval = t.eer_threshold_interval(pairs, v.eer(pairs.genuine, pairs.impostor))
        hits += interval.low <= 1.0 <= interval.high
    assert hits / worlds >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / worlds)


def test_the_threshold_of_the_eer_is_covered_where_few_errors_happen_to_be_seen() -> None:
    """There it comes out too high, and an interval from the variance of those few errors covered 80 %."""
    people, worlds, truth = 40, 200, 1.6081  # the crossing of N(3.2, 0.98) and N(0, 1)
    who = np.repeat(np.arange(people), 6)
    same = np.arange(len(who) + 1500) < len(who)
    values, covered = [], []
    for seed in range(worlds):
        rng = np.random.default_rng([5, seed])
        left = rng.integers(0, people, 1500)
        right = (left + rng.integers(1, people, 1500)) % people
        own = 3.2 + rng.normal(0, 0.7, people)[who]
        scores = np.r_[rng.normal(own, 0.7), rng.normal(0, 1, 1500)]
        pairs = ScoredPairs(scores, same, np.r_[who, left], np.r_[who, right])
        found = v.eer(pairs.genuine, pairs.impostor)
        interval = t.eer_threshold_interval(pairs, found)
        values.append(found.threshold)
        covered.append(interval.low <= truth <= interval.high)
    too_high = np.array(values) > np.quantile(values, 0.75)
    assert np.mean(covered) >= 0.93
    assert np.mean(np.array(covered)[too_high]) >= 0.9


def test_a_threshold_of_ten_people_has_a_reason_and_no_interval() -> None:
    sure, why = t.enough_for_threshold(np.repeat(np.arange(10), 4))
    assert not sure
    assert "10 people, 10.0 effective" in why
    assert t.enough_for_threshold(np.repeat(np.arange(15), 4)) == (True, "")
