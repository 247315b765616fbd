"""The all-pairs engine against brute force."""

from __future__ import annotations

import numpy as np
import pytest

from fraudit.errors import InsufficientData
from fraudit.stats import pairs as p


def _faces(seed: int = 0, n: int = 150, people: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    subjects = rng.integers(0, people, n)
    rows = rng.normal(0, 1, (people, 8))[subjects] + rng.normal(0, 0.8, (n, 8))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), subjects


def test_all_genuine_pairs_are_found_once() -> None:
    _, subjects = _faces()
    i, j = np.triu_indices(len(subjects), 1)
    same = subjects[i] == subjects[j]
    left, right = p.genuine_pairs(subjects)
    assert {*zip(left, right, strict=True)} == {*zip(i[same], j[same], strict=True)}
    assert len(left) == same.sum()
    assert p.count_impostor_pairs(subjects) == (~same).sum()


@pytest.mark.parametrize("n", [150, 1500])
def test_sampled_impostors_are_distinct_different_and_within_their_group(n: int) -> None:
    subjects = np.random.default_rng(1).integers(0, 60, n)
    groups = np.array(["x", "y", "z"])[subjects % 3]
    left, right = p.impostor_pairs(subjects, 1000, np.random.default_rng(2), groups=groups)
    assert len({*zip(left, right, strict=True)}) == 1000
    assert (subjects[left] != subjects[right]).all()
    assert (groups[left] == groups[right]).all()
    assert (left < right).all()
    again = p.impostor_pairs(subjects, 1000, np.random.default_rng(2), groups=groups)
    assert (again[0] == left).all()


