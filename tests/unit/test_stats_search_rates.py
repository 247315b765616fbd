"""Intervals of FPIR and FNIR, thresholds, groups and enrolment rules: exact derivations, planted truth, null worlds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmarks.worlds_identification import blocked, faces, sides
from fraudit.errors import InsufficientData, UsageError
from fraudit.stats.gallery import Templates, enrol, plan_searches
from fraudit.stats.identification import Search, fnir, fpir, fpir_threshold, search
from fraudit.stats.search_rates import (
    Causes,
    difference,
    fnir_causes,
    fnir_rate,
    fpir_causes,
    fpir_rate,
    rate,
    rates_by_group,
)
from fraudit.stats.search_thresholds import (
    choose,
    compare_rules,
    fnir_at_target,
    fpir_at_target,
    resolution,
)


def small(seed: int = 0) -> tuple[Templates, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(25, 4))
    who = np.concatenate([rng.integers(0, 25, 60), 100 + rng.integers(0, 20, 60)])
    asked = rng.normal(size=(120, 4))
    asked[:60] += rows[who[:60]]
    return enrol(rows, np.arange(25)), asked / np.linalg.norm(asked, axis=1, keepdims=True), who


def without(gallery: Templates, person: int) -> Templates:
    use = gallery.names != person
    return Templates(gallery.vectors[use], gallery.names[use], gallery.ok[use])


@pytest.mark.parametrize("rank", [1, 3])
def test_a_persons_causes_are_what_the_rate_loses_without_that_person(rank: int) -> None:
    gallery, asked, who = small()
    whole = search(gallery, asked, who, depth=3)
    threshold = 0.85
    false, missed = fpir_causes(whole, threshold), fnir_causes(whole, 0.3, rank)
    assert len(false.row)
    assert len(missed.row)
    for person in range(25):
        rest = search(without(gallery, person), asked, who)
        strangers = search(without(gallery, person), asked[60:], who[60:])
        lost = (false.entry == person).sum() / 60
        assert fpir(whole, threshold) - fpir(strangers, threshold) == pytest.approx(lost)
        others = whole.mated & (who != person)  # their mates stay enrolled
        before = missed.events[others[whole.mated]].mean()
        use = dataclasses.replace(rest, mate=np.where(others, rest.mate, -1))
        mine = (missed.entry == person) & (missed.searcher[missed.row] != person)
        assert before - fnir(use, 0.3, rank) == pytest.approx(mine.sum() / others.sum())


def test_ranks_beyond_what_was_kept_are_refused() -> None:
    with pytest.raises(UsageError, match="found rank 5"):
        fnir_causes(search(*small()), rank=5)


def test_false_positives_of_one_enrolled_person_count_as_fewer_than_those_of_many() -> None:
    searcher, events = np.arange(400), np.arange(400) < 40
    row, people = np.flatnonzero(events), 1000 + np.arange(100)
    spread, hub = (
        rate(Causes(events.astype(float), searcher, row, entry, np.ones(40), people))
        for entry in (people[row % 100], np.full(40, 1000))
    )
    assert spread.interval
    assert hub.interval
    assert hub.interval.high > 1.5 * spread.interval.high
    assert spread.value == hub.value == 0.1


def test_without_enrolled_peoples_part_the_interval_is_that_of_independent_searches() -> None:
    events = np.arange(1000) < 100
    none = np.empty(0, np.int64)
    found = rate(Causes(events.astype(float), np.arange(1000), none, none, np.empty(0), np.arange(5) + 2000))
    assert found.n_eff == pytest.approx(1000, rel=0.01)
    assert found.interval
    assert (found.interval.low, found.interval.high) == pytest.approx((0.0821, 0.1203), abs=0.001)


def test_a_handful_of_searchers_has_a_reason_in_place_of_an_interval() -> None:
    gallery, asked, _ = small()
    found = fpir_rate(search(gallery, asked, np.arange(120) % 5 + 100), 0.8)
    assert found.interval is None
    assert "too few people" in found.missing


@pytest.fixture(scope="module")
def worlds() -> list[tuple[Search, Search]]:
    return [sides(*faces(120, "skew", seed, hubs=True), seed)[1:] for seed in range(120)]


def test_intervals_hold_in_worlds_with_hubs(worlds: list[tuple[Search, Search]]) -> None:
    threshold = 0.55
    for make, truth_of in ((fpir_rate, fpir), (fnir_rate, fnir)):
        truth = np.mean([truth_of(j, threshold) for _, j in worlds])
        intervals = [make(j, threshold).interval for _, j in worlds]
        held = [i.low <= truth <= i.high for i in intervals if i]
        assert len(held) > 60
        assert np.mean(held) >= 0.89


def test_the_target_lies_in_the_interval_that_holds_the_thresholds_uncertainty(
    worlds: list[tuple[Search, Search]],
) -> None:
    found = [
        (fpir_at_target(j, choose(c, 0.1)).interval, fpir_rate(j, choose(c, 0.1).value).interval)
        for c, j in worlds
    ]
    with_it = [a.low <= 0.1 <= a.high for a, _ in found if a]
    as_is = [b.low <= 0.1 <= b.high for _, b in found if b]
    assert np.mean(with_it) >= 0.92
    assert np.mean(as_is) < np.mean(with_it)


def test_resolution_follows_the_rule_of_three(worlds: list[tuple[Search, Search]]) -> None:
    calibration, judged = worlds[0]
    n = int((~calibration.mated).sum())
    found = resolution(calibration, 0.001)
    assert (found.n, found.needed, found.resolved, found.smallest) == (n, 3000, False, 3 / n)
    chosen = choose(calibration, 0.001)
    assert chosen.low is None
    assert "3,000 are needed" in chosen.missing
    missing = fnir_at_target(judged, chosen)
    assert missing.interval is None
    assert missing.missing == chosen.missing


def test_the_threshold_lies_between_its_ends(worlds: list[tuple[Search, Search]]) -> None:
    for calibration, _ in worlds[:40]:
        chosen = choose(calibration, 0.05)
        if chosen.low is not None and chosen.high is not None:
            assert chosen.low <= chosen.value <= chosen.high


def test_groups_that_differ_are_seen_and_small_ones_have_a_reason() -> None:
    rng = np.random.default_rng(1)
    searcher = np.arange(900)
    group = np.where(searcher < 400, "a", np.where(searcher < 895, "b", "c"))
    events = rng.random(900) < np.where(group == "a", 0.05, 0.3)
    none = np.empty(0, np.int64)
    found = rates_by_group(
        Causes(events.astype(float), searcher, none, none, np.empty(0), 1000 + np.arange(50)), group
    )
    assert list(found) == ["a", "b", "c"]
    first, second = found["a"].interval, found["b"].interval
    assert first
    assert second
    assert first.high < second.low
    assert found["c"].interval is None


def rule_searches(rows: np.ndarray, people: np.ndarray, pictures: int, rule: str) -> tuple[Search, Search]:
    plan, out = plan_searches(people, 0, most_enrolled=3), []
    for side in (False, True):
        keep = plan.gallery(side, pictures)
        ask = np.concatenate([plan.searches(side, True), plan.searches(side, False)])
        gallery = enrol(rows[keep], people[keep], rule)  # type: ignore[arg-type]
        out.append(search(gallery, rows[ask], people[ask]))
    return out[0], out[1]


def test_three_enrolled_pictures_are_better_than_one_beyond_doubt() -> None:
    rows, people = faces(900, "mild", 3, hubs=False)
    one, three = rule_searches(rows, people, 1, "mean"), rule_searches(rows, people, 3, "mean")
    found = compare_rules(one, three, 0.1)
    assert found.fnir.value < 0
    assert found.fnir.excludes_zero
    assert not found.fpir.excludes_zero


def test_a_rule_does_not_differ_from_itself() -> None:
    rows, people = faces(200, "skew", 3, hubs=True)
    same = rule_searches(rows, people, 1, "mean")
    found = compare_rules(same, same, 0.1)
    assert found.fnir.value == found.fpir.value == 0
    assert not found.fnir.excludes_zero


def test_other_searches_are_not_compared() -> None:
    gallery, asked, who = small()
    first = fpir_causes(search(gallery, asked, who), 0.8)
    second = fpir_causes(search(gallery, asked[:100], who[:100]), 0.8)
    with pytest.raises(InsufficientData, match="same searches"):
        difference(first, second)


def test_a_threshold_at_infinity_leaves_a_bound() -> None:
    gallery, asked, who = small()
    found = search(gallery, asked, who)
    assert fpir_threshold(found, 1e-4) < np.inf or fpir(found, np.inf) == 0
    none = fpir_rate(found, np.inf)
    assert none.errors == 0
    assert none.interval
    assert 0.03 < none.interval.high < 0.5


@pytest.mark.parametrize("scattered", [1, 2, 5])
def test_no_search_succeeds_and_a_few_scattered_causes_do_not_widen_the_interval(scattered: int) -> None:
    """150 people, none found first; a few searches would be right without one other person."""
    n, few = 150, np.arange(scattered)
    causes = Causes(np.ones(n), np.arange(n), few, few + 50, np.ones(scattered), np.arange(n))
    found = rate(causes).interval
    assert found is not None
    assert found.high == 1
    assert 0.93 < found.low < 1 - 0.02  # the exact interval without a gallery's chance begins at 0.976


def test_no_search_succeeds_because_of_one_person_and_the_interval_says_little() -> None:
    n = 150
    causes = Causes(np.ones(n), np.arange(n), np.arange(n), np.zeros(n, int), np.ones(n), np.arange(n))
    found = rate(causes).interval
    assert found is None or found.low < 0.5


@pytest.mark.parametrize("common", [2, 3, 5])
def test_nobody_is_found_first_and_a_few_who_one_person_keeps_back_widen_the_interval_as_little(
    common: int,
) -> None:
    n, rows = 312, np.arange(common)
    one, none = (
        rate(Causes(np.ones(n), np.arange(n), rows[:k], np.full(k, n), np.ones(k), np.arange(n + 1))).interval
        for k in (common, 0)
    )
    assert one is not None
    assert none is not None
    assert 1 - none.low < 1 - one.low < 1 - none.low + 2 * common / n


@pytest.mark.parametrize("first", [0.003, 0.1, 0.5])
def test_where_nobody_is_found_first_the_interval_holds_though_one_person_may_be_the_reason(
    first: float,
) -> None:
    """He is enrolled in one gallery of twenty; where half of the people were first without him, causes alone tell."""
    found = [rate(blocked(seed, 300, 1, first)).interval for seed in range(100)]
    truth = 1 - 0.95 * first
    assert np.mean([i is not None and i.low <= truth for i in found]) >= 0.95
    assert first > 0.003 or all(i is not None and i.low > 0.96 for i in found)


def test_a_difference_of_two_that_find_nobody_says_how_much_one_person_may_hide() -> None:
    n, row = 300, np.arange(150)
    hidden = Causes(np.ones(n), np.arange(n), row, np.full(150, n), np.ones(150), np.arange(n + 1))
    plain = Causes(np.ones(n), np.arange(n), row[:0], row[:0], np.ones(0), np.arange(n + 1))
    found, same = difference(plain, hidden).interval, difference(plain, plain).interval
    assert found.low < -0.5
    assert -0.02 < same.low <= 0 <= same.high < 0.02
