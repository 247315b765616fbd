"""Does the model tell people apart at all? Its separation beside that of the pictures' own pixels.

A network with random weights keeps much of what its pictures look like: it separates people at most about as well as
small pictures do, which on synthetic faces of one colour a person is far from nothing. Of such a network some wiring is
always a little better than another, and that says nothing of how it was trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from fraudit.stats.separations import Gain, Separation, gains
from fraudit.types import F32, U8

if TYPE_CHECKING:
    from fraudit.analyses.doctor.hypotheses import Hypothesis

SIDE = 16  # pixels of the small picture
ABOVE = (
    0.25  # a d' so much over that of the pixels, at the upper bound of every wiring, is not beyond the pixels
)
PLAIN_ENOUGH = 2.5  # a d' from which on nobody doubts it, whatever the pixels do (frames of one film, say)


@dataclass(frozen=True, slots=True)
class Pixels:
    """d' of the pixels, and what the wirings have over it.

    Attributes:
        d_prime: of the pixels, on the people of the first test.
        wiring: the one with the most over the pixels. value: its d'. gain: over the pixels, all wirings at once.
        told: whether the model tells people apart: yes; no, in no wiring; or open, with too few people to say.
    """

    d_prime: float
    wiring: Hypothesis
    value: float
    gain: Gain
    told: Literal["yes", "no", "open"]


def small_pictures(faces: U8) -> F32:
    """f32[N,3*SIDE*SIDE] of u8[N,h,w,3] faces as the model is shown them: made small, the mean face taken off."""
    import cv2

    small = np.stack([cv2.resize(face, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for face in faces])
    rows = small.reshape(len(faces), -1).astype(np.float32)
    return np.asarray(rows - rows.mean(axis=0), np.float32)


def over_pixels(
    pixels: Separation, wirings: Mapping[Hypothesis, Separation], rng: np.random.Generator
) -> Pixels:
    """The wirings' gains over the pixels of the same faces, tested together (`gains`)."""
    found = gains(pixels, list(wirings.values()), rng)
    rows = list(zip(wirings, wirings.values(), found, strict=True))
    if any(gain.low >= 0 or one.value >= PLAIN_ENOUGH for _, one, gain in rows):
        told: Literal["yes", "no", "open"] = "yes"
    else:
        told = "no" if all(gain.high < ABOVE for _, _, gain in rows) else "open"
    wiring, best, gain = max(rows, key=lambda row: row[2].share)
    return Pixels(pixels.value, wiring, best.value, gain, told)
