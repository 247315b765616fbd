"""Probes: closed forms against scikit-learn, exact permutations, intervals against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from fraudit.errors import InsufficientData
from fraudit.stats.probes import (
    PENALTIES,
    TEST_PENALTIES,
    Estimate,
    People,
    RidgeFolds,
    control_labels,
    identity_folds,
    identity_permutations,
    logistic_folds,
    permutation_p,
    within_person_share,
)


def faces(people: int, seed: int, dim: int = 6) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """f32[N,dim] vectors with a person's own part, i64[N] subjects of one to four faces each."""
    rng = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(people), rng.integers(1, 5, people))
    own = rng.standard_normal((people, dim))[subjects]
    return (own + rng.standard_normal(own.shape)).astype(np.float32), subjects, rng


def test_folds_share_nobody_and_have_about_equal_numbers_of_faces() -> None:
    _, subjects, _ = faces(101, seed=1)
    fold = identity_folds(subjects, 5)
    assert all(len(np.unique(fold[subjects == s])) == 1 for s in np.unique(subjects))
    sizes = np.bincount(fold)
    assert len(sizes) == 5
    assert sizes.max() - sizes.min() <= 1  # single faces fill the gaps that larger blocks leave
    assert (identity_folds(subjects, 5, seed=1) != fold).any()
    with pytest.raises(InsufficientData, match="5 identity-disjoint folds"):
        identity_folds(np.arange(4), 5)


def test_ridge_out_of_fold_equals_scikit_learn_at_the_chosen_penalty() -> None:
    x, subjects, rng = faces(60, seed=2)
    y = x @ rng.standard_normal((6, 3)) + rng.standard_normal((len(x), 3))
    fold = identity_folds(subjects, 4)
    predicted, base, chosen = RidgeFolds(x, fold).predict(y)
    for k in range(4):
        train, held = fold != k, fold == k
        centred = x[train].astype(float) - x[train].mean(axis=0, dtype=float)
        unit = (np.linalg.svd(centred, compute_uv=False) ** 2).mean()
        for t in range(3):
            model = Ridge(alpha=chosen[k, t] * unit).fit(x[train].astype(float), y[train, t])
            assert predicted[held, t] == pytest.approx(model.predict(x[held].astype(float)), abs=1e-4)
            assert base[held, t] == pytest.approx(y[train, t].mean())


def test_the_penalty_is_the_best_of_the_inner_folds_and_noise_gets_the_largest() -> None:
    x, subjects, rng = faces(60, seed=3)
    y = x[:, :1] + 0.5 * rng.standard_normal((len(x), 1))
    fold = identity_folds(subjects, 4)
    chosen = RidgeFolds(x, fold).predict(y)[2]
    for k in range(4):
        errors = np.zeros(len(PENALTIES))
        for j in set(range(4)) - {k}:
            train, check = (fold != k) & (fold != j), fold == j
            centred = x[train].astype(float) - x[train].mean(axis=0, dtype=float)
            unit = (np.linalg.svd(centred, compute_uv=False) ** 2).mean()
            for i, penalty in enumerate(PENALTIES):
                model = Ridge(alpha=penalty * unit).fit(x[train].astype(float), y[train, 0])
                errors[i] += ((y[check, 0] - model.predict(x[check].astype(float))) ** 2).sum()
        assert chosen[k, 0] == PENALTIES[int(np.argmin(errors))]
    noise = rng.standard_normal((len(x), 200))
    predicted, base, strong = RidgeFolds(x, fold).predict(noise)
    assert np.mean(strong >= 1) > 0.6
    r2 = 1 - ((noise - predicted) ** 2).sum(0) / ((noise - base) ** 2).sum(0)
    assert abs(np.median(r2)) < 0.02


def test_best_r2_is_the_maximum_over_fixed_penalties_and_sums_blocks() -> None:
    x, subjects, rng = faces(50, seed=4)
    columns = (x[:, :4] + rng.standard_normal((len(x), 4))).astype(np.float32)
    fold = identity_folds(subjects, 3)
    got = RidgeFolds(x, fold).best_r2(columns, 2)
    for block in range(2):
        part = columns[:, 2 * block : 2 * block + 2].astype(float)
        error, total = np.zeros(len(TEST_PENALTIES)), 0.0
        for k in range(3):
            train, held = fold != k, fold == k
            centred = x[train].astype(float) - x[train].mean(axis=0, dtype=float)
            unit = (np.linalg.svd(centred, compute_uv=False) ** 2).mean()
            total += ((part[held] - part[train].mean(axis=0)) ** 2).sum()
            for i, penalty in enumerate(TEST_PENALTIES):
                model = Ridge(alpha=penalty * unit).fit(x[train].astype(float), part[train])
                error[i] += ((part[held] - model.predict(x[held].astype(float))) ** 2).sum()
        assert got[block] == pytest.approx(1 - error.min() / total, abs=1e-4)


def test_more_axes_than_faces_is_no_trouble() -> None:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((40, 100)).astype(np.float32)
    predicted, _, _ = RidgeFolds(x, identity_folds(np.arange(40), 4)).predict(x[:, :1])
    assert np.isfinite(predicted).all()


def test_permutations_relabel_people_of_equal_size_as_blocks() -> None:
    subjects = np.array([0, 0, 1, 1, 2, 2, 3, 4, 5, 5, 5])
    draws = identity_permutations(subjects, 300, np.random.default_rng(6))
    assert (np.sort(draws, axis=1) == np.arange(len(subjects))).all()
    for row in draws:
        for person in range(6):
            source = subjects[row[subjects == person]]
            assert len(np.unique(source)) == 1
            assert (subjects == source[0]).sum() == (subjects == person).sum()
    assert (np.unique(subjects[draws[:, 0]], return_counts=True)[1] > 60).all()  # three blocks of two
    assert set(subjects[draws[:, 0]]) == {0, 1, 2}
    assert len(np.unique(draws[:, 8])) == 3  # a block alone of its size is shuffled within


