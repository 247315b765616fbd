"""Shows a few faces to the black box itself, past everything that is remembered, and holds the answers together."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.analyses.doctor.params import Params
from fraudit.analyses.doctor.sanity import FLAT, Shape, flat_pictures, moved_rows, shape_of, shifted, unlike
from fraudit.errors import DataError, FrauditError, InsufficientData
from fraudit.types import F32, F64, U8, Bool, Work

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

ALIKE = 1e-4  # 1 - cosine up to which two answers to one face are one answer: docs/doctor.md
ALONE = 4  # faces that are also shown alone
PAID = 3  # faces shown to a box that costs something
HALF = 4  # faces of the small batch that is timed
LEFT_OUT = "another order, flat pictures, mirror, one pixel aside, speed"


@dataclass(slots=True)
class Sanity:
    """What the checks saw.

    Attributes:
        n: faces shown in a batch.
        twice, alone, order, mirror, aside: f64, 1 - cosine to the first answer, face by face; empty where not checked.
        moved: vectors that came back at another face's place.
        broken: faces whose vector is not finite. flat: names of flat pictures whose vector is not finite.
        failed: check -> why the box gave no answer. left_out: checks that were not made, and why.
        seconds: faces a call -> seconds a face.
        shape: of the vectors of the whole set, None where there are fewer than two.
        asked: faces shown for this.
    """

    n: int = 0
    twice: F64 = field(default_factory=lambda: np.zeros(0))
    alone: F64 = field(default_factory=lambda: np.zeros(0))
    order: F64 = field(default_factory=lambda: np.zeros(0))
    mirror: F64 = field(default_factory=lambda: np.zeros(0))
    aside: F64 = field(default_factory=lambda: np.zeros(0))
    moved: int = 0
    broken: int = 0
    flat: tuple[str, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)
    left_out: str = ""
    seconds: dict[int, float] = field(default_factory=dict)
    shape: Shape | None = None
    asked: int = 0


def most_work(context: AnalysisContext, params: Params) -> Work:
    """What the checks and the wirings ask at most."""
    loaded, extra = context.embedder.loaded, 0
    if params.wiring:
        from fraudit.analyses.doctor.wiring import refused_paid, wiring_questions

        if not refused_paid(loaded, params.axes):
            extra = wiring_questions(loaded, len(context.faces), params.wiring_faces, params.axes)
    if loaded.meter is not None:
        return Work(questions=2 * PAID + 1 + extra)
    return Work(questions=5 * params.faces + ALONE + HALF + len(FLAT) + 1 + extra)


def some_crops(context: AnalysisContext, count: int) -> U8:
    """u8[M,h,w,3], M <= count: faces as the model is shown them, of as many people as there are.

    Raises:
        InsufficientData: no picture has a face.
    """
    from fraudit.faces.align import as_shown  # cv2: runs are read and drawn without it

    faces, preprocess = context.faces, context.embedder.spec.preprocess
    order = context.rng("doctor").permutation(len(faces))
    _, first = np.unique(faces.subjects[order], return_index=True)
    first = np.sort(first)
    order = np.concatenate([order[first], np.delete(order, first)])
    crops: list[U8] = []
    for index in order[: 4 * count]:
        if len(crops) == count:
            break
        try:
            picture = context.picture(int(index))
            points = None if faces.landmarks is None else faces.landmarks[index]
            if points is None and not preprocess.whole and context.locator is not None:
                points = context.locator(int(index), faces.read_bytes(int(index)), picture).points
            if not preprocess.whole and (points is None or not np.isfinite(points).all()):
                continue
            crops.append(
                as_shown(picture, np.zeros((5, 2), np.float32) if points is None else points, preprocess)
            )
        except DataError:
            continue
    if not crops:
        raise InsufficientData("no picture has a face that could be shown to the model")
    return np.stack(crops)


def measure_sanity(context: AnalysisContext, params: Params) -> Sanity:
    """All checks. A box that fails is a line of the answer, never an error of the audit.

    Raises:
        InsufficientData: there is no face to show, or the box answers nothing at all.
    """
    box = context.embedder
    paid = box.loaded.meter is not None
    crops = some_crops(context, PAID if paid else params.faces)
    found, before = Sanity(n=len(crops)), box.queries
    if paid:
        found.left_out = f"{LEFT_OUT} (every face shown to this service may cost something)"
        _compare(found, crops, _remembered(context, crops))
    else:
        _local(found, crops, box.ask, box.loaded.finds_faces)
    found.asked = box.queries - before
    vectors = context.embeddings()
    if vectors.ok.sum() > 1:
        found.shape = shape_of(vectors.vectors, context.people(), vectors.ok, context.rng("doctor.shape"))
    return found


def _try(found: Sanity, check: str, ask: Callable[[], F32]) -> F32 | None:
    try:
        return ask()
    except Exception as error:  # whatever a person's own model raises
        text = error.message if isinstance(error, FrauditError) else f"{type(error).__name__}: {error}"
        found.failed[check] = " ".join(text.split())[:200]
        return None


def _remembered(context: AnalysisContext, crops: U8) -> dict[str, Any]:
    """Answers of a box that costs something: asked once, then remembered with everything else it said."""
    box = context.embedder
    parts = {"box": box.fingerprint, "faces": crops, "version": 1}

    def ask() -> dict[str, Any]:
        return {"first": box.ask(crops), "alone": box.ask(crops[:1]), "twice": box.ask(crops)}

    try:
        return dict(context.store.arrays("doctor", parts, ask) if box.loaded.cacheable else ask())
    except FrauditError as error:
        raise InsufficientData(f"the service gave no answer: {error.message}") from error


def _compare(found: Sanity, crops: U8, answers: dict[str, Any]) -> None:
    first = np.asarray(answers["first"])
    found.broken = int((~np.isfinite(first).all(axis=1) & ~np.isnan(first).all(axis=1)).sum())
    found.twice = _finite(unlike(first, np.asarray(answers["twice"])))
    found.alone = _finite(unlike(first[:1], np.asarray(answers["alone"])))


def _local(found: Sanity, crops: U8, ask: Callable[[U8], F32], finds_faces: bool) -> None:
    first = _try(found, "a batch", lambda: ask(crops))
    single = [
        _try(found, "a face alone", partial(ask, crops[i : i + 1])) for i in range(min(ALONE, len(crops)))
    ]
    if first is None:
        return
    lost = np.isnan(first).all(axis=1) if finds_faces else np.zeros(len(first), bool)
    found.broken = int((~np.isfinite(first).all(axis=1) & ~lost).sum())
    if all(answer is not None for answer in single):
        found.alone = _finite(
            unlike(first[: len(single)], np.concatenate([a for a in single if a is not None]))
        )
    started = time.monotonic()
    again = _try(found, "the same batch twice", lambda: ask(crops))
    found.seconds[len(crops)] = (time.monotonic() - started) / len(crops)
    turned = _try(found, "another order", lambda: ask(np.ascontiguousarray(crops[::-1])))
    mirror = _try(found, "mirrored faces", lambda: ask(np.ascontiguousarray(crops[:, :, ::-1])))
    aside = _try(found, "faces 1 px aside", lambda: ask(shifted(crops)))
    found.twice = found.twice if again is None else _finite(unlike(first, again))
    found.mirror = found.mirror if mirror is None else _finite(unlike(first, mirror))
    found.aside = found.aside if aside is None else _finite(unlike(first, aside))
    if turned is not None:
        found.order = _finite(unlike(first, turned[::-1]))
        found.moved = moved_rows(first, turned[::-1], ALIKE)
    pictures = flat_pictures((crops.shape[1], crops.shape[2]))
    flat = _try(found, "flat pictures", lambda: ask(pictures))
    if flat is not None:
        none = np.isnan(flat).all(axis=1) & finds_faces  # a picture without a face: the right answer
        wrong: Bool = np.asarray(~np.isfinite(flat).all(axis=1) & ~none)
        found.flat = tuple(name for name, bad in zip(FLAT, wrong, strict=True) if bad)
    for count in (1, HALF):
        if count < len(crops):
            started = time.monotonic()
            if _try(found, f"{count} faces", partial(ask, crops[:count])) is not None:
                found.seconds[count] = (time.monotonic() - started) / count


def _finite(values: F64) -> F64:
    return values[np.isfinite(values)]
