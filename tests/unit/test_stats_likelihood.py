"""Log-likelihood ratios: oracles with known ratios, held-out choice, finite ends, intervals that hold."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import integrate, stats

from fraudit.errors import DataError, InsufficientData, UsageError
from fraudit.stats.likelihood import (
    Cost,
    best_llrs,
    calibrate,
    cllr,
    cllr_with_interval,
    cross_entropy,
    fit_isotonic,
    fit_logistic,
    held_out_cllr,
)
from fraudit.stats.odds import LogOdds
from fraudit.stats.operating import ScoredPairs
from fraudit.types import Interval

SPREAD = 4.0  # genuine N(m, 2m), impostor N(-m, 2m): the score is its own log-likelihood ratio


def gaussian(
    rng: np.random.Generator, people: int, first: int = 0, pairs: int = 4, m: float = SPREAD
) -> ScoredPairs:
    """`pairs` genuine and 5 times as many impostor pairs a person, scores independent."""
    who = np.repeat(np.arange(first, first + people), pairs)
    left = rng.integers(0, people, 5 * len(who)) + first
    right = (left - first + rng.integers(1, people, len(left))) % people + first
    scores = np.concatenate(
        [rng.normal(m, np.sqrt(2 * m), len(who)), rng.normal(-m, np.sqrt(2 * m), len(left))]
    )
    same = np.arange(len(scores)) < len(who)
    return ScoredPairs(scores, same, np.concatenate([who, left]), np.concatenate([who, right]))


def true_cllr(m: float = SPREAD) -> float:
    """By quadrature: both classes cost the same by symmetry."""
    density = stats.norm(m, np.sqrt(2 * m)).pdf
    return float(integrate.quad(lambda s: density(s) * np.logaddexp(0, -s) / np.log(2), -40, 60)[0])


def clustered(rng: np.random.Generator, people: int, first: int = 0, kind: float = 1.0) -> ScoredPairs:
    """People differ: an ability that all genuine pairs of one share, a likeness that all impostor pairs of one do."""
    counts = np.clip(np.rint(np.exp(rng.normal(1.0, 0.8, people))), 1, 30).astype(int)
    who = np.repeat(np.arange(people), counts)
    left = rng.integers(0, people, 20 * people)
    right = (left + rng.integers(1, people, len(left))) % people
    able, like = rng.normal(0, kind, people), rng.normal(0, 0.5 * kind, people)
    g = 3 + able[who] + rng.normal(size=len(who))
    i = -1 + like[left] + like[right] + rng.normal(size=len(left))
    same = np.arange(len(g) + len(i)) < len(g)
    sides = (np.concatenate([who, other]) + first for other in (left, right))
    return ScoredPairs(np.concatenate([g, i]), same, *sides)


def test_cllr_of_known_ratios_is_that_of_the_integral() -> None:
    pairs = gaussian(np.random.default_rng(1), 20_000)
    assert cllr(pairs.scores, pairs.same) == pytest.approx(true_cllr(), abs=0.004)


def test_cllr_by_hand() -> None:
    assert cllr([0.0, 0.0, 0.0], [True, False, False]) == 1.0
    assert cllr([np.log(3), -np.log(7)], [True, False]) == pytest.approx(
        (np.log2(4 / 3) + np.log2(8 / 7)) / 2
    )
    with pytest.raises(InsufficientData):
        cllr([1.0], [True])


def test_logistic_finds_the_ratio_of_gaussians_and_reaches_their_cllr() -> None:
    rng = np.random.default_rng(2)
    found = fit_logistic(gaussian(rng, 8_000))
    assert found.slope == pytest.approx(1.0, abs=0.03)
    assert found.offset == pytest.approx(0.0, abs=0.06)
    fresh = gaussian(rng, 8_000)
    assert cllr(found.llr(fresh.scores), fresh.same) == pytest.approx(true_cllr(), abs=0.008)


def test_logistic_does_not_care_for_the_scale_of_scores() -> None:
    pairs = gaussian(np.random.default_rng(4), 500)
    moved = ScoredPairs(pairs.scores * 1e-3 + 0.4, pairs.same, pairs.left, pairs.right)
    one, two = fit_logistic(pairs), fit_logistic(moved)
    np.testing.assert_allclose(one.llr(pairs.scores), two.llr(moved.scores), atol=1e-6)


def test_isotonic_comes_near_the_ratio_and_never_falls() -> None:
    rng = np.random.default_rng(3)
    found = fit_isotonic(gaussian(rng, 8_000))
    at = np.linspace(-4, 4, 50)
    np.testing.assert_allclose(found.llr(at), at, atol=0.8)
    assert (np.diff(found.llr(np.linspace(-30, 30, 1000))) >= 0).all()
    fresh = gaussian(rng, 8_000)
    assert cllr(found.llr(fresh.scores), fresh.same) == pytest.approx(true_cllr(), abs=0.015)


def test_the_best_calibration_is_never_worse_and_is_pav() -> None:
    rng = np.random.default_rng(5)
    pairs = gaussian(rng, 300)
    best = cllr(best_llrs(pairs.scores, pairs.same), pairs.same)
    for fit in (fit_logistic, fit_isotonic):
        assert best <= cllr(fit(pairs).llr(pairs.scores), pairs.same)
    # Monotone, so that a rising map of scores changes nothing.
    assert cllr(best_llrs(np.exp(pairs.scores / 9), pairs.same), pairs.same) == pytest.approx(best)
    # By hand: two blocks, (1 genuine, 1 impostor) and (1 genuine), classes weighing the same.
    np.testing.assert_allclose(best_llrs([1.0, 2.0, 3.0], [True, False, True]), [np.log(0.5)] * 2 + [np.inf])


def test_a_score_that_says_nothing_costs_one_bit() -> None:
    rng = np.random.default_rng(6)
    useless = gaussian(rng, 400, m=1e-12)
    useless = ScoredPairs(rng.normal(size=len(useless.scores)), useless.same, useless.left, useless.right)
    other = ScoredPairs(
        rng.normal(size=len(useless.scores)), useless.same, useless.left + 400, useless.right + 400
    )
    found = calibrate(useless, other)
    assert found.cllr.value == pytest.approx(1.0, abs=0.01)
    assert found.min_cllr.value <= found.cllr.value
    assert found.odds.probability(0.3, 0.01) == pytest.approx(0.01, rel=0.2)


def test_a_score_turned_around_is_not_trusted_backwards() -> None:
    pairs = gaussian(np.random.default_rng(7), 200)
    backwards = ScoredPairs(-pairs.scores, pairs.same, pairs.left, pairs.right)
    found = fit_logistic(backwards)
    assert found.slope == 0.0
    assert cllr(found.llr(backwards.scores), backwards.same) == pytest.approx(1.0, abs=0.01)


def test_separated_scores_give_finite_ratios_that_grow_with_people_alone() -> None:
    def separated(people: int, pictures: int) -> ScoredPairs:
        who = np.repeat(np.arange(people), pictures)
        left, right = np.triu_indices(people, 1)
        left, right = np.repeat(left, pictures), np.repeat(right, pictures)
        scores = np.concatenate([np.linspace(0.6, 0.9, len(who)), np.linspace(-0.2, 0.3, len(left))])
        same = np.arange(len(scores)) < len(who)
        return ScoredPairs(scores, same, np.concatenate([who, left]), np.concatenate([who, right]))

    for fit in (fit_logistic, fit_isotonic):
        few, many, copies = (fit(separated(*size)) for size in ((20, 5), (60, 5), (20, 50)))
        ends = [float(f.llr(1.0)) for f in (few, many, copies)]
        assert np.isfinite(ends).all()
        assert ends[0] <= np.log(191)
        assert ends[1] > ends[0] + 0.5
        assert ends[2] <= np.log(191)  # more pictures of the same people tell no more
        assert few.llr(-1.0) >= -np.log(21)


def test_isotonic_is_chosen_where_the_ratio_is_bent_and_logistic_where_it_is_straight() -> None:
    rng = np.random.default_rng(8)
    kinds = [calibrate(gaussian(rng, 200), gaussian(rng, 20, 1000)).odds.kind for _ in range(20)]
    assert kinds.count("logistic") >= 14
    bent = gaussian(rng, 3000)
    s = bent.scores
    bent = ScoredPairs(np.where(s > 0, s**3, 0.2 * s), bent.same, bent.left, bent.right)
    found, error = held_out_cllr(bent)
    assert found["isotonic"] + 3 * error < found["logistic"]
    chosen = calibrate(bent, ScoredPairs(bent.scores, bent.same, bent.left + 5000, bent.right + 5000))
    assert chosen.odds.kind == "isotonic"
    assert chosen.why.startswith("isotonic: held-out Cllr logistic 0.")
    assert chosen.cllr.value == pytest.approx(true_cllr(), abs=0.02)


def test_few_people_leave_nobody_to_hold_out() -> None:
    left, right = np.array([0, 1, 0]), np.array([0, 1, 1])
    pairs = ScoredPairs([0.9, 0.8, 0.1], left == right, left, right)
    found = calibrate(pairs, ScoredPairs([0.9, 0.8, 0.1], left == right, left + 9, right + 9))
    assert found.odds.kind == "logistic"
    assert "too few people" in found.why
    assert found.cllr.interval is None
    assert "too few people" in found.cllr.missing


def test_the_cross_entropy_at_even_odds_is_cllr_and_neutral_is_the_priors_entropy() -> None:
    rng = np.random.default_rng(9)
    found = calibrate(gaussian(rng, 300), gaussian(rng, 300, 300))
    middle = int(np.argmin(abs(found.curve.log10_odds)))
    assert found.curve.log10_odds[middle] == 0.0
    assert found.curve.system[middle] == pytest.approx(found.cllr.value)
    assert found.curve.best[middle] == pytest.approx(found.min_cllr.value)
    assert found.curve.neutral[middle] == pytest.approx(1.0)
    p = 1 / (1 + 10**-found.curve.log10_odds)
    np.testing.assert_allclose(found.curve.neutral, stats.entropy(np.stack([p, 1 - p]), base=2), atol=1e-9)
    assert (found.curve.best <= found.curve.neutral + 1e-9).all()
    assert cross_entropy([5.0, -5.0], [True, False], [0.0])[0] < 0.02


@pytest.mark.parametrize("people", [40, 150])
def test_the_interval_of_cllr_holds_where_people_differ(people: int) -> None:
    fixed = LogOdds("logistic", -20, 20, 1.5, -1.5)
    truths = [clustered(np.random.default_rng([1, s]), people) for s in range(400)]
    truth = float(np.mean([cllr(fixed.llr(p.scores), p.same) for p in truths]))
    worlds, hits, naive = 200, 0, 0
    for seed in range(worlds):
        pairs = clustered(np.random.default_rng([2, seed]), people)
        llrs = fixed.llr(pairs.scores)
        found = cllr_with_interval(pairs, llrs)
        assert found.interval is not None
        assert found.interval.low <= found.value <= found.interval.high
        hits += found.interval.low <= truth <= found.interval.high
        cost = np.logaddexp(0, np.where(pairs.same, -llrs, llrs)) / np.log(2)
        error = 0.98 * np.sqrt(sum(cost[m].var() / m.sum() for m in (pairs.same, ~pairs.same)))
        naive += abs(found.value - truth) < error
    assert hits / worlds >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / worlds)
    assert naive / worlds < 0.9


@pytest.mark.parametrize(("people", "wide"), [(15, True), (600, False)])
def test_too_wide_to_use_is_said_by_rule(people: int, wide: bool) -> None:
    """Of few people, never of many; the interval holds in both."""
    fixed = LogOdds("logistic", -20, 20, 1.5, -1.5)
    found = [
        cllr_with_interval(pairs, fixed.llr(pairs.scores))
        for pairs in (clustered(np.random.default_rng([5, seed]), people) for seed in range(20))
    ]
    said = [cost.too_wide for cost in found if cost.interval is not None]
    assert len(said) >= 10
    assert np.mean(said) > 0.6 if wide else not any(said)
    assert Cost(0.1, Interval(0.05, 0.2), "").apart == pytest.approx(4)
    assert not Cost(0.1, Interval(0.05, 0.2), "").too_wide
    assert Cost(0.1, Interval(0.0, 0.2), "").too_wide
    assert not Cost(0.1, None, "few").too_wide


def test_the_best_calibration_of_few_people_has_no_interval() -> None:
    """Fitted to the pairs that judge it, it is lower than it is: over 15 people its interval held in 9 of 10 worlds."""
    choose, judge = (clustered(np.random.default_rng(s), n, f) for s, n, f in ((1, 60, 0), (2, 20, 60)))
    few = calibrate(choose, judge)
    assert few.cllr.interval is not None
    assert few.min_cllr.interval is None
    assert few.min_cllr.missing == "fitted to 20 people, at least 30 are needed"
    assert calibrate(choose, clustered(np.random.default_rng(2), 40, 60)).min_cllr.interval is not None


def test_a_probability_needs_a_prior_and_follows_bayes() -> None:
    odds = LogOdds("logistic", -20, 20, 2.0, -1.0)
    assert odds.probability(1.0, 0.5) == pytest.approx(1 / (1 + np.exp(-1)))
    assert odds.probability(1.0, 0.01) == pytest.approx(0.01 * np.e / (0.01 * np.e + 0.99))
    np.testing.assert_array_equal(np.isnan(odds.probability([0.5, np.nan], 0.1)), [False, True])
    for prior in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="prior"):
            odds.probability(1.0, prior)
    with pytest.raises(TypeError):
        odds.probability(1.0)  # type: ignore[call-arg]


def test_probabilities_mean_what_they_say_at_another_prior() -> None:
    rng = np.random.default_rng(10)
    found = fit_logistic(gaussian(rng, 3000, m=1.5))
    n, prior = 400_000, 0.03
    same = rng.random(n) < prior
    scores = rng.normal(np.where(same, 1.5, -1.5), np.sqrt(3.0))
    p = found.probability(scores, prior)
    for low, high in ((0.01, 0.05), (0.1, 0.3), (0.5, 0.8)):
        part = (p >= low) & (p < high)
        assert same[part].mean() == pytest.approx(p[part].mean(), rel=0.1)


def test_a_calibration_survives_json_and_refuses_what_is_none() -> None:
    pairs = gaussian(np.random.default_rng(11), 100)
    at = np.linspace(-12, 12, 101)
    for fit in (fit_logistic, fit_isotonic):
        made = fit(pairs)
        again = LogOdds.from_dict(json.loads(json.dumps(made.as_dict(), allow_nan=False)))
        assert again == made
        np.testing.assert_array_equal(again.llr(at), made.llr(at))
    good = LogOdds("isotonic", -2, 3, scores=(0.0, 1.0), llrs=(-1.0, 2.0)).as_dict()
    bad = [
        ({"kind": "sigmoid"}, "kind is one of logistic, isotonic"),
        ({"scores": [1.0, 0.0]}, "scores have to rise"),
        ({"llrs": [2.0, 1.0]}, "llrs may not fall"),
        ({"llrs": [2.0]}, "2 scores and 1 llrs"),
        ({"llrs": [0.0, float("nan")]}, "finite"),
        ({"llrs": [0.0, True]}, "expected a number"),
        ({"low": 9.0}, "above high"),
        ({"high": None}, "expected a number, found null"),
        ({"more": 1}, "'more' is not known"),
        ({"scores": []}, "expected a list"),
    ]
    for change, words in bad:
        with pytest.raises(DataError, match=words):
            LogOdds.from_dict({**good, **change})
    with pytest.raises(DataError, match="slope"):
        LogOdds.from_dict({"kind": "logistic", "low": 0, "high": 1, "slope": -1, "offset": 0})
    with pytest.raises(DataError, match="object"):
        LogOdds.from_dict([1])
