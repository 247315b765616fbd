"""Verification statistics against scikit-learn, PyEER, and derivations."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from fraudit.errors import InsufficientData
from fraudit.stats import verification as v


def _scores(
    seed: int, n_g: int = 700, n_i: int = 2100, digits: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    g, i = rng.normal(0.55, 0.15, n_g), rng.normal(0.1, 0.12, n_i)
    return (g, i) if digits is None else (g.round(digits), i.round(digits))


@pytest.mark.parametrize("digits", [None, 2, 1])
@pytest.mark.parametrize("far", [1e-1, 1e-2, 1e-3, 1e-4])
def test_tar_at_far_is_the_best_point_of_the_roc_of_scikit_learn(digits: int | None, far: float) -> None:
    g, i = _scores(3, digits=digits)
    fpr, tpr, _ = roc_curve(np.r_[np.ones(len(g)), np.zeros(len(i))], np.r_[g, i], drop_intermediate=False)
    point = v.tar_at_far(g, i, far)
    assert point.tar == tpr[fpr <= far].max()
    assert point.far_achieved == fpr[fpr <= far].max()
    assert point.far_achieved == (i >= point.threshold).mean() <= far


def test_ties_never_exceed_the_target() -> None:
    # Three of ten impostors share the highest score: FMR jumps from 0 to 0.3, so 0.2 admits none of them.
    impostor = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.9, 0.9, 0.9])
    found = v.fmr_threshold(impostor, 0.2)
    assert found.fmr == 0
    assert found.value > 0.9
    assert not found.observed
    assert v.fmr_threshold(impostor, 0.3).value == 0.9
    assert v.fmr_threshold(impostor, 0.4).value == 0.7
    assert v.fmr_threshold(impostor, 1.0).value == 0.1
    # A genuine score above all impostors is an observed threshold, and the smallest such one.
    assert v.fmr_threshold(impostor, 0.2, observed=[0.95, 0.99]).value == 0.95


def test_a_target_that_is_a_whole_number_of_pairs_is_not_lost_to_rounding() -> None:
    impostor = np.arange(3000) / 3000
    for target in (1e-3, 0.1, 0.3, 0.7):
        assert round(v.fmr_threshold(impostor, target).fmr * 3000) == round(target * 3000)


def test_no_smaller_observed_threshold_keeps_the_target() -> None:
    for seed in range(20):
        impostor = _scores(seed, n_i=300, digits=2)[1]
        found = v.fmr_threshold(impostor, 0.05)
        smaller = impostor[impostor < found.value]
        assert found.fmr <= 0.05
        assert (impostor >= smaller.max()).mean() > 0.05


@pytest.mark.parametrize(
    ("n", "target", "rule"),
    [(3000, 1e-3, "rule of three"), (2999, 1e-3, "no"), (30000, 1e-3, "rule of thirty"), (3000, 1e-4, "no")],
)
def test_resolution_follows_the_rules_of_three_and_thirty(n: int, target: float, rule: str) -> None:
    assert v.resolution(n, target) == rule


@pytest.mark.parametrize("digits", [None, 2, 1])
def test_eer_auc_and_d_prime_agree_with_pyeer_and_scikit_learn(digits: int | None) -> None:
    # Not pyeer.eer_info, which imports the removed pkg_resources.
    from pyeer.eer_stats import calculate_roc, get_decidability_value, get_eer_values

    for seed in range(8):
        g, i = _scores(seed, 150, 400, digits)
        _, fmr, fnmr = calculate_roc(g, i)
        _, low, high, value = get_eer_values(fmr, fnmr)
        mine = v.eer(g, i)
        assert mine.value == pytest.approx(value, abs=1e-12)
        assert (mine.low, mine.high) == pytest.approx(sorted((low, high)), abs=1e-12)
        assert v.d_prime(g, i) == pytest.approx(
            get_decidability_value(g.mean(), g.std(), i.mean(), i.std()), rel=1e-9
        )
        truth = np.r_[np.ones(len(g)), np.zeros(len(i))]
        assert v.auc(g, i) == pytest.approx(roc_auc_score(truth, np.r_[g, i]), abs=1e-12)


def test_separated_scores_have_no_error_and_swapped_ones_nothing_else() -> None:
    low, high = np.linspace(0, 0.4, 50), np.linspace(0.6, 1, 50)
    assert v.eer(high, low).value == 0
    assert v.auc(high, low) == 1
    assert v.eer(low, high).value == pytest.approx(1, abs=0.02)
    assert v.auc(low, high) == 0


def test_d_prime_without_spread_is_refused() -> None:
    with pytest.raises(InsufficientData, match="not defined"):
        v.d_prime([0.5, 0.5], [0.1, 0.1])


def test_a_face_without_a_vector_raises_fnmr_and_never_fmr() -> None:
    scores = np.array([0.9, 0.8, np.nan, 0.1, 0.7, np.nan])
    same = np.array([True, True, True, False, False, False])
    rates = v.rates_at(scores, same, 0.5)
    assert (rates.fnmr, rates.fnmr_scored) == (1 / 3, 0.0)
    assert (rates.fmr, rates.fmr_scored) == (1 / 3, 1 / 2)
    point = v.tar_at_far(scores[same], scores[~same], 0.5)
    assert (point.tar, point.tar_all, point.n_impostor) == (1.0, 2 / 3, 2)


def test_rates_without_pairs_are_absent_and_not_zero() -> None:
    rates = v.rates_at([0.3], [False], 0.5)
    assert rates.fnmr is None
    assert rates.fmr == 0
    with pytest.raises(InsufficientData):
        v.tar_at_far([], [0.1], 0.1)


def test_thinning_keeps_every_corner_of_the_staircase() -> None:
    g, i = _scores(1, 60, 60)
    full = v.roc_points(g, i)
    thin = v.thin(full, 10_000)
    assert len(thin.fmr) < len(full.fmr)
    # Each dropped point lies on the straight line between the neighbours that were kept.
    for x, y in zip(full.fmr, full.fnmr, strict=True):
        at = int(np.searchsorted(-thin.fmr, -x, "left"))
        near = [(thin.fmr[k], thin.fnmr[k]) for k in (at - 1, at) if 0 <= k < len(thin.fmr)]
        assert any(x == a or y == b for a, b in near) or (x, y) in near


def test_thinning_a_long_curve_stays_within_the_stated_cell() -> None:
    full = v.roc_points(*_scores(2, 30_000, 60_000))
    thin = v.thin(full, 400)
    assert len(thin.fmr) <= 1600
    assert (thin.fmr[0], thin.fnmr[0], thin.fmr[-1], thin.fnmr[-1]) == (1, 0, 0, 1)
    inside = (full.fmr > 1e-3) & (full.fnmr > 1e-3)
    at = np.interp(full.thresholds[inside], thin.thresholds, thin.fnmr)
    assert np.abs(np.log10(at / full.fnmr[inside])).max() < 0.25


def test_the_histogram_is_a_density_on_common_bins() -> None:
    g, i = _scores(4)
    table = v.score_histogram(g, i, 50)
    width = np.diff(table["edges"])
    assert (np.array(table["genuine"]) @ width, np.array(table["impostor"]) @ width) == pytest.approx((1, 1))


def test_scores_that_are_in_order_give_the_threshold_of_those_that_are_not():
    rng = np.random.default_rng(8)
    for n in (1, 2, 30):
        scores = rng.integers(-3, 8, n) / 4.0
        mixed = np.insert(scores, rng.integers(0, n + 1, 3), np.nan)
        before = mixed.copy()
        for target in (1e-9, 0.1, 0.5, 1.0):
            for observed in (None, mixed[::-1] + 0.1):
                found = [
                    v.fmr_threshold(s, target, observed) for s in (mixed, v.ascending(mixed), np.sort(scores))
                ]
                assert found[0] == found[1] == found[2]
        np.testing.assert_array_equal(mixed, before)
