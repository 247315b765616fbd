"""PCA of ID vectors: scikit-learn and derivations as oracles, planted subspaces as truth."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from fraudit.errors import InsufficientData
from fraudit.stats.folds import fold_accuracy
from fraudit.stats.intervals import Difference
from fraudit.stats.pairs import make_pairs
from fraudit.stats.pca import (
    SHARES,
    Variant,
    binary_scores,
    cosine_scores,
    dims_for,
    entropy_rank,
    explained,
    fit_pca,
    int8_scales,
    int8_scores,
    judge,
    participation_ratio,
    plain_code,
    project,
    spectrum,
    sweep,
    sweep_dims,
    template_scores,
    training_faces,
)
from fraudit.stats.template_loss import FEW_PEOPLE, fitting_variance, loss_of, smallest_safe
from fraudit.stats.verification import tar_at_far
from fraudit.types import UNCERTAIN, Interval, PairList
from tests.fixtures.planted import unit


@pytest.fixture(scope="module")
def faces() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    subjects = np.repeat(np.arange(80), 4)
    own = rng.normal(size=(80, 24)) * np.linspace(2, 0.3, 24)
    return unit(own[subjects] + 0.6 * rng.normal(size=(320, 24)) + 0.5), subjects


def test_axes_variances_and_projection_are_those_of_scikit_learn(faces) -> None:
    unit, _ = faces
    ours, theirs = fit_pca(unit), PCA().fit(unit.astype(np.float64))
    np.testing.assert_allclose(ours.variances, theirs.explained_variance_, atol=1e-12)
    np.testing.assert_allclose(np.abs((ours.axes * theirs.components_).sum(1)), 1, atol=1e-6)
    five = PCA(n_components=5).fit(unit.astype(np.float64))
    expected = five.inverse_transform(five.transform(unit.astype(np.float64)))
    np.testing.assert_allclose(project(unit, ours, 5), expected, atol=1e-6)


def test_effective_ranks_of_known_spectra() -> None:
    flat = np.array([1.0] * 7 + [0.0] * 9)
    assert entropy_rank(flat) == pytest.approx(7)
    assert participation_ratio(flat) == pytest.approx(7)
    assert [dims_for(flat, s) for s in (0.5, 0.9, 1.0)] == [4, 7, 7]
    p = np.array([0.5, 0.25, 0.25])
    assert entropy_rank(p) == pytest.approx(2**1.5)
    assert participation_ratio(p) == pytest.approx(1 / 0.375)
    assert dims_for(p, 0.75) == 2


def test_a_planted_subspace_is_found_within_its_interval() -> None:
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(64, 64)))[0][:10]
    x = rng.normal(size=(3000, 10)) @ basis
    found = spectrum(x.astype(np.float32), np.repeat(np.arange(1000), 3), np.random.default_rng(1))
    value, interval = found.entropy_rank
    assert value == pytest.approx(10, abs=0.1)
    assert interval.low <= value <= interval.high <= 10.5
    assert found.dims[0.99][0] == 10
    assert found.people == 1000


@pytest.mark.parametrize("kind", ["equal", "skew"])
def test_the_spectrum_intervals_cover_what_sets_of_this_size_show(kind: str) -> None:
    scales = np.linspace(1.5, 0.2, 16)
    found = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        sizes = np.full(120, 3) if kind == "equal" else np.clip(rng.geometric(0.2, 120), 1, 30)
        people = np.repeat(np.arange(120), sizes)
        x = (rng.normal(size=(120, 16))[people] + 0.5 * rng.normal(size=(len(people), 16))) * scales
        found.append(spectrum(x.astype(np.float32), people, rng))
    for figure in ("participation", "entropy_rank"):
        values, intervals = zip(*(getattr(f, figure) for f in found), strict=True)
        truth = np.mean(values)
        covered = np.mean([i.low <= truth <= i.high for i in intervals])
        assert covered >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 100)
        width = np.median([i.high - i.low for i in intervals])
        assert width < 1.5 * np.diff(np.quantile(values, [0.025, 0.975]))[0]
    held = np.mean([explained(f.variances) for f in found], axis=0)
    for share in SHARES:  # whole numbers: a mean over sets is none, the fewest axes of the mean curve are
        truth = int(np.argmax(held >= share)) + 1
        values, intervals = zip(*(f.dims[share] for f in found), strict=True)
        covered = np.mean([i.low <= truth <= i.high for i in intervals])
        assert covered >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 100)
        assert all(i.low <= v <= i.high for v, i in zip(values, intervals, strict=True))
        width = np.median([i.high - i.low for i in intervals])
        assert width <= max(1.5 * np.diff(np.quantile(values, [0.025, 0.975]))[0], 1)


def test_too_few_or_equal_vectors_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InsufficientData, match="at least 2 vectors"):
        fit_pca(np.zeros((1, 4), np.float32))
    few = spectrum(np.eye(4, dtype=np.float32), np.array([0, 0, 1, 1]), rng)
    assert few.entropy_rank[1] is None
    assert "too few people" in few.reason
    with pytest.raises(InsufficientData, match="all vectors are the same"):
        spectrum(np.ones((50, 4), np.float32), np.arange(50), rng)


def test_scores_from_d_numbers_are_the_cosines_of_the_projections(faces) -> None:
    unit, subjects = faces
    pairs = make_pairs(subjects, 300, 300, 0)
    pca = fit_pca(unit[:200])
    dims = sweep_dims(24)
    assert dims == [1, 2, 4, 8, 16, 24]
    found = template_scores(unit, pairs, pca, dims)
    for d, row in zip(dims, found, strict=True):
        full = ((unit.astype(float) - pca.mean) @ pca.axes[:d].T) @ pca.axes[:d] + pca.mean
        full /= np.linalg.norm(full, axis=1, keepdims=True)
        np.testing.assert_allclose(row, (full[pairs.left] * full[pairs.right]).sum(1), atol=1e-9)
    np.testing.assert_allclose(found[-1], cosine_scores(unit, pairs), atol=1e-6)


def test_codes_are_close_to_what_they_code(faces) -> None:
    unit, subjects = faces
    pairs = make_pairs(subjects, 300, 300, 0)
    exact = cosine_scores(unit, pairs)
    assert np.abs(cosine_scores(plain_code(unit, "float16"), pairs) - exact).max() < 1e-3
    assert np.abs(cosine_scores(plain_code(unit, "int8"), pairs) - exact).max() < 0.02
    pca = fit_pca(unit)
    everyone = np.ones(len(unit), bool)
    small = int8_scores(unit, pairs, pca, [24], int8_scales(unit, pca, everyone))[0]
    assert np.abs(small - exact).max() < 0.03
    signs = np.sign(unit - pca.mean)
    hamming = (signs[pairs.left] != signs[pairs.right]).mean(1)
    np.testing.assert_allclose(binary_scores(unit, pairs, pca.mean), 1 - 2 * hamming, atol=1e-6)


def test_folds_are_judged_by_the_thresholds_of_the_others(faces) -> None:
    unit, subjects = faces
    pairs = make_pairs(subjects, 400, 800, 1)
    scores = cosine_scores(unit, pairs)
    rows = np.stack([scores + f for f in range(10)])
    pooled, right, _ = judge(rows, pairs.same, pairs.fold)
    by_fold = [right[pairs.fold == f].mean() for f in range(10)]
    np.testing.assert_allclose(by_fold, fold_accuracy(scores, pairs.same, pairs.fold).accuracy)
    np.testing.assert_allclose(pooled, scores + pairs.fold)


def test_nobody_of_the_test_fold_trains_the_axes() -> None:
    subjects = np.array([0, 0, 1, 1, 2, 2, 0, 9])
    pairs = PairList(
        np.array([0, 2, 4]), np.array([1, 3, 5]), np.ones(3, bool), np.array([0, 1, 2], np.int64)
    )
    assert training_faces(pairs, subjects, 0, 8).tolist() == [
        False,
        False,
        True,
        True,
        True,
        True,
        False,
        False,
    ]


def test_axes_of_the_test_fold_do_not_leak_into_training() -> None:
    """Every fold's people live in a plane of their own: axes fitted on the others hold nothing of them."""
    rng = np.random.default_rng(5)
    folds, each = 5, 12
    vectors, subjects, left, right, same, fold = [], [], [], [], [], []
    for f in range(folds):
        for p in range(each):
            own = np.zeros(3 * folds)
            own[3 * f : 3 * f + 3] = rng.normal(size=3)
            for _ in range(2):
                vectors.append(own + 0.01 * rng.normal(size=3 * folds))
                subjects.append(f * each + p)
        base = f * each * 2
        for p in range(each):
            left += [base + 2 * p, base + 2 * p]
            right += [base + 2 * p + 1, base + 2 * ((p + 1) % each)]
            same += [True, False]
            fold += [f, f]
    pairs = PairList(*(np.array(v) for v in (left, right, same, fold)))
    ok = np.ones(len(vectors), bool)
    variants = sweep(unit(np.array(vectors)), ok, np.array(subjects), pairs, 0.1, [12, 15])
    assert variants["pca-15"].right.mean() > 0.95
    assert variants["pca-12"].right.mean() < 0.75


