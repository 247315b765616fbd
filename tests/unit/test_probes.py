"""Probes: closed forms against scikit-learn, a test that holds for unequal people, intervals of trained scores."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from fraudit.errors import InsufficientData
from fraudit.stats.probes import (
    PENALTIES,
    Chance,
    Judge,
    RidgeFolds,
    control_labels,
    fold_parts,
    identity_folds,
    mean_auc,
    person_weights,
    weighted_auc,
    weighted_balanced_accuracy,
    weighted_r2,
    within_person_share,
)


def faces(people: int, seed: int, dim: int = 6) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """f32[N,dim] vectors with a person's own part, i64[N] subjects of one to four faces each."""
    rng = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(people), rng.integers(1, 5, people))
    own = rng.standard_normal((people, dim))[subjects]
    return (own + rng.standard_normal(own.shape)).astype(np.float32), subjects, rng


def test_folds_share_nobody_and_hold_equal_numbers_of_people() -> None:
    _, subjects, _ = faces(101, seed=1)
    fold = identity_folds(subjects, 5)
    assert all(len(np.unique(fold[subjects == s])) == 1 for s in np.unique(subjects))
    first = np.unique(subjects, return_index=True)[1]
    assert sorted(np.bincount(fold[first])) == [20, 20, 20, 20, 21]
    assert (identity_folds(subjects, 5, seed=1) != fold).any()
    parts = fold_parts(subjects, 5)
    assert np.array_equal(parts % 5, fold)
    assert len(np.unique(parts)) == 20
    with pytest.raises(InsufficientData, match="5 identity-disjoint folds"):
        identity_folds(np.arange(4), 5)


def test_every_person_weighs_the_same() -> None:
    subjects = np.array([0, 0, 0, 1, 2, 2])
    weights = person_weights(subjects)
    assert weights.tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2.0, 1.0, 1.0])
    assert weights.mean() == pytest.approx(1.0)


def ridge(x: np.ndarray, y: np.ndarray, w: np.ndarray, penalty: float) -> Ridge:
    """scikit-learn's, at a penalty in mean squared singular values of the weighted training part."""
    x = x.astype(float)
    centred = np.sqrt(w)[:, None] * (x - np.average(x, axis=0, weights=w))
    unit = (np.linalg.svd(centred, compute_uv=False) ** 2).mean()
    return Ridge(alpha=penalty * unit).fit(x, y, sample_weight=w)


def test_ridge_without_any_one_or_two_folds_equals_scikit_learn_at_the_chosen_penalty() -> None:
    x, subjects, rng = faces(60, seed=2)
    y = x @ rng.standard_normal((6, 3)) + rng.standard_normal((len(x), 3))
    fold, w = identity_folds(subjects, 4), person_weights(subjects)
    found = RidgeFolds(x, fold, w).predict(y)
    assert len(found) == 4 + 12
    for key, answers in found.items():
        train, held = ~np.isin(fold, key), fold == key[0]
        for t in range(3):
            model = ridge(x[train], y[train, t], w[train], answers.chosen[t])
            assert answers.predicted[:, t] == pytest.approx(model.predict(x[held].astype(float)), abs=1e-3)
            assert answers.base[t] == pytest.approx(np.average(y[train, t], weights=w[train]))


def test_the_penalty_is_the_best_of_the_inner_folds_and_noise_gets_the_largest() -> None:
    x, subjects, rng = faces(60, seed=3)
    y = x[:, :1] + 0.5 * rng.standard_normal((len(x), 1))
    fold, w = identity_folds(subjects, 4), person_weights(subjects)
    found = RidgeFolds(x, fold, w).predict(y)
    for key in [(k,) for k in range(4)] + [(0, 1), (2, 3)]:
        errors = np.zeros(len(PENALTIES))
        for j in set(range(4)) - set(key):
            train, check = (fold != key[0]) & (fold != j), fold == j
            for i, penalty in enumerate(PENALTIES):
                off = y[check, 0] - ridge(x[train], y[train, 0], w[train], penalty).predict(
                    x[check].astype(float)
                )
                errors[i] += w[check] @ off**2
        assert found[key].chosen[0] == PENALTIES[int(np.argmin(errors))]
    noise = rng.standard_normal((len(x), 200))
    strong = np.array([a.chosen for key, a in RidgeFolds(x, fold, w).predict(noise).items() if len(key) == 1])
    assert np.mean(strong >= 1) > 0.6


def test_classes_are_decided_half_way_between_their_mean_predictions() -> None:
    x, subjects, rng = faces(80, seed=4)
    labels = (x[:, 0] + rng.standard_normal(len(x)) > 1).astype(int)
    fold, w = identity_folds(subjects, 4), person_weights(subjects)
    found = RidgeFolds(x, fold, w).predict(np.eye(2)[labels])
    for k in range(4):
        train = fold != k
        model = ridge(x[train], labels[train].astype(float), w[train], found[k,].chosen[1])
        own = model.predict(x[train].astype(float))
        means = [np.average(own[labels[train] == c], weights=w[train][labels[train] == c]) for c in (0, 1)]
        assert found[k,].middle[1] == pytest.approx(np.mean(means), abs=1e-4)


