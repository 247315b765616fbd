"""Worst pairs, erring people, figures with and without pictures, hard strangers and years between pictures."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.worlds import make
from fraudit.errors import InsufficientData, UsageError
from fraudit.stats import all_pairs
from fraudit.stats.hard_pairs import fnmr_by_years, hard_fmr, nearest_strangers, years_between
from fraudit.stats.pairs import genuine_pairs, impostor_pairs, pair_cosines
from fraudit.stats.worst_cases import (
    closest_strangers,
    people_with_most_errors,
    with_and_without,
    worst_genuine,
)
from tests.fixtures.planted import unit


def test_the_lowest_genuine_scores_are_listed_and_missing_ones_counted() -> None:
    left, right = np.arange(5), np.arange(5) + 5
    found = worst_genuine([0.5, np.nan, 0.1, 0.9, 0.3], left, right, 3)
    assert found.score.tolist() == [0.1, 0.3, 0.5]
    assert found.left.tolist() == [2, 4, 0]
    assert (found.pairs, found.without) == (5, 1)


@pytest.mark.parametrize("once", [True, False])
def test_the_closest_strangers_of_all_pairs_are_found_whatever_the_tiles(
    once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make(60, "mild", 1)
    a, b = impostor_pairs(world.subjects, 10**9, np.random.default_rng(0))
    scores = pair_cosines(world.unit, a, b)
    order = np.argsort(-scores)
    if once:
        people = [tuple(sorted((world.subjects[a[k]], world.subjects[b[k]]))) for k in order]
        order = order[sorted({p: k for k, p in reversed(list(enumerate(people)))}.values())]
    for rows in (50, 384):
        monkeypatch.setattr(all_pairs, "ROWS", rows)
        found = closest_strangers(world.unit, world.subjects, count=15, once_a_pair_of_people=once)
        assert np.allclose(found.score, scores[order[:15]], atol=1e-6)
        assert (found.left < found.right).all()
        assert found.pairs == len(a)
    with pytest.raises(InsufficientData):
        closest_strangers(world.unit[:3], np.zeros(3, np.int64))


def test_people_whose_pictures_are_all_close_do_not_hide_the_next_closest() -> None:
    rng = np.random.default_rng(2)
    people = np.repeat(np.arange(6), 60)
    rows = rng.normal(size=(6, 16))
    rows[1] = rows[0] + 0.1 * rng.normal(size=16)  # two people alike, in 3,600 pairs of pictures
    unit = rows[people] + 0.01 * rng.normal(size=(360, 16))
    unit = (unit / np.linalg.norm(unit, axis=1, keepdims=True)).astype(np.float32)
    ok = rng.random(360) < 0.9
    found = closest_strangers(unit, people, ok, count=20)
    assert len(found.score) == 15  # every pair of the six people, once
    assert ok[found.left].all()
    assert ok[found.right].all()
    cosines = np.where((people[:, None] != people[None]) & ok[:, None] & ok[None], unit @ unit.T, -2)
    best = [cosines[np.ix_(people == a, people == b)].max() for a in range(6) for b in range(a)]
    assert np.allclose(found.score, np.sort(best)[::-1], atol=1e-6)


def test_one_person_who_makes_most_errors_is_named_and_beyond_chance() -> None:
    people = np.repeat(np.arange(40), 10)
    errors = np.zeros(400, bool)
    errors[70:79] = True  # nine of person 7
    errors[[0, 200]] = True
    found = people_with_most_errors(errors, people, people)
    assert found.people.tolist() == [7, 0, 20]
    assert found.errors.tolist() == [9, 1, 1]
    assert found.largest_share == pytest.approx(9 / 11)
    assert found.p < 0.01
    assert found.chance_share < 0.5
    assert found.half == 1
    nothing = people_with_most_errors(np.zeros(400, bool), people, people)
    assert (nothing.total, nothing.p) == (0, 1.0)


def test_errors_at_random_seldom_make_a_worst_person() -> None:
    people = np.repeat(np.arange(40), 10)
    p = [
        people_with_most_errors(np.random.default_rng(s).random(400) < 0.1, people, people, seed=s).p
        for s in range(60)
    ]
    assert np.mean(np.array(p) <= 0.05) <= 0.12


def test_an_impostor_error_involves_two_people() -> None:
    left, right = np.array([0, 0, 1, 2]), np.array([1, 2, 2, 3])
    found = people_with_most_errors([True, True, True, False], left, right)
    assert found.people.tolist() == [0, 1, 2]
    assert found.errors.tolist() == [2, 2, 2]
    assert found.pairs.tolist() == [2, 2, 3]
    assert found.half == 1  # two of three errors involve the first


@pytest.mark.parametrize("genuine", [True, False])
def test_the_headline_stands_beside_that_without_some_pictures(genuine: bool) -> None:
    world = make(80, "equal", 3)
    if genuine:
        left, right = genuine_pairs(world.subjects)
    else:
        left, right = impostor_pairs(world.subjects, 20_000, np.random.default_rng(0))
    scores = pair_cosines(world.unit, left, right)
    out = np.zeros(320, bool)
    out[::16] = True
    errors = (scores < 0.45) if genuine else (scores >= 0.3)
    errors = errors | (out[left] | out[right]) if genuine else errors
    found = with_and_without(errors, left, right, world.subjects, out)
    keep = ~(out[left] | out[right])
    assert found.with_all == errors.mean()
    assert found.without == errors[keep].mean()
    assert (found.pairs, found.pairs_left, found.pictures_out) == (len(errors), keep.sum(), 20)
    assert found.change.value == pytest.approx(found.without - found.with_all)
    if genuine:
        assert found.change.p < 0.01
    assert found.with_interval is not None
    assert found.with_interval.low <= found.with_all <= found.with_interval.high


def test_the_nearest_strangers_are_the_judges_and_of_ones_own_group() -> None:
    world = make(60, "mild", 4)
    judge = unit(world.unit + 0.05 * np.random.default_rng(0).normal(size=world.unit.shape))
    left, right = nearest_strangers(judge, world.subjects, groups=world.groups, share=0.02)
    wanted = set()
    for i in range(len(judge)):
        able = np.flatnonzero((world.subjects != world.subjects[i]) & (world.groups == world.groups[i]))
        near = able[np.argsort(-(judge[able] @ judge[i]))][: int(np.ceil(0.02 * len(able)))]
        wanted |= {(min(i, j), max(i, j)) for j in near.tolist()}
    assert set(zip(left.tolist(), right.tolist(), strict=True)) == wanted
    found = hard_fmr(world.unit, world.subjects, left, right, 0.35)
    a, b = impostor_pairs(world.subjects, 10**9, np.random.default_rng(0))
    assert found.rate > 5 * (pair_cosines(world.unit, a, b) >= 0.35).mean()
    assert found.interval is not None
    assert found.interval.low > 0
    none = hard_fmr(world.unit, world.subjects, left, right, 0.35, ok=np.zeros(len(judge), bool))
    assert none.matches == 0
    assert len(nearest_strangers(judge, world.subjects, share=0.02, most=100)[0]) == 100
    with pytest.raises(InsufficientData):
        nearest_strangers(judge, world.subjects, groups=np.full(len(judge), ""))
    with pytest.raises(UsageError):
        nearest_strangers(judge, world.subjects, share=1.0)


def test_a_face_that_ages_fails_more_over_the_years() -> None:
    rng = np.random.default_rng(5)
    subjects = np.repeat(np.arange(150), 6)
    when = rng.uniform(20, 50, 900)
    when[::9] = np.nan
    left, right = genuine_pairs(subjects)
    years = years_between(when, left, right)
    errors = rng.random(len(left)) < np.where(np.nan_to_num(years) >= 10, 0.25, 0.05)
    found = fnmr_by_years(errors, years, subjects[left])
    assert [r.group for r in found.rates] == [
        "0 to 1",
        "1 to 2",
        "2 to 5",
        "5 to 10",
        "10 to 20",
        "20 and more",
    ]
    assert sum(r.n for r in found.rates) + found.unknown == len(left)
    by = {r.group: r for r in found.rates}
    part = (years >= 10) & (years < 20)
    assert by["10 to 20"].rate == pytest.approx(errors[part].mean())
    assert by["10 to 20"].interval is not None
    assert found.p_holm["10 to 20"] < 0.05
    assert found.p_holm["2 to 5"] > 0.05
    assert found.changes["20 and more"].value > 0.1
    with pytest.raises(InsufficientData):
        fnmr_by_years(errors, np.full(len(left), np.nan), subjects[left])
    with pytest.raises(UsageError):
        fnmr_by_years(errors, years, subjects[left], edges=(1, 2))
