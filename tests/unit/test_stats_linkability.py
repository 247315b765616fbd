"""D(s) and D_sys: Gaussians whose overlap is known by numerical integration, worlds in which nothing is linked."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from fraudit.errors import InsufficientData, UsageError
from fraudit.stats.linkability import local_linkability, score_densities, system_linkability


def true_d_sys(shift: float, omega: float = 1.0) -> float:
    """Of N(shift, 1) against N(0, 1), integrated numerically from the paper's definition."""

    def part(s: float) -> float:
        ratio = omega * np.exp(shift * s - shift**2 / 2)
        return float(stats.norm.pdf(s, shift) * (2 * ratio / (1 + ratio) - 1 if ratio > 1 else 0.0))

    crossing = shift / 2 - np.log(omega) / shift
    return float(integrate.quad(part, crossing, shift + 12)[0])


def world(seed: int, shift: float, people: int = 100, pictures: int = 3, flip: float = 1.0):
    """Scores with a part of each person's own; N(shift, 1) mated and N(0, 1) non-mated in all."""
    rng = np.random.default_rng([seed, people])
    own = np.repeat(np.arange(people), pictures)
    mated = shift + 0.3**0.5 * rng.normal(size=people)[own] + 0.7**0.5 * rng.normal(size=len(own))
    left, right = np.triu_indices(people, 1)
    pick = rng.permutation(len(left))[:5000]
    left, right = left[pick], right[pick]
    part = 0.05**0.5 * rng.normal(size=people)
    other = part[left] + part[right] + 0.9**0.5 * rng.normal(size=len(left))
    return flip * np.append(mated, other), np.append(own, left), np.append(own, right)


def test_local_measure_follows_the_papers_cases():
    assert np.allclose(local_linkability([0.0, 0.5, 1.0, 3.0, np.inf]), [0, 0, 0, 0.5, 1])
    assert np.allclose(local_linkability([1.0, 2.0], omega=2.0), [1 / 3, 3 / 5])


@pytest.mark.parametrize("shift", [0.3, 1.0, 2.0, 3.0])
def test_d_sys_of_gaussians_is_that_of_numerical_integration_and_its_interval_holds(shift):
    truth = true_d_sys(shift)
    found = [system_linkability(*world(seed, shift), seed=seed) for seed in range(40)]
    mean = float(np.mean([f.value for f in found]))
    assert truth - 0.02 < mean < truth + 0.01
    assert sum(f.interval.low <= truth <= f.interval.high for f in found) >= 34


def test_where_nothing_is_linked_the_value_is_near_0_and_the_interval_reaches_it():
    found = [system_linkability(*world(seed, 0.0), seed=seed) for seed in range(60)]
    assert np.mean([f.value for f in found]) < 0.015
    assert sum(f.interval.low == 0 for f in found) >= 55
    assert all(f.interval.high < 0.15 for f in found)


def test_separated_scores_are_wholly_linkable():
    found = system_linkability(*world(1, 12.0))
    assert found.value > 0.99
    assert found.interval.high == 1
    assert found.interval.low > 0.9


def test_a_distance_is_as_linkable_as_the_similarity():
    one, other = (system_linkability(*world(3, 1.5, flip=sign)) for sign in (1.0, -1.0))
    assert abs(one.value - other.value) < 0.01


def test_scores_on_few_levels_are_handled():
    scores, left, right = world(4, 2.0)
    found = system_linkability(np.round(scores * 2) / 2, left, right)
    assert abs(found.value - true_d_sys(2.0)) < 0.1
    constant = system_linkability(np.ones(len(scores)), left, right)
    assert constant.value == 0
    assert constant.interval.low == 0


def test_prior_odds_of_a_mated_pair_count():
    truth = true_d_sys(1.0, omega=4.0)
    found = [system_linkability(*world(seed, 1.0), omega=4.0).value for seed in range(10)]
    assert abs(float(np.mean(found)) - truth) < 0.03
    with pytest.raises(UsageError, match="omega"):
        system_linkability(*world(0, 1.0), omega=0.0)


def test_densities_are_densities_and_their_curve_rises_with_the_ratio():
    scores, left, right = world(5, 2.0)
    found = score_densities(scores[left == right], scores[left != right], 100)
    for side in (found.mated, found.non_mated):
        assert np.trapezoid(side, found.grid) == pytest.approx(1, abs=0.01)
    assert found.local.min() >= 0
    assert found.local.max() <= 1
    assert np.isfinite(found.ratio([-1e9, 0.0, 1e9])).all()


def test_scores_that_are_missing_are_left_out_and_few_people_are_refused():
    scores, left, right = world(6, 2.0)
    gone = scores.copy()
    gone[::7] = np.nan
    keep = ~np.isnan(gone)
    assert (
        system_linkability(gone, left, right).raw
        == system_linkability(scores[keep], left[keep], right[keep]).raw
    )
    with pytest.raises(InsufficientData, match="8 people"):
        system_linkability(*world(7, 2.0, people=14))
