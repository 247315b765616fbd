"""Fairness figures against their formulas, worked by hand or in plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from fraudit.errors import InsufficientData
from fraudit.stats import fairness as f
from fraudit.stats.rates import impostor_sums
from fraudit.stats.summaries import summary_intervals

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


def test_no_ratio_is_made_up_for_a_group_without_errors() -> None:
    assert f.max_over_min([0.03, 0.06]) == pytest.approx(2)
    with pytest.raises(InsufficientData, match="no upper end"):
        f.max_over_min([0.0, 0.06])
    with pytest.raises(InsufficientData, match="no group shows an error"):
        f.max_over_min([0.0, 0.0])


def test_none_of_84_against_3_of_84_gives_a_bound_and_never_a_ratio_of_one() -> None:
    """3.57 % against 0 % was printed as a ratio of 1."""
    errors = np.r_[np.arange(84) < 3, np.zeros(84, bool)]
    people = np.arange(168)
    found = f.worst_over_best(f.rates_by_group(errors, np.repeat(["b", "a"], 84), people, people))
    assert (found.worst, found.best, found.value, found.interval) == ("b", "a", None, None)
    assert found.missing.startswith("no error in 84 pairs of 'a'")
    errors[:30] = True
    found = f.worst_over_best(f.rates_by_group(errors, np.repeat(["b", "a"], 84), people, people))
    assert found.at_least > 3
    assert f"at least {found.at_least:.3g}" in found.missing


def test_the_score_interval_is_that_of_koopman() -> None:
    """Koopman, Biometrics 40, 1984: 36 of 40 against 16 of 80 has the interval 2.94 to 7.15."""

    def rate(errors: int, n: int) -> f.GroupRate:
        # No clustering, as many degrees of freedom as there are, and n so large that N / (N - 1) is 1.
        return f.GroupRate("", errors, n, n, errors / n, None, "", n, 1e9, n)

    low, high = f.ratio_of_rates(rate(36, 40), rate(16, 80))
    assert low == pytest.approx(2.94, abs=0.03)
    assert high == pytest.approx(7.15, abs=0.06)
    # The test and the interval agree: p = 1 - level where the interval ends at 1.
    a, b = rate(30, 200), rate(18, 200)
    p = f.difference_p_value(a, b)
    assert f.ratio_of_rates(a, b, 1 - p)[0] == pytest.approx(1, abs=1e-6)
    none = rate(0, 80)
    assert f.ratio_of_rates(rate(36, 40), none)[1] is None
    assert f.ratio_of_rates(none, rate(36, 40))[0] == 0


def test_groups_that_few_people_carry_are_named_and_not_compared() -> None:
    """25 people, two of whom have nearly all the pairs: no interval, no test, whatever the counts."""
    people = np.r_[np.repeat([0, 1], 500), np.arange(2, 25), np.arange(100, 300)]
    groups = np.repeat(["few", "many"], [1023, 200])
    errors = groups == "few"
    few, many = f.rates_by_group(errors, groups, people, people)
    assert few.interval is None
    assert "25 in all, 2.1 effective" in few.missing
    assert f.difference_p_value(few, many) == 1
    found = f.worst_over_best((few, many))
    assert (found.value, found.left_out) == (None, ("few",))
    assert f.clearest_gap((few, many)) is None


def test_equal_groups_are_called_unequal_no_more_often_than_stated() -> None:
    worlds, raised = 300, 0
    for seed in range(worlds):
        rng = np.random.default_rng([31, seed])
        groups = np.repeat(["a", "b", "c", "d"], 300)
        people = np.arange(1200) // 3
        effect = rng.normal(0, 1, 400)[people]
        errors = effect + rng.normal(0, 1, 1200) > 1.6
        raised += f.worst_over_best(f.rates_by_group(errors, groups, people, people)).at_least > 1
    assert raised / worlds <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / worlds)


def test_the_ratio_that_is_called_detectable_is_found_in_four_of_five_sets() -> None:
    worlds, level = 400, 0.0055
    rng = np.random.default_rng(33)
    people = np.repeat(np.arange(1400), 3)
    groups = np.where(people < 400, "a", "b")  # of unequal size; the smaller one is the worse

    def rates(ratio: float) -> tuple[f.GroupRate, ...]:
        effect = rng.normal(0, 0.7, 1400)[people] + rng.normal(0, 0.7, len(people))
        cut = -np.sqrt(0.98) * np.where(groups == "a", ndtri(1 - 0.05 * ratio), ndtri(0.95))
        return f.rates_by_group(effect < cut, groups, people, people)

    stated = float(np.median([f.detectable_ratio(*rates(1.0), level) for _ in range(20)]))
    found = np.mean([f.difference_p_value(*rates(stated)) < level for _ in range(worlds)])
    assert 1.3 < stated < 3
    assert abs(found - 0.8) <= 3 * np.sqrt(0.8 * 0.2 / worlds)


def test_too_small_groups_have_no_detectable_ratio() -> None:
    people = np.arange(40)
    few = f.rates_by_group(people % 2 == 0, np.repeat(["a", "b"], 20), people, people)
    assert f.detectable_ratio(*few, 0.0055) is None  # a base of 50 % leaves no ratio above 2
    none = f.rates_by_group(people < 0, np.repeat(["a", "b"], 20), people, people)
    assert f.detectable_ratio(*none, 0.0055) is None


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


def test_person_sums_give_the_variance_of_the_list_of_pairs() -> None:
    """The sums of an all-pairs FMR carry the same variance as the pairs one by one (Fogliato et al.)."""
    rng = np.random.default_rng(5)
    faces = np.repeat(np.arange(12), rng.integers(1, 5, 12))
    i, j = np.triu_indices(len(faces), 1)
    left, right = faces[i], faces[j]
    apart = left != right
    left, right = left[apart], right[apart]
    wolf = rng.random(12) < 0.3
    matched = rng.random(len(left)) < np.where(wolf[left] | wolf[right], 0.4, 0.05)
    sums = impostor_sums("all", matched, left, right)
    residual = matched - matched.mean()
    share = {p: np.sum((left == p) | (right == p)) / len(left) for p in range(12)}
    by_person = sum((residual[(left == p) | (right == p)].sum() / (1 - share[p])) ** 2 for p in range(12))
    between = sum(
        residual[((left == a) & (right == b)) | ((left == b) & (right == a))].sum() ** 2
        for a in range(12)
        for b in range(a)
    )
    noise = matched.mean() * (1 - matched.mean()) * len(left)
    assert sums.spread().design == pytest.approx(max(by_person - between, between, noise) / noise)
    assert (sums.rate, sums.total) == (pytest.approx(matched.mean()), len(left))


def test_a_small_group_is_never_surer_than_all_groups_together() -> None:
    """Ten people without an error in a model whose errors come by person: not ten times their pairs."""
    people = np.repeat(np.arange(110), 20)
    errors = (people % 4 == 0) & (people < 100)  # a person errs always or never
    groups = np.where(people < 100, "many", "few")
    few, many = f.rates_by_group(errors, groups, people, people)
    assert many.n_eff == pytest.approx(100, rel=0.05)
    assert (few.errors, few.n) == (0, 200)
    assert few.n_eff == pytest.approx(10, rel=0.1)
    assert few.interval is not None
    assert few.interval.high > 0.25


def test_equal_groups_are_inside_what_equal_groups_would_show() -> None:
    worlds, usual, reached, corrected = 60, 0, 0, []
    for seed in range(worlds):
        rng = np.random.default_rng([33, seed])
        people = np.repeat(np.arange(200), 3)
        groups = np.repeat(["a", "b", "c", "d"], 150)

        def rates(share: float, rng: np.random.Generator = rng, who=people, of=groups):  # type: ignore[no-untyped-def]
            return f.rates_by_group(rng.random(600) < share, of, who, who)

        garbe = summary_intervals(rates(0.1), rates(0.2), 0.5, rng, draws=200)["garbe"]
        assert garbe.value is not None
        assert garbe.interval is not None
        assert garbe.usual is not None
        usual += garbe.usual.low <= garbe.value <= garbe.usual.high
        reached += garbe.interval.low == 0
        corrected.append(garbe.corrected)
        assert garbe.value > 0
    slack = 3 * np.sqrt(0.05 * 0.95 / worlds)
    assert usual / worlds >= 0.95 - slack
    assert reached / worlds >= 0.95 - slack
    assert np.mean(np.array(corrected) == 0) == pytest.approx(0.5, abs=0.2)


def test_a_planted_unfairness_leaves_fairness_out_and_is_covered() -> None:
    worlds, covered, fair = 60, 0, 0
    truth = f.max_over_geomean([0.05, 0.05, 0.15])
    for seed in range(worlds):
        rng = np.random.default_rng([34, seed])
        people = np.arange(1800)
        errors = rng.random(1800) < np.repeat([0.05, 0.05, 0.15], 600)
        rates = f.rates_by_group(errors, np.repeat(["a", "b", "c"], 600), people, people)
        found = summary_intervals(rates, None, 0.5, rng, draws=200)["max_over_geomean_fmr"]
        assert found.interval is not None
        covered += found.interval.low <= truth <= found.interval.high
        fair += found.interval.low <= 1
    assert covered / worlds >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / worlds)
    assert fair == 0
