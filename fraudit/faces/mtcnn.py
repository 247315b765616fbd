"""MTCNN (Zhang et al. 2016): three small networks in a cascade, on facenet-pytorch's weight files.

Only that package's data files are read (`data/{pnet,rnet,onet}.pt`); the package itself pins an old torch
and is not imported. Its conventions are kept, since the weights and FaceNet's crops were made with them:
area interpolation, (pixel - 127.5) / 128, one-based inclusive boxes, dense layers over (x, y, channel). One
is not: a box that leaves the picture is filled with black, as in the paper's own code. facenet-pytorch
stretches what is left of it, which misplaces the points of tight chips by a third of the eyes' distance
(UTKFace). Where no box leaves the picture both give the same points to 1e-4 px.
"""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fraudit.errors import PluginError, WeightsError
from fraudit.faces.boxes import Detection, non_maximum_suppression
from fraudit.faces.installed import package_file
from fraudit.types import F64, U8

MIN_FACE_PX = 20
FACTOR = 0.709
THRESHOLDS = (0.6, 0.7, 0.7)
CHUNK = 512
_CELL, _STRIDE = 12, 2  # the proposal network's window and step

Weights = dict[str, Tensor]


def _conv(x: Tensor, w: Weights, k: str) -> Tensor:
    x = F.conv2d(x, w[f"conv{k}.weight"], w[f"conv{k}.bias"])
    return F.prelu(x, w[f"prelu{k}.weight"])


def _dense(x: Tensor, w: Weights, name: str) -> Tensor:
    return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])


def _pool(x: Tensor, size: int) -> Tensor:
    return F.max_pool2d(x, size, 2, ceil_mode=True)


def _proposal(x: Tensor, w: Weights) -> tuple[Tensor, Tensor]:
    """[1,3,H,W] -> face probability [h,w], box correction [4,h,w]."""
    x = _conv(_conv(_pool(_conv(x, w, "1"), 2), w, "2"), w, "3")
    score = F.conv2d(x, w["conv4_1.weight"], w["conv4_1.bias"]).softmax(1)
    return score[0, 1], F.conv2d(x, w["conv4_2.weight"], w["conv4_2.bias"])[0]


def _refinement(x: Tensor, w: Weights) -> tuple[Tensor, Tensor]:
    """[N,3,24,24] -> face probability [N], box correction [N,4]."""
    x = _conv(_pool(_conv(_pool(_conv(x, w, "1"), 3), w, "2"), 3), w, "3")
    x = F.prelu(_dense(x.permute(0, 3, 2, 1).flatten(1), w, "dense4"), w["prelu4.weight"])
    return _dense(x, w, "dense5_1").softmax(1)[:, 1], _dense(x, w, "dense5_2")


def _output(x: Tensor, w: Weights) -> tuple[Tensor, Tensor, Tensor]:
    """[N,3,48,48] -> face probability [N], box correction [N,4], points [N,10] (five x, then five y)."""
    x = _pool(_conv(_pool(_conv(_pool(_conv(x, w, "1"), 3), w, "2"), 3), w, "3"), 2)
    x = _conv(x, w, "4").permute(0, 3, 2, 1).flatten(1)
    x = F.prelu(_dense(x, w, "dense5"), w["prelu5.weight"])
    return _dense(x, w, "dense6_1").softmax(1)[:, 1], _dense(x, w, "dense6_2"), _dense(x, w, "dense6_3")


def _corrected(boxes: F64, by: F64) -> F64:
    sides = (boxes[:, 2:] - boxes[:, :2] + 1)[:, [0, 1, 0, 1]]
    return boxes + by * sides


def _squared(boxes: F64) -> F64:
    sides = boxes[:, 2:] - boxes[:, :2]
    longest = sides.max(axis=1, keepdims=True)
    low = boxes[:, :2] + sides / 2 - longest / 2
    return np.concatenate([low, low + longest], axis=1)


def _crops(picture: Tensor, boxes: F64, size: int) -> tuple[Tensor, np.ndarray]:
    """[M,3,size,size] parts, black outside the picture, and the indices of the boxes that touch it."""
    height, width = picture.shape[2:]
    whole = np.trunc(boxes).astype(int)
    low, high = whole[:, :2] - 1, whole[:, 2:]
    inside = np.flatnonzero(((high > 0) & (low < [width, height]) & (high > low)).all(axis=1))
    parts = [_part(picture, (*low[i].tolist(), *high[i].tolist()), size) for i in inside]
    return (torch.cat(parts) if parts else picture.new_zeros(0, 3, size, size)), inside


