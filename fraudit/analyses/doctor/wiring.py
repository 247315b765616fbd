"""Is the model wired as it was trained? Other wirings are tried on the same faces, and their separation compared."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fraudit.analyses.doctor.hypotheses import Hypothesis, answered, framed, options, own_in_255
from fraudit.analyses.doctor.judging import LEADING, Wiring, compared
from fraudit.analyses.doctor.pixels import small_pictures
from fraudit.analyses.doctor.screening import ROUNDS, SHORTLIST, chosen_faces
from fraudit.errors import DataError, FrauditError, InsufficientData
from fraudit.types import F32, I64, U8, LoadedEmbedder

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

SCREENED = 60
WIDER = 2.5  # times the faces, where the first ones leave it open
KEPT_BYTES = 1 << 30  # of decoded pictures; the others are read again for each wiring


def measure_wiring(context: AnalysisContext, *, faces: int = 200, only: tuple[str, ...] = ()) -> Wiring:
    """The wirings of the audited model, compared on at most SCREENED + `faces` faces, or WIDER times as many.

    Args:
        only: axes to try; all by default.
    Raises:
        InsufficientData: no identities, too few people, or a box that costs money.
    """
    loaded = context.embedder.loaded
    if refused_paid(loaded, only):
        raise InsufficientData(
            f"every face shown to this service may cost something, and this takes up to "
            f"{wiring_questions(loaded, len(context.faces), faces, only):,}; name what to try, such as "
            "--try channels"
        )
    if not context.faces.identified:
        raise InsufficientData(
            f"the set '{context.faces.name}' names no identities, so it has no genuine pairs",
            "one folder a person, or a manifest with a column subject, says who is shown",
        )
    rng = context.rng("doctor.wiring")
    screen, test, wider = chosen_faces(context.faces.subjects, SCREENED, faces, rng, round(WIDER * faces))
    shown = Shown(context, loaded)
    screen, test = shown.usable(screen), shown.usable(test)
    told = context.part("wirings", _asked_at_most(loaded, only))

    def vectors(rows: I64, hypothesis: Hypothesis) -> F32 | None:
        told.add()
        return shown.vectors(rows, hypothesis)

    found = compared(
        loaded,
        context.faces.subjects,
        screen,
        test,
        vectors,
        rng,
        only,
        more=lambda: shown.usable(wider),
        plain=shown.pixels,
    )
    told(told.total, told.total)
    context.embedder.add_queries(shown.asked)
    refused = tuple((h.words, f"the model refuses it: {why}") for h, why in shown.refused.items())
    return replace(found, missing=(*found.missing, *refused), synthetic=context.faces.synthetic)


def refused_paid(loaded: LoadedEmbedder, only: tuple[str, ...]) -> bool:
    """Whether the box may cost something, and nobody named what to try."""
    return loaded.meter is not None and not only


def wiring_questions(loaded: LoadedEmbedder, total: int, faces: int, only: tuple[str, ...] = ()) -> int:
    """Faces that the comparison shows at most to the model, of a set of `total`."""
    screened, tested = _wirings(loaded, only)
    screened *= min(SCREENED, total)
    first, wider = min(faces, total), min(round(WIDER * faces), total)
    return screened + first * tested + (wider - first) * (1 + LEADING)


def _wirings(loaded: LoadedEmbedder, only: tuple[str, ...]) -> tuple[int, int]:
    """(wirings that are screened, those that are judged) at most, the stated one with them."""
    values = {axis: listed for axis, listed in options(loaded)[0].items() if not only or axis in only}
    screened = 1 + ROUNDS * sum(map(len, values.values()))
    own = own_in_255(loaded.spec.preprocess) in values.get("normalisation", ())
    return screened, 1 + SHORTLIST + len(values.get("channels", ())) + own + (0 if only else 1)


def _asked_at_most(loaded: LoadedEmbedder, only: tuple[str, ...]) -> int:
    return sum(_wirings(loaded, only)) + 1 + LEADING


class Shown:
    """The faces of a context as hypotheses frame them, found once and asked once a wiring."""

    def __init__(self, context: AnalysisContext, loaded: LoadedEmbedder) -> None:
        self._context, self._loaded = context, loaded
        self._points: dict[int, F32] = {}
        self._pictures: dict[int, U8] = {}
        self._room = KEPT_BYTES
        self._answers: dict[Hypothesis, dict[int, F32]] = {}
        self.refused: dict[Hypothesis, str] = {}
        self.asked = 0

    def usable(self, rows: I64) -> I64:
        """The rows whose face is found."""
        return np.array([r for r in map(int, rows) if r in self._points or self._found(r)], np.int64)

    def _found(self, row: int) -> bool:
        context = self._context
        try:
            data = context.faces.read_bytes(row)
            picture = context.faces.decode(data)
            if context.faces.landmarks is not None:
                points: F32 | None = context.faces.landmarks[row]
            elif context.locator is not None:
                points = context.locator(row, data, picture).points
            else:
                points = None
        except DataError:
            return False
        if points is None or not np.isfinite(points).all():
            return False
        self._points[row] = points
        if picture.nbytes <= self._room:
            self._pictures[row] = picture
            self._room -= picture.nbytes
        return True

    def _picture(self, row: int) -> U8:
        kept = self._pictures.get(row)
        return self._context.faces.read(row) if kept is None else kept

    def pixels(self, rows: I64) -> F32:
        """f32[M,E]: small pictures of the faces as the model is shown them."""
        pre, stated = self._loaded.spec.preprocess, Hypothesis()
        faces = [framed(self._picture(r), self._points[r], stated, pre) for r in map(int, rows)]
        return small_pictures(np.stack(faces))

    def vectors(self, rows: I64, hypothesis: Hypothesis) -> F32 | None:
        """f32[M,D], or None where the box refuses such an input."""
        if hypothesis in self.refused:
            return None
        known = self._answers.setdefault(hypothesis, {})
        new = [r for r in map(int, rows) if r not in known]
        pre = self._loaded.spec.preprocess
        try:
            if new:
                shown = np.stack([framed(self._picture(r), self._points[r], hypothesis, pre) for r in new])
                self.asked += len(shown)
                known |= dict(zip(new, answered(self._loaded, shown, hypothesis), strict=True))
            return np.stack([known[int(r)] for r in rows])
        except FrauditError as error:
            self.refused[hypothesis] = error.message
            return None
