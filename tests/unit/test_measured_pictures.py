"""What is measured in a picture is measured once, whatever analysis asks for it and beside whatever others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fraudit.analyses.shared.measured import TOGETHER, detector_scores, face_measures
from fraudit.audit.context import AnalysisContext
from fraudit.errors import InsufficientData
from fraudit.faces import pose3d, quality
from fraudit.faces.align import align
from fraudit.faces.boxes import Detection
from fraudit.faces.detect import LandmarkCache, Locator
from fraudit.files.store import Store
from fraudit.types import ARCFACE_112
from tests.fixtures.contexts import planted_context

N = TOGETHER + 30


@pytest.fixture
def context():
    rng = np.random.default_rng(4)
    grey = rng.integers(40, 200, N)
    noise = rng.normal(0, 25, (N, 112, 112, 3))
    pictures = np.clip(grey[:, None, None, None] + noise, 0, 255).astype(np.uint8)
    return planted_context(list(pictures), np.arange(N) // 2)


def read(context, monkeypatch) -> list[int]:
    """The pictures that are decoded from here on."""
    seen: list[int] = []
    plain = context.picture
    monkeypatch.setattr(context, "picture", lambda index: seen.append(index) or plain(index))
    return seen


def test_light_is_that_of_the_aligned_face_and_is_measured_once(context, monkeypatch) -> None:
    points, seen = context.landmarks()[0], read(context, monkeypatch)
    rows = np.arange(10, 90)
    found = face_measures(context, rows, points[rows], None, "light")
    assert found.pose is None
    assert seen == rows.tolist()
    shape = context.embedder.spec.preprocess
    face = align(context.faces.read(12), points[12], shape.size, shape.template)
    expected = (quality.sharpness(face), quality.brightness(face), quality.contrast(face))
    assert tuple(found.light[2]) == expected
    seen.clear()
    more = np.r_[85:N, 0:20]
    again = face_measures(context, more, points[more], None, "light")
    assert seen == [*range(90, N), *range(10)]
    np.testing.assert_array_equal(again.light[:5], found.light[75:80])
    moved = points[rows[:3]] + np.float32(1)
    seen.clear()
    face_measures(context, rows[:3], moved, None, "light")
    assert len(seen) == 3  # another place in the picture is another face
    assert face_measures(context, rows[:0], points[:0], None, "light").light.shape == (0, 3)


def test_pose_does_not_hang_on_who_was_asked_about_before(context, monkeypatch, shared_weights: Path) -> None:
    network = pose3d.Pose3D(shared_weights / pose3d.NETWORK_FILE, shared_weights / pose3d.SCALE_FILE)
    points = context.landmarks()[0]
    every = np.arange(N)
    few = face_measures(context, every[:3], points[:3], network, "pose")
    seen = read(context, monkeypatch)
    whole = face_measures(context, every, points, network, "pose")
    assert seen == list(range(3, N))
    plain = network.parameters([context.faces.read(i) for i in range(N)], points)
    np.testing.assert_allclose(whole.pose, plain, rtol=1e-4, atol=1e-2)
    np.testing.assert_array_equal(whole.pose[:3], few.pose)
    np.testing.assert_array_equal(whole.pose[:TOGETHER], plain[:TOGETHER])


class Levels:
    """A detector that is as sure as a picture is bright, finds nobody in a dark one, and counts its questions."""

    name = fingerprint = "levels"

    def __init__(self) -> None:
        self.calls = 0

    def find(self, image: np.ndarray) -> list[Detection]:
        self.calls += 1
        level = float(image.mean()) / 255
        return [Detection((0.0, 0.0, 112.0, 112.0), ARCFACE_112, level)] if level > 0.3 else []


def test_a_detector_that_was_asked_for_landmarks_is_not_asked_for_scores(tmp_path: Path) -> None:
    plain = planted_context(
        [np.full((112, 112, 3), 10 + 9 * i, np.uint8) for i in range(20)],
        np.arange(20),
        locate=lambda _: None,
    )
    levels = Levels()
    rows = np.arange(2, 20)
    expected = [plain.picture(i).mean() / 255 for i in rows]

    def scores() -> np.ndarray:
        context = AnalysisContext(
            plain.plan,
            plain.faces,
            plain.embedder,
            store=Store(tmp_path / "store"),
            run_dir=tmp_path,
            locate=Locator(levels, cache=LandmarkCache(tmp_path / "landmarks.sqlite")),  # type: ignore[arg-type]
        )
        context.embeddings()
        assert levels.calls == 20
        return detector_scores(context, rows)

    for _ in range(2):
        np.testing.assert_array_equal(scores(), np.where(np.array(expected) > 0.3, expected, np.nan))
    assert levels.calls == 20


def test_a_set_that_declares_its_landmarks_has_no_scores(context) -> None:
    with pytest.raises(InsufficientData, match="declares its landmarks"):
        detector_scores(context, np.arange(3))
