"""Sets that name nobody: which pairs are impostor pairs is known of the declared ones alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fraudit.analyses import bias
from fraudit.analyses.robustness.measure import clean_threshold
from fraudit.analyses.verification import Params, run
from fraudit.audit.stored_vectors import StoredVectors, faces_of, run_vectors
from fraudit.compare import evidence as stored
from fraudit.compare.sides import run_side
from fraudit.errors import InsufficientData
from fraudit.faces.sources import open_faces
from fraudit.stats.calibration import calibrate, calibration_half, declared_people
from fraudit.types import AnalysisResult, Metric, PairList
from tests.fixtures.contexts import vectors_context
from tests.fixtures.derived_run import derived_run


def _set(
    people: int = 120, each: int = 24, seed: int = 0, noise: float = 0.55
) -> tuple[np.ndarray, np.ndarray, PairList]:
    """(vectors, people, pairs) as an insightface .bin holds them: every picture in one pair, people in many."""
    rng = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(people), each)
    vectors = rng.normal(size=(people, 64))[subjects] + rng.normal(0, noise, (len(subjects), 64))
    # One half of everybody's pictures makes genuine pairs, the other half impostor ones.
    order = np.concatenate([rng.permutation(np.flatnonzero(subjects == person)) for person in range(people)])
    order = order.reshape(people, each)
    same = order[:, : each // 2].reshape(-1, 2)
    other = order[:, each // 2 :]
    left = other[: people // 2].ravel()
    right = rng.permutation(other[people // 2 :].ravel())
    pairs = PairList(
        np.concatenate([same[:, 0], left]),
        np.concatenate([same[:, 1], right]),
        np.arange(len(same) + len(left)) < len(same),
        np.arange(len(same) + len(left)) % 10,
    )
    return vectors.astype(np.float32), subjects, pairs


def _metric(result: AnalysisResult, name: str) -> Metric:
    return next(m for m in result.metrics if m.name == name)


def test_the_threshold_is_that_of_strangers_though_people_occur_many_times() -> None:
    vectors, subjects, pairs = _set(people=40, each=80)
    named = vectors_context(vectors, subjects)
    unnamed = vectors_context(vectors, np.arange(len(vectors)), pairs=pairs, identified=False)
    threshold, truth = unnamed.threshold(1e-2), named.threshold(1e-2)
    assert 300 <= threshold.n_impostor <= 500
    assert threshold.resolvable
    assert "that the set declares" in threshold.provenance
    # Of all cross pairs 2.5 % are genuine: taken as impostor pairs they put the threshold among genuine scores.
    every = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = (every @ every.T)[np.triu_indices(len(every), 1)]
    wrong = np.quantile(scores, 0.99)
    assert wrong > truth.value + 0.3
    assert threshold.value == pytest.approx(truth.value, abs=0.08)
    result = run(unnamed, Params())
    assert (_metric(result, "verification.fnmr@fmr=1e-2").value or 0) < 0.1
    assert _metric(result, "verification.fmr@fmr=1e-2").n == sum(~unnamed.judged_pairs().same)
    assert "would need 3,000 calibration" in (_metric(result, "verification.fnmr@fmr=1e-3").missing or "")
    assert _metric(result, "verification.eer").n == len(pairs)
    assert any("Nobody is named" in caveat for caveat in result.caveats)


def test_no_declared_pair_is_lost_between_the_halves_and_none_is_in_both() -> None:
    _, _, pairs = _set()
    n = 2 * len(pairs)
    held = calibration_half(np.arange(n), 0, pairs)
    assert (held[pairs.left] == held[pairs.right]).all()
    assert 0.4 < held.mean() < 0.6
    # Where all pictures hang together, people are dealt and pairs between the halves are lost.
    chain = PairList(np.arange(40), np.arange(1, 41), np.arange(40) % 2 == 0, np.zeros(40, np.int64))
    held = calibration_half(np.arange(41), 0, chain)
    people = declared_people(np.arange(41), chain)
    assert all(len(set(held[people == person])) == 1 for person in people)
    assert 0.3 < held.mean() < 0.7


def test_pictures_that_genuine_pairs_link_are_one_person() -> None:
    pairs = PairList(
        np.array([0, 1, 3, 0]),
        np.array([1, 2, 4, 3]),
        np.array([True, True, True, False]),
        np.zeros(4, np.int64),
    )
    assert declared_people(np.arange(6), pairs).tolist() == [0, 0, 0, 1, 1, 2]


def test_without_a_declared_impostor_pair_there_is_a_reason_and_no_threshold() -> None:
    vectors, _, pairs = _set(people=8, each=4)
    genuine = PairList(*(part[pairs.same] for part in (pairs.left, pairs.right, pairs.same, pairs.fold)))
    with pytest.raises(InsufficientData, match="no impostor pair that the set declares"):
        calibrate(vectors, np.arange(len(vectors)), np.ones(len(vectors), bool), 0, genuine)


def test_other_analyses_ask_the_same_threshold_or_say_why_not() -> None:
    vectors, _, pairs = _set(people=40, each=8)
    context = vectors_context(
        vectors,
        np.arange(len(vectors)),
        pairs=pairs,
        identified=False,
        attributes={"gender": np.where(np.arange(len(vectors)) % 2, "a", "b")},
    )
    with pytest.raises(InsufficientData, match="names no identities"):
        bias.run(context, bias.Params())
    assert clean_threshold(context.scores, None).fmr_target == 1e-2  # 1e-3 is not resolvable on 80 pairs


def test_a_run_and_what_it_leaves_behind_agree(tmp_path: Path) -> None:
    vectors, _, pairs = _set()
    faces = faces_of(
        "bin",
        [f"{i:06d}" for i in range(len(vectors))],
        np.arange(len(vectors)),
        pairs=pairs,
        identified=False,
    )
    model = StoredVectors("model", vectors, np.ones(len(vectors), bool))
    run_vectors(faces, model, tmp_path / "a", only=("verification",))
    side = run_side(tmp_path / "a")
    assert side.evidence.notes == ()
    keys = {("verification.fnmr@fmr=1e-2", ""), ("verification.fnmr_target@fmr=1e-2", "")}
    assert keys <= set(side.evidence.events)
    found = side.evidence.sums["verification.fmr@fmr=1e-2", ""]
    assert found.rate == side.metrics["verification.fmr@fmr=1e-2", ""].value
    assert side.evidence.events["verification.fnmr@fmr=1e-2", ""].tail is not None
    derived_run(tmp_path / "a", "half", vectors[:, :32], tmp_path / "b")
    other = run_side(tmp_path / "b")
    assert other.inputs["dataset"]["identified"] is False
    assert other.evidence.pairs_digest == side.evidence.pairs_digest
    assert isinstance(stored.Thresholds(side.evidence.vectors, 0).calibration.left, np.ndarray)


def test_equal_files_of_a_pair_table_are_one_picture(tmp_path: Path) -> None:
    import cv2

    rng = np.random.default_rng(0)
    for name, seed in (("a", 0), ("b", 1), ("c", 2), ("d", 0)):
        picture = np.random.default_rng(seed).integers(0, 255, (40, 40, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
    del rng
    table = tmp_path.parent / "pairs.csv"
    table.write_text("left,right,same\na.png,b.png,1\nc.png,d.png,0\n")
    faces = open_faces(tmp_path, pairs=str(table))
    assert not faces.identified
    at = {name: int(faces.subjects[faces.ids.index(f"{name}.png")]) for name in "abcd"}
    assert at["a"] == at["b"] == at["d"] != at["c"]