def _part(picture: Tensor, box: tuple[int, int, int, int], size: int) -> Tensor:
    left, top, right, bottom = box
    height, width = picture.shape[2:]
    seen = picture[:, :, max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    margins = (max(-left, 0), max(right - width, 0), max(-top, 0), max(bottom - height, 0))
    if any(margins):
        seen = F.pad(seen, margins)
    return F.interpolate(seen, (size, size), mode="area")


class Mtcnn:
    """Detector `mtcnn`.

    Raises:
        PluginError: facenet-pytorch is not installed.
        WeightsError: its weight files cannot be read.
    """

    name = "mtcnn"

    def __init__(self, folder: Path | None = None) -> None:
        found = package_file("facenet_pytorch", "data/onet.pt") if folder is None else folder / "onet.pt"
        if found is None:
            raise PluginError(
                "MTCNN's weights come with facenet-pytorch, which is not installed",
                "pip install --no-deps facenet-pytorch",
            )
        state = hashlib.sha256()
        weights = []
        for name in ("pnet", "rnet", "onet"):
            path = found.parent / f"{name}.pt"
            try:
                state.update(path.read_bytes())
                weights.append(torch.load(path, map_location="cpu", weights_only=True))
            except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as error:
                raise WeightsError(f"{path} cannot be read", "reinstall facenet-pytorch") from error
        self._proposal, self._refinement, self._output = weights
        self.fingerprint = f"mtcnn-1/{state.hexdigest()}"

    @torch.inference_mode()
    def find(self, image: U8) -> list[Detection]:
        """All faces of 20 pixels and more in u8[H,W,3] RGB."""
        picture = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()
        boxes = self._propose(picture)
        crops, inside = _crops(picture, boxes, 24)
        boxes = boxes[inside]
        score, by = self._ask(_refinement, self._refinement, crops)
        good = score > THRESHOLDS[1]
        boxes, score, by = boxes[good], score[good], by[good]
        kept = non_maximum_suppression(boxes, score, 0.7)
        boxes = _squared(_corrected(boxes[kept], by[kept]))
        crops, inside = _crops(picture, boxes, 48)
        boxes = boxes[inside]
        score, by, marks = self._ask(_output, self._output, crops)
        good = score > THRESHOLDS[2]
        boxes, score, by, marks = boxes[good], score[good], by[good], marks[good]
        sides = boxes[:, None, 2:] - boxes[:, None, :2] + 1
        points = boxes[:, None, :2] + np.stack([marks[:, :5], marks[:, 5:]], axis=2) * sides - 1
        boxes = _corrected(boxes, by)
        answers = []
        for i in non_maximum_suppression(boxes, score, 0.7, over="smaller", pixel=1):
            x1, y1, x2, y2 = map(float, boxes[i])
            answers.append(
                Detection((x1, y1, x2 - x1, y2 - y1), points[i].astype(np.float32), float(score[i]))
            )
        return answers

    def _propose(self, picture: Tensor) -> F64:
        height, width = picture.shape[2:]
        scale = _CELL / MIN_FACE_PX
        found: list[F64] = []
        while min(height, width) * scale >= _CELL:
            size = (int(height * scale + 1), int(width * scale + 1))
            small = F.interpolate(picture, size, mode="area")
            score, by = _proposal((small - 127.5) / 128, self._proposal)
            rows, columns = torch.nonzero(score >= THRESHOLDS[0], as_tuple=True)
            cells = torch.stack([columns, rows], dim=1).double().numpy() * _STRIDE
            # Box corners round down in single precision, as where the weights come from.
            near = np.floor(((cells + 1) / np.float32(scale)).astype(np.float32)).astype(np.float64)
            far = np.floor(((cells + _CELL) / np.float32(scale)).astype(np.float32)).astype(np.float64)
            part = np.concatenate(
                [
                    near,
                    far,
                    score[rows, columns].double().numpy()[:, None],
                    by[:, rows, columns].double().numpy().T,
                ],
                axis=1,
            )
            found.append(part[non_maximum_suppression(part[:, :4], part[:, 4], 0.5)])
            scale *= FACTOR
        boxes = np.concatenate(found) if found else np.zeros((0, 9))
        boxes = boxes[non_maximum_suppression(boxes[:, :4], boxes[:, 4], 0.7)]
        sides = (boxes[:, 2:4] - boxes[:, :2])[:, [0, 1, 0, 1]]
        return _squared(boxes[:, :4] + boxes[:, 5:9] * sides)

    def _ask(self, network: object, weights: Weights, crops: Tensor) -> list[F64]:
        if not callable(network):
            raise TypeError("network must be callable")
        pieces = [network((part - 127.5) / 128, weights) for part in crops.split(CHUNK)]
        return [torch.cat(column).double().numpy() for column in zip(*pieces, strict=True)]
