"""The fold protocols against the loops of their published definitions."""

from __future__ import annotations

import time

import numpy as np
import pytest

from fraudit.errors import UsageError
from fraudit.stats.folds import fold_accuracy, ten_folds
from fraudit.types import PairList


def _protocol(seed: int, per_fold: int = 60, dim: int = 24) -> tuple[np.ndarray, np.ndarray, PairList]:
    """Ten folds of pairs (first half genuine), raw and mirrored vectors with noise and a common offset."""
    rng = np.random.default_rng(seed)
    people = rng.normal(0, 1, (200, dim))
    subjects = np.repeat(np.arange(200), 4)
    plain = people[subjects] + rng.normal(0, 1.1, (800, dim)) + 0.4
    mirrored = plain + rng.normal(0, 0.4, plain.shape)
    left, right, same, fold = [], [], [], []
    for f in range(10):
        for p in range(per_fold):
            i = rng.integers(800)
            genuine = p < per_fold // 2
            pool = np.flatnonzero((subjects == subjects[i]) == genuine)
            left.append(i)
            right.append(rng.choice(pool[pool != i]))
            same.append(genuine)
            fold.append(f)
    return (
        plain.astype(np.float32),
        mirrored.astype(np.float32),
        PairList(np.array(left), np.array(right), np.array(same), np.array(fold)),
    )


def _by_definition(distance_of_fold, pairs: PairList) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[no-untyped-def]
    """First best threshold of 0..4 step 0.01 on nine folds, judged on the tenth, in plain loops."""
    grid = np.arange(0, 4, 0.01)
    accuracy, chosen = [], []
    for f in range(10):
        distance = distance_of_fold(f)
        train, test = pairs.fold != f, pairs.fold == f
        right = [np.mean((distance[train] < t) == pairs.same[train]) for t in grid]
        best = grid[int(np.argmax(right))]
        accuracy.append(np.mean((distance[test] < best) == pairs.same[test]))
        chosen.append(best)
    return np.array(accuracy), np.array(chosen)


@pytest.mark.parametrize("seed", [0, 1])
def test_insightface_mode_is_the_published_loop(seed: int) -> None:
    plain, mirrored, pairs = _protocol(seed)
    fused = plain.astype(float) + mirrored
    fused /= np.linalg.norm(fused, axis=1, keepdims=True)
    distance = ((fused[pairs.left] - fused[pairs.right]) ** 2).sum(axis=1)
    accuracy, thresholds = _by_definition(lambda f: distance, pairs)
    mine = ten_folds("insightface", plain, pairs, mirrored)
    assert mine.accuracy == pytest.approx(accuracy, abs=1e-12)
    assert mine.thresholds == pytest.approx(thresholds, abs=0)
    assert (mine.mean, mine.std) == pytest.approx((accuracy.mean(), accuracy.std()))


@pytest.mark.parametrize("seed", [0, 1])
def test_facenet_mode_is_the_published_loop(seed: int) -> None:
    plain, mirrored, pairs = _protocol(seed)
    rows = np.concatenate([plain, mirrored], axis=1).astype(float)

    def distance(f: int) -> np.ndarray:
        train = pairs.fold != f
        mean = np.concatenate([rows[pairs.left[train]], rows[pairs.right[train]]]).mean(axis=0)
        a, b = rows[pairs.left] - mean, rows[pairs.right] - mean
        cosine = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
        return np.arccos(cosine) / np.pi

    accuracy, thresholds = _by_definition(distance, pairs)
    mine = ten_folds("facenet", plain, pairs, mirrored)
    assert mine.accuracy == pytest.approx(accuracy, abs=1e-12)
    assert mine.thresholds == pytest.approx(thresholds, abs=0)


@pytest.mark.parametrize("digits", [8, 1])
def test_exact_mode_tries_every_observed_score_of_the_training_folds(digits: int) -> None:
    plain, _, pairs = _protocol(2)
    unit = plain.astype(float) / np.linalg.norm(plain.astype(float), axis=1, keepdims=True)
    scores = (unit[pairs.left] * unit[pairs.right]).sum(axis=1).round(digits)
    mine = fold_accuracy(scores, pairs.same, pairs.fold)
    for f in range(10):
        train, test = pairs.fold != f, pairs.fold == f
        levels = np.unique(scores[train])[::-1]
        right = [np.mean((scores[train] >= t) == pairs.same[train]) for t in levels]
        best = levels[int(np.argmax(right))]
        assert mine.thresholds[f] == best
        assert mine.accuracy[f] == np.mean((scores[test] >= best) == pairs.same[test])


def test_a_pair_without_a_score_counts_as_different_people_in_every_mode() -> None:
    plain, mirrored, pairs = _protocol(3)
    ok = np.ones(len(plain), bool)
    # Take one vector away: exactly the pairs that use its face become `different`.
    ok[pairs.left[0]] = False
    lost = (pairs.left == pairs.left[0]) | (pairs.right == pairs.left[0])
    for mode in ("exact", "insightface", "facenet"):
        found = ten_folds(mode, plain, pairs, mirrored, ok)
        assert found.missing == lost.sum()
    nobody = ten_folds("insightface", plain, pairs, mirrored, np.zeros(len(plain), bool))
    assert nobody.accuracy == pytest.approx(
        np.full(10, 0.5)
    )  # every impostor right, every genuine pair wrong


def test_a_mode_that_needs_mirrored_faces_says_so() -> None:
    plain, _, pairs = _protocol(4)
    with pytest.raises(UsageError, match="mirrored"):
        ten_folds("facenet", plain, pairs)
    with pytest.raises(UsageError, match="unknown fold mode"):
        ten_folds("lfw", plain, pairs)  # type: ignore[arg-type]


def test_six_thousand_pairs_take_well_under_a_second() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(0, 1, (7701, 512)).astype(np.float32)
    n = 6000
    pairs = PairList(
        rng.integers(0, 7701, n),
        rng.integers(0, 7701, n),
        np.tile(np.repeat([True, False], 300), 10),
        np.repeat(np.arange(10), 600),
    )
    best = np.inf
    for _ in range(3):
        start = time.process_time()
        ten_folds("exact", vectors, pairs)
        best = min(best, time.process_time() - start)
    assert best < 1.0
