"""Discarding by quality: exact curves, what a random quality gives, planted qualities, cuts judged on other people."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.worlds import make
from benchmarks.worlds_quality import errors_of, noisy_quality, null_discard, planted_discard
from fraudit.errors import InsufficientData, UsageError
from fraudit.stats.calibration import calibration_half
from fraudit.stats.discard import compare_measures, cut_at, discard_curve, orient, pair_quality
from fraudit.stats.discard_cut import choose_cut, judge_cut
from fraudit.stats.pairs import genuine_pairs

NAN = float("nan")


def brute(
    quality: np.ndarray, errors: np.ndarray, left: np.ndarray, right: np.ndarray, share: float
) -> float:
    """FNMR after the worst pictures go one by one, none that would take its equals with it beyond the share."""
    order = sorted(quality)
    allowed = int(share * len(order) + 1e-9)
    cut = order[allowed]
    kept = [
        bool(e) for e, a, b in zip(errors, left, right, strict=True) if min(quality[a], quality[b]) >= cut
    ]
    return sum(kept) / len(kept)


def test_the_curve_is_the_rate_of_the_pairs_of_kept_pictures() -> None:
    rng = np.random.default_rng(3)
    subjects = np.repeat(np.arange(30), 5)
    left, right = genuine_pairs(subjects)
    errors = rng.random(len(left)) < 0.2
    for quality in (rng.normal(size=150), rng.integers(0, 5, 150).astype(float)):
        found = discard_curve(quality, errors, left, right, subjects)
        expected = [brute(quality, errors, left, right, s) for s in found.shares]
        assert np.allclose(found.fnmr, expected)
        assert found.area == pytest.approx(np.trapezoid(expected, found.shares) / 0.2)
        assert found.gain.value == pytest.approx(expected[0] - found.area)
        assert (found.discarded <= found.shares + 1e-9).all()


def test_equal_qualities_go_together_or_not_at_all() -> None:
    assert cut_at([1, 1, 1, 2], 0.5) == 1
    assert cut_at([1, 1, 2, 2], 0.5) == 2
    assert cut_at([NAN, 3, 1], 0.5) == 3
    with pytest.raises(UsageError):
        cut_at([1.0], 1.0)
    with pytest.raises(InsufficientData):
        cut_at([NAN], 0.1)


def test_a_quality_that_is_the_same_everywhere_gains_nothing() -> None:
    world = make(60, "mild", 1)
    errors, left, right = errors_of(world)
    found = discard_curve(np.ones(len(world.subjects)), errors, left, right, world.subjects)
    assert found.gain.value == 0
    assert found.gain.p == 1
    assert found.gain.interval is not None
    assert found.gain.interval.low < 0 < found.gain.interval.high


def test_unknown_qualities_are_counted_and_apart_or_the_first_to_go() -> None:
    subjects = np.repeat(np.arange(40), 3)
    left, right = genuine_pairs(subjects)
    quality = np.random.default_rng(0).normal(size=120)
    bad = np.zeros(120, bool)
    bad[::12] = True  # ten pictures, never recognised, without a quality
    errors = bad[left] | bad[right]
    quality[bad] = NAN
    apart = discard_curve(quality, errors, left, right, subjects)
    assert (apart.unknown, apart.unknown_pairs, apart.unknown_fnmr) == (10, 20, 1.0)
    assert apart.pairs[0] == 100
    assert (apart.fnmr == 0).all()
    worst = discard_curve(quality, errors, left, right, subjects, unknown="worst")
    assert (worst.unknown, worst.unknown_pairs, worst.pairs[0]) == (10, 0, 120)
    assert worst.fnmr[0] == pytest.approx(20 / 120)
    assert (worst.fnmr[9:] == 0).all()
    assert worst.discarded[9] == pytest.approx(10 / 120)
    with pytest.raises(InsufficientData, match="none of 120 genuine pairs"):
        discard_curve(np.full(120, NAN), errors, left, right, subjects)


def test_pairs_can_be_discarded_instead_of_pictures() -> None:
    world = make(80, "equal", 2)
    errors, left, right = errors_of(world)
    quality = noisy_quality(world, 0.9, 2)
    found = discard_curve(quality, errors, left, right, world.subjects, by="pairs")
    lower = pair_quality(quality, left, right)  # a picture decides several of its pairs, which go together
    for share, kept, rate in zip(found.shares, found.pairs, found.fnmr, strict=True):
        values, sizes = np.unique(lower, return_counts=True)
        gone = sizes.cumsum()
        cut = np.append(values, np.inf)[int((gone <= share * len(lower) + 1e-9).sum())]
        assert kept == (lower >= cut).sum()
        assert rate == errors[lower >= cut].mean()


def test_a_random_quality_is_flat_in_the_mean() -> None:
    gains = []
    for seed in range(60):
        world = make(100, "mild", seed)
        errors, left, right = errors_of(world)
        gains.append(
            discard_curve(noisy_quality(world, 0, seed), errors, left, right, world.subjects).gain.value
        )
    assert abs(np.mean(gains)) < 3 * np.std(gains) / np.sqrt(60)


def test_random_qualities_are_seldom_called_useful_and_a_planted_one_is_named() -> None:
    null = np.array([null_discard(seed, 100) for seed in range(60)])
    assert null.mean(axis=0).max() <= 0.10  # 6 of 60 where 5 % are allowed
    planted = [planted_discard(seed, 120) for seed in range(12)]
    assert sum(best == "good" for best, _ in planted) >= 11
    assert all(found for _, found in planted)


def test_measures_are_compared_on_the_pairs_that_both_know() -> None:
    world = make(100, "mild", 4)
    errors, left, right = errors_of(world)
    good, poor = noisy_quality(world, 0.95, 1), noisy_quality(world, 0.0, 2)
    poor[::7] = NAN
    found = compare_measures(
        {"good": good, "poor": poor, "none": np.full(len(good), NAN)}, errors, left, right, world.subjects
    )
    common = ~np.isnan(poor[left]) & ~np.isnan(poor[right])
    assert found.comparisons[0].change.n == common.sum()
    assert found.comparisons[0].change.value > 0  # the second has the larger area of errors
    assert "none" in found.skipped
    assert found.best == "good"


def test_direction_is_stated_and_never_learnt() -> None:
    raw = np.array([1.0, 5.0, NAN, 9.0])
    assert orient("sharpness", raw)[1] == "higher is better"
    assert np.array_equal(orient("HeadPoseYaw.scalar", raw)[0], raw, equal_nan=True)
    assert np.array_equal(orient("brightness", raw)[0], [-4, 0, NAN, -4], equal_nan=True)
    assert np.array_equal(orient("yaw", -raw)[0], -raw, equal_nan=True)
    assert np.array_equal(orient("anything", raw, "lower")[0], -raw, equal_nan=True)


def test_a_cut_is_chosen_on_one_half_and_judged_on_the_other() -> None:
    world = make(300, "mild", 5)
    errors, left, right = errors_of(world)
    quality = noisy_quality(world, 0.9, 3)
    quality[world.groups == "b"] -= 0.7  # group b's pictures are called worse than they are
    held = calibration_half(world.subjects, 0)
    cut = choose_cut(quality, errors, left, right, held)
    assert cut is not None
    other = np.where(held, quality, -99.0)  # what the other half looks like does not matter to the choice
    assert choose_cut(other, errors, left, right, held) == cut
    found = judge_cut(
        cut, quality, errors, left, right, world.subjects, ~held, labels={"group": world.groups}
    )
    assert found.after < found.before
    assert found.change.p < 0.01
    assert found.discarded.rate == pytest.approx((quality[~held] < cut).mean())
    rates = {g.group: g.rate for g in found.groups["group"]}
    assert rates["b"] > 2 * rates["a"]
    assert found.p_holm["group", "b"] < 0.05


def test_no_cut_is_chosen_where_none_errs() -> None:
    world = make(40, "mild", 6)
    _, left, right = errors_of(world)
    nothing = np.zeros(len(left), bool)
    everyone = np.ones(len(world.subjects), bool)
    assert choose_cut(noisy_quality(world, 0.5, 1), nothing, left, right, everyone) is None


def test_shares_begin_with_none_and_rise() -> None:
    world = make(20, "mild", 7)
    errors, left, right = errors_of(world)
    with pytest.raises(UsageError):
        discard_curve(world.quality, errors, left, right, world.subjects, shares=(0.1, 0.2))
