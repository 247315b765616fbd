"""1:1 rates of templates: planted truth, a null world, brute force, lost templates."""

import numpy as np
import pytest

from fraudit.errors import InsufficientData
from fraudit.stats import verification as v
from fraudit.stats.templates import template_scores, verify_templates


def world(people, seed, signal=1.0, probes=3, dim=24):
    """(fused, subjects, left, right, same): an enrolled template and `probes` others a person, all against all."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(people, dim))
    spread = rng.gamma(4, 0.25, people)  # some people are hard throughout
    subjects = np.concatenate([np.arange(people), np.repeat(np.arange(people), probes)])
    noise = rng.normal(size=(len(subjects), dim)) * spread[subjects, None]
    fused = (signal * centre[subjects] + noise).astype(np.float32)
    left, right = (m.ravel() for m in np.meshgrid(np.arange(people), np.arange(people, len(subjects))))
    return fused, subjects, left, right, subjects[left] == subjects[right]


def test_scores_are_cosines_whatever_the_length_and_lost_templates_have_none():
    fused, _, left, right, _ = world(9, 1)
    fused[4], fused[5, 0] = 0, np.nan
    ok = np.ones(len(fused), bool)
    ok[6] = False
    scores, usable = template_scores(
        fused * np.arange(1, len(fused) + 1, dtype=np.float32)[:, None], left, right, ok
    )
    assert np.flatnonzero(~usable).tolist() == [4, 5, 6]
    assert (np.isnan(scores) == np.isin(left, [4, 5, 6])).all()
    for k in np.flatnonzero(~np.isnan(scores))[::17]:
        a, b = fused[left[k]].astype(float), fused[right[k]].astype(float)
        assert scores[k] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-6)


def test_every_point_is_that_of_a_count_by_hand():
    fused, subjects, left, right, same = world(30, 2)
    scores, _ = template_scores(fused, left, right)
    found = verify_templates(fused, subjects, left, right, same, fars=(0.1, 0.01, 0.003))
    assert (found.n_genuine, found.n_impostor, found.people, found.lost) == (90, 30 * 90 - 90, 30, 0)
    for far, at in zip((0.1, 0.01, 0.003), found.points, strict=True):
        best = min(t for t in scores if np.mean(scores[~same] >= t) <= far)
        assert at.point.threshold == best
        assert at.point.tar_all == np.mean(scores[same] >= best)
        assert at.interval.low <= at.point.tar_all <= at.interval.high


def test_a_lost_template_is_rejected_and_told():
    fused, subjects, left, right, same = world(30, 2, signal=9)
    plain = verify_templates(fused, subjects, left, right, same, fars=(0.1,)).points[0].point
    fused[0] = 0  # enrolled: its three genuine pairs have no score
    found = verify_templates(fused, subjects, left, right, same, fars=(0.1,))
    point = found.points[0].point
    assert found.lost == 1
    assert (plain.tar_all, point.tar) == (1, 1)
    assert point.tar_all == pytest.approx(87 / 90)
    assert point.n_impostor == plain.n_impostor - 87


def test_in_a_null_world_tar_is_far():
    fused, subjects, left, right, same = world(200, 5, signal=0.0)
    for at in verify_templates(fused, subjects, left, right, same, fars=(0.1, 0.01)).points:
        assert at.interval.low <= at.point.far <= at.interval.high
        assert abs(at.point.tar_all - at.point.far) < 4 * np.sqrt(at.point.far / 600)


def test_far_targets_that_the_pairs_cannot_resolve_have_a_reason_in_place_of_an_interval():
    found = verify_templates(*world(30, 2))
    by_far = {at.point.far: at for at in found.points}
    assert tuple(by_far) == v.FARS
    assert by_far[1e-2].interval is not None
    assert by_far[1e-6].interval is None
    assert by_far[1e-6].missing == "FAR 1e-06 needs 3,000,000 impostor pairs (rule of three); there are 2,610"


def test_few_people_have_no_interval_and_no_pairs_are_refused():
    found = verify_templates(*world(5, 3, probes=12), fars=(0.1,))
    assert found.points[0].interval is None
    assert "too few people" in found.points[0].missing
    fused, subjects, left, right, same = world(9, 3)
    with pytest.raises(InsufficientData, match="no genuine pair"):
        verify_templates(fused, subjects, left[~same], right[~same], same[~same])
    with pytest.raises(InsufficientData, match="no impostor pair"):
        verify_templates(fused, subjects, left[same], right[same], same[same])


def test_intervals_hold_where_people_differ():
    """Truth from many people; 60 sets of 60 people. At a coverage of 93 % fewer than 51 hits come in 1 of 120 runs."""
    truth = np.mean(
        [verify_templates(*world(400, 1000 + k), fars=(0.01,)).points[0].point.tar_all for k in range(4)]
    )
    hits = 0
    for seed in range(60):
        at = verify_templates(*world(60, seed), fars=(0.01,)).points[0]
        hits += at.interval.low <= truth <= at.interval.high
    assert hits >= 51
