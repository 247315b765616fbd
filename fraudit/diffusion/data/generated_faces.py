"""Faces that an inverter draws at random, as a face set: to show to black boxes where there are no pictures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fraudit.errors import UsageError
from fraudit.faces.decode import decode_picture
from fraudit.types import F32, FaceSet

NAME = "drawn"
CHUNK = 64


def generated_faces(
    inverter: Any,
    card: Mapping[str, Any],
    points: F32,
    count: int,
    say: Callable[[str, int, int], None] = lambda label, done, total: None,
) -> FaceSet:
    """`count` faces of nobody, a person each, from seeds 0..count-1 of the inverter's unconditional branch.

    They are drawn when they are first read: what was stored of them before needs no drawing.

    Args:
        inverter: has `sample(seeds) -> u8[N,S,S,3]`. card: its card, which names its files and its licence.
        points: f32[5,2] in its pictures.

    Raises:
        UsageError: fewer than 100 faces: they could not be translated by.
    """
    import cv2

    if count < 100:
        raise UsageError(
            f"--draw: expected at least 100 faces, found {count}", "2000 take some minutes on a CPU"
        )
    encoded: dict[int, bytes] = {}

    def read(index: int) -> bytes:
        if index not in encoded:
            start = index - index % CHUNK
            seeds = np.arange(start, min(start + CHUNK, count))
            for seed, picture in zip(seeds, inverter.sample(seeds), strict=True):
                _, png = cv2.imencode(".png", np.ascontiguousarray(picture[:, :, ::-1]))
                encoded[int(seed)] = png.tobytes()
            say("drawing faces", len(encoded), count)
        return encoded[index]

    told = json.dumps([card["files"], count, "sample-1"], sort_keys=True)
    return FaceSet(
        name=NAME,
        ids=tuple(f"{seed:06d}.png" for seed in range(count)),
        subjects=np.arange(count),
        attributes={},
        landmarks=np.repeat(points[None].astype(np.float32), count, axis=0),
        pairs=None,
        digest=hashlib.sha256(told.encode()).hexdigest(),
        read_bytes=read,
        decode=decode_picture,
        synthetic=True,
        licence=f"drawn by an inverter: {card.get('licence', 'no licence stated')}",
    )
