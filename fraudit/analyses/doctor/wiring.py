"""Is the model wired as it was trained? Other wirings are tried on the same faces, and their separation compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fraudit.analyses.doctor.card_lines import card_lines, stated_lines
from fraudit.analyses.doctor.hypotheses import (
    AXES,
    MIRRORED,
    Hypothesis,
    answered,
    framed,
    options,
)
from fraudit.analyses.doctor.screening import ROUNDS, SHORTLIST, chosen_faces, shortlist
from fraudit.errors import DataError, FrauditError, InsufficientData, UsageError
from fraudit.stats.separations import LEAST_PEOPLE, Gain, Separation, gains, separation
from fraudit.types import F32, I64, U8, LoadedEmbedder, unit_rows

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

SCREENED = 60
WIRING_LEVEL = 0.001
# Least gain of d'. Two normalisations that are both published for one network differ by 3.4 %, and templates near each
# other by as little; channels are right or wrong.
MATERIAL = 0.05
MATERIAL_CHANNELS = 0.015
Vectors = Callable[[I64, Hypothesis], F32 | None]


@dataclass(frozen=True, slots=True)
class Tried:
    """One hypothesis on the people of the test: its d' and AUC, and how it compares with the stated wiring.

    `lines` are those of a card that says it, key -> TOML value; empty where no card can.
    """

    hypothesis: Hypothesis
    d_prime: float
    auc: float
    gain: Gain
    lines: dict[str, str]


@dataclass(frozen=True, slots=True)
class Wiring:
    """What was found.

    Attributes:
        stated: key -> TOML value of the card's lines; empty for a box whose input is made inside it.
        d_prime, auc: of the stated wiring, on `people` people and `faces` faces.
        tried: the hypotheses that were tested, best d' first. screened: how many were looked at before, on others.
        best: one that is better beyond doubt and by a material gain, or None.
        equal: hypotheses that the test cannot tell from the best one.
        flip: gain of adding the mirror image's vector, None where it was not measured.
        missing: (what could not be tried, why). synthetic: whether the faces show nobody.
    """

    stated: dict[str, str]
    d_prime: float
    auc: float
    people: int
    faces: int
    tried: tuple[Tried, ...]
    screened: int
    best: Tried | None
    equal: tuple[Tried, ...]
    flip: Gain | None
    missing: tuple[tuple[str, str], ...]
    synthetic: bool = False


def measure_wiring(context: AnalysisContext, *, faces: int = 200, only: tuple[str, ...] = ()) -> Wiring:
    """The wirings of the audited model, compared on at most SCREENED + `faces` faces.

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
            f"the set '{context.faces.name}' names no identities, so it has no genuine pairs"
        )
    rng = context.rng("doctor.wiring")
    screen, test = chosen_faces(context.faces.subjects, SCREENED, faces, rng)
    shown = Shown(context, loaded)
    screen, test = shown.usable(screen), shown.usable(test)
    told = context.part("wirings", 0)

    def vectors(rows: I64, hypothesis: Hypothesis) -> F32 | None:
        told.add()
        return shown.vectors(rows, hypothesis)

    found = compared(loaded, context.faces.subjects, screen, test, vectors, rng, only)
    context.embedder.add_queries(shown.asked)
    refused = tuple((h.words, f"the model refuses it: {why}") for h, why in shown.refused.items())
    return replace(found, missing=(*found.missing, *refused), synthetic=context.faces.synthetic)


def refused_paid(loaded: LoadedEmbedder, only: tuple[str, ...]) -> bool:
    """Whether the box may cost something, and nobody named what to try."""
    return loaded.meter is not None and not only


def wiring_questions(loaded: LoadedEmbedder, total: int, faces: int, only: tuple[str, ...] = ()) -> int:
    """Faces that the comparison shows at most to the model, of a set of `total`."""
    values = {axis: listed for axis, listed in options(loaded)[0].items() if not only or axis in only}
    screened = min(SCREENED, total) * (1 + ROUNDS * sum(map(len, values.values())))
    tested = 1 + SHORTLIST + len(values.get("channels", ())) + (0 if only else 1)
    return screened + min(faces, total) * tested


