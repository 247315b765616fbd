"""Bias: planted differences are found with the truth inside the interval, and null worlds stay quiet."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.worlds_bias import COMMON, DIM, context_of, true_fmr, world
from fraudit.analyses.bias import Params, run
from fraudit.analyses.bias.measure import attribute_groups
from fraudit.analyses.bias.metrics import FAIRNESS
from fraudit.analyses.bias.report import _span
from fraudit.analyses.bias.tables import FAIR, meaning
from fraudit.errors import DataError, UsageError
from fraudit.report.record import normalise
from fraudit.stats.calibration import calibrate
from fraudit.stats.groups import impostor_rates, join_labels, label_groups, own_threshold
from fraudit.stats.pairs import genuine_pairs
from fraudit.types import Interval
from tests.fixtures.contexts import vectors_context


def test_a_planted_false_match_gap_is_found_with_the_truth_in_its_interval() -> None:
    context = context_of(*world(400, 3, seed=1, common=COMMON))
    params = Params(by=("group",), fmr=1e-2)
    result = normalise(run(context, params))
    rates = {m.group: m for m in result.metrics if m.name == "bias.group.fmr"}
    tau = context.threshold(1e-2).value
    truth = {g: true_fmr(g, tau, COMMON) for g in "ab"}
    for g in "ab":
        assert rates[g].interval.low <= truth[g] <= rates[g].interval.high
    ratio = next(m for m in result.metrics if m.name == "bias.group.max_over_min_fmr")
    assert ratio.interval.low <= truth["b"] / truth["a"] <= ratio.interval.high
    found = [f for f in result.findings if f.rule == "bias.ratio" and f.evidence[0].endswith("_fmr")]
    assert [f.severity for f in found] == ["high"]
    own = {m.group: m.value for m in result.metrics if m.name.startswith("bias.group.threshold")}
    assert own["b"] > tau > own["a"]


def test_a_planted_false_non_match_gap_is_found() -> None:
    context = context_of(*world(400, 4, seed=2, noise_b=1.0))
    result = run(context, Params(by=("group",), fmr=1e-2))
    rates = {m.group: m for m in result.metrics if m.name == "bias.group.fnmr"}
    assert rates["b"].interval.low > rates["a"].interval.high
    assert any(f.rule == "bias.ratio" and "fnmr" in f.evidence[0] for f in result.findings)


def test_equal_groups_raise_a_finding_in_at_most_the_stated_share_of_worlds() -> None:
    """Holm at 1 % over the run: at most 1 of 100 expected; 99.9 % binomial bound 5."""
    raised = 0
    for seed in range(100):
        context = context_of(*world(80, 3, seed=1000 + seed))
        result = run(context, Params(by=("group",), fmr=2e-2))
        raised += any(f.severity in ("high", "medium", "low") for f in result.findings)
    assert raised <= 5


def test_a_face_without_a_vector_is_a_false_non_match_and_never_a_false_match() -> None:
    vectors, subjects, group = world(100, 3, seed=3)
    vectors[group == "b"] = np.where(
        np.arange((group == "b").sum())[:, None] % 3 == 0, 0, vectors[group == "b"]
    )
    context = context_of(vectors, subjects, group)
    result = run(context, Params(by=("group",), fmr=1e-2))
    at = {(m.name.removeprefix("bias.group."), m.group): m for m in result.metrics}
    assert at["fta", "b"].value == pytest.approx(1 / 3)
    assert at["fta", "a"].value == 0
    # every person of b loses one picture in three: two of the three pairs
    assert at["fnmr", "b"].value >= 2 / 3
    assert at["fnmr_acquired", "b"].value < 0.2
    assert at["fmr", "b"].n < at["fmr", "a"].n


def test_a_set_without_identities_gives_the_impostor_side_and_says_so() -> None:
    vectors, _, group = world(300, 1, seed=4, common=COMMON)
    context = vectors_context(
        vectors, np.arange(300), attributes={"group": group}, identified=False, distinct=True
    )
    result = normalise(run(context, Params(by=("group",), fmr=1e-2)))
    missing = next(m for m in result.metrics if m.name == "bias.group.fnmr")
    assert missing.value is None
    assert "names no identities" in str(missing.missing)
    assert any("names no identities" in caveat for caveat in result.caveats)
    assert any(m.name == "bias.group.fmr" and m.value is not None for m in result.metrics)


def test_small_groups_are_named_and_not_judged() -> None:
    vectors, subjects, group = world(100, 3, seed=5)
    group = np.where(subjects < 4, "tiny", group)
    result = run(context_of(vectors, subjects, group), Params(by=("group",), fmr=1e-2))
    assert not any(m.group == "tiny" for m in result.metrics)
    assert any("tiny (below the floor" in str(row["group"]) for t in result.tables for row in t.rows)


def test_an_unknown_attribute_is_suggested_and_a_set_without_usual_ones_refused() -> None:
    context = context_of(*world(40, 2, seed=6))
    with pytest.raises(UsageError) as caught:
        run(context, Params(by=("gruop",)))
    assert "did you mean 'group'?" in caught.value.hint
    with pytest.raises(DataError, match="none of the usual demographic attributes"):
        run(context, Params())


def test_within_group_variance_covers_pairs_that_share_people() -> None:
    """The interval of an all-pairs FMR covers the truth in about 95 of 100 worlds; iid Wilson would not."""
    threshold, covered, naive = 0.45, 0, 0
    truth = true_fmr("b", threshold, COMMON)
    for seed in range(100):
        vectors, subjects, group = world(120, 2, seed=2000 + seed, common=COMMON)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        rates, _ = impostor_rates(unit, subjects, group, threshold, np.ones(len(unit), bool))
        b = next(r for r in rates if r.group == "b")
        covered += b.interval.low <= truth <= b.interval.high
        half = 1.96 * np.sqrt(b.rate * (1 - b.rate) / b.n)
        naive += abs(b.rate - truth) <= half
    assert covered >= 89
    assert naive < 75


def test_the_cross_group_table_counts_every_pair_once() -> None:
    vectors, subjects, group = world(30, 2, seed=7)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    _, cross = impostor_rates(unit, subjects, group, 0.3, np.ones(len(unit), bool))
    different = subjects[:, None] != subjects[None]
    upper = np.triu(different, 1)
    hits = (unit @ unit.T >= 0.3) & upper
    for i, a in enumerate(cross.groups):
        for j, b in enumerate(cross.groups):
            part = (group[:, None] == a) & (group[None] == b) | (group[:, None] == b) & (group[None] == a)
            assert cross.n[i, j] == (upper & part).sum()
            assert cross.rates[i][j] == pytest.approx(hits[part].sum() / (upper & part).sum())


def test_own_threshold_reaches_the_target_on_its_group() -> None:
    vectors, subjects, _ = world(300, 1, seed=8)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    own = own_threshold("all", unit, subjects, 1e-2, np.ones(len(unit), bool))
    scores = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    assert np.mean(scores >= own.value) == pytest.approx(1e-2, rel=0.05)
    assert own.interval is not None
    assert own.interval.low < own.value < own.interval.high


def test_numbers_are_cut_into_named_groups_and_zero_one_reads_as_words() -> None:
    ages = np.array([1.0, 20, 40, 60, 80, np.nan, 30, 50])
    labels = label_groups(ages, bins=2)
    assert set(labels) == {"1 to 40", "50 to 80", ""}
    assert join_labels([["a", ""], ["b", "c"]]).tolist() == ["a, b", ""]
    context = context_of(*world(40, 2, seed=9), male=np.tile([0.0, 1.0], 40))
    groups = attribute_groups(context, Params(by=("male",)))
    assert set(groups["male"]) == {"male", "not male"}


def test_every_metric_has_n_and_interval_or_a_reason() -> None:
    result = run(context_of(*world(120, 3, seed=10)), Params(by=("group",), fmr=1e-2))
    for metric in result.metrics:
        assert (metric.value is None) == bool(metric.missing)
        if metric.value is not None:
            assert metric.n
            assert isinstance(metric.interval, Interval) or metric.interval_missing
            if metric.interval:
                assert metric.interval.low <= metric.value <= metric.interval.high


def test_one_budget_covers_all_attributes_of_a_run() -> None:
    """A difference that passes alone is not shown among forty comparisons of further attributes."""
    vectors, subjects, group = world(120, 3, seed=40, common=0.25)
    rng = np.random.default_rng(3)
    more = {f"dealt{k}": np.array(list("pqrs"))[rng.integers(0, 4, 120)][subjects] for k in range(3)}
    context = context_of(vectors, subjects, group, **more)
    alone = run(context, Params(by=("group",), fmr=2e-2, level=0.05))
    among = run(context, Params(by=("group", *more), fmr=2e-2, level=0.05, intersections=False))
    first, second = (
        next(_p_of(f.text) for f in found.findings if f.evidence[0] == "bias.group.max_over_min_fmr")
        for found in (alone, among)
    )
    assert 0 < first < 0.1
    assert second > 10 * first


def _p_of(text: str) -> float:
    return float(text.split(" after Holm")[0].rsplit("p ", 1)[1].removeprefix("< "))


def test_few_people_give_rates_with_a_reason_and_no_finding() -> None:
    """Two people with fifty pictures each carry nearly all pairs of b: no interval, no finding."""
    vectors, subjects, group = world(60, 3, seed=41)
    extra = np.repeat(np.arange(60, 64), 50)
    rng = np.random.default_rng(1)
    own = rng.standard_normal((4, DIM))[extra - 60]
    many = (own + 2.0 * rng.standard_normal((200, DIM))).astype(np.float32)
    context = context_of(
        np.concatenate([vectors, many]), np.r_[subjects, extra], np.r_[group, np.full(200, "b")]
    )
    result = normalise(run(context, Params(by=("group",), fmr=2e-2)))
    fnmr = {m.group: m for m in result.metrics if m.name == "bias.group.fnmr"}
    assert fnmr["b"].interval is None
    assert "effective by their shares of the pairs" in fnmr["b"].interval_missing
    assert not any(f.rule == "bias.ratio" and "fnmr" in f.evidence[0] for f in result.findings)
    assert any(f.rule == "bias.too_few" for f in result.findings)


def test_fnmr_is_compared_over_all_people_each_half_at_the_threshold_of_the_other() -> None:
    vectors, subjects, group = world(200, 3, seed=12, noise_b=0.8)
    context = context_of(vectors, subjects, group)
    result = run(context, Params(by=("group",), fmr=1e-2))
    rows = {r["group"]: r for r in next(t for t in result.tables if t.name == "groups_group").rows}
    unit, held = context.embeddings().unit(), context.calibration_mask()
    ok = np.ones(len(subjects), bool)
    other = calibrate(unit, subjects, ok, context.seed, other=True)
    assert not np.intersect1d(other.people, subjects[held]).size
    threshold = np.where(held, other.threshold(1e-2), context.threshold(1e-2).value)
    left, right = genuine_pairs(subjects)
    errors = np.einsum("pd,pd->p", unit[left], unit[right]) < threshold[left]
    for g in "ab":
        mine = group[left] == g
        assert rows[g]["genuine_all"] == mine.sum() == 300
        assert rows[g]["genuine"] < 200
        assert rows[g]["fnmr_all"] == pytest.approx(errors[mine].mean())
    ratio = next(m for m in result.metrics if m.name == "bias.group.max_over_min_fnmr")
    assert ratio.n == 600
    assert ratio.value == pytest.approx(rows["b"]["fnmr_all"] / rows["a"]["fnmr_all"])


@pytest.mark.parametrize(
    ("name", "low", "high", "words"),
    [
        ("fdr", 0.0015, 1.0, "may be fair; 0.0015 is not ruled out either"),
        ("garbe", 0.0, 0.93, "may be fair; 0.93 is not ruled out either"),
        ("ir", 1.2, 3.0, "not fair in this interval; no finding by itself"),
    ],
)
def test_an_interval_that_ends_at_the_fair_value_is_said_in_words(
    name: str, low: float, high: float, words: str
) -> None:
    assert meaning(name, Interval(low, high)) == words
    assert meaning(name, None) is None
    assert set(FAIR) == set(FAIRNESS)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (1.0, 1.3, "1 to 1.3"),
        (1.0235, 1.2868, "1.02 to 1.3"),
        (1.0004, 1.04, "1.0004 to 1.04"),
        (17.4, 271.0, "17 to 271"),
    ],
)
def test_a_bound_above_one_never_reads_as_one(low: float, high: float, words: str) -> None:
    assert _span(Interval(low, high, 0.95, "")) == words
