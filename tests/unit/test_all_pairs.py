"""One pass over all pairs gives what one matrix and one mask give, to the last count."""

from __future__ import annotations

import numpy as np
import pytest

from fraudit.stats import all_pairs, all_pairs_pieces, pair_state
from fraudit.stats import pairs as p
from fraudit.stats.all_pairs import highest, sweep
from fraudit.stats.tails import tail_of_pairs, tail_of_vectors
from tests.fixtures.plain_pairs import exact_rows, plain_group_counts, plain_histogram, plain_scores

WAYS = [
    {"tile": (7, 5)},
    {"tile": (64, 32), "workers": 1},
    {"tile": (100, 1024), "workers": 3},
    {"tile": (96, 64), "device": "cpu"},
    {},
]


@pytest.fixture(autouse=True)
def threads_for_small_sets_too(monkeypatch):
    monkeypatch.setattr(all_pairs, "INLINE", 1000)


def world(n=700, people=90, seed=1):
    unit, subjects = exact_rows(n, people, dim=64, seed=seed)
    ok = np.random.default_rng(seed).random(n) < 0.9
    return unit, subjects, ok


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("bins", [16, 20_000, 40_000, 200_000])
def test_counts_in_bins_are_exact(way, bins):
    unit, subjects, ok = world()
    _, _, scores = plain_scores(unit, subjects, ok)
    found = sweep(unit, subjects, ok, bins=bins, **way)
    assert np.array_equal(found.counts, plain_histogram(scores, bins))
    assert found.pairs == len(scores) == found.counts.sum()
    assert not len(found.scores)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("floor", [0.25, -0.5, -np.inf, 1.5])
def test_every_pair_at_or_above_the_floor_is_kept_once_the_highest_first(way, floor):
    unit, subjects, ok = world(300, 40)
    left, right, scores = plain_scores(unit, subjects, ok)
    found = sweep(unit, subjects, ok, floor=floor, bins=20_000, **way)
    over = scores >= np.float32(floor)
    order = np.lexsort((right[over], left[over], -scores[over]))
    assert np.array_equal(found.scores, scores[over][order])
    assert np.array_equal(found.left, left[over][order])
    assert np.array_equal(found.right, right[over][order])
    assert np.array_equal(found.counts, plain_histogram(scores, 20_000))


@pytest.mark.parametrize("threshold", [0.3, -0.1])
def test_matches_by_group_are_exact_also_where_most_pairs_match(threshold):
    unit, subjects, ok = world()
    groups = np.random.default_rng(3).choice(["f", "m", "x"], len(unit))  # a person's label may vary
    found = p.count_matches(unit, subjects, threshold, groups, ok)
    names, *expected = plain_group_counts(unit, subjects, groups, threshold, ok)
    assert found.groups == tuple(names)
    got = (found.matches, found.pairs, found.face_matches, found.face_pairs)
    for one, other in zip(got, expected, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("subjects", "pairs"),
    [([0], 0), ([0, 0, 0], 0), ([0, 1], 1), (["b", "a", "b", "c"], 5), ([3, 1, 3, 1, 3], 6)],
)
def test_sets_of_few_rows(subjects, pairs):
    unit = np.eye(8, dtype=np.float32)[: len(subjects)]
    found = sweep(unit, np.array(subjects), bins=10, floor=-1)
    assert found.pairs == found.counts.sum() == len(found.scores) == pairs


def test_rows_that_are_no_unit_vectors_fall_into_the_outermost_bins():
    unit, subjects = exact_rows(60, 20)
    unit *= np.float32(2)
    _, _, scores = plain_scores(unit, subjects)
    assert (scores > 1).any()
    assert np.array_equal(sweep(unit, subjects, bins=100).counts, plain_histogram(scores, 100))


def test_rounded_products_differ_from_one_matrix_by_their_last_digit_alone():
    rng = np.random.default_rng(4)
    unit = rng.standard_normal((900, 100)).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    subjects = rng.integers(0, 300, 900)
    left, right, scores = plain_scores(unit, subjects)
    found = sweep(unit, subjects, floor=-1)
    order = np.lexsort((found.right, found.left))
    assert np.array_equal(found.left[order], left)
    assert np.array_equal(found.right[order], right)
    assert np.abs(found.scores[order] - scores).max() < 1e-6


def test_vectors_too_many_to_copy_are_gathered_tile_by_tile(monkeypatch):
    unit, subjects, ok = world()
    one = sweep(unit, subjects, ok, bins=1000, floor=0.2)
    monkeypatch.setattr(all_pairs_pieces, "COPY", 0)
    two = sweep(unit.astype(np.float64), subjects, ok, bins=1000, floor=0.2)
    for name in ("counts", "left", "right", "scores"):
        assert np.array_equal(getattr(one, name), getattr(two, name))


