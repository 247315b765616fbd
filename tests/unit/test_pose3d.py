"""Pose from a camera matrix by algebra, and of real faces by mirroring and turning them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fraudit.errors import WeightsError
from fraudit.faces import pose3d
from fraudit.types import ARCFACE_112


def camera(yaw: float, pitch: float, roll: float, scale: float = 5e-4) -> np.ndarray:
    """f32[1,62] parameters of a head turned by Rz(roll) Rx-and-Ry angles that `angles` is to give back."""
    y, p, r = np.radians([yaw, pitch, roll])
    turn = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    side = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    tilt = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    found = np.zeros((1, 62), np.float32)
    found[0, :12] = np.hstack([scale * tilt @ side @ turn, [[60], [74], [-66]]]).ravel()
    return found


@pytest.mark.parametrize("given", [(0, 0, 0), (30, 0, 0), (-50, 10, 5), (12, -25, 40), (80, 3, -60)])
def test_angles_are_read_back_from_a_camera(given: tuple[float, float, float]) -> None:
    found = pose3d.angles(camera(*given))[0]
    assert found == pytest.approx(given, abs=0.01)


def test_signs_are_those_of_a_picture() -> None:
    """A nose at z = 1: positive yaw moves it left, positive pitch down; positive roll lifts the right side."""
    nose, right = np.array([0, 0, 1.0]), np.array([1.0, 0, 0])
    matrix = {
        k: camera(*v)[0, :12].reshape(3, 4)[:, :3]
        for k, v in {"yaw": (20, 0, 0), "pitch": (0, 20, 0), "roll": (0, 0, 20)}.items()
    }
    assert (matrix["yaw"] @ nose)[0] < 0
    assert (matrix["pitch"] @ nose)[1] < 0  # y is up
    assert (matrix["roll"] @ right)[1] > 0


def test_profiles_have_no_roll() -> None:
    found = pose3d.angles(np.concatenate([camera(89, 0, 0), camera(-89, 0, 0)]))
    assert found[:, 0] == pytest.approx([90, -90])
    assert (found[:, 2] == 0).all()


def test_the_region_follows_the_published_proportions_and_the_box_the_points() -> None:
    left, top, side = pose3d.region(np.array([10.0, 20, 100, 140]))
    assert side == int(1.58 * 120)
    assert left == round(60 - side / 2)
    assert top == round(90 + 0.14 * 120 - side / 2)
    box = pose3d.face_box(ARCFACE_112)
    moved = pose3d.face_box(2 * ARCFACE_112 + np.array([7, 3], np.float32))
    assert moved == pytest.approx([2 * box[0] + 7, 2 * box[1] + 3, 2 * box[2], 2 * box[3]], rel=1e-5)
    assert box[2] == box[3]


def test_a_crop_outside_the_picture_is_black_there() -> None:
    white = np.full((112, 112, 3), 255, np.uint8)
    found = pose3d.crop(white, ARCFACE_112)
    assert found.shape == (120, 120, 3)
    assert found[60, 60].tolist() == [255] * 3
    assert found[119, 60].tolist() == [0] * 3


def test_proxies_turn_with_the_points() -> None:
    around = np.radians(25)
    turn = np.array([[np.cos(around), np.sin(around)], [-np.sin(around), np.cos(around)]])  # y is down
    turned = ((ARCFACE_112 - 56) @ turn.T + 56).astype(np.float32)
    rolls = pose3d.roll_proxy(np.stack([ARCFACE_112, turned]))
    assert rolls[1] - rolls[0] == pytest.approx(25, abs=1e-3)
    yaws = pose3d.yaw_proxy(np.stack([ARCFACE_112, turned]))
    assert yaws[1] == pytest.approx(yaws[0], abs=1e-5)
    to_the_left = ARCFACE_112.copy()
    to_the_left[2, 0] -= 10
    assert pose3d.yaw_proxy(to_the_left[None])[0] > yaws[0] + 0.2


def test_missing_weights_are_said_with_the_way_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pose3d, "weights_folders", lambda: [tmp_path])
    assert "3ddfa_v2_mb05_120x120.pth" in pose3d.missing()
    with pytest.raises(WeightsError) as caught:
        pose3d.open_pose3d()
    assert "FRAUDIT_WEIGHTS" in caught.value.hint


@pytest.fixture(scope="module")
def network(shared_weights: Path) -> pose3d.Pose3D:
    return pose3d.Pose3D(shared_weights / pose3d.NETWORK_FILE, shared_weights / pose3d.SCALE_FILE)


def test_folded_normalisation_equals_the_plain_network(network: pose3d.Pose3D, shared_weights: Path) -> None:
    """Against a plain nn.Module of the same MobileNet, eval mode, unfolded."""
    import torch
    from torch import nn

    from fraudit.weights.checkpoints import read_state

    state = {
        k.removeprefix("module."): v for k, v in read_state(shared_weights / pose3d.NETWORK_FILE).items()
    }

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        layer = nn.BatchNorm2d(x.shape[1]).eval()
        layer.load_state_dict(
            {k: state[f"{name}.{k}"] for k in ("weight", "bias", "running_mean", "running_var")}, strict=False
        )
        return layer(x).relu()

    crops = np.random.default_rng(0).integers(0, 256, (2, 120, 120, 3), dtype=np.uint8)
    x = torch.from_numpy((crops[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 128)
    strides = dict.fromkeys(("dw2_2", "dw3_2", "dw4_2", "dw5_6"), 2)
    with torch.no_grad():
        x = norm("bn1", nn.functional.conv2d(x, state["conv1.weight"], stride=2, padding=1))
        blocks = [k.removesuffix(".conv_dw.weight") for k in state if k.endswith("conv_dw.weight")]
        assert len(blocks) == 13
        for name in blocks:
            weight = state[f"{name}.conv_dw.weight"]
            x = nn.functional.conv2d(x, weight, stride=strides.get(name, 1), padding=1, groups=len(weight))
            x = norm(f"{name}.bn_dw", x)
            x = norm(f"{name}.bn_sep", nn.functional.conv2d(x, state[f"{name}.conv_sep.weight"]))
        raw = nn.functional.linear(x.mean((2, 3)), state["fc_param.weight"], state["fc_param.bias"]).numpy()
    with np.load(shared_weights / pose3d.SCALE_FILE) as scale:
        expected = raw * scale["std"] + scale["mean"]
    assert network.of_crops(crops) == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_real_faces_mirrored_and_turned(network: pose3d.Pose3D, shared_data: Path) -> None:
    from fraudit.faces.detect import locate, missing
    from fraudit.faces.sources import open_faces

    if missing("yunet"):
        pytest.skip(f"no detector: {missing('yunet')}")
    faces = open_faces(str(shared_data / "celeba-10k.zip"))
    rows = np.arange(0, 10_000, 50)
    points = locate(faces, rows, "yunet").points
    rows, points = rows[np.isfinite(points).all((1, 2))], points[np.isfinite(points).all((1, 2))]
    pictures = [faces.read(int(i)) for i in rows]
    plain = pose3d.angles(network.parameters(pictures, points))

    height, width = pictures[0].shape[:2]
    # CelebA is aligned, so that its rolls are near 0: every face is turned by an angle of its own first.
    own = np.random.default_rng(0).uniform(-25, 25, len(rows))
    ways = [cv2.getRotationMatrix2D((width / 2, height / 2), d, 1) for d in own]  # positive: anticlockwise
    tilted = [
        cv2.warpAffine(p, m, (width, height), borderMode=cv2.BORDER_REPLICATE)
        for p, m in zip(pictures, ways, strict=True)
    ]
    at = np.stack([p @ m[:, :2].T + m[:, 2] for p, m in zip(points, ways, strict=True)]).astype(np.float32)
    mirrored = at[:, [1, 0, 2, 4, 3]].copy()
    mirrored[..., 0] = width - 1 - mirrored[..., 0]
    seen = pose3d.angles(network.parameters(tilted, at))
    flipped = pose3d.angles(network.parameters([np.ascontiguousarray(p[:, ::-1]) for p in tilted], mirrored))
    assert np.corrcoef(seen[:, 0], flipped[:, 0])[0, 1] < -0.9
    assert np.corrcoef(seen[:, 2], flipped[:, 2])[0, 1] < -0.9
    assert np.corrcoef(seen[:, 1], flipped[:, 1])[0, 1] > 0.9
    assert np.median(np.abs(seen + flipped * [1, -1, 1]), axis=0).max() < 3
    assert np.corrcoef(own, seen[:, 2])[0, 1] > 0.9
    assert np.corrcoef(plain[:, 0], pose3d.yaw_proxy(points))[0, 1] > 0.9

    for degrees in (-20, 10):
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
        turned = [
            cv2.warpAffine(p, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE) for p in pictures
        ]
        moved = (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
        change = pose3d.angles(network.parameters(turned, moved)) - plain
        assert np.median(change[:, 2]) == pytest.approx(degrees, abs=1)
        assert abs(np.median(change[:, 0])) < 1.5
