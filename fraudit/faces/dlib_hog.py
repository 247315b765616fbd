"""dlib's HOG frontal detector and its five-point shape predictor, brought to the usual five points.

dlib's points are the outer and inner corner of either eye and the nose's base. The usual five (eye centres,
nose tip, mouth corners) are predicted from them by the affine map below, in the frame where the points lie
nearest to `_MEAN`. It was fitted by least squares to what YuNet finds on 5,838 pictures of CelebA and
UTKFace. On 772 LFW pictures, which took no part, the points differ from YuNet's by 3.3 px on average in the
112x112 template (eyes 2.5, nose 3.1, mouth 4.2), and the aligned crop's corners by 4.2 px; a constant offset
instead of the map gives 5.0 px.
"""

from __future__ import annotations

import threading
from typing import Any

import cv2
import numpy as np

from fraudit.errors import PluginError, WeightsError
from fraudit.faces.align import similarity_transforms
from fraudit.faces.boxes import Detection
from fraudit.faces.installed import package_file
from fraudit.files.store import file_sha256
from fraudit.types import F32, F64, U8

# dlib looks for faces of 80 pixels and more. The first attempt finds a face in all of 200 LFW pictures, in 97 %
# of CelebA's at 89x109 and in 96 % of UTKFace's at 128x128; a larger first size finds fewer and costs more.
SIDE_PX = (200, 640)
# (enlargement, border as a share of the longer side, score a face must reach). The low score finds half of
# what is left and nothing in 100 strips of background.
RETRIES = ((1.0, 0.25, 0.0), (2.0, 0.25, 0.0), (1.0, 0.0, -0.5), (1.5, 0.1, -0.5))
RETRY_SIDE_PX = 1280

# The mean of dlib's points (right eye outer, inner; left eye outer, inner; nose base, as the viewer sees
# them) over faces whose YuNet points lie on the 112x112 template.
_MEAN: F64 = np.array([[81.55, 53.34], [66.66, 53.92], [29.41, 52.48], [44.22, 53.57], [54.89, 81.51]])
_FIVE: F64 = np.array([[37.47, 52.85], [74.53, 52.49], [56.02, 74.17], [39.95, 89.53], [72.12, 89.25]])
_SLOPES: F64 = np.array(
    [
        [-0.27, -0.07, -0.13, 0.13, 0.24, -0.18, 0.12, 0.32, 0.04, -0.19],
        [0.54, -0.07, -0.22, -0.26, 0.09, -0.27, -0.37, 0.33, -0.04, 0.27],
        [0.2, 0.22, 0.27, -0.35, -0.36, 0.16, -0.11, -0.23, -0.01, 0.2],
        [-0.02, -0.16, 0.13, 0.14, -0.31, -0.03, 0.22, -0.17, -0.01, 0.22],
        [-0.83, 0.34, 0.62, 0.12, -0.97, -0.33, 0.49, -0.14, 0.68, 0.0],
        [-0.04, -0.05, -0.06, -0.11, 0.1, -0.11, -0.02, -0.04, 0.02, 0.31],
        [0.37, 0.06, -1.02, -0.2, 1.16, -0.24, -0.5, 0.71, -0.02, -0.33],
        [-0.5, 0.69, -0.87, -0.66, 0.84, 0.78, 0.62, -0.53, -0.09, -0.27],
        [0.99, 0.29, -0.4, -0.68, 0.44, -0.05, -0.99, 0.26, -0.04, 0.17],
        [-0.99, 0.61, -0.55, -0.32, 0.48, 0.97, 1.12, -0.96, -0.06, -0.31],
    ]
)


def to_five_points(points: F64) -> F32 | None:
    """f32[5,2] eye centres, nose tip and mouth corners from dlib's points [5,2]; None where degenerate."""
    matrices, good = similarity_transforms(np.asarray(points)[None], _MEAN)
    if not good[0]:
        return None
    turn, shift = matrices[0][:, :2], matrices[0][:, 2]
    there = points @ turn.T + shift
    five = _FIVE + (_SLOPES @ (there - _MEAN).ravel()).reshape(5, 2)
    return ((five - shift) @ np.linalg.inv(turn).T).astype(np.float32)


class DlibHog:
    """Detector `dlib`.

    Raises:
        PluginError: dlib cannot be imported.
        WeightsError: its shape predictor cannot be read.
    """

    name = "dlib"

    def __init__(self) -> None:
        try:
            import dlib
        except ImportError as error:
            raise PluginError(f"dlib cannot be imported: {error}", "pip install 'fraudit[dlib]'") from error
        path = package_file("face_recognition_models", "models/shape_predictor_5_face_landmarks.dat")
        if path is None:
            raise WeightsError("dlib's five-point shape predictor is missing", "pip install 'fraudit[dlib]'")
        self._dlib = dlib
        self._path = path
        sha256 = file_sha256(path)
        self.fingerprint = f"dlib-2/{dlib.__version__}/{sha256}"
        self._own = threading.local()
        self._tools()

    def _tools(self) -> tuple[Any, Any]:
        # One detector a thread: its scanner keeps the picture's pyramid.
        if not hasattr(self._own, "tools"):
            try:
                predictor = self._dlib.shape_predictor(str(self._path))
            except RuntimeError as error:
                raise WeightsError(
                    f"{self._path}: dlib cannot read it: {error}", "reinstall face_recognition_models"
                ) from error
            self._own.tools = (self._dlib.get_frontal_face_detector(), predictor)
        return self._own.tools

    def find(self, image: U8) -> list[Detection]:
        """All frontal faces in u8[H,W,3] RGB; tries a border and a larger scale before it gives up."""
        longest = max(image.shape[:2])
        low, high = SIDE_PX
        scale = min(max(longest, low), high) / longest
        found = self._at(image, scale, 0, 0.0)
        for larger, share, least in RETRIES:
            if found:
                break
            border = round(share * longest)
            found = self._at(
                image, min(scale * larger, RETRY_SIDE_PX / (longest + 2 * border)), border, least
            )
        return found

    def _at(self, image: U8, scale: float, border: int, least: float) -> list[Detection]:
        if border:
            image = np.pad(image, ((border, border), (border, border), (0, 0)))
        height, width = max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        seen = (
            image
            if (height, width) == image.shape[:2]
            else cv2.resize(image, (width, height), interpolation=way)
        )
        detector, predictor = self._tools()
        boxes, scores, _ = detector.run(np.ascontiguousarray(seen), 0, least)
        factors = np.array([image.shape[1] / width, image.shape[0] / height])
        answers = []
        for box, score in zip(boxes, scores, strict=True):
            corners = np.array([(p.x, p.y) for p in predictor(seen, box).parts()], np.float64)
            points = to_five_points(corners * factors - border)
            if points is None:
                continue
            x, y = np.array([box.left(), box.top()]) * factors - border
            w, h = np.array([box.width(), box.height()]) * factors
            answers.append(Detection((float(x), float(y), float(w), float(h)), points, float(score)))
        return answers
