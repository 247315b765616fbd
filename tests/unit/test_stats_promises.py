"""Thresholds with a promise: kept in worlds with families, skew and heavy tails, refused where none can be made."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.worlds import make
from benchmarks.worlds_threshold import promises, true_rate, truth
from fraudit.errors import DataError, InsufficientData, UsageError
from fraudit.stats.halves import Half
from fraudit.stats.pairs import pair_cosines
from fraudit.stats.promises import (
    lowest_threshold,
    measured_rate,
    needed_pairs,
    promised_threshold,
    smallest_promise,
    upper_bound,
)
from fraudit.stats.rates import impostor_sums
from fraudit.stats.tails import Tail, tail_of_pairs, tail_of_searches, tail_of_vectors, tail_without_matches
from fraudit.stats.verification import fmr_threshold


def at_most(share: float, worlds: int) -> float:
    """5 % and three standard errors."""
    return share + 3 * np.sqrt(share * (1 - share) / worlds)


def pairs_of(people: int, seed: int, pictures: int = 3) -> tuple[np.ndarray, ...]:
    """(scores, left, right) of all impostor pairs of a world's pictures."""
    w = make(people, "equal", seed)
    keep = np.flatnonzero(
        np.bincount(w.subjects).cumsum()[w.subjects] - np.arange(len(w.subjects)) <= pictures
    )
    i, j = np.triu_indices(len(keep), 1)
    i, j = keep[i], keep[j]
    apart = w.subjects[i] != w.subjects[j]
    i, j = i[apart], j[apart]
    return pair_cosines(w.unit, i, j), w.subjects[i], w.subjects[j]


def test_streamed_and_listed_pairs_are_the_same_tail() -> None:
    w = make(40, "skew", 5)
    i, j = np.triu_indices(len(w.subjects), 1)
    apart = w.subjects[i] != w.subjects[j]
    i, j = i[apart], j[apart]
    listed = tail_of_pairs(pair_cosines(w.unit, i, j), w.subjects[i], w.subjects[j])
    streamed = tail_of_vectors(w.unit, w.subjects, 0.05)
    assert len(streamed.scores) < 0.06 * listed.n
    assert streamed.n == listed.n
    assert streamed.squares == pytest.approx(listed.squares)
    assert streamed.independent == pytest.approx(listed.independent)
    for threshold in (0.55, 0.4, 0.3, 0.0):  # the last ones lie below the floor
        one, two = streamed.reaching(threshold), listed.reaching(threshold)
        count = two.count(threshold)
        assert one.count(threshold) == count
        a, b = one.sums(count), two.sums(count)
        np.testing.assert_allclose(a.errors, b.errors)
        np.testing.assert_allclose(a.pairs, b.pairs)
        np.testing.assert_allclose(a.joint, b.joint)


def test_sums_of_a_tail_are_those_of_its_pairs() -> None:
    scores, left, right = pairs_of(30, 2)
    tail = tail_of_pairs(scores, left, right)
    threshold = float(np.quantile(scores, 0.97))
    want = impostor_sums("all", scores >= threshold, left, right)
    got = tail.sums(tail.count(threshold))
    assert got.rate == want.rate
    np.testing.assert_allclose(got.errors, want.errors)
    np.testing.assert_allclose(got.joint, want.joint)
    assert got.spread() == want.spread()


def test_the_threshold_is_the_lowest_whose_bound_meets_the_target() -> None:
    scores, left, right = pairs_of(80, 3)
    tail = tail_of_pairs(scores, left, right)
    found = lowest_threshold(tail, 0.02)
    assert found.threshold is not None
    assert found.bound <= 0.02
    assert found.matches == (scores >= found.threshold).sum()
    assert upper_bound(tail, found.matches) == found.bound
    lower = scores[scores < found.threshold].max()
    assert upper_bound(tail, tail.count(lower)) > 0.02


def test_equal_scores_match_together() -> None:
    scores, left, right = pairs_of(80, 3)
    rounded = np.round(scores, 1)
    tail = tail_of_pairs(rounded, left, right)
    for target in (0.3, 0.1, 0.01):
        found = lowest_threshold(tail, target)
        assert found.threshold is not None
        assert (rounded >= found.threshold).mean() <= target
        assert found.matches == (rounded >= found.threshold).sum()