def test_progress_tells_of_every_score_computed():
    unit, subjects, _ = world()
    seen: list[int] = []
    sweep(unit, subjects, bins=10, progress=seen.append, tile=(100, 50))
    assert 700 * 699 / 2 <= sum(seen) <= 700 * 800 / 2


class Stop(Exception):
    pass


def test_a_pass_that_was_cut_off_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(pair_state, "EVERY", 0.0)
    unit, subjects, ok = world()
    expected = sweep(unit, subjects, ok, bins=5000, floor=0.3)
    path, seen = tmp_path / "pairs.npz", []
    how = {"bins": 5000, "floor": 0.3, "tile": (64, 64), "state": path}

    def stop_half_way(scores):
        seen.append(scores)
        if sum(seen) > 120_000:
            raise Stop

    with pytest.raises(Stop):
        sweep(unit, subjects, ok, progress=stop_half_way, **how)
    assert path.is_file()
    # Another set does not take it up.
    other = sweep(unit[:600], subjects[:600], bins=5000, floor=0.3, tile=(64, 64), state=path)
    assert np.array_equal(other.counts, sweep(unit[:600], subjects[:600], bins=5000).counts)
    with pytest.raises(Stop):
        sweep(unit, subjects, ok, progress=stop_half_way, **(how | {"state": tmp_path / "more.npz"}))
    seen.clear()
    (tmp_path / "more.npz").rename(path)
    with pytest.raises(Stop):
        sweep(unit, subjects, ok, progress=stop_half_way, **how)
    rest: list[int] = []
    found = sweep(unit, subjects, ok, progress=rest.append, **how)
    assert sum(rest) < 700 * 701 / 2 - 120_000
    for name in ("counts", "left", "right", "scores"):
        assert np.array_equal(getattr(found, name), getattr(expected, name))
    assert not path.exists()


def test_a_damaged_state_is_work_to_be_done_again(tmp_path):
    unit, subjects, _ = world(200, 40)
    path = tmp_path / "pairs.npz"
    path.write_bytes(b"PK\x03\x04 and then nothing")
    found = sweep(unit, subjects, bins=100, state=path)
    assert np.array_equal(found.counts, sweep(unit, subjects, bins=100).counts)


@pytest.mark.parametrize("guess", [-1.5, 0.9])
def test_the_highest_are_exact_whether_the_guess_was_good_or_not(guess, monkeypatch):
    unit, subjects, ok = world()
    _, _, scores = plain_scores(unit, subjects, ok)
    monkeypatch.setattr(all_pairs, "guessed_floor", lambda *_: guess)

    def floor_of(counts):
        return p.ScoreHistogram.of(counts).threshold(0.01)

    found = highest(unit, subjects, 0.01, ok, bins=20_000, floor_of=floor_of)
    expected = np.sort(scores[scores >= np.float32(found.floor)])[::-1]
    assert np.array_equal(found.scores, expected)
    assert np.array_equal(found.counts, plain_histogram(scores, 20_000))
    assert 0 < len(expected) <= 0.01 * len(scores)


def test_the_floor_is_guessed_below_what_is_needed():
    rng = np.random.default_rng(5)
    subjects = np.repeat(np.arange(1500), 2)
    unit = rng.standard_normal((1500, 32))[subjects] + rng.standard_normal((3000, 32))
    unit = (unit / np.linalg.norm(unit, axis=1, keepdims=True)).astype(np.float32)
    for share in (0.1, 1e-3, 1e-5):
        exact = p.impostor_histogram(unit, subjects).threshold(share)
        for seed in range(10):
            assert all_pairs.guessed_floor(unit, subjects, share, None, seed) < exact


def test_the_tail_of_vectors_is_that_of_the_list_of_all_pairs():
    unit, subjects, ok = world()
    left, right, scores = plain_scores(unit, subjects, ok)
    listed = tail_of_pairs(scores, subjects[left], subjects[right])
    streamed = tail_of_vectors(unit, subjects, 0.02, ok)
    for threshold in (streamed.floor, streamed.floor + 0.05, 0.7):
        assert streamed.count(threshold) == listed.count(threshold)
        one, two = (t.sums(t.count(threshold)) for t in (streamed, listed))
        assert np.array_equal(one.errors, two.errors)
        assert np.array_equal(one.pairs, two.pairs)
        assert one.joint == two.joint
    deep = streamed.reaching(0.0)
    assert deep.count(0.0) == listed.count(0.0)


def test_pairs_that_are_handed_on_cannot_be_resumed(tmp_path):
    with pytest.raises(ValueError, match="resumed"):
        sweep(np.eye(3, dtype=np.float32), np.arange(3), take=lambda *_: None, state=tmp_path / "x.npz")
