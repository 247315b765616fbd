"""Rates, bounds and verdicts of the robustness grid: by hand, by oracle, and in worlds with a known truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fraudit.analyses.robustness.findings import findings, increase_severity
from fraudit.analyses.robustness.measure import build_grid, cells_level
from fraudit.errors import InsufficientData
from fraudit.perturb.catalogue import CORRUPTIONS
from fraudit.stats.probe_pairs import ProbeCosines, ProbePairs, probe_pairs
from fraudit.stats.robustness import (
    Comparisons,
    corruption_errors,
    group_gap,
    increase_bounds,
    mean_over_cells,
    person_difference,
    person_rate,
)


def test_rates_of_a_cell_are_those_counted_by_hand() -> None:
    vectors = np.eye(4, dtype=np.float32)[[0, 0, 1, 1]]
    subjects = np.array([7, 7, 8, 8])
    probes = np.array([0, 2])
    pairs = ProbePairs(
        probes,
        np.array([0, 0, 0, 1, 1]),
        np.array([1, 2, 3, 3, 0]),
        np.array([7, 7, 7, 8, 8]),
        np.array([7, 8, 8, 8, 7]),
        np.array([True, False, False, True, False]),
    )
    cosines = ProbeCosines(pairs, vectors)
    comparisons = Comparisons(pairs, cosines.clean(), 0.5, 0.95)
    assert comparisons.clean_fnmr.value == 0.0
    assert comparisons.clean_fmr.value == 0.0
    # Probe 0 now looks like subject 8; probe 1 is not acquired.
    cell = comparisons.cell(cosines.corrupted(vectors[[2, 2]], np.array([True, False])))
    assert cell.fnmr.value == 1.0
    assert cell.fmr.value == pytest.approx(2 / 3)
    assert cell.lost.value == 0.5
    assert cell.similarity == 0.0
    # Two people carry the pairs: values, and the reason why there is no interval.
    assert cell.increase is None
    assert cell.fnmr.interval is None
    assert "too few people" in cell.fnmr.reason
    assert "too few" in cell.fmr.reason
    assert "too few people" in cell.similarity_reason
    assert subjects[probes].tolist() == [7, 8]


def _loses(people: int, lost: int, cells: int = 84, noise: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(sums f64[cells, people], clean f64[people]): the first cell loses `lost` people, all cells `noise` others."""
    rng = np.random.default_rng(people)
    sums, clean = np.zeros((cells, people)), np.zeros(people)
    sums[0, :lost] = 1
    for row in (*sums[1:], clean):
        row[rng.choice(people, noise, replace=False)] = 1
    return sums, clean


def test_bounds_for_all_cells_at_once_find_a_loss_and_stay_within_what_can_be() -> None:
    sums, clean = _loses(60, 20, noise=3)
    found = increase_bounds(sums, clean, np.ones(60), 0.004)
    assert found.value[0] == pytest.approx(20 / 60 - 3 / 60)
    assert found.low[0] > 0
    assert (found.low[1:] <= 0).all()
    assert found.high.max() <= 1
    assert found.low.min() >= -0.25  # nobody can lose more errors than clean pictures may have


def test_few_lost_people_prove_nothing_and_nobody_lost_is_not_certain() -> None:
    sums, clean = _loses(60, 7)
    found = increase_bounds(sums, clean, np.ones(60), 0.004)
    assert found.low[0] <= 0  # 2^-7: more often met than in 0.4 % of reports
    assert 0.03 < found.high[1] < 0.15
    more = increase_bounds(*_loses(300, 40), np.ones(300), 0.004)
    assert more.high[1] < found.high[1]


def test_with_too_few_people_nothing_is_said_of_all_cells() -> None:
    sums, clean = _loses(14, 14)
    with pytest.raises(InsufficientData, match="too few people for a statement on 84 cells"):
        increase_bounds(sums, clean, np.ones(14), 0.004)
    pairs = np.r_[np.full(3, 200.0), np.ones(57)]  # sixty people, three of whom carry nearly all
    with pytest.raises(InsufficientData, match="60 people carry the pairs as 3"):
        increase_bounds(np.zeros((84, 60)), np.zeros(60), pairs, 0.004)


def test_a_mean_rate_without_an_error_is_as_uncertain_as_one_with_a_few() -> None:
    pairs = np.full(40, 3.0)
    none = person_rate(np.zeros(40), pairs)
    one = person_rate(np.r_[3.0, np.zeros(39)], pairs)
    assert none.interval.low == 0
    assert 0.02 < none.interval.high <= one.interval.high
    assert one.interval.low > 0
    assert one.interval.high < 0.35
    same = person_difference(np.zeros(40), pairs)
    assert same.interval.low < 0 < same.interval.high
    few = person_rate(np.zeros(4), np.ones(4))
    assert (few.value, few.interval) == (0.0, None)
    assert "too few people" in few.reason


