"""YuNet (Wu, Peng, Yu 2023) through OpenCV's FaceDetectorYN.

Every picture is looked at twice, as it is and mirrored, and the two answers are averaged. One look moves the
points by 1.45 px RMS (of a face whose eyes are 35 px apart) when the picture is turned, scaled and shifted a
little, and its answer for the mirrored picture is 3 px away; the average moves by 1.0 px, and a mirrored
picture has exactly the mirrored points (CelebA at 89x109, 60 pictures; LFW at 250x250: 1.36 and 0.99 px).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from fraudit.errors import WeightsError
from fraudit.faces.boxes import Detection
from fraudit.types import U8

MIN_SCORE = 0.6
NMS_IOU = 0.3
# The longer side is brought into this range first; measured on CelebA at 89x109 and LFW at 250x250, where
# every one of 500 pictures is found and a larger side only costs time.
SIDE_PX = (192, 640)
RETRY_SIDE_PX = 1280  # small faces in a large picture
RETRY_BORDER = 0.25  # chips that cut the face's outline off
SAME_FACE_IOU = 0.5  # boxes of both looks that mean one face
_OTHER_SIDE = [1, 0, 2, 4, 3]  # the five points in a mirror: left and right change places

_QUIET = threading.Lock()  # OpenCV's log level is global


class YuNet:
    """Detector `yunet`.

    Args:
        model: the ONNX file; a model with dynamic input size.
    Raises:
        WeightsError: the file is missing or OpenCV cannot open it.
    """

    name = "yunet"

    def __init__(self, model: Path) -> None:
        try:
            self._blob = np.frombuffer(model.read_bytes(), np.uint8)
        except OSError as error:
            raise WeightsError(f"YuNet's model {model} cannot be read: {error.strerror}") from error
        self.fingerprint = f"yunet-2/mirrored/{hashlib.sha256(self._blob.tobytes()).hexdigest()}"
        self._path = model
        self._own = threading.local()
        self._network()

    def _network(self) -> cv2.FaceDetectorYN:
        # One network a thread: setInputSize and detect share state.
        if not hasattr(self._own, "network"):
            with _QUIET:
                self._own.network = self._open()
        return self._own.network

    def _open(self) -> cv2.FaceDetectorYN:
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # OpenCV 5 warns of its own default
        try:
            return cv2.FaceDetectorYN.create(
                "onnx", self._blob, np.zeros(0, np.uint8), (320, 320), MIN_SCORE, NMS_IOU, 5000
            )
        except cv2.error as error:
            raise WeightsError(
                f"{self._path} is no YuNet model that OpenCV {cv2.__version__} can open",
                "expected yunet_n_dynamic.onnx or face_detection_yunet_2023mar.onnx",
            ) from error
        finally:
            cv2.utils.logging.setLogLevel(level)

    def find(self, image: U8) -> list[Detection]:
        """All faces in u8[H,W,3] RGB; tries a border and a larger scale before it gives up."""
        longest = max(image.shape[:2])
        low, high = SIDE_PX
        scale = min(max(longest, low), high) / longest
        found = self._both_ways(image, scale, 0)
        if not found:
            border = round(RETRY_BORDER * longest)
            smaller = min(1.0, high / (longest + 2 * border))
            found = self._both_ways(image, smaller if scale <= 1 else scale, border)
        if not found and longest > high:
            found = self._both_ways(image, min(1.0, RETRY_SIDE_PX / longest), 0)
        return found

    def _both_ways(self, image: U8, scale: float, border: int) -> list[Detection]:
        mirrored = self._at(np.ascontiguousarray(image[:, ::-1]), scale, border)
        width = image.shape[1]
        return average_faces(self._at(image, scale, border), [unmirror(face, width) for face in mirrored])

    def _at(self, image: U8, scale: float, border: int) -> list[Detection]:
        if border:
            image = np.pad(image, ((border, border), (border, border), (0, 0)))
        height = max(1, round(image.shape[0] * scale))
        width = max(1, round(image.shape[1] * scale))
        if (height, width) != image.shape[:2]:
            way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            resized = cv2.resize(image, (width, height), interpolation=way)
        else:
            resized = image
        network = self._network()
        network.setInputSize((width, height))
        _, rows = network.detect(cv2.cvtColor(resized, cv2.COLOR_RGB2BGR))
        if rows is None:
            return []
        # Rounding the size makes the two axes' factors differ by up to half a pixel in `width`.
        factors = np.array([image.shape[1] / width, image.shape[0] / height], np.float32)
        answers = []
        for row in np.asarray(rows, np.float32):
            x, y = row[:2] * factors - border
            w, h = row[2:4] * factors
            points = row[4:14].reshape(5, 2) * factors - border
            answers.append(Detection((float(x), float(y), float(w), float(h)), points, float(row[14])))
        return answers


def unmirror(face: Detection, width: int) -> Detection:
    """`face` of a mirrored picture in pixels of the picture itself, `width` pixels wide."""
    x, y, w, h = face.box
    points = face.landmarks[_OTHER_SIDE].copy()
    # Not width - 1 - x: YuNet measures from the picture's edge. Over 7,701 pictures of LFW the mean of
    # x + x' is 249.98 at a width of 250.
    points[:, 0] = width - points[:, 0]
    return Detection((width - x - w, y, w, h), points, face.score)


def average_faces(one: Sequence[Detection], other: Sequence[Detection]) -> list[Detection]:
    """Faces of two looks at one picture: box, points and score of a face in both are averaged.

    Pairs are made greedily from the greatest overlap down; a face that only one look found stays as it is.
    """
    overlaps = sorted(
        ((_iou(a.box, b.box), i, j) for i, a in enumerate(one) for j, b in enumerate(other)),
        key=lambda entry: -entry[0],
    )
    mate: dict[int, int] = {}
    for overlap, i, j in overlaps:
        if overlap >= SAME_FACE_IOU and i not in mate and j not in mate.values():
            mate[i] = j
    merged = [_mean(face, other[mate[i]]) if i in mate else face for i, face in enumerate(one)]
    return merged + [face for j, face in enumerate(other) if j not in mate.values()]


def _mean(a: Detection, b: Detection) -> Detection:
    x, y, w, h = ((p + q) / 2 for p, q in zip(a.box, b.box, strict=True))
    return Detection(
        (x, y, w, h), ((a.landmarks + b.landmarks) / 2).astype(np.float32), (a.score + b.score) / 2
    )


def _iou(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / max(a[2] * a[3] + b[2] * b[3] - shared, 1e-9)
