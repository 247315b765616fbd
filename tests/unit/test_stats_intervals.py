"""Intervals against brute force, scipy, cimat and simulated coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fraudit.errors import InsufficientData
from fraudit.stats import intervals as iv


def _pairs(rng: np.random.Generator, people: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    left = rng.integers(0, people, count)
    return left, (left + rng.integers(0, people, count)) % people


def _double_sum(residuals: np.ndarray, left: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """(own, shared): sums of r_p r_q over the same identity pair, and over others that share a person."""
    own = shared = 0.0
    for p in range(len(left)):
        for q in range(len(left)):
            a, b = {left[p], right[p]}, {left[q], right[q]}
            if a == b:
                own += residuals[p] * residuals[q]
            elif a & b:
                shared += residuals[p] * residuals[q]
    return own, shared


@pytest.mark.parametrize("seed", range(6))
def test_the_clustered_variance_is_the_double_sum_over_pairs_that_share_a_person(seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = _pairs(rng, 12, 60)
    events = (rng.random(60) < 0.3).astype(float)
    own, shared = _double_sum(events - events.mean(), left, right)
    expected = (own + max(shared, 0)) / 60**2
    assert iv.PairClusters(left, right).mean_variance(events) == pytest.approx(expected, rel=1e-10)


def test_both_rates_agree_with_cimat() -> None:
    cimat = pytest.importorskip(
        "cimat", reason="the oracle cimat pins numpy below 2; install it without dependencies"
    )
    rng = np.random.default_rng(5)
    people, pictures, threshold = 15, 3, 0.5
    effect = rng.normal(0, 0.15, people)
    scores: dict[int, dict[int, list[float]]] = {i: {} for i in range(people)}
    left, right, value = [], [], []
    for i in range(people):
        for j in range(i, people):
            n = pictures * (pictures - 1) // 2 if i == j else pictures**2
            s = (0.6 if i == j else 0.3) + effect[i] + effect[j] + rng.normal(0, 0.15, n)
            scores[i][j] = scores[j][i] = list(s)
            left += [i] * n
            right += [j] * n
            value += list(s)
    oracle = cimat.UncertaintyEstimator(scores=scores)
    oracle.compute_binerror_metrics(threshold)
    var_fnr, var_fpr = oracle.compute_variance(threshold=threshold, estimator="plugin")
    a, b, s = np.array(left), np.array(right), np.array(value)
    for same, variance, interval in zip(
        (True, False), (var_fnr, var_fpr), oracle.get_binerror_ci(threshold, var_fnr, var_fpr), strict=True
    ):
        part = (a == b) == same
        event = (s < threshold) if same else (s > threshold)
        clusters = iv.PairClusters(a[part], b[part])
        assert clusters.mean_variance(event[part]) == pytest.approx(variance, rel=1e-9)
        mine = clusters.rate_interval(event[part])
        assert (mine.low, mine.high) == pytest.approx(interval, rel=1e-9)


def test_independent_pairs_give_the_plain_wilson_interval() -> None:
    events = np.arange(400) < 30
    people = np.arange(400)
    mine = iv.clustered_rate(events, people, people)
    theirs = stats.binomtest(30, 400).proportion_ci(method="wilson")
    assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (1, 30), (7, 50)])
def test_clopper_pearson_agrees_with_scipy(k: int, n: int) -> None:
    mine, theirs = iv.clopper_pearson(k, n), stats.binomtest(k, n).proportion_ci(method="exact")
    assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_no_event_falls_back_to_the_rule_of_three_on_subjects() -> None:
    left = np.repeat(np.arange(50), 20)
    found = iv.clustered_rate(np.zeros(1000, bool), left, left)
    assert (found.low, found.high) == (0, pytest.approx(-np.log(0.05) / 50))
    every = iv.clustered_rate(np.ones(1000, bool), left, left)
    assert (every.low, every.high) == (pytest.approx(1 + np.log(0.05) / 50), 1)
    # 30 disjoint impostor pairs have 60 subjects, but only 30 trials.
    disjoint = iv.clustered_rate(np.zeros(30, bool), np.arange(30), 100 + np.arange(30))
    assert disjoint.high == pytest.approx(-np.log(0.05) / 30)


def test_an_interval_without_pairs_is_refused() -> None:
    with pytest.raises(InsufficientData):
        iv.clustered_rate([], [], [])


def _world(seed: int, people: int, bias: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Impostor pairs whose scores share a random effect per person, and whose true rate is known."""
    rng = np.random.default_rng([77, seed])
    i, j = np.triu_indices(people, 1)
    effect = rng.normal(0, 1, people)
    score = effect[i] + effect[j] + rng.normal(0, np.sqrt(2), len(i))  # variance 4
    return score > 2 * stats.norm.isf(0.1) + bias, i, j