def test_an_fmr_is_withheld_where_its_threshold_rests_on_a_handful_of_people() -> None:
    rng = np.random.default_rng(0)
    for people, given in ((12, False), (40, True)):
        subjects = np.repeat(np.arange(people), 3)
        vectors = rng.normal(size=(len(subjects), 4))
        unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        pairs = probe_pairs(subjects, np.ones(len(subjects), bool), 60, rng)
        fmr = Comparisons(pairs, ProbeCosines(pairs, unit).clean(), 0.8, 0.95).clean_fmr
        assert (fmr.interval is not None) == given
        assert given or "threshold" in fmr.reason


def test_harmless_needs_people_who_would_have_shown_a_loss() -> None:
    """60 people without a loss prove less than 2 points; 400 do, unless clean pictures are not recognised either."""

    def said(people: int, clean_errors: bool) -> set[str]:
        subjects = np.repeat(np.arange(people), 2)
        unit = np.eye(people, dtype=np.float32)[subjects]
        if clean_errors:
            unit[1::2] = np.roll(unit[1::2], 2, axis=1)
        pairs = probe_pairs(
            subjects, np.ones(len(subjects), bool), people, np.random.default_rng(0), strangers=20
        )
        cosines = ProbeCosines(pairs, unit)
        comparisons = Comparisons(pairs, cosines.clean(), 0.5, cells_level(1))
        answers = {("grey", 5): cosines.corrupted(unit[pairs.probes], np.ones(len(pairs.probes), bool))}
        grid = build_grid(comparisons, answers, [CORRUPTIONS["grey"]], (5,))
        return {f.rule for f in findings(grid, comparisons, 1e-2)}

    assert said(60, False) == {"robustness.unresolved"}
    assert said(400, False) == {"robustness.harmless"}
    assert said(400, True) == {"robustness.unresolved"}


def test_mean_over_cells_is_the_pooled_rate_and_its_interval_covers() -> None:
    seed_count = 200
    covered = 0
    for seed in range(seed_count):
        rng = np.random.default_rng(seed)
        pairs = np.full(60, 5.0)
        risk = rng.beta(1, 4, 60)  # mean 0.2
        sums = rng.binomial(5, risk, (6, 60)).astype(float)
        found = mean_over_cells(sums, pairs)
        assert found.value == pytest.approx(sums.sum() / (6 * 300))
        covered += found.interval.low <= 0.2 <= found.interval.high
    assert 0.89 <= covered / seed_count <= 0.99


def test_corruption_error_is_the_ratio_of_summed_errors() -> None:
    rng = np.random.default_rng(0)
    pairs = np.full(50, 4.0)
    sums = rng.binomial(4, 0.4, (2, 3, 50)).astype(float)
    reference = np.array([[0.1, 0.2, 0.3], [0.0, 0.0, 0.0]])
    each, mean = corruption_errors(sums, pairs, reference)
    own = sums[0].sum(axis=1) / pairs.sum()
    assert each[0].value == pytest.approx(own.sum() / 0.6)
    assert each[1] is None
    assert mean.value == pytest.approx(each[0].value)
    relative, _ = corruption_errors(
        sums[:1], pairs, reference[:1], baseline=np.full(50, 0.4), reference_baseline=0.05
    )
    assert relative[0].value == pytest.approx((own.sum() - 3 * 0.1) / (0.6 - 0.15))
    with pytest.raises(InsufficientData, match="makes no error"):
        corruption_errors(sums, pairs, np.zeros((2, 3)))


def test_a_gap_between_groups_is_welchs() -> None:
    from scipy import stats

    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 20), rng.normal(0.5, 2, 31)
    expected = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    found = group_gap(a, b)
    np.testing.assert_allclose([found.interval.low, found.interval.high], [expected.low, expected.high])


def test_severity_follows_the_documented_rule() -> None:
    assert increase_severity(-0.01, 3) is None
    assert increase_severity(0.01, 1) == "low"
    assert increase_severity(0.05, 3) == "medium"
    assert increase_severity(0.05, 5) == "low"
    assert increase_severity(0.20, 3) == "high"
    assert increase_severity(0.20, 5) == "medium"


@pytest.mark.parametrize("kind", ["mild", "skew", "lfw"])
def test_in_skewed_worlds_where_nothing_is_lost_no_finding_is_raised(kind: Any) -> None:
    """At most 0.8 % of reports may; of 8, two would be met in 1 of 500 such tests."""
    from benchmarks.worlds_robustness import null_report

    for people in (20, 120):
        raised = [bool({"low", "medium", "high"} & set(null_report(s, people, kind))) for s in range(4)]
        assert sum(raised) <= 1


def test_in_planted_worlds_the_loss_is_named_and_covered() -> None:
    from benchmarks.worlds_robustness import planted_world

    verdicts = np.array([planted_world(seed) for seed in range(20)])
    assert verdicts[:, 0].mean() >= 0.95
    assert verdicts[:, 1].mean() >= 0.85