def test_smallest_d_of_vectors_in_a_known_subspace_is_its_dimension() -> None:
    rng = np.random.default_rng(2)
    subjects = np.repeat(np.arange(400), 2)
    own = rng.normal(size=(400, 8))[subjects] + 0.35 * rng.normal(size=(800, 8))
    basis = np.linalg.qr(rng.normal(size=(32, 32)))[0][:8]
    found = unit(own @ basis)
    pairs = make_pairs(subjects, 400, 4000, 0)
    variants = sweep(found, np.ones(800, bool), subjects, pairs, 1e-2)
    losses = {
        d: loss_of(variants[f"pca-{d}"], variants["float32"], pairs, subjects, 1e-2).tar_loss
        for d in sweep_dims(32)
    }
    assert smallest_safe(losses, 0.02) == 8
    assert smallest_safe(losses, 0.02, bound=False) == 8
    assert losses[8].value == 0.0
    assert losses[4].interval.low > 0.02
    assert smallest_safe(losses, 1e-6) is None


def test_faces_without_a_vector_never_match(faces) -> None:
    unit, subjects = faces
    pairs = make_pairs(subjects, 400, 800, 1)
    ok = np.ones(len(unit), bool)
    ok[:40] = False
    hit = ~(ok[pairs.left] & ok[pairs.right])
    for variant in sweep(unit, ok, subjects, pairs, 0.05, [4, 24]).values():
        assert not variant.accepted[hit].any()
        assert np.array_equal(variant.right[hit], ~pairs.same[hit])


