"""The jackknife over groups: a mean's textbook interval, ranges kept, coverage of a trained figure."""

from __future__ import annotations

import numpy as np
import pytest

from fraudit.errors import InsufficientData
from fraudit.stats.jackknife import Jackknifed, jackknife_variance, joint_variance, without_each


def test_the_error_of_a_mean_is_that_of_the_textbook() -> None:
    x = np.random.default_rng(1).standard_normal(12)
    deleted = without_each(12, lambda g: float(np.delete(x, g).mean()))
    found = Jackknifed.of(float(x.mean()), deleted)
    assert found.error == pytest.approx(x.std(ddof=1) / np.sqrt(12))
    assert found.interval.high - found.value == pytest.approx(2.20099 * found.error, rel=1e-4)


def test_judging_may_be_known_from_more_groups() -> None:
    deleted = np.random.default_rng(2).standard_normal(10) * 0.1
    variance = jackknife_variance(deleted)
    assert Jackknifed.of(0.0, deleted, judging=(0.4 * variance, 0.3 * variance)).error == pytest.approx(
        np.sqrt(0.9 * variance)
    )
    assert Jackknifed.of(0.0, deleted, judging=(2 * variance, 0.3 * variance)).error == pytest.approx(
        np.sqrt(0.3 * variance)
    )


def test_intervals_stay_in_the_range_and_hold_the_value() -> None:
    deleted = np.array([0.97, 0.99, 0.93, 1.0, 0.95])
    auc = Jackknifed.of(0.97, deleted, 0.0, 1.0)
    assert 0 < auc.interval.low < 0.97 < auc.interval.high < 1
    unit = auc.scaled(2, -1)
    assert (unit.interval.low, unit.interval.high) == pytest.approx(
        (2 * auc.interval.low - 1, 2 * auc.interval.high - 1)
    )
    r2 = Jackknifed.of(0.9, deleted, -np.inf, 1.0)
    assert r2.interval.low < 0.9 < r2.interval.high < 1
    perfect = Jackknifed.of(1.0, np.ones(6), 0.0, 1.0)
    assert (perfect.interval.low, perfect.interval.high) == (1.0, 1.0)
    wide = Jackknifed.of(0.5, np.full(6, 0.5)).with_error(0.1)
    assert wide.error == 0.1
    less = wide.minus(0.2, 0.1)
    assert less.value == pytest.approx(0.3)
    assert less.error == pytest.approx(np.sqrt(0.02))


def test_too_few_groups_have_no_interval() -> None:
    def figure(g: int) -> float:
        if g > 3:
            raise InsufficientData("no class")
        return 1.0

    with pytest.raises(InsufficientData, match="defined without 4 of 10 groups"):
        Jackknifed.of(1.0, without_each(10, figure))


def test_what_two_groups_do_together_counts_once() -> None:
    """The mean product of different groups' vectors: all of its variance is of two groups at once."""
    rng, groups, value, twice, once = np.random.default_rng(3), 10, [], [], []
    for _ in range(400):
        z = rng.standard_normal((groups, 3))
        h = z @ z.T
        np.fill_diagonal(h, 0.0)

        def mean(kept: np.ndarray, h: np.ndarray = h) -> float:
            return float(h[np.ix_(kept, kept)].sum() / (len(kept) * (len(kept) - 1)))

        # Group j judged by the others: the mean of h(g, j) over g; without one of them, that of those left.
        means = h.sum(axis=0) / (groups - 1)
        left = (h.sum(axis=0)[:, None] - h.T) / (groups - 2)
        changes = (left - means[:, None]) / groups
        np.fill_diagonal(changes, 0.0)
        value.append(mean(np.arange(groups)))
        deleted = without_each(groups, lambda g, mean=mean: mean(np.delete(np.arange(groups), g)))
        twice.append(jackknife_variance(deleted))
        once.append(joint_variance(changes))
        both = Jackknifed.of(value[-1], deleted, together=once[-1])
        assert both.error <= Jackknifed.of(value[-1], deleted).error or both.error == pytest.approx(
            np.sqrt(once[-1])
        )
    assert np.mean(once) == pytest.approx(np.var(value), rel=0.15)
    assert np.mean(twice) == pytest.approx(2 * (groups - 1) / (groups - 2) * np.var(value), rel=0.15)
