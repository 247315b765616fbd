"""A black box that finds the face itself is shown whole pictures, and a picture without face is counted."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from fraudit.audit.plan import AuditPlan
from fraudit.audit.runner import run_plan
from fraudit.embedding.loading import load_embedder
from fraudit.embedding.runtime import NO_FACE
from fraudit.errors import UsageError
from fraudit.faces.align import as_shown, fitted
from fraudit.types import ARCFACE_112, Preprocess

CODE = """
import hashlib
import cv2
import numpy as np
def box(images):
    \"\"\"Coarse grey levels of what is not black around the picture; no face in every tenth picture.\"\"\"
    found = []
    for image in images:
        lit = image[image.max((1, 2)) > 0][:, image.max((0, 2)) > 0]
        lost = lit.size == 0 or hashlib.md5(image.tobytes()).digest()[0] % 10 == 0
        found.append(None if lost else cv2.resize(lit, (8, 8), interpolation=cv2.INTER_AREA).mean(2).ravel() - 128.0)
    return found
box.input = "picture"
box.size = (240, 200)
box.dim = 64
def wrong(images): return box(images)
wrong.input = "face"
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    name = f"whole_{hashlib.md5(request.node.name.encode()).hexdigest()[:8]}"
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FRAUDIT_CACHE", str(tmp_path / "cache"))
    return f"python:{name}"


def test_a_picture_is_made_smaller_where_it_does_not_fit_and_never_larger() -> None:
    picture = np.full((100, 300, 3), 200, np.uint8)
    shown = fitted(picture, (150, 150))
    assert shown.shape == (150, 150, 3)
    assert (shown[50:100] == 200).all()
    assert not shown[:50].any()
    assert not shown[100:].any()
    small = fitted(picture[:40, :60], (150, 150))
    assert (small[55:95, 45:105] == 200).all()
    assert int((small > 0).sum()) == 40 * 60 * 3
    assert fitted(np.full((2000, 1, 3), 9, np.uint8), (64, 64)).any()  # a side never vanishes


def test_what_a_model_is_shown_is_the_aligned_face_or_the_whole_picture() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (130, 130, 3), dtype=np.uint8)
    aligned, whole = Preprocess((112, 112), ARCFACE_112), Preprocess((140, 140), ARCFACE_112, whole=True)
    np.testing.assert_array_equal(as_shown(picture, ARCFACE_112, aligned), picture[:112, :112])
    np.testing.assert_array_equal(as_shown(picture, ARCFACE_112, whole)[5:135, 5:135], picture)
    assert aligned.as_dict().get("whole") is None  # fingerprints of aligned boxes stay as they were
    assert whole.as_dict()["whole"] is True


def test_an_audit_of_whole_pictures(module: str, tmp_path: Path) -> None:
    params = {
        "robustness": {"probes": 8, "severities": (1, 5), "corruptions": ("gaussian_noise", "roll", "shift")}
    }
    plan = AuditPlan(
        f"{module}:box",
        "sample",
        limit=120,
        only=("verification", "robustness"),
        params=params,
        pictures="none",
    )
    record = run_plan(plan, tmp_path / "run")
    verification, robustness = record.results
    assert not record.failures
    lost = record.inputs["dataset"]["fta"]
    assert set(lost) == {NO_FACE}
    assert 2 <= lost[NO_FACE] <= 30
    fta = next(m for m in verification.metrics if m.name == "verification.fta")
    assert fta.value == pytest.approx(lost[NO_FACE] / record.inputs["dataset"]["n_faces"])
    assert "whole pictures" in record.inputs["dataset"]["detector"]
    cells = {m.name for m in robustness.metrics if m.name.startswith("robustness.fnmr.")}
    assert "robustness.fnmr.gaussian_noise.5" in cells
    assert not any("roll" in name or "shift" in name for name in cells)  # errors of an alignment of ours
    assert any("finds the face itself" in text for text in robustness.caveats)


def test_an_unknown_input_is_refused(module: str) -> None:
    with pytest.raises(UsageError, match="input must be aligned or picture"):
        load_embedder(f"{module}:wrong")


def test_a_note_about_a_model_is_in_the_record_and_among_the_caveats(tmp_path: Path, module: str) -> None:
    path = tmp_path / f"{module.removeprefix('python:')}.py"
    path.write_text("def box(images):\n    v = images.mean((1, 2))\n    return v - v.mean(0)\n")
    plan = AuditPlan(f"{module}:box", "sample", limit=60, only=("verification",), pictures="none")
    record = run_plan(plan, tmp_path / "run")
    (note,) = record.inputs["embedder"]["notes"]
    assert "depends on its batch" in note
    assert note in record.results[0].caveats
