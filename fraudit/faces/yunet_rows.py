"""What YuNet's twelve outputs mean: faces from class, objectness, box and point maps of three strides.

As OpenCV's FaceDetectorYN does it (modules/objdetect/src/face_detect.cpp): score sqrt(class x object), boxes and points
in units of the stride from the corner of each cell, then suppression of what overlaps.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from fraudit.types import F32

STRIDES = (8, 16, 32)
OUTPUTS = tuple(f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in STRIDES)
BLOCK = 32  # sides are padded with black to a multiple of it
MOST = 5000


def padded(height: int, width: int) -> tuple[int, int]:
    """The size of the network's input for a picture of this size."""
    return -(-height // BLOCK) * BLOCK, -(-width // BLOCK) * BLOCK


def faces_of(maps: Mapping[str, F32], at: int, size: tuple[int, int], least: float, overlap: float) -> F32:
    """f32[M,15]: x, y, w, h, five points (x, y), score of the faces in picture `at`, the surest first.

    Args:
        maps: by the names of OUTPUTS, [B,cells,...]. size: (height, width) of the padded input.
        least: score. overlap: intersection over union above which the less sure face goes.
    """
    rows = []
    for stride in STRIDES:
        columns = size[1] // stride
        sure = np.clip(maps[f"cls_{stride}"][at, :, 0], 0, 1) * np.clip(maps[f"obj_{stride}"][at, :, 0], 0, 1)
        score = np.sqrt(sure)
        found = np.flatnonzero(score >= least)
        if not len(found):
            continue
        cell = np.stack([found % columns, found // columns], axis=1).astype(np.float32)
        box = maps[f"bbox_{stride}"][at, found]
        middle, sides = (cell + box[:, :2]) * stride, np.exp(box[:, 2:]) * stride
        points = (maps[f"kps_{stride}"][at, found].reshape(-1, 5, 2) + cell[:, None]) * stride
        rows.append(
            np.concatenate([middle - sides / 2, sides, points.reshape(-1, 10), score[found, None]], 1)
        )
    if not rows:
        return np.zeros((0, 15), np.float32)
    every = np.concatenate(rows).astype(np.float32)
    if len(every) == 1:
        return every
    # Whole pixels, as OpenCV does.
    boxes = every[:, :4].astype(np.int32).tolist()
    kept = cv2.dnn.NMSBoxes(boxes, every[:, 14].tolist(), least, overlap, 1.0, MOST)
    return every[np.asarray(kept, np.int64).ravel()]
