"""1:1 rates of templates: planted truth, a null world, brute force, lost templates."""

import numpy as np
import pytest

from fraudit.analyses.verification.measure import tar
from fraudit.errors import InsufficientData
from fraudit.stats import verification as v
from fraudit.stats.operating import ScoredPairs
from fraudit.stats.templates import template_scores


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


def points(fused, subjects, left, right, same, fars):
    """(point, interval, missing) at each FAR, as the verification of a set with templates gives them."""
    pairs = ScoredPairs(template_scores(fused, left, right)[0], same, subjects[left], subjects[right])
    return [tar(pairs, far) for far in fars]


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
    fars = (0.1, 0.01, 0.003)
    found = points(fused, subjects, left, right, same, fars)
    for far, (point, interval, _) in zip(fars, found, strict=True):
        best = min(t for t in scores if np.mean(scores[~same] >= t) <= far)
        assert (point.n_genuine_all, point.n_impostor) == (90, 30 * 90 - 90)
        assert point.threshold == best
        assert point.tar_all == np.mean(scores[same] >= best)
        assert interval.low <= point.tar_all <= interval.high


def test_a_lost_template_is_rejected_and_told():
    fused, subjects, left, right, same = world(30, 2, signal=9)
    plain = points(fused, subjects, left, right, same, (0.1,))[0][0]
    fused[0] = 0  # enrolled: its three genuine pairs have no score
    point = points(fused, subjects, left, right, same, (0.1,))[0][0]
    assert (plain.tar_all, point.tar) == (1, 1)
    assert point.tar_all == pytest.approx(87 / 90)
    assert point.n_impostor == plain.n_impostor - 87


def test_in_a_null_world_tar_is_far():
    fused, subjects, left, right, same = world(200, 5, signal=0.0)
    for point, interval, _ in points(fused, subjects, left, right, same, (0.1, 0.01)):
        assert interval.low <= point.far <= interval.high
        assert abs(point.tar_all - point.far) < 4 * np.sqrt(point.far / 600)


def test_far_targets_that_the_pairs_cannot_resolve_have_a_reason_in_place_of_an_interval():
    found = points(*world(30, 2), v.FARS)
    by_far = {point.far: (interval, missing) for point, interval, missing in found}
    assert tuple(by_far) == v.FARS
    assert by_far[1e-2][0] is not None
    assert by_far[1e-6][0] is None
    assert "FMR 1e-6 would need 3,000,000 impostor pairs; there are 2,610" in by_far[1e-6][1]


def test_few_people_have_no_interval_and_no_pairs_are_refused():
    _, interval, missing = points(*world(5, 3, probes=12), (0.1,))[0]
    assert interval is None
    assert "too few people" in missing
    fused, subjects, left, right, same = world(9, 3)
    with pytest.raises(InsufficientData, match="no genuine pair"):
        points(fused, subjects, left[~same], right[~same], same[~same], (0.1,))
    with pytest.raises(InsufficientData, match="no impostor pair"):
        points(fused, subjects, left[same], right[same], same[same], (0.1,))


def test_intervals_hold_where_people_differ():
    """Truth from many people; 60 sets of 60 people. At a coverage of 93 % fewer than 51 hits come in 1 of 120 runs."""
    truth = np.mean([points(*world(400, 1000 + k), (0.01,))[0][0].tar_all for k in range(4)])
    hits = 0
    for seed in range(60):
        interval = points(*world(60, seed), (0.01,))[0][1]
        hits += interval.low <= truth <= interval.high
    assert hits >= 51
