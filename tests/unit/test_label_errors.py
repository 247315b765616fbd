"""Planted wrong labels, split names and copies are found; clean sets, families among them, flag what is expected."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.worlds import make
from benchmarks.worlds_quality import split_people, swapped_labels
from fraudit.errors import InsufficientData, UsageError
from fraudit.stats import all_pairs
from fraudit.stats.duplicates import equal_files, expected_nearer, near_copies, one_picture_people
from fraudit.stats.label_errors import misplaced, own_fits, upper_half
from fraudit.stats.two_names import two_names
from tests.fixtures.planted import unit


def test_fit_is_the_mean_of_the_upper_half_of_the_cosines_with_the_others() -> None:
    assert upper_half(np.array([0.1, 0.9, 0.5])) == pytest.approx(0.7)
    rows = unit(np.random.default_rng(0).normal(size=(9, 8)))
    members = [np.array([0, 1, 2, 3, 4]), np.array([5, 6, 7]), np.array([8])]
    fits = own_fits(rows, members)
    for who in members[:2]:
        for i in who:
            assert fits[i] == pytest.approx(upper_half(rows[who[who != i]] @ rows[i]), abs=1e-6)
    assert np.isnan(fits[8])


def test_swapped_labels_are_found_and_their_true_people_named() -> None:
    precise, recalled, named, stated = [], [], [], []
    for seed in range(4):
        world = make(200, "mild", seed, dim=128)
        said, wrong = swapped_labels(world, 0.05, seed)
        found = misplaced(world.unit, said)
        left = np.bincount(said[~wrong], minlength=200)[world.subjects]  # right pictures of the true person
        findable = wrong & found.judged & (left >= 2)
        precise.append((found.flagged & wrong).sum() / found.count)
        recalled.append((found.flagged & findable).sum() / findable.sum())
        hit = found.flagged & wrong
        named.append((found.nearest[hit] == world.subjects[hit]).mean())
        stated.append(found.false_share)
    assert np.mean(precise) > 0.95
    assert np.mean(recalled) > 0.75  # a tenth is given up by the limit `near_above`
    assert np.mean(named) > 0.95
    assert np.mean(stated) < 0.2


def test_a_clean_set_with_relatives_flags_no_more_than_expected() -> None:
    counts, expected = [], []
    for seed in range(6):
        world = make(200, "mild", seed, dim=128, noise=1.0)  # hard: FNMR above 20 %
        found = misplaced(world.unit, world.subjects)
        counts.append(found.count)
        expected.append(found.expected_false)
    assert np.mean(counts) <= 1.5 * np.mean(expected)
    assert np.mean(counts) < 0.01 * 800


def test_one_wrong_picture_of_three_does_not_make_the_right_ones_far() -> None:
    world = make(120, "equal", 1, dim=128, noise=0.5)
    keep = np.arange(480) % 4 < 3
    said, rows = world.subjects[keep].copy(), world.unit[keep]
    said[[0, 3]] = said[[3, 0]]
    found = misplaced(rows, said)
    assert found.far[[0, 3]].all()
    assert not found.far[[1, 2, 4, 5]].any()


def test_people_who_are_likely_one_are_no_strangers_to_each_other() -> None:
    world = make(150, "equal", 2, dim=128, noise=0.5)
    said = world.subjects.copy()
    said[0] = 1  # the same wrong picture ..
    assert misplaced(world.unit, said).flagged[0]
    merged = np.where(said == 1, 0, said)  # .. but the two are one person
    assert not misplaced(world.unit, said, same_person=merged).flagged[0]


def test_pictures_without_a_vector_take_no_part() -> None:
    world = make(100, "mild", 3, dim=128)
    ok = np.random.default_rng(0).random(len(world.subjects)) < 0.8
    rows = world.unit.copy()
    rows[~ok] = 0
    found, part = misplaced(rows, world.subjects, ok), misplaced(world.unit[ok], world.subjects[ok])
    assert np.array_equal(found.flagged[ok], part.flagged)
    assert np.isnan(found.own[~ok]).all()
    assert not found.judged[~ok].any()


def test_small_sets_and_models_that_tell_nobody_apart_are_refused() -> None:
    world = make(30, "equal", 0)
    with pytest.raises(InsufficientData, match="3 pictures or more"):
        misplaced(world.unit[::2], world.subjects[::2])
    noise = unit(np.random.default_rng(0).normal(size=(len(world.unit), 64)))
    with pytest.raises(InsufficientData, match="separates too little"):
        misplaced(noise, world.subjects)


def test_a_person_under_two_names_is_found() -> None:
    hits = flags = false = 0
    for seed in range(12):
        world = make(150, "mild", seed, dim=128)
        said, names = split_people(world, 3, seed)
        found = two_names(world.unit, said)
        pairs = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
        hits += sum(pair in pairs for pair in names)
        flags += len(found.first)
        false += len(pairs - set(names))
        for one, two in names:
            if (one, two) in pairs:
                assert len(np.unique(found.merged[np.isin(said, [one, two])])) == 1
    assert hits >= 27  # of 36, a tenth of which is given up by the limit
    assert false <= 3
    assert flags == hits + false


def test_relatives_are_seldom_taken_for_one_person_and_then_the_flags_are_called_false() -> None:
    flags, expected, relatives = [], [], 0
    for seed in range(6):
        world = make(300, "mild", seed, dim=128)
        found = two_names(world.unit, world.subjects)
        flags.append(len(found.first))
        expected.append(found.expected_false)
        relatives += sum(np.bincount(world.families)) - len(np.unique(world.families))
    assert sum(flags) < 0.05 * relatives
    assert sum(expected) >= 0.8 * sum(flags)


def test_copies_are_found_within_and_across_people_whatever_the_tiles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = make(150, "equal", 4, dim=128)
    rows = world.unit.copy()
    clean = near_copies(rows, world.subjects)
    rng = np.random.default_rng(0)
    again = rng.permutation(np.arange(0, 600, 4))[:12]
    rows[again[:6] + 1] = unit(rows[again[:6]] + 0.004 * rng.normal(size=(6, 128)))  # a copy of one's own
    rows[again[6:] + 1] = unit(
        rows[(again[6:] + 4) % 600] + 0.004 * rng.normal(size=(6, 128))
    )  # of somebody's
    found = near_copies(rows, world.subjects)
    pairs = set(zip(found.within.left.tolist(), found.within.right.tolist(), strict=True))
    assert {(i, i + 1) for i in again[:6].tolist()} <= pairs
    assert found.across.count == clean.across.count + 6
    assert found.across.expected_false < 0.5
    assert found.within.pairs == 150 * 6
    assert found.across.pairs == 600 * 599 // 2 - 900
    monkeypatch.setattr(all_pairs, "ROWS", 77)
    small = near_copies(rows, world.subjects)
    assert np.array_equal(np.sort(small.within.left), np.sort(found.within.left))
    assert (small.across.count, small.across.pairs) == (found.across.count, found.across.pairs)


def test_pictures_that_merely_come_near_are_expected_by_the_power_law() -> None:
    rng = np.random.default_rng(1)
    for power in (1.0, 2.0, 3.0):
        distance = rng.random(200_000) ** (1 / power)
        end = 0.02
        inside = (distance <= end).sum()
        beyond = [int(((distance > end) & (distance <= k * end)).sum()) for k in (4, 16)]
        assert expected_nearer((beyond[0], beyond[1])) == pytest.approx(inside, abs=4 * np.sqrt(inside) + 2)
    assert expected_nearer((0, 0)) == 0
    assert expected_nearer((2, 5)) == 1
    assert np.isnan(expected_nearer((20, 20)))


def test_a_burst_of_like_pictures_is_not_called_a_set_of_copies() -> None:
    rng = np.random.default_rng(2)
    people = unit(rng.normal(size=(400, 3)))  # three numbers decide a picture: many come near by chance
    found = near_copies(people, np.arange(400), near=0.998)
    assert found.across.count > 20
    assert found.across.false_share > 0.6


def test_equal_bytes_are_grouped_and_across_people_named() -> None:
    found = equal_files(["a", "b", "a", "", "", "c", "b", "b"], np.array([0, 1, 0, 2, 3, 4, 1, 5]))
    assert found.groups == ((1, 6, 7), (0, 2))
    assert (found.pictures, found.spare) == (5, 3)
    assert found.across == ((1, 6, 7),)
    with pytest.raises(UsageError):
        near_copies(np.eye(3), np.arange(3), near=0.5)


def test_people_with_one_picture_are_counted() -> None:
    who, people = one_picture_people(np.array([4, 4, 7, 9, 9, 9]))
    assert (who.tolist(), people) == ([7], 3)
    who, people = one_picture_people(np.array([4, 4, 7]), np.array([True, False, True]))
    assert (who.tolist(), people) == ([4, 7], 2)
