"""Intervals of TAR@FAR, EER, AUC and d': coverage in worlds whose truth is known, and DeLong's variance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fraudit.stats.intervals import clustered_rate
from fraudit.stats.operating import ScoredPairs, all_pairs_fmr, tar_difference
from fraudit.stats.rates import group_rate
from tests.fixtures.identity_bootstrap import identity_bootstrap, weighted_rate

WORLDS, PEOPLE = 200, 80
SPREAD = np.sqrt(2 * 0.3 + 1)  # of impostor scores: two people's effects and noise
GENUINE_SPREAD = np.sqrt(4 * 0.3 + 1)  # of genuine scores: one person's effect twice
SHIFT = 3.0


def _world(seed: int, extra: float = 0.0) -> ScoredPairs:
    """4 genuine pairs a person, one impostor pair for any two; a person's effect is in all their pairs."""
    rng = np.random.default_rng([55, seed])
    effect = rng.normal(0, np.sqrt(0.3), PEOPLE)
    i, j = np.triu_indices(PEOPLE, 1)
    own = np.repeat(np.arange(PEOPLE), 4)
    left, right = np.r_[own, i], np.r_[own, j]
    same = np.arange(len(left)) < len(own)
    scores = effect[left] + effect[right] + rng.normal(0, 1, len(left)) + np.where(same, SHIFT + extra, 0)
    return ScoredPairs(scores, same, left, right)


def _covered(found: list[tuple[float, float]], truth: float) -> float:
    return float(np.mean([low <= truth <= high for low, high in found]))


def _bound(nominal: float) -> float:
    return nominal - 3 * np.sqrt(nominal * (1 - nominal) / WORLDS)


def test_the_intervals_cover_the_truth() -> None:
    worlds = [_world(seed) for seed in range(WORLDS)]
    at = SPREAD * stats.norm.isf(0.01)
    truths = {
        "tar": stats.norm.sf((at - SHIFT) / GENUINE_SPREAD),
        "auc": stats.norm.cdf(SHIFT / np.sqrt(SPREAD**2 + GENUINE_SPREAD**2)),
        "eer": stats.norm.sf(SHIFT / (SPREAD + GENUINE_SPREAD)),
        "d_prime": SHIFT / np.sqrt((SPREAD**2 + GENUINE_SPREAD**2) / 2),
    }
    intervals = {
        "tar": [w.tar_at_far(0.01)[1] for w in worlds],
        "auc": [w.auc()[1] for w in worlds],
        "eer": [w.eer()[1] for w in worlds],
        "d_prime": [w.d_prime()[1] for w in worlds],
    }
    for name, truth in truths.items():
        # 3 points below 95 % for the plug-in variance of 80 people, then 3 binomial standard errors.
        assert _covered([(x.low, x.high) for x in intervals[name]], truth) >= _bound(0.92), name


def test_without_shared_people_the_auc_variance_is_delongs() -> None:
    rng = np.random.default_rng(8)
    g, i = rng.normal(1, 1, 120), rng.normal(0, 1, 150)
    scores, same = np.r_[g, i], np.arange(270) < 120
    left = np.arange(270)
    right = np.where(same, left, left + 1000)
    value, found = ScoredPairs(scores, same, left, right).auc()
    kernel = (g[:, None] > i[None, :]).astype(float)
    variance = kernel.mean(axis=1).var() / 120 + kernel.mean(axis=0).var() / 150
    # The corrected variance differs from DeLong's by about 1 / 120 and 1 / 300 of its two parts.
    mine = ScoredPairs(scores, same, left, right)
    assert mine.clusters.sum_variance(mine.auc_influence()) == pytest.approx(variance, rel=0.01)
    half = stats.t.ppf(0.975, 200) * np.sqrt(variance)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)
    assert found.low < value < found.high


def test_a_planted_difference_of_tar_is_covered_and_found_and_no_difference_is_not() -> None:
    at = SPREAD * stats.norm.isf(0.01)
    truth = stats.norm.sf((at - SHIFT - 0.5) / GENUINE_SPREAD) - stats.norm.sf((at - SHIFT) / GENUINE_SPREAD)
    intervals, found, false = [], 0, 0
    for seed in range(WORLDS):
        a, b = _world(seed), _world(seed, extra=0.5)
        d = tar_difference(a.scores, b.scores, a.same, a.left, a.right, 0.01)
        intervals.append((d.interval.low, d.interval.high))
        found += d.excludes_zero
        noisy = a.scores + np.random.default_rng(seed).normal(0, 0.05, len(a.scores))
        false += tar_difference(a.scores, noisy, a.same, a.left, a.right, 0.01).excludes_zero
    assert _covered(intervals, truth) >= _bound(0.92)
    assert found / WORLDS > 0.9
    assert false / WORLDS <= 0.08 + 3 * np.sqrt(0.08 * 0.92 / WORLDS)


def test_identical_models_do_not_differ() -> None:
    w = _world(1)
    d = tar_difference(w.scores, w.scores, w.same, w.left, w.right, 0.01)
    assert d.value == 0
    assert not d.excludes_zero
    assert d.interval.high == pytest.approx(1.959964 / (PEOPLE + 2), rel=0.03)


def test_the_identity_bootstrap_of_a_rate_agrees_with_the_closed_interval() -> None:
    w = _world(2)
    part = w.same
    events = w.scores[part] < 2.0
    closed = clustered_rate(events, w.left[part], w.right[part])
    boot = identity_bootstrap(weighted_rate(events), w.left[part], w.right[part], draws=2000, seed=1)
    # 2,000 draws: the ends of the percentile interval carry about 3 % of its width each.
    assert boot.low == pytest.approx(closed.low, abs=0.015)
    assert boot.high == pytest.approx(closed.high, abs=0.015)
    assert boot == identity_bootstrap(weighted_rate(events), w.left[part], w.right[part], draws=2000, seed=1)


def test_a_genuine_pair_without_a_score_lowers_tar_alone() -> None:
    w = _world(3)
    scores = w.scores.copy()
    scores[0] = np.nan
    less = ScoredPairs(scores, w.same, w.left, w.right)
    point = less.tar_at_far(0.01)[0]
    assert point.n_genuine == w.same.sum() - 1
    assert point.tar_all == pytest.approx(point.tar * point.n_genuine / point.n_genuine_all)


def test_the_fmr_over_all_pairs_and_its_interval_are_those_of_a_list_of_them() -> None:
    rng = np.random.default_rng(9)
    subjects = np.repeat(np.arange(40), 3)
    rows = rng.normal(0, 1, (40, 6))[subjects] + rng.normal(0, 0.4, (120, 6)) + 0.3
    unit = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    ok = np.arange(120) % 10 != 0
    rate, n, found = all_pairs_fmr(unit, subjects, 0.5, ok)
    i, j = np.triu_indices(120, 1)
    use = (subjects[i] != subjects[j]) & ok[i] & ok[j]
    events = (unit @ unit.T)[i, j][use] >= 0.5
    assert (n, rate) == (use.sum(), pytest.approx(events.mean()))
    exact = group_rate("all", events, subjects[i][use], subjects[j][use]).interval
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), rel=1e-9)
    clustered = clustered_rate(events, subjects[i][use], subjects[j][use])
    assert (
        found.high - found.low >= clustered.high - clustered.low
    )  # its correction for few people goes further
    nothing = all_pairs_fmr(unit, subjects, 1.1, ok)
    listed = group_rate("all", np.zeros(use.sum(), bool), subjects[i][use], subjects[j][use]).interval
    assert (nothing[0], nothing[2].high) == (0, pytest.approx(listed.high, rel=1e-9))
