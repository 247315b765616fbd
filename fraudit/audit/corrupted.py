"""Pictures under corruption, and what a black box that gives vectors answers to them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fraudit.errors import InsufficientData
from fraudit.faces.align import as_shown
from fraudit.perturb.base import Corruption, eye_distance
from fraudit.stats.probe_pairs import ProbeVectors
from fraudit.threads import ahead
from fraudit.types import F32, I64, U8

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

CHUNK = 16
AHEAD = 4  # cells of one chunk that wait for the model
# A larger face is reduced to this inter-eye distance: 2.4 times what the largest known model input resolves.
LARGEST_EYE_PX = 120.0
WINDOW_EYES = 3.5


def working_copy(picture: U8, points: F32, whole: bool) -> tuple[U8, F32]:
    """The part of a picture that can reach the aligned face, its face no larger than LARGEST_EYE_PX.

    Args:
        whole: keep the whole frame, since a detector will look at it.
    """
    eye = eye_distance(points)
    if not whole:
        middle = points.mean(axis=0)
        low = np.floor(np.maximum(middle - WINDOW_EYES * eye, 0)).astype(int)
        high = np.ceil(middle + WINDOW_EYES * eye).astype(int)
        picture = picture[low[1] : high[1], low[0] : high[0]]
        points = points - low.astype(np.float32)
    if eye > LARGEST_EYE_PX:
        factor = LARGEST_EYE_PX / eye
        size = (max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor)))
        scale = np.array(size, np.float32) / np.array(picture.shape[1::-1], np.float32)
        # The centre of the first pixel is at 0, its corner at -0.5.
        points = np.asarray((points + 0.5) * scale - 0.5)
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    return np.ascontiguousarray(picture), points.astype(np.float32)


def show_corrupted(
    context: AnalysisContext,
    probes: Sequence[int] | I64,
    corruptions: Sequence[Corruption],
    severities: Sequence[int],
    where: str,
    label: str,
) -> dict[tuple[str, int], ProbeVectors]:
    """The black box's answers to every probe under every corruption and severity.

    Args:
        where: corrupt the `picture` before alignment, or the `aligned` face. label: of randomness and progress.
    Raises:
        InsufficientData: a probe's face has no landmarks, though it was embedded (it cannot be placed).
    """
    dim = context.embedder.dim()
    cells = list({(c.name, s): (c, s) for c in corruptions for s in severities}.values())
    answers = {
        (c.name, s): ProbeVectors(np.zeros((len(probes), dim), np.float32), np.zeros(len(probes), bool))
        for c, s in cells
    }
    points, reasons = context.landmarks()
    lost = [context.faces.ids[int(i)] for i in probes if reasons[int(i)]]
    if lost:
        raise InsufficientData(f"{len(lost)} probes have no landmarks, the first is {lost[0]}")
    whole = context.embedder.spec.preprocess.whole
    redetect = where == "picture" and context.has_detector and not whole
    told = context.part(f"{label}: corrupted faces", len(probes) * len(answers))
    batches = _Batches(context)
    for start in range(0, len(probes), CHUNK):
        chunk = [int(i) for i in probes[start : start + CHUNK]]
        copies = [working_copy(context.picture(i), points[i], redetect or whole) for i in chunk]
        crops = context.aligned(chunk)[0]
        worse = partial(_worse, context, cells, chunk, copies, crops, where, redetect, label)
        # While the model answers, other threads make the next cells' faces.
        made = ahead(worse, range(len(cells)), context.embedder.workers, AHEAD)
        for answer, shown in zip(answers.values(), made, strict=True):
            batches.add(answer, start, shown)
            told.add(len(chunk))
    batches.ask(last=True)
    return answers


class _Batches:
    """Faces of many cells, asked about in whole batches of the model, whatever number a cell has."""

    def __init__(self, context: AnalysisContext) -> None:
        self._context, self._size = context, max(context.embedder.loaded.batch_size, 1)
        self._waiting: list[tuple[ProbeVectors, int, U8]] = []

    def add(self, cell: ProbeVectors, start: int, shown: Sequence[U8 | None]) -> None:
        """Faces of the rows from `start` on; None where no face was found."""
        self._waiting += [(cell, start + i, crop) for i, crop in enumerate(shown) if crop is not None]
        self.ask()

    def ask(self, last: bool = False) -> None:
        """Ask about the whole batches that wait, or about all."""
        count = len(self._waiting) if last else len(self._waiting) // self._size * self._size
        if not count:
            return
        part, self._waiting = self._waiting[:count], self._waiting[count:]
        found = self._context.embed_aligned(np.stack([crop for _, _, crop in part]))
        for (cell, row, _), vector, ok in zip(part, found.unit(), found.ok, strict=True):
            cell.vectors[row], cell.ok[row] = vector, ok


def corrupted_crop(
    context: AnalysisContext,
    corruption: Corruption,
    severity: int,
    face: int,
    crop: U8,
    copy: tuple[U8, F32],
    label: str,
) -> U8:
    """The aligned face as it looks under a corruption, for a gallery: u8[h,w,3]."""
    template = context.embedder.spec.preprocess.template
    if corruption.domain == "picture":
        worse = corruption.apply(copy[0], severity, _rng(context, corruption, face, label), copy[1])
        return as_shown(worse, copy[1], context.embedder.spec.preprocess)
    return corruption.apply(crop, severity, _rng(context, corruption, face, label), template)


def _rng(context: AnalysisContext, corruption: Corruption, face: int, label: str) -> np.random.Generator:
    # The same draws at every severity: a cell differs from its neighbour by the strength alone.
    return context.rng(f"{label}/{corruption.name}/{context.faces.ids[face]}")


def _worse(
    context: AnalysisContext,
    cells: Sequence[tuple[Corruption, int]],
    chunk: Sequence[int],
    copies: Sequence[tuple[U8, F32]],
    crops: U8,
    where: str,
    redetect: bool,
    label: str,
    at: int,
) -> list[U8 | None]:
    """Aligned faces u8[h,w,3] in cell `at`; None where no face was found."""
    corruption, severity = cells[at]
    rngs = [_rng(context, corruption, face, label) for face in chunk]
    if corruption.domain == "landmarks":
        moved = [
            corruption.move_landmarks(copy[1], severity, rng) for copy, rng in zip(copies, rngs, strict=True)
        ]
        return [_shown(context, copy[0], point) for copy, point in zip(copies, moved, strict=True)]
    if corruption.domain == "aligned" or where == "aligned":
        template = context.embedder.spec.preprocess.template
        return [
            corruption.apply(crop, severity, rng, template) for crop, rng in zip(crops, rngs, strict=True)
        ]
    pictures = [corruption.apply(c[0], severity, rng, c[1]) for c, rng in zip(copies, rngs, strict=True)]
    points = [at.points for at in context.locate_in(pictures)] if redetect else [copy[1] for copy in copies]
    return [_shown(context, picture, point) for picture, point in zip(pictures, points, strict=True)]


def _shown(context: AnalysisContext, picture: U8, points: F32 | None) -> U8 | None:
    if points is None or not np.isfinite(points).all():
        return None
    return as_shown(picture, points.astype(np.float32), context.embedder.spec.preprocess)
