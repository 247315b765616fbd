"""YuNet (Wu, Peng, Yu 2023) through OpenCV's FaceDetectorYN."""

from __future__ import annotations

import hashlib
import threading
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
        self.fingerprint = f"yunet-1/{hashlib.sha256(self._blob.tobytes()).hexdigest()}"
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
        found = self._at(image, scale, 0)
        if not found:
            border = round(RETRY_BORDER * longest)
            found = self._at(image, min(1.0, high / (longest + 2 * border)) if scale <= 1 else scale, border)
        if not found and longest > high:
            found = self._at(image, min(1.0, RETRY_SIDE_PX / longest), 0)
        return found

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
