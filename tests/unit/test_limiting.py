"""--limit keeps whole people, and such as the set's pairs name."""

from dataclasses import replace

import numpy as np
import pytest

from fraudit.faces.limiting import first_people
from fraudit.faces.sources import take
from fraudit.types import FaceSet, PairList


def a_set(counts, pairs=None, identified=True):
    subjects = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    return FaceSet(
        "planted",
        tuple(f"{i:04d}.png" for i in range(len(subjects))),
        subjects,
        {},
        None,
        pairs,
        "digest",
        lambda i: b"",
        lambda data: np.zeros((1, 1, 3), np.uint8),
        identified,
    )


def lfw_like(people=200, folds=10, per_fold=12):
    """Two pictures a person; fold k holds genuine pairs of its own people, then impostor pairs among them."""
    left, right, same, fold = [], [], [], []
    own = people // folds
    for k in range(folds):
        for i in range(per_fold):
            a, b = k * own + i, k * own + (i + 1) % per_fold
            left += [2 * a, 2 * a]
            right += [2 * a + 1, 2 * b + 1]
            same += [True, False]
            fold += [k, k]
    order = np.lexsort((~np.array(same), fold))  # as published: all genuine pairs of a fold first
    whole = [np.array(column, np.int64)[order] for column in (left, right, fold)]
    return PairList(whole[0], whole[1], np.array(same, bool)[order], whole[2])


@pytest.mark.parametrize("limit", [60, 100, 200])
def test_pairs_of_both_kinds_and_of_every_fold_are_left(limit):
    faces = a_set([2] * 200, lfw_like())
    part = first_people(faces, limit)
    assert len(part) <= limit
    assert part.pairs is not None
    for kind in (part.pairs.same, ~part.pairs.same):
        assert kind.sum() >= 10
        assert len(set(part.pairs.fold[kind].tolist())) == 10
    counts = np.unique(part.subjects, return_counts=True)[1]
    assert (counts == 2).all()
    assert part.left_out == {
        "pictures beyond --limit": 400 - len(part),
        "pairs beyond --limit": 240 - len(part.pairs),
    }


def test_people_too_large_for_the_limit_are_passed_over():
    plain = lfw_like()  # the first person's two pictures are now the last of 300
    moved = replace(plain, left=plain.left + 298, right=plain.right + 298)
    faces = a_set([300, *[2] * 199], moved)
    part = first_people(faces, 100)
    assert len(part) <= 100
    assert 0 not in part.subjects


def test_too_few_pairs_of_a_kind_are_given_up_and_that_is_said():
    left = np.array([0, 2, 4, 0], np.int64)
    pairs = PairList(left, left + 1, np.array([True, True, True, False]), np.zeros(4, np.int64))
    pairs = replace(pairs, right=np.array([1, 3, 5, 2], np.int64))
    part = first_people(a_set([2] * 40, pairs), 20)
    assert part.pairs is None
    assert part.identified
    assert any("pairs are drawn among the kept people" in note for note in part.notes)
    assert part.left_out["pairs beyond --limit"] == 4
    nobody = first_people(a_set([2] * 40, pairs, identified=False), 20)
    assert nobody.pairs is not None


def test_without_pairs_the_first_people_are_kept_whole():
    faces = a_set([6] * 60)
    part = first_people(faces, 60)
    assert part.ids == faces.ids[:60]
    assert any("10 of 60 people" in note for note in part.notes)
    assert len(first_people(faces, 1)) == 12
    assert first_people(faces, 360) is faces
    assert take(faces, range(60)).ids == part.ids
