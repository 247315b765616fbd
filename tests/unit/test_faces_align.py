"""Alignment: the closed form against linear least squares, and where pixels land."""

import numpy as np
import pytest

from fraudit.errors import DataError
from fraudit.faces.align import align, similarity_transform, similarity_transforms
from fraudit.types import ARCFACE_112


def least_squares(src, dst):
    """a x - b y + tx, b x + a y + ty: the four-parameter linear system."""
    rows, wanted = [], []
    for (x, y), (u, v) in zip(src, dst, strict=True):
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
        wanted += [u, v]
    a, b, tx, ty = np.linalg.lstsq(np.array(rows, float), np.array(wanted, float), rcond=None)[0]
    return np.array([[a, -b, tx], [b, a, ty]])


def test_the_transform_is_the_least_squares_solution():
    rng = np.random.default_rng(1)
    for _ in range(50):
        src = rng.normal(100, 40, (5, 2))
        dst = rng.normal(56, 20, (5, 2))
        np.testing.assert_allclose(similarity_transform(src, dst), least_squares(src, dst), atol=1e-9)


def test_a_planted_rotation_and_scale_is_recovered():
    angle, scale = np.deg2rad(23.0), 0.37
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    src = np.array([[90, 110], [160, 112], [124, 150], [98, 190], [150, 191]], float)
    found = similarity_transform(src, src @ turn.T + [7, -3])
    np.testing.assert_allclose(found, np.c_[turn, [7, -3]], atol=1e-10)


@pytest.mark.parametrize(
    "points",
    [
        np.full((5, 2), 40.0),
        np.full((5, 2), np.nan),
        np.r_[np.zeros((4, 2)), [[0.3, 0.2]]],
        np.full((5, 2), np.inf),
    ],
    ids=["one spot", "nan", "a third of a pixel", "inf"],
)
def test_degenerate_landmarks_are_refused(points):
    with pytest.raises(DataError, match="degenerate landmarks"):
        similarity_transform(points, ARCFACE_112)


def test_wrong_shapes_are_refused():
    with pytest.raises(DataError, match=r"\[K,2\]"):
        similarity_transform(np.zeros((5, 3)), ARCFACE_112)
    with pytest.raises(DataError, match="u8"):
        align(np.zeros((9, 9), np.uint8), ARCFACE_112, (112, 112), ARCFACE_112)


def test_landmarks_on_the_template_leave_the_picture_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    np.testing.assert_array_equal(align(image, ARCFACE_112, (112, 112), ARCFACE_112), image)


def test_a_shift_moves_pixels_and_fills_with_black():
    image = np.full((112, 112, 3), 200, np.uint8)
    moved = align(image, ARCFACE_112 - [10, 0], (112, 112), ARCFACE_112)  # content moves right by 10
    assert (moved[:, :10] == 0).all()
    assert (moved[:, 10:] == 200).all()


def test_the_size_is_height_then_width():
    image = np.zeros((250, 250, 3), np.uint8)
    assert align(image, ARCFACE_112, (112, 96), ARCFACE_112 - [8, 0]).shape == (112, 96, 3)


def test_many_transforms_are_those_of_single_faces_and_bad_rows_are_kept_apart():
    points = ARCFACE_112 + np.random.default_rng(2).normal(0, 3, (3, 5, 2)).astype(np.float32)
    points[1] = np.nan
    matrices, good = similarity_transforms(points, ARCFACE_112)
    assert good.tolist() == [True, False, True]
    assert (matrices[1] == 0).all()
    for row in (0, 2):
        np.testing.assert_allclose(matrices[row], similarity_transform(points[row], ARCFACE_112), rtol=1e-9)