def test_fewer_impostors_than_asked_are_all_given() -> None:
    left, right = p.impostor_pairs(np.array([0, 0, 1, 2]), 100, np.random.default_rng(0))
    assert [*zip(left, right, strict=True)] == [(0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


def test_sampling_covers_pairs_evenly() -> None:
    subjects = np.arange(800)  # 319,600 pairs: the sampling path
    left, right = p.impostor_pairs(subjects, 100_000, np.random.default_rng(3))
    seen = np.bincount(np.r_[left, right], minlength=800)
    # Each face is expected 250 times with a standard deviation below sqrt(250); 5 of them for 800 faces.
    assert np.abs(seen - 250).max() < 5 * np.sqrt(250)


def test_no_person_is_in_two_folds() -> None:
    _, subjects = _faces(4, 400, 60)
    pairs = p.make_pairs(subjects, 500, 900, seed=7)
    where: dict[int, set[int]] = {}
    for side in (pairs.left, pairs.right):
        for face, fold in zip(side, pairs.fold, strict=True):
            where.setdefault(int(subjects[face]), set()).add(int(fold))
    assert all(len(folds) == 1 for folds in where.values())
    assert ((subjects[pairs.left] == subjects[pairs.right]) == pairs.same).all()
    assert pairs.same.sum() == 500
    assert (~pairs.same).sum() == 900
    assert set(pairs.fold) == set(range(10))
    counts = np.bincount(pairs.fold[pairs.same])
    assert counts.max() < 2.5 * counts.min()
    again = p.make_pairs(subjects, 500, 900, seed=7)
    assert (again.left == pairs.left).all()
    assert (again.right == pairs.right).all()


def test_pairs_of_one_kind_alone_are_refused_with_what_was_found() -> None:
    with pytest.raises(InsufficientData, match="found 0 and 10 among 30 pictures of 30 people"):
        p.make_pairs(np.arange(30), 10, 10, seed=0)
    with pytest.raises(InsufficientData, match="found 3 and 0 among 3 pictures of 1 people"):
        p.rate_pairs(np.zeros(3, np.int64), seed=0)


@pytest.mark.parametrize(("people", "folds"), [(3, 0), (5, 2), (10, 5), (12, 6), (19, 9), (20, 10), (60, 10)])
def test_folds_are_fewer_where_ten_would_leave_a_fold_without_two_people(people: int, folds: int) -> None:
    pairs = p.make_pairs(np.repeat(np.arange(people), 4), 10_000, 10_000, seed=3)
    assert p.fold_count(people) == folds
    expected = set(range(folds)) if folds else {-1}
    assert set(pairs.fold[pairs.same]) == set(pairs.fold[~pairs.same]) == expected
    assert pairs.same.sum() == people * 6


def test_one_person_of_many_pictures_leaves_no_fold_without_impostor_pairs() -> None:
    subjects = np.repeat(np.arange(40), [200, *[3] * 39])
    fold = p.subject_folds(subjects)
    people = [len(np.unique(subjects[fold == f])) for f in range(10)]
    assert min(people) >= 2
    faces = np.bincount(fold)
    assert np.delete(faces, fold[0]).max() < 2 * np.delete(faces, fold[0]).min()


def test_rates_use_all_pairs_there_are_whatever_the_folds() -> None:
    for people, each, genuine, impostor in ((10, 10, 450, 4500), (12, 4, 72, 1056), (15, 11, 825, 12_705)):
        pairs = p.rate_pairs(np.repeat(np.arange(people), each), seed=0)
        assert (int(pairs.same.sum()), int((~pairs.same).sum())) == (genuine, impostor)
        assert len({*zip(pairs.left, pairs.right, strict=True)}) == genuine + impostor
    some = p.rate_pairs(np.repeat(np.arange(30), 5), seed=0, max_impostor=100)
    assert (~some.same).sum() == 100


def test_one_person_cannot_carry_the_genuine_pairs() -> None:
    subjects = np.repeat(np.arange(60), [300, *[3] * 59])  # 44,850 of 45,027 genuine pairs are one person's
    left, right = p.capped_genuine(subjects, seed=0)
    shares = np.bincount(subjects[left])
    assert shares.max() == p.PERSON_PAIRS == 45
    assert (shares[1:] == 3).all()
    assert (subjects[left] == subjects[right]).all()
    assert len({*zip(left, right, strict=True)}) == len(left)
    again = p.capped_genuine(subjects, seed=0)
    assert (again[0] == left).all()
    assert (p.capped_genuine(subjects, seed=1)[0] != left).any()
    # Where all people have many, nobody is cut.
    assert len(p.capped_genuine(np.repeat(np.arange(9), 40), seed=0)[0]) == 9 * 780


def test_pictures_are_linked_by_pairs_and_by_what_is_known() -> None:
    left, right = np.array([0, 1, 4]), np.array([1, 2, 5])
    assert p.linked_people(7, left, right).tolist() == [0, 0, 0, 1, 2, 2, 3]
    known = np.array([0, 1, 2, 3, 4, 5, 3])  # 3 and 6 are one picture
    assert p.linked_people(7, left, right, known).tolist() == [0, 0, 0, 1, 2, 2, 1]


def test_pairs_may_be_filled_up_across_folds_and_are_then_in_no_fold() -> None:
    subjects = np.repeat(np.arange(12), 4)
    pairs = p.make_pairs(subjects, 1000, 500, seed=0, fill=True)
    inside = p.make_pairs(subjects, 1000, 500, seed=0)
    assert (~pairs.same).sum() == 500
    assert (pairs.fold >= 0).sum() == len(inside)
    assert (subjects[pairs.left] != subjects[pairs.right])[~pairs.same].all()
    assert len({*zip(pairs.left, pairs.right, strict=True)}) == len(pairs)


def test_the_streamed_histogram_is_that_of_all_impostor_pairs() -> None:
    unit, subjects = _faces(5)
    ok = np.arange(len(unit)) % 11 != 0
    i, j = np.triu_indices(len(unit), 1)
    use = (subjects[i] != subjects[j]) & ok[i] & ok[j]
    scores = (unit @ unit.T)[i[use], j[use]]
    found = p.impostor_histogram(unit, subjects, ok)
    assert found.n == use.sum()
    for target in (0.3, 0.05, 0.001):
        threshold = found.threshold(target)
        assert np.mean(scores >= threshold) <= target
        assert np.mean(scores >= threshold - 3e-4) > target  # three bins lower is too low
        assert found.fmr(threshold) >= np.mean(scores >= threshold)


def test_streamed_matches_by_group_equal_brute_force() -> None:
    unit, subjects = _faces(6)
    groups = np.array(["f", "m", "x"])[subjects % 3]
    ok = np.arange(len(unit)) % 9 != 0
    threshold = 0.31
    found = p.count_matches(unit, subjects, threshold, groups, ok)
    hit = unit @ unit.T >= threshold
    use = (subjects[:, None] != subjects[None, :]) & ok[:, None] & ok[None, :]
    for a, one in enumerate(found.groups):
        for b, other in enumerate(found.groups):
            part = use & (groups[:, None] == one) & (groups[None, :] == other)
            half = 2 if a == b else 1
            assert found.pairs[a, b] == part.sum() // half
            assert found.matches[a, b] == (part & hit).sum() // half
            assert (found.face_pairs[:, b][groups == one] == part[groups == one].sum(axis=1)).all()
    assert (found.face_matches[~ok] == 0).all()


def test_a_pair_without_a_vector_has_no_score() -> None:
    unit, _ = _faces(7)
    ok = np.ones(len(unit), bool)
    ok[3] = False
    left, right = np.array([3, 1, 2]), np.array([4, 5, 3])
    found = p.pair_cosines(unit, left, right, ok, block=2)
    assert np.isnan(found).tolist() == [True, False, True]
    assert found[1] == pytest.approx(float(unit[1].astype(float) @ unit[5].astype(float)), abs=1e-6)
