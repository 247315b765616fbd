"""Fairness figures against their formulas, worked by hand or in plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from fraudit.errors import InsufficientData
from fraudit.stats import fairness as f

FMR = np.array([0.001, 0.004, 0.002])
FNMR = np.array([0.02, 0.03, 0.05])


def test_fdr_takes_the_largest_differences() -> None:
    # A = 0.003, B = 0.03.
    assert f.fdr(FMR, FNMR, alpha=0.25) == pytest.approx(1 - (0.25 * 0.003 + 0.75 * 0.03))
    assert f.fdr([0.1, 0.1], [0.2, 0.2]) == 1


def test_inequity_rate_multiplies_the_two_ratios() -> None:
    assert f.inequity_rate(FMR, FNMR, alpha=0.25) == pytest.approx(4**0.25 * 2.5**0.75)


def test_gini_follows_its_double_sum_and_is_one_when_one_group_has_all_errors() -> None:
    total = sum(abs(a - b) for a in FMR for b in FMR)
    assert f.gini(FMR) == pytest.approx(3 / 2 * total / (2 * 9 * FMR.mean()))
    assert f.gini([0, 0, 0, 0.2]) == pytest.approx(1)
    assert f.gini([0, 0]) == 0
    assert f.garbe(FMR, FNMR, 0.3) == pytest.approx(0.3 * f.gini(FMR) + 0.7 * f.gini(FNMR))


def test_nist_ratios() -> None:
    assert f.max_over_min(FMR) == pytest.approx(4)
    assert f.max_over_geomean(FMR) == pytest.approx(0.004 / (0.001 * 0.004 * 0.002) ** (1 / 3))


def test_a_zero_rate_is_floored_and_never_becomes_the_worst_group() -> None:
    assert f.max_over_min([0.0, 0.06], bounds=[0.03, 0.001]) == pytest.approx(2)
    assert f.max_over_min([0.0, 0.001], bounds=[0.03, 0.0001]) == 1
    with pytest.raises(InsufficientData, match="no bound"):
        f.max_over_min([0.0, 0.06])
    with pytest.raises(InsufficientData, match="no group shows an error"):
        f.max_over_min([0.0, 0.0], bounds=[0.1, 0.1])


def test_group_rates_name_what_was_floored() -> None:
    errors = np.r_[np.zeros(60, bool), np.arange(200) < 20]
    groups = np.r_[np.full(60, "a"), np.full(200, "b")]
    people = np.arange(260)
    a, b = f.rates_by_group(errors, groups, people, people)
    assert (a.errors, a.is_floored, b.is_floored) == (0, True, False)
    assert a.floored == pytest.approx(-np.log(0.05) / 60)
    ratio = f.worst_over_best((a, b))
    assert (ratio.worst, ratio.best, ratio.floored) == ("b", "a", ("a",))
    assert ratio.value == pytest.approx(0.1 / (-np.log(0.05) / 60))
    assert "floored" in ratio.interval.method


def test_equal_groups_are_called_unequal_no_more_often_than_stated() -> None:
    worlds, raised = 300, 0
    for seed in range(worlds):
        rng = np.random.default_rng([31, seed])
        groups = np.repeat(["a", "b", "c", "d"], 300)
        people = np.arange(1200) // 3
        effect = rng.normal(0, 1, 400)[people]
        errors = effect + rng.normal(0, 1, 1200) > 1.6
        raised += f.worst_over_best(f.rates_by_group(errors, groups, people, people)).interval.low > 1
    assert raised / worlds <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / worlds)


def test_a_planted_ratio_lies_in_its_interval() -> None:
    worlds, covered = 200, 0
    for seed in range(worlds):
        rng = np.random.default_rng([32, seed])
        people = np.arange(1200)
        errors = rng.random(1200) < np.repeat([0.05, 0.15], 600)
        found = f.worst_over_best(f.rates_by_group(errors, np.repeat(["a", "b"], 600), people, people))
        covered += found.interval.low <= 3 <= found.interval.high
    assert covered / worlds >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / worlds)


def test_holm_steps_down_as_in_the_worked_example() -> None:
    # 4 x 0.005, 3 x 0.01, 2 x 0.03, then monotone: 0.04 x 1 rises to 0.06.
    assert f.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert f.holm([0.9, 0.8]) == pytest.approx([1, 1])


def test_the_cross_group_matrix_counts_each_pair_once_whatever_its_order() -> None:
    left_group = np.array(["a", "b", "a", "b", ""])
    right_group = np.array(["b", "a", "a", "b", "a"])
    matched = np.array([True, False, False, True, True])
    subjects = np.arange(5)
    found = f.cross_group_fmr(matched, left_group, right_group, subjects, 100 + subjects)
    assert found.groups == ("a", "b")
    assert found.rates == ((0.0, 0.5), (0.5, 1.0))
    assert found.n.tolist() == [[1, 2], [2, 1]]


def test_one_group_cannot_be_compared() -> None:
    with pytest.raises(InsufficientData, match="at least two"):
        f.fdr([0.1], [0.2])
