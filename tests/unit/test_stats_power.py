"""Planted candidates of a rate over all pairs: what they change, how surely it is seen, and what chance adds."""

from __future__ import annotations

import numpy as np
import pytest

from fraudit.stats import verification as v
from fraudit.stats.operating import tar_difference
from fraudit.stats.pairs import make_pairs, pair_cosines
from fraudit.stats.power import Damage, detected, outcomes, planted_scores, planted_sums
from tests.fixtures.planted import unit_rows

RATE = 0.01


def _run(people: int) -> tuple[int, np.ndarray]:
    """(pairs, f64[people] residual sums) of a run whose FMR has a relative standard error of 1 / sqrt(people)."""
    sums = np.random.default_rng(people).normal(size=people)
    return 8 * people * (people - 1), RATE * sums / np.linalg.norm(sums) / np.sqrt(people)


@pytest.mark.parametrize(("damage", "spread"), [("all", 2.0), ("tenth", 6.0)])
def test_harm_has_the_planted_mean_and_varies_as_a_mean_over_pairs_of_people(
    damage: Damage, spread: float
) -> None:
    n, sums = _run(2_000)
    plant = planted_sums(RATE, n, sums * 1e-3, 0.95)  # next to no other chance
    changes = outcomes(plant, plant, 0.005, damage, 300).change
    assert changes.mean() == pytest.approx(0.005, rel=0.02)
    # Two people make a pair: 2 / sqrt(K) times the spread of what one person is prone to (1, and 3 for a tenth).
    assert changes.std() == pytest.approx(0.005 * spread / np.sqrt(2_000), rel=0.15)


def test_each_persons_own_rate_varies_half_as_much() -> None:
    n, sums = _run(2_000)
    plant = planted_sums(RATE, n, sums * 1e-3, 0.95, paired=False)
    changes = outcomes(plant, plant, 0.005, "tenth", 300).change
    assert changes.std() == pytest.approx(0.005 * 3.0 / np.sqrt(2_000), rel=0.15)


def test_the_choice_of_the_threshold_widens_what_is_promised() -> None:
    n, sums = _run(600)
    sure, unsure = (planted_sums(RATE, n, sums, 0.95, tail=tail) for tail in (None, sums))
    small, large = (detected(plant, 0.001, "all", 60) for plant in (sure, unsure))
    assert small is not None
    assert large is not None
    assert 0.001 < small < large


def test_of_few_people_no_size_in_a_tenth_is_promised_and_of_many_one_is() -> None:
    found = []
    for people in (100, 2_000):
        n, sums = _run(people)
        found.append(detected(planted_sums(RATE, n, sums, 0.95), 0.0005, "tenth", 100))
    assert found[0] is None
    assert found[1] is not None


def test_no_match_at_all_leaves_the_doubt_of_one_match() -> None:
    plant = planted_sums(0.0, 10_000, np.zeros(100), 0.95)
    found = outcomes(plant, plant, 0.0, "all", 50)
    assert found.change.std() > 1e-5
    assert (found.clearing > found.accusing).all()


@pytest.mark.parametrize(("each", "own"), [(2, 0.52), (5, 0.47)])
def test_a_plan_is_as_wide_as_the_gate_with_a_model_that_shares_two_thirds_of_its_misses(
    each: int, own: float
) -> None:
    planned, judged, shared = [], [], []
    for seed in range(6):
        rng = np.random.default_rng([seed, each])
        subjects = np.repeat(np.arange(400), each)
        people, pictures, *noise = (rng.normal(size=(n, 64)) / 8 for n in (400, *[len(subjects)] * 3))
        hard = np.exp(rng.normal(0, 0.3, (400, 1)))[subjects]
        pairs = make_pairs(subjects, 2000, 2000, seed)
        first, second = (
            pair_cosines(
                unit_rows(people[subjects] + hard * (0.9 * pictures + own * more)).astype(np.float32),
                pairs.left,
                pairs.right,
            )
            for more in noise
        )
        left, right = subjects[pairs.left], subjects[pairs.right]
        real = tar_difference(first, second, pairs.same, left, right, 1e-2).interval
        plant = planted_scores(first, pairs.same, left, right, None, "tar@far=1e-2", 0.95)
        ends = plant(np.random.default_rng(seed), 0.0, "all", 0.0).interval
        missed = [
            s[pairs.same] < v.tar_at_far(s[pairs.same], s[~pairs.same], 1e-2).threshold
            for s in (first, second)
        ]
        shared.append(2 * (missed[0] & missed[1]).sum() / (missed[0].sum() + missed[1].sum()))
        judged.append(real.high - real.low)
        planned.append(ends.high - ends.low)
    assert np.mean(shared) == pytest.approx(2 / 3, abs=0.05)
    assert np.mean(planned) == pytest.approx(np.mean(judged), rel=0.15)


def test_another_model_of_the_same_quality_has_the_same_rates() -> None:
    rng = np.random.default_rng(5)
    who = np.repeat(np.arange(200), 3)
    same = np.arange(1200) < 600
    left, right = np.tile(who, 2), np.where(same, np.tile(who, 2), rng.permutation(np.tile(who, 2)) + 200)
    scores = rng.normal(np.where(same, 2.0, 0.0))
    scores[:5] = np.nan  # no vector
    for figure in ("eer", "d_prime", "tar@far=5e-2"):
        plant = planted_scores(scores, same, left, right, None, figure, 0.95)
        found = plant(np.random.default_rng(1), 0.0, "all", 0.0)
        assert found.value == pytest.approx(0.0, abs=1e-9)
        assert found.interval.low < 0 < found.interval.high
