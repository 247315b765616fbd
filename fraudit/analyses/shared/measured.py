"""What is measured in the pictures themselves, remembered: sharpness, light, pose, the detector's score."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.errors import DataError, InsufficientData
from fraudit.faces.align import align
from fraudit.faces.quality import brightness, contrast, sharpness
from fraudit.files.pictures import remembered_rows
from fraudit.files.store import digest_of
from fraudit.types import F32, F64, I64, U8

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext
    from fraudit.faces.pose3d import Pose3D

TOGETHER = 64  # faces that 3DDFA_V2 sees together, and after which what was measured is written


@dataclass(frozen=True, slots=True)
class FaceMeasures:
    """Of M faces: f64[M,3] sharpness, brightness and contrast, aligned; f32[M,62] parameters of 3DDFA_V2, or None."""

    light: F64
    pose: F32 | None


def face_measures(
    context: AnalysisContext, rows: I64, points: F32, network: Pose3D | None, label: str
) -> FaceMeasures:
    """What is measured in faces `rows` with f32[M,5,2] points, each decoded once and remembered by itself.

    Args:
        network: 3DDFA_V2's (`fraudit.faces.pose3d`), None to leave pose out.
    """
    from fraudit.faces.pose3d import crop

    shape = context.embedder.spec.preprocess
    kinds = [remembered_rows(context.store, "light", {"template": shape.as_dict(), "version": 1}, 3, "f8")]
    if network is not None:
        kinds.append(remembered_rows(context.store, "pose3d", {"network": network.fingerprint}, 62, "f4"))
    keys = [
        digest_of({"set": context.faces.digest, "row": int(row), "points": at})
        for row, at in zip(rows, points, strict=True)
    ]
    found = [cache.get(keys) for cache in kinds]
    new = [i for i, key in enumerate(keys) if any(key not in known for known in found)]
    told = context.part(label, len(new))
    for start in range(0, len(new), TOGETHER):
        part = new[start : start + TOGETHER]
        light, regions = list[tuple[float, ...]](), list[U8]()
        for i in part:
            picture = context.picture(int(rows[i]))
            face = align(picture, points[i], shape.size, shape.template)
            light.append((sharpness(face), brightness(face), contrast(face)))
            if network is not None:
                regions.append(crop(picture, points[i]))
            told.add()
        made: list[Any] = [light]
        if network is not None:
            # A whole batch always: the network rounds small ones otherwise, and nothing may hang on who asked before.
            fill = np.arange(TOGETHER) % len(part)
            made.append(network.of_crops(np.stack(regions)[fill])[: len(part)])
        for cache, known, values in zip(kinds, found, made, strict=True):
            fresh = {keys[i]: np.asarray(row) for i, row in zip(part, values, strict=True)}
            cache.put(fresh)
            known |= fresh
    for cache in kinds:
        cache.close()
    every = [np.array([known[key] for key in keys]) for known in found]
    pose = None if network is None else every[1].reshape(-1, 62).astype(np.float32)
    return FaceMeasures(every[0].reshape(-1, 3).astype(np.float64), pose)


def detector_scores(context: AnalysisContext, rows: I64) -> F64:
    """f64[M]: the detector's confidence in the faces of pictures `rows`, NaN where it finds none.

    It is what the detector said when it was asked for landmarks: no picture is shown to it again.

    Raises:
        InsufficientData: no detector that tells one looks at this set.
    """
    locator = context.locator
    score = getattr(locator, "score", None)
    if score is None:
        raise InsufficientData("no detector looks at a set that declares its landmarks")

    found = np.full(len(rows), np.nan)
    told = context.part("detector scores", len(rows))
    for k, row in enumerate(rows):
        with contextlib.suppress(DataError):
            found[k] = score(context.faces.read_bytes(int(row)), context.faces.decode)
        told.add()
    return found
