"""SCRFD (Guo et al. 2022), insightface's detector: its ONNX outputs decoded here.

Per stride 8, 16 and 32 the network gives, for two anchors at every cell, a score, the distances from the
cell's corner to the box's four sides, and the offsets of the five points, in units of the stride.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fraudit.errors import WeightsError
from fraudit.faces.boxes import Detection, non_maximum_suppression
from fraudit.types import F32, U8

MIN_SCORE = 0.5
NMS_IOU = 0.4
INPUT_PX = 640
STRIDES = (8, 16, 32)
ANCHORS = 2


def decode_outputs(outputs: Sequence[F32], input_px: int = INPUT_PX) -> list[Detection]:
    """Faces in pixels of the network's square input.

    Args:
        outputs: nine arrays [M,1], [M,4], [M,10] (or [1,M,...]) in any order, M = 2 (input_px / stride)^2.
    Raises:
        WeightsError: other shapes.
    """
    arrays = [np.asarray(output, np.float32).reshape(-1, output.shape[-1]) for output in outputs]
    by_shape = {(len(array), array.shape[1]): array for array in arrays}
    corners, scores, points = [], [], []
    for stride in STRIDES:
        side = input_px // stride
        count = ANCHORS * side * side
        try:
            score, box, marks = (by_shape[count, width] for width in (1, 4, 10))
        except KeyError as error:
            raise WeightsError(
                f"SCRFD: no output of shape {list(error.args[0])}, found {sorted(map(list, by_shape))}",
                "expected det_10g.onnx or another SCRFD with five points",
            ) from error
        kept = np.flatnonzero(score[:, 0] >= MIN_SCORE)
        cell = kept // ANCHORS
        centre = np.stack([cell % side, cell // side], axis=1).astype(np.float64) * stride
        near, far = box[kept, :2] * stride, box[kept, 2:] * stride
        corners.append(np.concatenate([centre - near, centre + far], axis=1))
        scores.append(score[kept, 0].astype(np.float64))
        points.append(centre[:, None] + marks[kept].reshape(-1, 5, 2) * stride)
    all_corners, all_scores, all_points = map(np.concatenate, (corners, scores, points))
    answers = []
    for i in non_maximum_suppression(all_corners, all_scores, NMS_IOU, pixel=1):
        x1, y1, x2, y2 = map(float, all_corners[i])
        answers.append(
            Detection((x1, y1, x2 - x1, y2 - y1), all_points[i].astype(np.float32), float(all_scores[i]))
        )
    return answers


class Scrfd:
    """Detector `scrfd`.

    Args:
        model: the ONNX file.
    Raises:
        WeightsError: it cannot be read or is no SCRFD.
    """

    name = "scrfd"

    def __init__(self, model: Path) -> None:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        broken: tuple[type[Exception], ...] = (
            OSError,
            state.Fail,
            state.InvalidProtobuf,
            state.InvalidGraph,
            state.InvalidArgument,
            state.NotImplemented,
            state.RuntimeException,
        )
        try:
            blob = model.read_bytes()
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            self._session: Any = onnxruntime.InferenceSession(
                blob, options, providers=["CPUExecutionProvider"]
            )
        except broken as error:
            raise WeightsError(
                f"{model} cannot be opened as an ONNX model: {str(error).splitlines()[0]}",
                "expected det_10g.onnx of insightface's buffalo_l",
            ) from error
        outputs = len(self._session.get_outputs())
        if outputs != 9:
            raise WeightsError(
                f"{model} is no SCRFD with five points: expected 9 outputs, found {outputs}",
                "expected det_10g.onnx of insightface's buffalo_l",
            )
        self._input = self._session.get_inputs()[0].name
        self.fingerprint = f"scrfd-1/{hashlib.sha256(blob).hexdigest()}"

    def find(self, image: U8) -> list[Detection]:
        """All faces in u8[H,W,3] RGB, which is fitted into the upper left of a 640x640 input."""
        height, width = image.shape[:2]
        scale = INPUT_PX / max(height, width)
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        canvas = np.zeros((INPUT_PX, INPUT_PX, 3), np.uint8)
        canvas[: small[1], : small[0]] = cv2.resize(image, small)
        blob = ((canvas.astype(np.float32) - 127.5) / 128).transpose(2, 0, 1)[None]
        factors = np.array([width / small[0], height / small[1]], np.float32)
        answers = []
        for face in decode_outputs(self._session.run(None, {self._input: np.ascontiguousarray(blob)})):
            x, y, w, h = face.box
            fx, fy = map(float, factors)
            answers.append(Detection((x * fx, y * fy, w * fx, h * fy), face.landmarks * factors, face.score))
        return answers
