"""YuNet (Wu, Peng, Yu 2023) through onnxruntime, or through OpenCV where the model's size is fixed.

A look at 250x250 takes 1.1 ms of one core in onnxruntime and 3.2 ms in OpenCV 5; on 150 pictures of LFW both find the
same faces, with points that differ by 3e-5 px at most. Looking at a reduced copy was tried and left: at 192 px of 250
the points move by 2.1 px on average (eyes 44 px apart), as they do whenever YuNet sees another raster.

Every picture is looked at twice, as it is and mirrored, and the two answers are averaged. One look moves the
points by 1.45 px RMS (of a face whose eyes are 35 px apart) when the picture is turned, scaled and shifted a
little, and its answer for the mirrored picture is 3 px away; the average moves by 1.0 px (CelebA at 89x109, 60
pictures; LFW at 250x250: 1.36 and 0.99 px).

The mirrored look goes only where the first one sees something like a face, and a quarter of a box beyond. On the same
raster that changes little: over 500 pictures each the points are 0.42 px (LFW) and 0.10 px (CelebA at 89x109) from
those of two looks at the whole picture, and turning, scaling and shifting moves them as far (1.32 and 1.33 px RMS over
150 other pictures of LFW; one look 1.87). A mirrored picture has the mirrored points but for 0.60 px (LFW) and 0.16 px
(CelebA). Where the first look sees no face in the finest cells, the mirrored one goes without them: a fifth of its
time, and the same answer to the last bit in all of 1,409 pictures of LFW, CelebA and UTKFace.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fraudit.errors import WeightsError
from fraudit.faces.boxes import Detection
from fraudit.faces.yunet_rows import COARSE, OUTPUTS, around, faces_of, network_input
from fraudit.files.onnx_graph import with_outputs
from fraudit.types import F32, U8

MIN_SCORE = 0.6
NMS_IOU = 0.3
MAYBE = 0.3  # the mirrored look goes where the first one sees at least this much of a face
MARGIN = 0.25  # and so far beyond its box, in sides of the box
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
        self._path = model
        self._own = threading.local()
        self._session = self._any_size()
        if self._session is None:
            self._network()
        else:
            self._input = self._session.get_inputs()[0].name
        coarse = None if self._session is None else with_outputs(self._blob.tobytes(), COARSE)
        self._coarse = None if coarse is None else _opened(coarse)
        version = "yunet-4" if self._session is None else "yunet-6"
        self.fingerprint = f"{version}/mirrored/{hashlib.sha256(self._blob.tobytes()).hexdigest()}"

    def _any_size(self) -> Any:
        """An onnxruntime session on one thread, or None for a model that it cannot open or that has one size."""
        session = _opened(self._blob.tobytes())
        if session is None:  # OpenCV says what is wrong with the file
            return None
        (given, *others) = session.get_inputs()
        free = len(given.shape) == 4 and not any(isinstance(given.shape[i], int) for i in (0, 2, 3))
        known = {slot.name for slot in session.get_outputs()} >= set(OUTPUTS)
        return session if free and known and not others else None

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
        return self.find_many([image])[0]

    def find_many(self, images: Sequence[U8]) -> list[list[Detection]]:
        """As `find` of each, step by step over all of them: what a step works with then stays in the caches."""
        low, high = SIDE_PX
        longest = [max(image.shape[:2]) for image in images]
        scales = [min(max(side, low), high) / side for side in longest]
        made = self._both_ways(images, scales, [0] * len(images))
        return [
            found or self._again(image, scale)
            for image, scale, found in zip(images, scales, made, strict=True)
        ]

    def _again(self, image: U8, scale: float) -> list[Detection]:
        """Faces of a picture in which there are none at first sight."""
        high, longest = SIDE_PX[1], max(image.shape[:2])
        border = round(RETRY_BORDER * longest)
        smaller = min(1.0, high / (longest + 2 * border))
        found = self._both_ways([image], [smaller if scale <= 1 else scale], [border])[0]
        if not found and longest > high:
            found = self._both_ways([image], [min(1.0, RETRY_SIDE_PX / longest)], [0])[0]
        return found

    def _both_ways(
        self, images: Sequence[U8], scales: Sequence[float], borders: Sequence[int]
    ) -> list[list[Detection]]:
        """Faces of both looks, averaged, of each picture."""
        seen = [_scaled(*each) for each in zip(images, scales, borders, strict=True)]
        looks = self._looks([picture for picture, _ in seen])
        made = []
        for image, border, (_, factors), both in zip(images, borders, seen, looks, strict=True):
            plain, mirrored = (_detections(rows, factors, border) for rows in both)
            made.append(average_faces(plain, [unmirror(face, image.shape[1]) for face in mirrored]))
        return made

    def _looks(self, seen: Sequence[U8]) -> list[tuple[F32, F32]]:
        """(f32[M,15], f32[M',15]) rows of each u8[H,W,3] RGB as it is, and mirrored, there near the faces alone."""
        maybe = self._look(seen, [False] * len(seen), MAYBE)
        near = [
            around(rows, picture.shape[0], picture.shape[1], MARGIN)
            for (rows, _), picture in zip(maybe, seen, strict=True)
        ]
        mirrored = self._look(
            [_mirrored(picture, *at) for picture, at in zip(seen, near, strict=True)],
            [len(rows) > 0 and not fine for rows, fine in maybe],
            MIN_SCORE,
        )
        made = []
        for (rows, _), (others, _), (down, across) in zip(maybe, mirrored, near, strict=True):
            others[:, [0, 4, 6, 8, 10, 12]] += across.start
            others[:, [1, 5, 7, 9, 11, 13]] += down.start
            made.append((rows[rows[:, 14] >= MIN_SCORE], others))
        return made

    def _look(self, seen: Sequence[U8], coarse: Sequence[bool], least: float) -> list[tuple[F32, bool]]:
        """(f32[M,15] rows of the faces whose score is `least` or more, whether a fine cell sees one) of each picture.

        Args:
            seen: u8[H,W,3] RGB. coarse: where fine cells need not look.
        """
        if self._session is None:
            return [(self._by_opencv(picture, least), True) for picture in seen]
        found = []
        for picture, without in zip(seen, coarse, strict=True):
            batch = network_input(picture)
            if without and self._coarse is not None:
                maps = dict(zip(COARSE, self._coarse.run(COARSE, {self._input: batch}), strict=True))
            else:
                maps = dict(zip(OUTPUTS, self._session.run(OUTPUTS, {self._input: batch}), strict=True))
            found.append(faces_of(maps, batch.shape[2:], least, NMS_IOU))
        return found

    def _by_opencv(self, seen: U8, least: float = MIN_SCORE) -> F32:
        network = self._network()
        network.setInputSize((seen.shape[1], seen.shape[0]))
        network.setScoreThreshold(least)
        _, rows = network.detect(cv2.cvtColor(seen, cv2.COLOR_RGB2BGR))
        return np.zeros((0, 15), np.float32) if rows is None else np.asarray(rows, np.float32)


def _opened(model: bytes) -> Any:
    """An onnxruntime session on one thread, or None where it cannot open the model."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # Pictures are looked at side by side, by as many threads as there are workers.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception:  # its errors share no base class
        return None


def _scaled(image: U8, scale: float, border: int) -> tuple[U8, F32]:
    """(what the network sees, f32[2] by which its pixels are larger, across and down)."""
    if border:
        image = np.pad(image, ((border, border), (border, border), (0, 0)))
    height = max(1, round(image.shape[0] * scale))
    width = max(1, round(image.shape[1] * scale))
    # Rounding the size makes the two axes' factors differ by up to half a pixel in `width`.
    factors = np.array([image.shape[1] / width, image.shape[0] / height], np.float32)
    if (height, width) == image.shape[:2]:
        return image, factors
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=way), np.uint8), factors


def _mirrored(picture: U8, down: slice, across: slice) -> U8:
    """A rectangle of the mirrored picture."""
    width = picture.shape[1]
    part = picture[down, width - across.stop : width - across.start]
    return np.asarray(cv2.flip(part, 1), np.uint8)


def _detections(rows: F32, factors: F32, border: int) -> list[Detection]:
    """Faces of f32[M,15] rows, in pixels of the picture without its border."""
    placed = rows[:, :14].reshape(-1, 7, 2) * factors  # corner, size of the box, five points
    placed[:, [0, 2, 3, 4, 5, 6]] -= border
    boxes, scores = placed[:, :2].reshape(-1, 4).tolist(), rows[:, 14].tolist()
    return [
        Detection((x, y, w, h), points, score)
        for (x, y, w, h), points, score in zip(boxes, placed[:, 2:], scores, strict=True)
    ]


def unmirror(face: Detection, width: int) -> Detection:
    """`face` of a mirrored picture in pixels of the picture itself, `width` pixels wide."""
    x, y, w, h = face.box
    points = face.landmarks[_OTHER_SIDE]
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