def test_the_bound_is_above_the_rate_and_does_not_fall_where_matches_are_added() -> None:
    scores, left, right = pairs_of(60, 8)
    tail = tail_of_pairs(scores, left, right)
    bounds = [upper_bound(tail, k) for k in (0, 1, 2, 3, 5, 10, 30, 100, 500, 2000, tail.n)]
    assert all(
        b > k / tail.n for b, k in zip(bounds[:-1], (0, 1, 2, 3, 5, 10, 30, 100, 500, 2000), strict=True)
    )
    assert all(later >= earlier * 0.999 for earlier, later in itertools.pairwise(bounds))


@pytest.mark.parametrize(
    ("people", "kind", "target"), [(60, "equal", 1e-2), (200, "mild", 3e-3), (200, "skew", 1e-2)]
)
def test_promises_are_kept_where_a_plain_threshold_is_not(people: int, kind, target: float) -> None:
    worlds = 60
    curve = truth(people, kind, 400 if people == 60 else 150)[""]
    broken, plain = 0, 0
    for seed in range(worlds):
        (found,) = promises(people, kind, seed, (target,), False)
        assert found.threshold is not None
        assert found.bound is not None
        assert found.bound <= target
        broken += true_rate(curve, found.threshold) > target
        w = make(people, kind, seed)
        tail = tail_of_vectors(
            w.unit[w.subjects < people // 2], w.subjects[w.subjects < people // 2], 2 * target
        )
        plain += true_rate(curve, tail.scores[int(target * tail.n) - 1]) > target
    assert broken / worlds <= at_most(0.05, worlds)
    assert plain / worlds > 0.25


def test_the_promise_for_every_group_is_kept_for_the_worst_one() -> None:
    worlds, people, target = 25, 500, 0.05
    curves = truth(people, "equal", 40, True)
    assert max(curves, key=lambda g: true_rate(curves[g], 0.25)) == "c"
    broken, mean_broken, given = 0, 0, 0
    for seed in range(worlds):
        (found,) = promises(people, "equal", seed, (target,), True)
        if found.threshold is None:
            continue
        given += 1
        assert {g.group for g in found.groups} == {"a", "b", "c"}
        broken += max(true_rate(curve, found.threshold) for curve in curves.values()) > target
        mean_broken += true_rate(curves["c"], found.chosen.threshold or 1.0) > target
    assert given >= 12
    assert broken / given <= at_most(0.05, given)
    assert mean_broken / given > 0.5  # a threshold for the mean is no promise for the smallest group


def halves(
    people: int = 120, seed: int = 0, labels: Callable[[np.ndarray], np.ndarray] | None = None
) -> list[Half]:
    w = make(people, "equal", seed)
    first = w.subjects < people // 2
    names = None if labels is None else labels(w.subjects)
    return [
        Half.of_vectors(w.unit[m], w.subjects[m], 0.5, None, None if names is None else names[m])
        for m in (first, ~first)
    ]


def test_the_smallest_promise_needs_no_score() -> None:
    rng = np.random.default_rng(4)
    people = np.repeat(np.arange(60), rng.integers(1, 6, 60))
    unit = rng.normal(size=(len(people), 8)).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    half = Half.of_vectors(unit, people, 0.1)
    bare = smallest_promise(tail_without_matches(people))
    assert bare == pytest.approx(lowest_threshold(half.impostor, 0.1).smallest, rel=1e-12)
    assert smallest_promise(tail_without_matches(np.arange(3))) == 1.0  # too few people


def test_a_target_beyond_the_pairs_of_people_is_refused_with_the_numbers_and_the_smallest_that_can_be_promised() -> (
    None
):
    choose, judge = halves()
    found = promised_threshold(choose, judge, 1e-4)
    assert found.threshold is None
    assert found.rate is None
    assert found.reason.startswith("not resolvable: 1e-4 needs ")
    assert "pairs of people, there are 1,770; the smallest that can be promised is " in found.reason
    assert promised_threshold(choose, judge, found.smallest * 1.001).threshold is not None
    assert promised_threshold(choose, judge, found.smallest * 0.98).threshold is None
    assert found.smallest == pytest.approx(3 / 1770, rel=0.05)
    assert 29_000 < found.chosen.needed < 33_000


def test_many_pictures_of_few_people_promise_no_more_than_the_people_do() -> None:
    w = make(26, "equal", 1)
    often = np.tile(np.arange(len(w.subjects)), 12)
    tail = tail_of_vectors(w.unit[often], w.subjects[often], 0.5)
    assert tail.n == 325 * 48**2
    assert tail.independent == pytest.approx(325)
    assert "there are 325" in lowest_threshold(tail, 1e-3).reason


def test_too_few_people_promise_nothing() -> None:
    scores, left, right = pairs_of(10, 1)
    found = lowest_threshold(tail_of_pairs(scores, left, right), 0.3)
    assert found.threshold is None
    assert "10 people" in found.reason


def test_fewer_people_with_skewed_pictures_count_as_fewer() -> None:
    scores, left, right = pairs_of(60, 1)
    even = tail_of_pairs(scores, left, right)
    rng = np.random.default_rng(0)
    more = rng.choice(len(scores), 3 * len(scores), p=(p := 1.0 / (1 + left)) / p.sum())
    skewed = tail_of_pairs(scores[more], left[more], right[more])
    assert skewed.independent < even.independent
    assert needed_pairs(skewed, 1e-3) > needed_pairs(even, 1e-3)


def test_a_judged_half_of_another_kind_refutes_the_promise() -> None:
    choose, judge = halves()
    assert promised_threshold(choose, judge, 0.05).verdict in ("holds", "not contradicted")
    w = make(300, "equal", 4, group_common=(0.8, 0.8, 0.8))
    alike = Half.of_vectors(w.unit, w.subjects + 1000, 0.5)
    found = promised_threshold(choose, alike, 0.05)
    assert found.verdict == "broken"
    assert found.rate is not None
    assert found.rate.lower > 0.05


def test_what_is_judged_is_counted_once_on_the_other_half() -> None:
    choose, judge = halves()
    found = promised_threshold(choose, judge, 0.02)
    assert found.threshold is not None
    assert found.rate is not None
    assert found.cost is not None
    tail = judge.impostor.reaching(found.threshold)
    assert found.rate.events == (tail.scores >= found.threshold).sum()
    assert found.rate.value == found.rate.events / found.rate.n
    assert found.rate.interval is not None
    assert (
        found.rate.interval.low
        <= found.rate.lower
        <= found.rate.value
        <= found.rate.upper
        <= found.rate.interval.high
    )
    assert found.cost.value == np.mean(~(judge.genuine >= found.threshold))


def test_a_genuine_pair_without_a_vector_is_missed() -> None:
    choose, judge = halves()
    lost = Half(
        judge.impostor, np.where(np.arange(len(judge.genuine)) < 50, np.nan, judge.genuine), judge.people
    )
    before, after = (promised_threshold(choose, half, 0.1).cost for half in (judge, lost))
    assert before is not None
    assert after is not None
    assert after.n == before.n
    assert after.events > before.events


def test_halves_that_share_people_are_refused() -> None:
    choose, judge = halves()
    with pytest.raises(DataError, match="60 are in both halves"):
        promised_threshold(choose, choose, 0.1)
    with pytest.raises(UsageError, match="target"):
        promised_threshold(choose, judge, 0.7)
    with pytest.raises(UsageError, match="confidence"):
        promised_threshold(choose, judge, 0.1, 95)
    with pytest.raises(UsageError, match="groups"):
        promised_threshold(choose, judge, 0.1, every_group=True)


def test_groups_too_small_for_the_target_are_named() -> None:
    def by_tens(people: np.ndarray) -> np.ndarray:
        return np.where(people % 60 < 50, "many", np.where(people % 60 == 59, "one", "few"))

    choose, judge = halves(labels=by_tens)
    found = promised_threshold(choose, judge, 0.05, every_group=True)
    assert found.threshold is None
    assert found.reason.startswith("for few: not resolvable: 9 people")
    assert {g.group for g in found.groups} == {"few", "many", "one"}
    assert found.smallest == 1.0
    assert promised_threshold(choose, judge, 0.05).threshold is not None


def test_a_list_of_pairs_and_vectors_give_the_same_promise() -> None:
    w = make(120, "equal", 0)
    labels = {p: "even" if p % 2 == 0 else "odd" for p in range(120)}
    by_list = []
    for first in (True, False):
        rows = np.flatnonzero((w.subjects < 60) == first)
        i, j = np.triu_indices(len(rows), 1)
        i, j = rows[i], rows[j]
        same = w.subjects[i] == w.subjects[j]
        by_list.append(Half.of_pairs(pair_cosines(w.unit, i, j), w.subjects[i], w.subjects[j], same, labels))
    streamed = halves(labels=lambda people: np.where(people % 2 == 0, "even", "odd"))
    one, two = (promised_threshold(a, b, 0.02, every_group=True) for a, b in (by_list, streamed))
    assert one.threshold == pytest.approx(two.threshold, abs=1e-6)
    assert one.bound == pytest.approx(two.bound)
    assert one.worst == two.worst
    assert one.rate.value == pytest.approx(two.rate.value, abs=1e-4)
    assert one.cost.value == two.cost.value
    assert [g.cost.value for g in one.groups] == [g.cost.value for g in two.groups]


def searches(seed: int, hubs: float, people: int = 150, enrolled: int = 60) -> list[Half]:
    """Two halves, each with a gallery and searchers of its own; `hubs`: norm of what some enrolled people share."""
    rng = np.random.default_rng([seed, 77])
    found = []
    for half in (0, 1):
        gallery = rng.normal(size=(enrolled, 16))
        gallery *= np.exp(rng.normal(0, hubs, enrolled))[:, None]  # not of unit length: some attract more
        probe = np.repeat(rng.normal(size=(people, 16)), 2, axis=0) + 0.7 * rng.normal(size=(2 * people, 16))
        scores = probe @ gallery.T / np.linalg.norm(probe, axis=1, keepdims=True)
        who = np.repeat(np.arange(people), 2) + 10_000 * half
        found.append(Half.of_searches(scores.max(1), who, (), (), scores.argmax(1), enrolled))
    return found


@pytest.mark.parametrize("hubs", [0.0, 0.4])
def test_promises_over_searches_are_kept_even_where_few_enrolled_people_attract_most(hubs: float) -> None:
    worlds, target = 150, 0.05
    pool = np.sort(
        np.concatenate([searches(seed, hubs)[0].impostor.scores for seed in range(10_000, 10_300)])
    )
    broken, blind = 0, 0
    for seed in range(worlds):
        choose, judge = searches(seed, hubs)
        found = promised_threshold(choose, judge, target)
        assert found.kind == "fpir"
        assert found.threshold is not None
        assert found.cost is None
        broken += 1 - np.searchsorted(pool, found.threshold) / len(pool) > target
        without = tail_of_searches(choose.impostor.scores, choose.impostor.people[choose.impostor.left])
        blind += 1 - np.searchsorted(pool, lowest_threshold(without, target).threshold) / len(pool) > target
    assert broken / worlds <= at_most(0.05, worlds)
    assert blind >= broken


def test_searches_are_refused_with_their_own_words() -> None:
    choose, judge = searches(1, 0.0)
    found = promised_threshold(choose, judge, 1e-3)
    assert "needs 3," in found.reason
    assert "searches of people who are not enrolled, there are 150" in found.reason


def test_a_search_without_a_vector_never_matches_and_counts() -> None:
    rng = np.random.default_rng(0)
    top = np.where(rng.random(400) < 0.1, np.nan, rng.normal(size=400))
    tail = tail_of_searches(top, np.arange(400))
    assert tail.n == 400
    found = measured_rate(tail, -10.0)
    assert found.events == np.isfinite(top).sum()
    assert lowest_threshold(tail, 0.5).matches <= 200
    with pytest.raises(InsufficientData):
        tail_of_searches([], [])
    with pytest.raises(ValueError, match="enrolled"):
        tail_of_searches(top, np.arange(400), np.zeros(400))


def test_agrees_with_the_plain_threshold_where_evidence_is_plenty() -> None:
    rng = np.random.default_rng(3)
    left = rng.integers(0, 3000, 400_000)
    right = (left + rng.integers(1, 3000, 400_000)) % 3000
    scores = rng.normal(size=400_000)
    found = lowest_threshold(tail_of_pairs(scores, left, right), 0.05)
    plain = fmr_threshold(scores, 0.05)
    assert found.threshold is not None
    assert plain.value < found.threshold < plain.value + 0.02
    assert isinstance(tail_of_pairs(scores, left, right), Tail)
