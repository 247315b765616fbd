"""What every detector answers with, and which of several faces is meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from fraudit.errors import UsageError, suggest
from fraudit.types import F32, F64, I64, U8

Policy = Literal["most_central", "largest", "highest_score"]
POLICIES: tuple[Policy, ...] = ("most_central", "largest", "highest_score")


@dataclass(frozen=True, slots=True)
class Detection:
    """One face.

    Attributes:
        box: (x, y, width, height) in pixels of the picture.
        landmarks: f32[5,2], left eye, right eye, nose, left and right mouth corner as the viewer sees them.
        score: the detector's own confidence; comparable within one detector only.
    """

    box: tuple[float, float, float, float]
    landmarks: F32
    score: float


class Detector(Protocol):
    """A face detector with five landmarks; one object may be used by several threads.

    One that is faster with several pictures at a time also has `find_many(images)`, a list of what `find` gives.

    Attributes:
        name: plugin name.
        fingerprint: name, version of its way and sha256 of its model: part of every cache key.
    """

    name: str
    fingerprint: str

    def find(self, image: U8) -> list[Detection]:
        """All faces in u8[H,W,3] RGB, in no particular order; [] where there are none."""
        ...


def check_policy(policy: str) -> Policy:
    """`policy` as one of POLICIES. Raises UsageError."""
    if policy not in POLICIES:
        raise UsageError(
            f"unknown policy '{policy}' for several faces",
            f"{suggest(policy, POLICIES)}known: {', '.join(POLICIES)}",
        )
    return policy


def choose(found: Sequence[Detection], height: int, width: int, policy: Policy = "most_central") -> Detection:
    """The face that is meant. `most_central`: its box's centre is nearest to the picture's; ties: the larger.

    Args:
        found: at least one detection in a picture of `height` x `width` pixels.
    """

    def area(face: Detection) -> float:
        return face.box[2] * face.box[3]

    def off_centre(face: Detection) -> float:
        x, y, w, h = face.box
        return (x + w / 2 - width / 2) ** 2 + (y + h / 2 - height / 2) ** 2

    if policy == "largest":
        return max(found, key=lambda face: (area(face), face.score))
    if policy == "highest_score":
        return max(found, key=lambda face: (face.score, area(face)))
    return min(found, key=lambda face: (off_centre(face), -area(face)))


def non_maximum_suppression(
    corners: F64,
    scores: F64,
    threshold: float,
    *,
    over: Literal["union", "smaller"] = "union",
    pixel: int = 0,
) -> I64:
    """Indices of the boxes that stay, best first.

    Args:
        corners: f64[N,4] x1, y1, x2, y2.
        scores: f64[N].
        threshold: a box goes when its overlap with a better one is greater.
        over: overlap = intersection over union, or over the smaller of both boxes.
        pixel: 1 where corners are inclusive pixel indices, so that widths are x2 - x1 + 1.
    """
    areas = (corners[:, 2] - corners[:, 0] + pixel) * (corners[:, 3] - corners[:, 1] + pixel)
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        low = np.maximum(corners[best, :2], corners[rest, :2])
        high = np.minimum(corners[best, 2:], corners[rest, 2:])
        shared = np.prod(np.maximum(high - low + pixel, 0), axis=1)
        both = areas[best] + areas[rest] - shared if over == "union" else np.minimum(areas[best], areas[rest])
        order = rest[shared <= threshold * both]
    return np.array(kept, np.int64)