def test_the_clustered_interval_covers_the_truth_and_the_independent_one_does_not() -> None:
    worlds, people, truth = 300, 60, 0.1
    covered = naive = 0
    for seed in range(worlds):
        events, i, j = _world(seed, people)
        found = iv.clustered_rate(events, i, j)
        covered += found.low <= truth <= found.high
        iid = iv.clopper_pearson(int(events.sum()), len(events))
        naive += iid.low <= truth <= iid.high
    # 95 % less 4 points for the plug-in's bias at 60 people; 3 binomial standard errors of 300 worlds.
    assert covered / worlds >= 0.91 - 3 * np.sqrt(0.91 * 0.09 / worlds)
    assert naive / worlds < 0.6


def test_two_identical_models_differ_by_nothing_within_the_rule_of_three() -> None:
    events, i, j = _world(1, 40)
    found = iv.paired_difference(events, events, i, j)
    assert found.value == 0
    assert not found.excludes_zero
    # No discordant pair and 40 subjects: half a pair in each cell, 42 trials.
    assert found.interval.high == pytest.approx(iv.z_value(0.95) / 42)


def test_a_planted_difference_is_found_and_its_interval_covers_it() -> None:
    worlds, covered, found = 200, 0, 0
    truth = stats.norm.sf(stats.norm.isf(0.1) + 0.25) - 0.1
    for seed in range(worlds):
        a, i, j = _world(seed, 50)
        b, _, _ = _world(seed, 50, bias=0.5)
        d = iv.paired_difference(a, b, i, j)
        covered += d.interval.low <= truth <= d.interval.high
        found += d.excludes_zero
    assert covered / worlds >= 0.91 - 3 * np.sqrt(0.91 * 0.09 / worlds)
    assert found / worlds > 0.9


def test_independent_paired_difference_matches_agresti_and_min() -> None:
    # 100 independent pairs, 9 lost and 4 gained: (4 - 9) / 102 +- z sqrt(14 - 25 / 102) / 102.
    a, b = np.zeros(100, bool), np.zeros(100, bool)
    a[:9], b[9:13] = True, True
    found = iv.paired_difference(a, b, np.arange(100), np.arange(100))
    half = 1.959963984540054 * np.sqrt(14 - 25 / 102) / 102
    assert found.value == pytest.approx(-0.05)
    assert found.interval.low == pytest.approx(-5 / 102 - half)
    assert found.interval.high == pytest.approx(-5 / 102 + half)


def test_a_ratio_interval_is_symmetric_on_the_log_scale_and_refuses_zero() -> None:
    found = iv.ratio_interval(0.2, 0.0004, 0.1, 0.0001)
    assert np.sqrt(found.low * found.high) == pytest.approx(2)
    assert np.log(found.high / 2) == pytest.approx(1.959964 * np.sqrt(0.01 + 0.01), rel=1e-6)
    with pytest.raises(InsufficientData):
        iv.ratio_interval(0.2, 0.1, 0.0, 0.0)
