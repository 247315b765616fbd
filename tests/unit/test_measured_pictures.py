"""What is measured in a picture is measured once, whatever analysis asks for it and beside whatever others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fraudit.analyses.shared.measured import TOGETHER, face_measures
from fraudit.faces import pose3d, quality
from fraudit.faces.align import align
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