def test_sizes_are_those_of_what_is_stored(faces) -> None:
    unit, subjects = faces
    variants = sweep(unit, np.ones(320, bool), subjects, make_pairs(subjects, 200, 400, 0), 0.05, [4, 24])
    assert {k: v.size_bytes for k, v in variants.items()} == {
        "float32": 96,
        "float16": 48,
        "int8": 24,
        "binary": 3,
        "pca-4": 16,
        "pca-24": 96,
        "pca-4-int8": 4,
        "pca-24-int8": 24,
    }


def test_the_smallest_safe_d_needs_all_larger_ones_to_be_safe() -> None:
    def loss(value: float, high: float) -> Difference:
        return Difference(value, Interval(value - 0.01, high))

    losses = {
        1: loss(0.0, 0.001),
        2: loss(0.5, 0.6),
        4: loss(0.0, 0.015),
        8: loss(0.0, 0.005),
        16: loss(0, 0.004),
    }
    assert smallest_safe(losses, 0.01) == 8
    assert smallest_safe(losses, 0.02) == 4
    assert smallest_safe(losses, 0.01, bound=False) == 4
    assert smallest_safe(losses, 0.003) is None


def test_what_fitting_adds_to_a_variance_is_the_planted_part() -> None:
    """Fold j's accepted share changes by a_g where the axes miss fold g's people too: Var = G sum (a_g - mean)^2."""
    rng = np.random.default_rng(6)
    groups, each, found = 10, 4000, []
    fold = np.repeat(np.arange(groups), each)
    n = len(fold)
    effects = rng.normal(0, 0.004, groups)
    scores = rng.random(n)
    for spread in (0.0, 1.0):
        again = np.stack([scores + spread * effects[g] for g in range(groups)]).astype(np.float32)
        for g in range(groups):
            again[g, fold == g] = np.nan
        point = tar_at_far(scores[:100], scores[100:200], 0.1)
        variant = Variant("pca-4", 4, 16, scores, scores > 0, point, np.full(groups, 0.5), again)
        found.append(fitting_variance(variant, np.full(n, 0.5), np.full(n, 1 / n), fold))
    assert found[0] == pytest.approx(0.0, abs=1e-12)
    truth = (groups - 1) / groups * ((effects - effects.mean()) ** 2).sum()
    assert found[1] == pytest.approx(truth, rel=0.25)


