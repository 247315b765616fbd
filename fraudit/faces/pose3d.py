"""Head pose and expression by 3DDFA_V2 (Guo et al., ECCV 2020), and proxies from five landmarks.

The network is a MobileNet of half width that answers 62 numbers for a 120 x 120 face: a 3 x 4 scaled
orthographic camera, 40 coefficients of shape and 10 of expression. Its coordinates are x to the right, y UP
and z towards the viewer, so that with R the camera's rotation (rows r1, r2 normalised, r3 = r1 x r2):

    yaw   = asin(R[2,0])             positive: the nose points to the viewer's left
    pitch = atan2(R[2,1], R[2,2])    positive: the nose points down
    roll  = atan2(R[1,0], R[0,0])    positive: the head tilts anticlockwise as the viewer sees it

all in degrees. Within 3.6 degrees of profile (|R[2,0]| > 0.998) yaw is +-90 and roll 0, as published.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fraudit.errors import WeightsError
from fraudit.faces.detect import weights_folders
from fraudit.types import F32, F64, U8
from fraudit.weights.checkpoints import read_state

if TYPE_CHECKING:
    import torch

SIDE_PX = 120
NETWORK_FILE = "3ddfa_v2_mb05_120x120.pth"
SCALE_FILE = "3ddfa_v2_param_mean_std_62d.npz"
EXPRESSIONS = 10
PROFILE = 0.998

# A YuNet box from five points, measured on 800 pictures of CelebA and LFW: half of its width plus height is
# 4.14 times the RMS distance of the points from their mean (coefficient of variation 2.5 %); its centre lies
# 0.075 of that above the middle between eyes and mouth (standard deviation 0.024; across 0.07).
BOX_SIDE = 4.14
BOX_UP = 0.075

# Stride of each depthwise block in order; the widths are the file's own.
_BLOCKS = (
    ("dw2_1", 1), ("dw2_2", 2), ("dw3_1", 1), ("dw3_2", 2), ("dw4_1", 1), ("dw4_2", 2), ("dw5_1", 1),
    ("dw5_2", 1), ("dw5_3", 1), ("dw5_4", 1), ("dw5_5", 1), ("dw5_6", 2), ("dw6", 1),
)  # fmt: skip


def face_box(landmarks: F32) -> F64:
    """(x, y, width, height) in pixels of the square box that stands for a detector's, from f32[5,2] points."""
    points = np.asarray(landmarks, np.float64)
    side = BOX_SIDE * np.sqrt(((points - points.mean(0)) ** 2).sum(1).mean())
    middle = (points[:2].mean(0) + points[3:].mean(0)) / 2
    corner = middle - side * np.array([0.5, 0.5 + BOX_UP])
    return np.array([*corner, side, side])


def region(box: F64) -> tuple[int, int, int]:
    """(left, top, side) in whole pixels of the square that 3DDFA_V2 looks at, for a box (x, y, w, h)."""
    mean_side = (box[2] + box[3]) / 2
    side = int(1.58 * mean_side)
    x = box[0] + box[2] / 2 - side / 2
    y = box[1] + box[3] / 2 + 0.14 * mean_side - side / 2
    return round(float(x)), round(float(y)), max(side, 1)


