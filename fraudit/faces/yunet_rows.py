"""What YuNet's twelve outputs mean: faces from class, objectness, box and point maps of three strides.

As OpenCV's FaceDetectorYN does it (modules/objdetect/src/face_detect.cpp): score sqrt(class x object), boxes and points
in units of the stride from the corner of each cell, then suppression of what overlaps.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping

import cv2
import numpy as np

from fraudit.types import F32, U8

STRIDES = (8, 16, 32)
OUTPUTS = tuple(f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in STRIDES)
COARSE = tuple(name for name in OUTPUTS if not name.endswith(f"_{STRIDES[0]}"))
BLOCK = 32  # sides are padded with black to a multiple of it
MOST = 5000
KEPT_BYTES = 16 * 1024 * 1024  # of inputs that a thread keeps for the next picture of the same size

_BUFFERS = threading.local()


def padded(height: int, width: int) -> tuple[int, int]:
    """The size of the network's input for a picture of this size."""
    return -(-height // BLOCK) * BLOCK, -(-width // BLOCK) * BLOCK


def network_input(seen: U8) -> F32:
    """f32[1,3,H,W], BGR of 0 to 255, of u8[h,w,3] RGB, with black below and to the right.

    It is this thread's until the thread makes the next one of the same size.
    """
    height, width = seen.shape[:2]
    made, planes = _own(height, width)
    cv2.split(seen, list(planes[::-1]))
    made[0, :, :height, :width] = planes
    return made


def _own(height: int, width: int) -> tuple[F32, U8]:
    """(f32[1,3,H,W], u8[3,height,width]) of this thread, black where no picture of this size writes."""
    kept: dict[tuple[int, int], tuple[F32, U8]] = _BUFFERS.__dict__.setdefault("kept", {})
    size = height, width
    if size not in kept:
        whole = np.zeros((1, 3, *padded(height, width)), np.float32)
        if whole.nbytes + sum(other.nbytes for other, _ in kept.values()) > KEPT_BYTES:
            kept.clear()
        kept[size] = whole, np.empty((3, height, width), np.uint8)
    return kept[size]


def around(rows: F32, height: int, width: int, margin: float) -> tuple[slice, slice]:
    """(rows, columns) of a mirrored picture of this size in which the faces `rows` of the picture itself lie.

    The rectangle round all of them, each with `margin` of its sides on every side, from one multiple of BLOCK to
    another, so that the network's cells stay where they are; all of the picture where there are no faces.
    """
    whole = slice(0, height), slice(0, width)
    if not len(rows):
        return whole
    boxes = rows[:, :4].tolist()
    down = _blocks(
        min(y - margin * h for _, y, _, h in boxes), max(y + h + margin * h for _, y, _, h in boxes), height
    )
    across = _blocks(
        min(width - x - w - margin * w for x, _, w, _ in boxes),
        max(width - x + margin * w for x, _, w, _ in boxes),
        width,
    )
    return (down, across) if down.stop > down.start and across.stop > across.start else whole


def _blocks(near: float, far: float, size: int) -> slice:
    """Whole blocks from `near` to `far`, as far as there are pixels."""
    return slice(max(math.floor(near / BLOCK), 0) * BLOCK, min(math.ceil(far / BLOCK) * BLOCK, size))


def faces_of(
    maps: Mapping[str, F32], size: tuple[int, int], least: float, overlap: float
) -> tuple[F32, bool]:
    """(f32[M,15], whether a cell of the finest stride sees one of them, before overlapping ones go).

    Rows are x, y, w, h, five points (x, y) and the score of the faces of one picture, the surest first.

    Args:
        maps: by the names of OUTPUTS, [1,cells,...], of all strides or of some; scores are 0 to 1.
        size: (height, width) of the padded input.
        least: score. overlap: intersection over union above which the less sure face goes.
    """
    enough = np.float32(
        0.99 * least * least
    )  # roots are taken of few: what is a little below is looked at again
    cells, rows, fine = [], [], False
    for stride in STRIDES:
        if f"cls_{stride}" not in maps:
            continue
        sure = maps[f"cls_{stride}"][0, :, 0] * maps[f"obj_{stride}"][0, :, 0]
        found = (sure >= enough).nonzero()[0]
        if len(found):
            fine |= stride == STRIDES[0]
            y, x = np.divmod(found, size[1] // stride)
            cells.append(np.stack([x, y, np.full_like(x, stride)], axis=1))
            box, points = maps[f"bbox_{stride}"][0, found], maps[f"kps_{stride}"][0, found]
            rows.append(np.concatenate([box, points, np.sqrt(sure[found])[:, None]], axis=1))
    if not rows:
        return np.zeros((0, 15), np.float32), fine
    cell, every = np.concatenate(cells).astype(np.float32), np.concatenate(rows)
    cell, every = cell[every[:, 14] >= least], every[every[:, 14] >= least]
    corner, unit = cell[:, :2], cell[:, 2:]
    sides = np.exp(every[:, 2:4]) * unit
    points = (every[:, 4:14].reshape(-1, 5, 2) + corner[:, None]) * unit[:, None]
    every[:, :2] = (corner + every[:, :2]) * unit - sides / 2
    every[:, 2:4], every[:, 4:14] = sides, points.reshape(-1, 10)
    return _kept(every, least, overlap), fine


def _kept(every: F32, least: float, overlap: float) -> F32:
    """The surest of each group of boxes that overlap."""
    if len(every) < 2:
        return every
    # Whole pixels, as OpenCV does.
    boxes = every[:, :4].astype(np.int32).tolist()
    kept = cv2.dnn.NMSBoxes(boxes, every[:, 14].tolist(), least, overlap, 1.0, MOST)
    return every[np.asarray(kept, np.int64).ravel()]
