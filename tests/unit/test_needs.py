"""What a set does not have is a reason not to run an analysis, never a failure of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fraudit.audit.context import AnalysisContext
from fraudit.audit.execute import run_one
from fraudit.audit.plan import AuditPlan
from fraudit.audit.scoring import prepare, run_scorer
from fraudit.audit.stored_vectors import StoredVectors, faces_of, run_vectors
from fraudit.embedding.loading import load_embedder
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.files.store import Store
from fraudit.plugins import ANALYSES
from fraudit.types import FaceSet
from tests.fixtures.boxes import face_set, identity_faces, luma_pattern

QUICK: dict[str, dict[str, Any]] = {
    "robustness": {"corruptions": ("grey", "jpeg"), "severities": (1, 5), "probes": 8},
    # What a set lacks meets the comparison, not the methods: two that attack quickly, and one that nothing is bundled
    # for. By default all of them ask 400 questions a picture: a minute and more for each of these sets.
    "rivals": {"methods": ("id3pm", "gaussian", "latent"), "people": 4, "questions": 8, "pool": 40},
}
# name -> people, pictures of each, attributes
SETS: dict[str, tuple[int, int, dict[str, Any]]] = {
    "one_picture": (1, 1, {}),
    "one_person": (1, 6, {"male": [0.0, 1.0] * 3}),
    "two_people": (2, 2, {}),
    "five_people": (5, 2, {"male": [0.0, 0.0, 1.0, 1.0] * 2 + [0.0, 0.0]}),
    "one_group": (12, 2, {"male": [1.0] * 24}),
    "no_usual_attribute": (12, 2, {"shade": np.linspace(0, 1, 24)}),
    "many_words": (12, 2, {"race": np.array([f"group{k}" for k in range(24)])}),
    "nothing_known": (12, 2, {"male": [np.nan] * 24, "race": np.array([""] * 24)}),
    "nobody_twice": (24, 1, {"male": [0.0, 1.0] * 12}),
    "no_attributes": (24, 2, {}),
}


def faces_named(name: str, identified: bool) -> FaceSet:
    people, each, attributes = SETS[name]
    images, subjects = identity_faces(people, each, seed=1)
    if not identified:
        subjects = np.arange(len(images))
    return face_set(
        images, subjects, attributes={k: np.asarray(v) for k, v in attributes.items()}, identified=identified
    )


@pytest.mark.parametrize("identified", [True, False], ids=["identified", "unknown"])
@pytest.mark.parametrize("name", sorted(SETS))
def test_no_analysis_fails_for_what_a_set_lacks(name: str, identified: bool, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    box = EmbedderRuntime(load_embedder("python:tests.fixtures.boxes:luma_pattern"), store)
    plan = AuditPlan("luma", name, pictures="none")
    context = AnalysisContext(plan, faces_named(name, identified), box, store=store, run_dir=tmp_path)
    failed, status = {}, {}
    for key, analysis in ANALYSES.items():
        result, failure = run_one(analysis, context, analysis.params(**QUICK.get(key, {})))
        status[key] = result.status
        if failure:
            failed[key] = failure["traceback"]
        if result.status == "not_run":
            assert result.reason
    assert not failed, "\n".join(failed.values())
    assert status["inversion"] == "not_run"


def patterns(left: Any, right: Any) -> np.ndarray:
    """A box that compares two lists of pictures and gives no vectors."""
    a, b = luma_pattern(left), luma_pattern(right)
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize("limit", [4, 24])
def test_a_scorer_on_a_handful_of_people_runs_what_can_be_run(limit: int, tmp_path: Path) -> None:
    plan = AuditPlan(
        "scorer", "sample", limit=limit, pictures="none", params={"scorer": {"corruptions": ("grey",)}}
    )
    prepared = prepare(plan, "python:tests.unit.test_needs:patterns", tmp_path / "run")
    try:
        record = run_scorer(prepared)
    finally:
        prepared.runtime.close()
    status = {result.name: result for result in record.results}
    assert not record.failures
    assert status["verification"].status == "done"
    assert all(result.reason for result in record.results if result.status == "not_run")
    if limit == 4:
        assert "at least 2 people" in status["robustness"].reason


def test_stored_vectors_name_what_needs_pictures_and_fail_in_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(40), 3)
    vectors = (rng.normal(size=(40, 32))[subjects] + 0.5 * rng.normal(size=(120, 32))).astype(np.float32)
    faces = faces_of(
        "stored", [f"{k:03d}" for k in range(120)], subjects, {"male": (subjects % 2).astype(float)}
    )
    model = StoredVectors("kept", vectors, np.ones(120, bool))
    record = run_vectors(faces, model, tmp_path / "run", only=[name for name, _ in ANALYSES.items()])
    assert not record.failures
    status = {result.name: (result.status, result.reason) for result in record.results}
    assert status["verification"][0] == status["bias"][0] == "done"
    assert status["robustness"][0] == "not_run"
    assert "no pictures" in status["robustness"][1]