def crop(image: U8, landmarks: F32) -> U8:
    """u8[120,120,3] RGB: the region of a face in u8[H,W,3] RGB, bilinear, black outside the picture."""
    left, top, side = region(face_box(landmarks))
    step = side / SIDE_PX
    # Pixel centres: 120-pixel column u lies at left + (u + 0.5) * step - 0.5.
    matrix = np.array([[step, 0, left + step / 2 - 0.5], [0, step, top + step / 2 - 0.5]])
    found = cv2.warpAffine(image, matrix, (SIDE_PX, SIDE_PX), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.asarray(found, np.uint8)


def angles(parameters: F32) -> F64:
    """Yaw, pitch and roll in degrees, f64[N,3], of f32[N,62] parameters."""
    camera = np.asarray(parameters, np.float64)[:, :12].reshape(-1, 3, 4)
    r1, r2 = (camera[:, k, :3] / np.linalg.norm(camera[:, k, :3], axis=1, keepdims=True) for k in (0, 1))
    r3 = np.cross(r1, r2)
    sine = np.clip(r3[:, 0], -1, 1)
    profile = np.abs(sine) > PROFILE
    side = np.sign(sine)
    yaw = np.where(profile, side * np.pi / 2, np.arcsin(sine))
    pitch = np.where(profile, np.arctan2(-side * r1[:, 1], -side * r1[:, 2]), np.arctan2(r3[:, 1], r3[:, 2]))
    roll = np.where(profile, 0.0, np.arctan2(r2[:, 0], r1[:, 0]))
    return np.degrees(np.stack([yaw, pitch, roll], axis=1))


def expression(parameters: F32) -> F64:
    """The ten expression coefficients f64[N,10] of f32[N,62] parameters."""
    return np.asarray(parameters, np.float64)[:, 52:62]


class Pose3D:
    """3DDFA_V2's MobileNet with batch normalisation folded into its convolutions.

    Args:
        network: the checkpoint. scale: the .npz with mean and std f32[62] of the parameters.
    Raises:
        WeightsError: a file is missing, damaged, or of another network.
    """

    def __init__(self, network: Path, scale: Path) -> None:

        state = {key.removeprefix("module."): value for key, value in read_state(network).items()}
        self._layers: list[tuple[torch.Tensor, torch.Tensor, int, int]] = []
        try:
            self._add(state, "conv1", "bn1", 2)
            for name, stride in _BLOCKS:
                self._add(state, f"{name}.conv_dw", f"{name}.bn_dw", stride)
                self._add(state, f"{name}.conv_sep", f"{name}.bn_sep", 1)
            self._head = (state["fc_param.weight"], state["fc_param.bias"])
        except KeyError as error:
            raise WeightsError(
                f"{network.name}: expected 3DDFA_V2's MobileNet, found no tensor {error}",
                f"use {NETWORK_FILE}",
            ) from error
        if len(self._head[0]) != 62:
            raise WeightsError(f"{network.name}: expected 62 parameters, found {len(self._head[0])}")
        try:
            with np.load(scale, allow_pickle=False) as stored:
                self._mean, self._std = (stored[k].astype(np.float32).reshape(62) for k in ("mean", "std"))
        except (OSError, KeyError, ValueError) as error:
            raise WeightsError(f"{scale.name}: expected mean and std of 62 parameters: {error}") from error
        digest = hashlib.sha256(network.read_bytes())
        digest.update(scale.read_bytes())
        self.fingerprint = f"3ddfa-v2-1/{digest.hexdigest()}"

    def _add(self, state: dict[str, torch.Tensor], conv: str, norm: str, stride: int) -> None:
        import torch

        weight = state[f"{conv}.weight"]
        gain = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + 1e-5)
        bias = state[f"{norm}.bias"] - gain * state[f"{norm}.running_mean"]
        groups = len(weight) if weight.shape[1] == 1 else 1
        self._layers.append((weight * gain[:, None, None, None], bias, stride, groups))

    def of_crops(self, crops: U8) -> F32:
        """Parameters f32[N,62] of u8[N,120,120,3] RGB regions."""
        import torch
        from torch.nn import functional

        bgr = crops[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32)
        with torch.inference_mode():
            x = torch.from_numpy((bgr - 127.5) / 128)
            for weight, bias, stride, groups in self._layers:
                x = functional.conv2d(x, weight, bias, stride, weight.shape[-1] // 2, 1, groups).relu_()
            answer = functional.linear(x.mean(dim=(2, 3)), *self._head).numpy()
        return np.asarray(answer * self._std + self._mean, np.float32)

    def parameters(self, pictures: Iterable[U8], landmarks: F32, batch: int = 64) -> F32:
        """Parameters f32[N,62] of N pictures u8[H,W,3] RGB with f32[N,5,2] finite points."""
        found: list[F32] = []
        waiting: list[U8] = []
        for picture, points in zip(pictures, landmarks, strict=True):
            waiting.append(crop(picture, points))
            if len(waiting) == batch:
                found.append(self.of_crops(np.stack(waiting)))
                waiting = []
        if waiting:
            found.append(self.of_crops(np.stack(waiting)))
        return np.concatenate(found) if found else np.zeros((0, 62), np.float32)


def _files() -> tuple[Path, Path] | None:
    for folder in weights_folders():
        if (folder / NETWORK_FILE).is_file() and (folder / SCALE_FILE).is_file():
            return folder / NETWORK_FILE, folder / SCALE_FILE
    return None


def missing() -> str:
    """Why 3DDFA_V2 cannot run here, or ''."""
    if _files():
        return ""
    return f"{NETWORK_FILE} and {SCALE_FILE} are not here; put them into the folder $FRAUDIT_WEIGHTS names"


def open_pose3d() -> Pose3D:
    """The network from the weights folders.

    Raises:
        WeightsError: its files are missing or wrong.
    """
    files = _files()
    if files is None:
        raise WeightsError(f"3DDFA_V2 cannot run here: {missing()}", "put both files into $FRAUDIT_WEIGHTS")
    return _opened(*files)


@functools.lru_cache(maxsize=2)
def _opened(network: Path, scale: Path) -> Pose3D:
    return Pose3D(network, scale)


def roll_proxy(landmarks: F32) -> F64:
    """Degrees f64[N] by which the line through the eyes is turned anticlockwise, from f32[N,5,2] points."""
    line = np.asarray(landmarks, np.float64)[:, 1] - np.asarray(landmarks, np.float64)[:, 0]
    return np.degrees(np.arctan2(-line[:, 1], line[:, 0]))


def yaw_proxy(landmarks: F32) -> F64:
    """How far the nose lies off the middle of eyes and mouth along the line of the eyes, f64[N].

    In distances between the eyes, positive towards the viewer's left as yaw is; no angle.
    """
    points = np.asarray(landmarks, np.float64)
    line = points[:, 1] - points[:, 0]
    middle = (points[:, :2].mean(1) + points[:, 3:].mean(1)) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return -((points[:, 2] - middle) * line).sum(1) / (line**2).sum(1)