class Shown:
    """The faces of a context as hypotheses frame them, read and found once."""

    def __init__(self, context: AnalysisContext, loaded: LoadedEmbedder) -> None:
        self._context, self._loaded = context, loaded
        self._pictures: dict[int, tuple[U8, F32]] = {}
        self.refused: dict[Hypothesis, str] = {}
        self.asked = 0

    def usable(self, rows: I64) -> I64:
        """The rows whose face is found."""
        context = self._context
        kept = []
        for row in map(int, rows):
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
                continue
            if points is not None and np.isfinite(points).all():
                self._pictures[row] = (picture, points)
                kept.append(row)
        return np.array(kept, np.int64)

    def vectors(self, rows: I64, hypothesis: Hypothesis) -> F32 | None:
        """f32[M,D], or None where the box refuses such an input."""
        pre = self._loaded.spec.preprocess
        if hypothesis in self.refused:
            return None
        try:
            shown = np.stack([framed(*self._pictures[int(r)], hypothesis, pre) for r in rows])
            self.asked += len(shown)
            return answered(self._loaded, shown, hypothesis)
        except FrauditError as error:
            self.refused[hypothesis] = error.message
            return None


def compared(
    loaded: LoadedEmbedder,
    subjects: I64,
    screen: I64,
    test: I64,
    vectors: Vectors,
    rng: np.random.Generator,
    only: tuple[str, ...] = (),
) -> Wiring:
    """The comparison over faces whose vectors `vectors` gives: rows `screen` choose what rows `test` judge.

    Raises:
        InsufficientData: fewer people than a test needs, or the model answers nothing as stated.
    """
    values, missing = options(loaded)
    for name in only:
        if name not in AXES:
            raise UsageError(f"unknown part of the wiring '{name}'", f"known: {', '.join(AXES)}")
    values = {axis: listed for axis, listed in values.items() if not only or axis in only}

    def separate(rows: I64, hypothesis: Hypothesis, least: int) -> Separation | None:
        found = vectors(rows, hypothesis)
        return None if found is None else separation(_unit(found), subjects[rows], least)

    def screened(hypothesis: Hypothesis) -> float | None:
        found = separate(screen, hypothesis, 2)
        return None if found is None else found.value

    kept, seen = shortlist(values, screened)
    base_vectors = vectors(test, Hypothesis())
    if base_vectors is None:
        raise InsufficientData("the model does not answer as its card states")
    base = separation(_unit(base_vectors), subjects[test])
    answers = [(h, s) for h in kept if (s := separate(test, h, LEAST_PEOPLE)) is not None]
    found = gains(base, [s for _, s in answers], rng)
    size = loaded.spec.preprocess.size
    tried = [
        Tried(h, s.value, s.auc, g, card_lines(h, size) if loaded.network else {})
        for (h, s), g in zip(answers, found, strict=True)
    ]
    tried.sort(key=lambda t: -t.d_prime)
    better = [t for t in tried if t.gain.p <= WIRING_LEVEL and t.gain.share >= material(t.hypothesis)]
    best = _plainest(better)
    equal: tuple[Tried, ...] = ()
    if best is not None:
        of = dict(answers)
        rest = [t for t in better if t is not best]
        against = gains(of[best.hypothesis], [of[t.hypothesis] for t in rest], rng) if rest else []
        equal = tuple(
            t
            for t, g in zip(rest, against, strict=True)
            if g.high >= 0 or abs(g.share) < apart(t.hypothesis, best.hypothesis)
        )
    flip = vectors(test, Hypothesis(template=MIRRORED)) if not only else None
    fused = (
        None
        if flip is None
        else gains(base, [separation(_unit(base_vectors + flip), subjects[test])], rng)[0]
    )
    return Wiring(
        stated_lines(loaded),
        base.value,
        base.auc,
        len(np.unique(subjects[test])),
        len(test),
        tuple(tried),
        len(seen),
        best,
        equal,
        fused,
        missing,
    )


def material(hypothesis: Hypothesis) -> float:
    """The least gain that a finding takes for this change."""
    return apart(hypothesis, Hypothesis())


def apart(one: Hypothesis, other: Hypothesis) -> float:
    """The least difference of d' by which two wirings are called different."""
    differ = [axis for axis in AXES if getattr(one, axis) != getattr(other, axis)]
    return MATERIAL_CHANNELS if differ == ["channels"] else MATERIAL


def _plainest(better: list[Tried]) -> Tried | None:
    """Of those within a material gain of the best one, that with the fewest changes."""
    if not better:
        return None
    near = [t for t in better if t.d_prime >= better[0].d_prime / (1 + MATERIAL)]
    return min(near, key=lambda t: (len(t.hypothesis.changes), -t.d_prime))


def _unit(vectors: F32) -> F32:
    finite = np.asarray(np.isfinite(vectors).all(axis=1))
    return unit_rows(np.where(finite[:, None], vectors, 0).astype(np.float32))
