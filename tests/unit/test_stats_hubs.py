"""Hubs and whose entries take the false positives: planted, and dealt by chance."""

from __future__ import annotations

import numpy as np
import pytest

from fraudit.errors import DataError, InsufficientData
from fraudit.stats.gallery import enrol
from fraudit.stats.hubs import Positives, group_shares, hubs, positives
from fraudit.stats.identification import search


def dealt(seed: int, weights: np.ndarray | None = None, n: int = 200) -> Positives:
    """False positives of 80 searchers with two searches each, on 200 enrolled people."""
    rng = np.random.default_rng(seed)
    searcher = 1000 + np.repeat(np.arange(80), 3)
    entry = rng.choice(n, len(searcher), p=weights)
    cells, count = np.unique(np.stack([searcher, entry]), axis=1, return_counts=True)
    return Positives(cells[0], cells[1], count * 2, n)


def test_chance_alone_is_seldom_called_a_hub() -> None:
    found = [hubs(dealt(seed), seed, draws=199).p_value for seed in range(100)]
    assert np.mean(np.array(found) <= 0.05) <= 0.11
    assert np.mean(found) > 0.4


def test_a_planted_hub_is_found_and_its_share_known() -> None:
    weights = np.full(200, 0.6 / 198)
    weights[[17, 90]] = 0.2
    found = hubs(dealt(0, weights), draws=199)
    assert set(found.top.tolist()) == {17, 90}
    assert found.worst == 2
    assert found.p_value <= 0.01
    assert found.chance_high < found.share == pytest.approx(0.4, abs=0.1)
    assert found.held_out == pytest.approx(0.4, abs=0.1)
    assert found.interval
    assert found.interval.low > found.worst / found.enrolled


def test_what_is_held_out_has_no_selection_in_it() -> None:
    found = [hubs(dealt(seed), seed, draws=19) for seed in range(40)]
    assert np.mean([f.held_out for f in found]) == pytest.approx(0.01, abs=0.005)
    assert np.mean([f.share for f in found]) > 0.02


def test_a_searcher_who_finds_nearly_everybody_is_dealt_without_end() -> None:
    everyone = Positives(np.full(195, 1000), np.arange(195), np.ones(195, np.int64), 200)
    found = hubs(everyone, draws=19)
    assert found.share == pytest.approx(2 / 195)
    assert found.p_value == 1.0


def test_no_false_positive_is_no_share() -> None:
    empty = np.empty(0, np.int64)
    with pytest.raises(InsufficientData, match="no false positive"):
        hubs(Positives(empty, empty, empty, 50))


def test_false_positives_come_from_non_mated_searches_alone() -> None:
    gallery = enrol(np.eye(3), np.arange(3))
    asked = np.array([[0.0, 1, 0], [0, 1, 0], [0, 1, 0], [1, 0, 0]])
    found = positives(search(gallery, asked, [0, 7, 7, 8], above=0.5), 0.5)
    assert found.by_entry().tolist() == [1, 2, 0]
    assert (found.searcher.tolist(), found.count.tolist()) == ([7, 8], [2, 1])


def test_a_group_that_takes_more_than_its_share_is_seen() -> None:
    groups = np.where(np.arange(200) < 50, "few", "many")
    weights = np.where(groups == "few", 3.0, 1.0)
    found = {g.group: g for g in group_shares(dealt(1, weights / weights.sum()), np.arange(200), groups)}
    few = found["few"]
    assert (few.share, few.of_gallery) == pytest.approx((0.5, 0.25), abs=0.1)
    assert few.p_value < 0.02
    assert few.interval
    assert few.interval.low > 0.25


def test_groups_that_play_no_part_differ_as_often_as_stated() -> None:
    groups = np.where(np.arange(200) < 50, "few", "many")
    found = [group_shares(dealt(s), np.arange(200), groups, s, draws=199)[0] for s in range(100)]
    assert np.mean([f.p_value <= 0.05 for f in found]) <= 0.11
    held = [f.interval.low <= f.of_gallery <= f.interval.high for f in found if f.interval]
    assert np.mean(held) >= 0.89


def test_groups_must_be_those_of_the_enrolled() -> None:
    with pytest.raises(DataError, match="200 enrolled"):
        group_shares(dealt(0), np.arange(200), ["a"] * 10)
