"""Templates, enrolment rules and the deal of people: derivations by hand and what must never happen."""

from __future__ import annotations

import numpy as np
import pytest

from fraudit.errors import DataError, InsufficientData, UsageError
from fraudit.stats.gallery import enrol, fuse, plan_searches

ROOT = np.sqrt(0.5)


def test_a_template_is_the_sum_over_media_of_the_mean_of_each() -> None:
    features = np.array([[1.0, 0], [0, 1], [0, 1], [3, 0], [0, 4]])
    found = fuse(features, [7, 7, 7, 2, 2], [0, 5, 5, 0, 0])
    assert found.names.tolist() == [2, 7]
    np.testing.assert_allclose(found.vectors[0], np.array([1.5, 2]) / 2.5)
    np.testing.assert_allclose(found.vectors[1], [ROOT, ROOT])


def test_a_medium_of_many_frames_weighs_as_one_picture() -> None:
    frames = np.tile([[1.0, 0]], (50, 1))
    found = fuse(np.vstack([frames, [[0.0, 1]]]), np.zeros(51), [0] * 50 + [1])
    np.testing.assert_allclose(found.vectors, [[ROOT, ROOT]])


def test_pictures_without_a_vector_are_left_out_of_the_template() -> None:
    features = np.array([[1.0, 0], [np.nan, 9], [0, 0]])
    found = fuse(features, [0, 0, 1], [0, 0, 0], ok=[True, False, False])
    np.testing.assert_allclose(found.vectors, [[1, 0], [0, 0]])
    assert found.ok.tolist() == [True, False]


def test_features_that_are_not_finite_are_refused() -> None:
    with pytest.raises(DataError, match="finite"):
        fuse(np.array([[np.nan, 1.0]]), [0], [0])


def test_mean_enrols_one_vector_and_best_all() -> None:
    unit = np.array([[1.0, 0], [0, 1], [1, 0]])
    mean, best = enrol(unit, [3, 3, 1]), enrol(unit, [3, 3, 1], "best")
    assert (mean.names.tolist(), best.names.tolist()) == ([1, 3], [1, 3, 3])
    np.testing.assert_allclose(mean.vectors[1], [ROOT, ROOT])


def test_a_person_none_of_whose_pictures_has_a_vector_stays_enrolled() -> None:
    unit = np.array([[1.0, 0], [0, 1]])
    for rule in ("mean", "best"):
        found = enrol(unit, [0, 1], rule, ok=[True, False])
        assert (found.names.tolist(), found.ok.tolist()) == ([0, 1], [True, False])


def test_quality_weighs_pictures_and_none_at_all_gives_the_mean() -> None:
    unit = np.array([[1.0, 0], [0, 1], [1, 0], [0, 1]])
    found = enrol(unit, [0, 0, 1, 1], "quality", quality=[3.0, 4, 0, 0])
    np.testing.assert_allclose(found.vectors, [[0.6, 0.8], [ROOT, ROOT]])


@pytest.mark.parametrize(("rule", "quality"), [("median", None), ("quality", None)])
def test_unknown_rules_and_missing_qualities_are_refused(rule: str, quality: None) -> None:
    with pytest.raises(UsageError):
        enrol(np.eye(2), [0, 1], rule, quality)  # type: ignore[arg-type]


def test_a_negative_quality_is_refused() -> None:
    with pytest.raises(DataError, match="at least 0"):
        enrol(np.eye(2), [0, 1], "quality", [1.0, -1.0])


def skewed(people: int = 300, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.repeat(np.arange(people), np.where(rng.random(people) < 0.6, 1, rng.integers(2, 40, people)))


@pytest.mark.parametrize("seed", range(5))
def test_people_are_on_one_side_and_in_one_role(seed: int) -> None:
    subjects = skewed(seed=seed)
    plan = plan_searches(subjects, seed, most_enrolled=3)
    for mask in (plan.judged, plan.enrolled):
        assert len(np.unique(subjects[mask])) + len(np.unique(subjects[~mask])) == 300
    mated = np.concatenate([plan.searches(side, True) for side in (False, True)])
    strangers = np.concatenate([plan.searches(side, False) for side in (False, True)])
    gallery = np.concatenate([plan.gallery(side, 3) for side in (False, True)])
    assert not set(mated.tolist()) & set(gallery.tolist())
    assert set(subjects[mated].tolist()) <= set(subjects[gallery].tolist())
    assert not set(subjects[strangers].tolist()) & set(subjects[gallery].tolist())


def test_both_galleries_have_the_same_number_of_people() -> None:
    subjects = skewed(301)
    plan = plan_searches(subjects, 1)
    sizes = [len(np.unique(subjects[plan.gallery(side)])) for side in (False, True)]
    assert sizes[0] == sizes[1] == plan.people[0] == plan.people[1]


def test_people_with_one_picture_are_never_mated_and_are_both_enrolled_and_not() -> None:
    subjects = skewed()
    plan = plan_searches(subjects, 2)
    single = np.bincount(subjects)[subjects] == 1
    assert not single[plan.searches(True, True)].any()
    assert single[plan.searches(True, False)].any()
    assert single[plan.gallery(True)].any()
    share = [single[np.flatnonzero(plan.enrolled == e)].sum() / single.sum() for e in (True, False)]
    assert share == pytest.approx([0.5, 0.5], abs=0.03)


def test_nobody_gives_more_searches_than_the_limit() -> None:
    subjects = np.repeat(np.arange(40), 60)
    plan = plan_searches(subjects, 0, most=7)
    for mated in (True, False):
        assert set(np.bincount(subjects[plan.searches(True, mated)]).tolist()) <= {0, 7}


def test_fewer_pictures_enrolled_are_among_more_and_the_searches_stay() -> None:
    plan = plan_searches(skewed(), 0, most_enrolled=5)
    assert set(plan.gallery(True, 2).tolist()) < set(plan.gallery(True, 5).tolist())


def test_the_deal_depends_on_the_seed_alone() -> None:
    subjects = skewed()
    first, again, other = (plan_searches(subjects, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.order, again.order)
    assert (first.judged != other.judged).any()


@pytest.mark.parametrize("subjects", [np.arange(50), np.repeat(np.arange(3), 4), np.empty(0, np.int64)])
def test_too_few_people_are_refused_with_the_numbers(subjects: np.ndarray) -> None:
    with pytest.raises(InsufficientData, match=f"{len(np.unique(subjects))} people"):
        plan_searches(subjects)


def test_shares_outside_the_range_are_refused() -> None:
    with pytest.raises(UsageError, match="share"):
        plan_searches(np.repeat(np.arange(40), 3), enrolled_share=1.0)
