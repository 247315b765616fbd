"""What is measured in the pictures themselves, remembered: sharpness, light, pose, the detector's score."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.errors import DataError, InsufficientData
from fraudit.faces import quality
from fraudit.faces.align import align
from fraudit.types import F32, F64, I64, U8

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext
    from fraudit.faces.pose3d import Pose3D


def shown_pictures(context: AnalysisContext, rows: I64, label: str) -> Iterator[U8]:
    """Pictures `rows` one after the other, while the person is told how far it is."""
    told = context.part(label, len(rows))
    for row in rows:
        yield context.picture(int(row))
        told.add()


def picture_quality(context: AnalysisContext, rows: I64, points: F32, label: str) -> F64:
    """f64[M,3]: sharpness, brightness and contrast of the aligned faces `rows` with f32[M,5,2] points."""
    shape = context.embedder.spec.preprocess

    def measure() -> dict[str, Any]:
        crops = (
            align(picture, own, shape.size, shape.template)
            for picture, own in zip(shown_pictures(context, rows, label), points, strict=True)
        )
        each = [(quality.sharpness(c), quality.brightness(c), quality.contrast(c)) for c in crops]
        return {"found": np.array(each, np.float64).reshape(len(rows), 3)}

    parts = {
        "set": context.faces.digest,
        "rows": rows,
        "points": points,
        "template": shape.as_dict(),
        "version": 1,
    }
    return np.asarray(context.store.arrays("quality", parts, measure)["found"], np.float64)


def pose_parameters(
    context: AnalysisContext, network: Pose3D, rows: I64, points: F32, label: str
) -> np.ndarray[Any, Any]:
    """Parameters of 3DDFA_V2 of the faces `rows` (see `fraudit.faces.pose3d`)."""

    def pose() -> dict[str, Any]:
        return {"found": network.parameters(shown_pictures(context, rows, label), points)}

    parts = {"set": context.faces.digest, "rows": rows, "points": points, "network": network.fingerprint}
    return np.asarray(context.store.arrays("pose3d", parts, pose)["found"])


def detector_scores(context: AnalysisContext, rows: I64) -> F64:
    """f64[M]: the detector's confidence in the faces of pictures `rows`, NaN where it finds none.

    Raises:
        InsufficientData: no detector that tells one looks at this set.
    """
    locator = context.locator
    score = getattr(locator, "score", None)
    if score is None:
        raise InsufficientData("no detector looks at a set that declares its landmarks")

    def ask() -> dict[str, Any]:
        found = np.full(len(rows), np.nan)
        told = context.part("detector scores", len(rows))
        for k, row in enumerate(rows):
            with contextlib.suppress(DataError):
                found[k] = score(context.picture(int(row)))
            told.add()
        return {"found": found}

    about: dict[str, Any] = getattr(locator, "as_dict", dict)()
    parts = {"set": context.faces.digest, "rows": rows, "locator": about, "version": 1}
    return np.asarray(context.store.arrays("detector_score", parts, ask)["found"], np.float64)