def test_p_values_are_uniform_where_nothing_is_to_be_read_although_labels_stick_to_people() -> None:
    x, subjects, rng = faces(60, seed=7)
    ridge = RidgeFolds(x, identity_folds(subjects, 3))
    p = []
    for _ in range(200):
        sticky = rng.standard_normal(subjects.max() + 1)[subjects][:, None]
        p.append(permutation_p(ridge, sticky, identity_permutations(subjects, 99, rng))[0])
    values = np.array(p)
    assert values.min() >= 0.01
    assert np.mean(values <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
    assert 0.4 < values.mean() < 0.6
    planted, _ = permutation_p(ridge, x[:, :1].astype(float), identity_permutations(subjects, 99, rng))
    assert planted == 0.01


def test_controls_give_every_person_one_value_that_others_have() -> None:
    _, subjects, rng = faces(40, seed=8)
    values = rng.standard_normal(len(subjects))
    control = control_labels(values, subjects, 7, rng)
    assert control.shape == (len(subjects), 7)
    assert np.isin(control, values).all()
    assert all(np.ptp(control[subjects == s], axis=0).max() == 0 for s in np.unique(subjects))


def test_logistic_probes_read_classes_of_unseen_people_and_pass_over_noise() -> None:
    x, subjects, rng = faces(150, seed=9)
    fold = identity_folds(subjects, 4)
    labels = (x[:, 0] + 0.5 * rng.standard_normal(len(x)) > 0).astype(np.int64)
    people = People(subjects, 50, rng)
    scores, chosen = logistic_folds(x, labels, fold)
    again, _ = logistic_folds(x, labels, fold, chosen)
    assert again == pytest.approx(scores)
    assert people.auc(labels, scores).value > 0.9
    # identity decides the label, and the vector carries identity: still chance for people never seen
    sticky = rng.integers(0, 2, subjects.max() + 1)[subjects]
    assert abs(people.auc(sticky, logistic_folds(x, sticky, fold)[0]).value - 0.5) < 0.12


def test_scores_equal_scikit_learn_and_their_draws_equal_faces_repeated() -> None:
    _, subjects, rng = faces(50, seed=10)
    labels = rng.integers(0, 2, len(subjects))
    score = np.round(labels + rng.standard_normal(len(subjects)), 1)  # with ties
    both = np.column_stack([-score, score])
    people = People(subjects, 20, rng)
    auc, balanced = people.auc(labels, both), people.balanced_accuracy(labels, both)
    truth, answer = rng.standard_normal((2, len(subjects)))
    r2 = people.r2(truth, answer, np.zeros(len(subjects)))
    assert auc.value == pytest.approx(roc_auc_score(labels, score))
    assert balanced.value == pytest.approx(balanced_accuracy_score(labels, both.argmax(axis=1)))
    for draw in range(20):
        rows = np.repeat(np.arange(len(subjects)), people.weights[draw + 1][people.codes].astype(int))
        assert auc.draws[draw] == pytest.approx(roc_auc_score(labels[rows], score[rows]))
        expected = balanced_accuracy_score(labels[rows], both[rows].argmax(axis=1))
        assert balanced.draws[draw] == pytest.approx(expected)
        expected = 1 - ((truth - answer)[rows] ** 2).sum() / (truth[rows] ** 2).sum()
        assert r2.draws[draw] == pytest.approx(expected)


def test_three_classes_are_scored_one_against_the_rest() -> None:
    rng = np.random.default_rng(11)
    labels = rng.integers(0, 3, 90)
    scores = rng.random((90, 3))
    scores /= scores.sum(axis=1, keepdims=True)
    value = People(np.arange(90), 5, rng).auc(labels, scores).value
    assert value == pytest.approx(roc_auc_score(labels, scores, multi_class="ovr"))


def test_the_within_person_share_is_the_planted_one_and_unbiased_where_there_is_none() -> None:
    rng = np.random.default_rng(12)
    subjects, dim, share = np.repeat(np.arange(400), 4), 10, 0.2
    people = People(subjects, 200, rng)
    a = rng.standard_normal(len(subjects))
    noise = rng.standard_normal((len(subjects), dim))
    own = 5 * rng.standard_normal((400, dim))[subjects]  # what differs between people must not count
    slope = np.sqrt(share / (1 - share) * dim)
    vectors = own + noise + slope * a[:, None] * np.eye(dim)[0]
    found = within_person_share(vectors, a, people)
    assert found.interval.low <= share <= found.interval.high
    assert found.interval.high - found.interval.low < 0.06
    few = np.repeat(np.arange(30), 3)
    nulls = [
        within_person_share(
            rng.standard_normal((90, dim)), rng.standard_normal(90), People(few, 1, rng)
        ).value
        for _ in range(300)
    ]
    # the plain R2 would be 1 / 60 on average
    assert abs(np.mean(nulls)) < 3 * np.std(nulls) / np.sqrt(300) < 0.005
    with pytest.raises(InsufficientData, match="differs within 0 people"):
        within_person_share(vectors, subjects.astype(float), people)


def test_an_estimate_holds_its_value_and_refuses_scores_that_are_mostly_undefined() -> None:
    one = Estimate.of(0.5, np.array([0.6, 0.7, 0.8]))
    assert one.interval.low == 0.5
    with pytest.raises(InsufficientData, match="defined in 1 of 3"):
        Estimate.of(0.5, np.array([0.5, np.nan, np.nan]))
    assert one.minus(Estimate.of(-0.2, np.array([-0.1, 0.1, 0.0])).at_least(0.0)).value == 0.5