def test_losses_cannot_exceed_what_there_is_to_lose(faces) -> None:
    unit, subjects = faces
    pairs = make_pairs(subjects, 400, 800, 1)
    variants = sweep(unit, np.ones(320, bool), subjects, pairs, 0.05, [1, 4, 24])
    full = variants["float32"]
    for variant in variants.values():
        loss = loss_of(variant, full, pairs, subjects, 0.05)
        whole = loss_of(full, full, pairs, subjects, 0.05).tar[1]
        if loss.tar_loss is None:
            assert loss.reason
            continue
        assert loss.tar_loss.interval.low >= whole.low - 1
        assert loss.tar_loss.interval.high <= whole.high
        assert loss.strict.low <= loss.tar_loss.interval.low


def test_only_the_accuracy_of_few_axes_says_that_its_interval_is_too_wide(faces) -> None:
    unit, subjects = faces
    pairs = make_pairs(subjects, 400, 800, 1)
    variants = sweep(unit, np.ones(320, bool), subjects, pairs, 0.05, [4, 12, 24])
    losses = {name: loss_of(variants[name], variants["float32"], pairs, subjects, 0.05) for name in variants}
    wide = {name for name, loss in losses.items() if loss.accuracy[1] is not None and loss.accuracy[1].wide}
    assert variants["float32"].d == 24
    assert wide == {"pca-4", "pca-4-int8"}


@pytest.mark.parametrize("people", [40, 80])
def test_losses_of_fewer_people_than_their_intervals_were_shown_to_hold_for_say_so(
    faces, people: int
) -> None:
    unit, subjects = faces[0][: 4 * people], faces[1][: 4 * people]
    pairs = make_pairs(subjects, 400, 800, 1)
    variants = sweep(unit, np.ones(len(unit), bool), subjects, pairs, 0.05, [4, 12])
    losses = {name: loss_of(variants[name], variants["float32"], pairs, subjects, 0.05) for name in variants}
    for name in ("float32", "int8", "pca-4", "pca-12", "pca-4-int8", "pca-12-int8"):
        few = people < FEW_PEOPLE and name.startswith("pca")
        for interval in (losses[name].tar_loss.interval, losses[name].strict, losses[name].tar[1]):
            assert interval.reservation == (UNCERTAIN if few else "")


def test_fewer_than_five_folds_and_short_codes_have_no_interval_but_a_reason(faces) -> None:
    unit, subjects = faces
    few = make_pairs(subjects, 400, 800, 1, folds=4)
    variants = sweep(unit, np.ones(320, bool), subjects, few, 0.05, [4, 24])
    loss = loss_of(variants["pca-4"], variants["float32"], few, subjects, 0.05)
    assert loss.tar_loss is None
    assert "needs 5 folds" in loss.reason
    pairs = make_pairs(subjects, 400, 800, 1)
    variants = sweep(unit, np.ones(320, bool), subjects, pairs, 0.05, [4, 24])
    assert (
        "too few different scores"
        in loss_of(variants["binary"], variants["float32"], pairs, subjects, 0.05).reason
    )


def test_the_rank_is_that_of_pictures_spread_as_unevenly_over_people() -> None:
    rng = np.random.default_rng(5)
    people = rng.normal(size=(60, 32))
    ranks = []
    for each in (np.full(60, 5), np.r_[np.full(20, 11), np.full(40, 2)]):
        of = np.repeat(np.arange(60), each)
        x = people[of] + 0.3 * rng.normal(size=(300, 32))
        found = spectrum(x.astype(np.float32), of, rng).participation
        assert found[1] is not None
        assert "as unevenly spread over people" in found[1].method
        ranks.append(found[0])
    assert ranks[1] < ranks[0]