def test_more_axes_than_faces_is_no_trouble() -> None:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((40, 100)).astype(np.float32)
    found = RidgeFolds(x, identity_folds(np.arange(40), 5), np.ones(40)).predict(x[:, :1])
    assert all(np.isfinite(a.predicted).all() for a in found.values())
    with pytest.raises(InsufficientData, match="at least 4 folds"):
        RidgeFolds(x, identity_folds(np.arange(40), 3), np.ones(40))


def test_truncated_reading_uses_the_first_axes_only() -> None:
    rng = np.random.default_rng(6)
    x = (rng.standard_normal((400, 5)) * [5, 3, 1, 0.5, 0.2]).astype(np.float32)
    y = x[:, 1].astype(float)
    fold = identity_folds(np.arange(400), 5)
    judge = Judge(fold, fold, np.ones(400))
    read = RidgeFolds(x, fold, np.ones(400)).truncated(y, [1, 2, 5], 1e-4)
    answers = judge.gather({key: part.T for key, part in read.items()})
    assert [np.corrcoef(answers[:, at], y)[0, 1] > 0.99 for at in range(3)] == [False, True, True]


def test_controls_give_every_person_one_value_that_others_have() -> None:
    _, subjects, rng = faces(40, seed=8)
    values = rng.standard_normal(len(subjects))
    control = control_labels(values, subjects, 7, rng)
    assert control.shape == (len(subjects), 7)
    assert np.isin(control, values).all()
    assert all(np.ptp(control[subjects == s], axis=0).max() == 0 for s in np.unique(subjects))
    chance = Chance.of([0.1, 0.2, 0.3])
    assert (chance.value, chance.spread) == (pytest.approx(0.2), pytest.approx(0.1))
    assert chance.interval.low == pytest.approx(0.2 - 4.3027 * 0.1 / np.sqrt(3), abs=1e-4)


def test_scores_equal_scikit_learn_with_weights_and_ties() -> None:
    _, subjects, rng = faces(50, seed=10)
    labels = rng.integers(0, 2, len(subjects))
    score = np.round(labels + rng.standard_normal(len(subjects)), 1)
    w = person_weights(subjects)
    assert weighted_auc(labels == 1, score, w) == pytest.approx(roc_auc_score(labels, score, sample_weight=w))
    decided = (score > 0.5).astype(int)
    expected = balanced_accuracy_score(labels, decided, sample_weight=w)
    assert weighted_balanced_accuracy(labels, decided, 2, w) == pytest.approx(expected)
    truth, answer = rng.standard_normal((2, len(subjects)))
    expected = 1 - (w * (truth - answer) ** 2).sum() / (w * truth**2).sum()
    assert weighted_r2(truth, answer, np.zeros(len(truth)), w) == pytest.approx(expected)
    three = rng.integers(0, 3, 90)
    many = rng.random((90, 3))
    many /= many.sum(axis=1, keepdims=True)
    assert mean_auc(three, many, np.ones(90)) == pytest.approx(roc_auc_score(three, many, multi_class="ovr"))
    with pytest.raises(InsufficientData, match="both classes"):
        weighted_auc(np.ones(4, bool), np.zeros(4), np.ones(4))


def test_a_judge_leaves_a_group_out_of_training_and_of_judging() -> None:
    rng = np.random.default_rng(11)
    subjects = np.arange(100)
    fold = identity_folds(subjects, 5)
    truth = rng.standard_normal(100)
    parts = {}
    for j in range(5):
        parts[j,] = np.column_stack([0.5 * truth[fold == j], np.zeros((fold == j).sum())])
        for g in set(range(5)) - {j}:
            parts[j, g] = np.column_stack([0.1 * g * truth[fold == j], np.zeros((fold == j).sum())])
    found = Judge(fold, fold, np.ones(100)).r2(truth, parts)
    assert found.value == pytest.approx(0.75)
    assert found.deleted == pytest.approx([1 - (1 - 0.1 * g) ** 2 for g in range(5)])


def test_the_within_person_share_is_the_planted_one_and_unbiased_where_there_is_none() -> None:
    rng = np.random.default_rng(12)
    subjects, dim, share = np.repeat(np.arange(400), 4), 10, 0.2
    fold = identity_folds(subjects, 10)
    a = rng.standard_normal(len(subjects))
    noise = rng.standard_normal((len(subjects), dim))
    own = 5 * rng.standard_normal((400, dim))[subjects]  # what differs between people must not count
    slope = np.sqrt(share / (1 - share) * dim)
    vectors = own + noise + slope * a[:, None] * np.eye(dim)[0]
    found = within_person_share(vectors, a, subjects, fold)
    assert found.interval.low <= share <= found.interval.high
    assert found.interval.high - found.interval.low < 0.06
    few = np.repeat(np.arange(30), 3)
    nulls = [
        within_person_share(
            rng.standard_normal((90, dim)), rng.standard_normal(90), few, identity_folds(few, 10)
        ).value
        for _ in range(300)
    ]
    # the plain R2 would be 1 / 60 on average
    assert abs(np.mean(nulls)) < 3 * np.std(nulls) / np.sqrt(300) < 0.005
    with pytest.raises(InsufficientData, match="differs within 0 people"):
        within_person_share(vectors, subjects.astype(float), subjects, fold)
