"""Is the model wired as it was trained? Other wirings are tried on the same faces, and their separation compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.analyses.doctor.hypotheses import (
    MIRRORED,
    NORMALISATIONS,
    WHOLE,
    Hypothesis,
    answered,
    framed,
    options,
    template_points,
)
from fraudit.analyses.doctor.screening import chosen_faces, shortlist
from fraudit.errors import DataError, FrauditError, InsufficientData, UsageError
from fraudit.files.doors import CARD_BYTES, read_file
from fraudit.files.store import write_text_atomic
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
    """One hypothesis on the people of the test: its d' and how it compares with the stated wiring."""

    hypothesis: Hypothesis
    d_prime: float
    gain: Gain


@dataclass(frozen=True, slots=True)
class Wiring:
    """What was found.

    Attributes:
        stated: words for what the card or the box states on each axis. card: whether a card states it.
        d_prime: of the stated wiring, on `people` people and `faces` faces.
        tried: the hypotheses that were tested, best d' first. screened: how many were looked at before, on others.
        best: one that is better beyond doubt and by a material gain, or None.
        equal: hypotheses that the test cannot tell from the best one.
        flip: gain of adding the mirror image's vector, None where it was not measured.
        missing: (what could not be tried, why).
    """

    stated: dict[str, str]
    card: bool
    d_prime: float
    people: int
    faces: int
    tried: tuple[Tried, ...]
    screened: int
    best: Tried | None
    equal: tuple[Tried, ...]
    flip: Gain | None
    missing: tuple[tuple[str, str], ...]


def stated_words(loaded: LoadedEmbedder) -> dict[str, str]:
    """What the card, or the box, says on each axis."""
    pre, network = loaded.spec.preprocess, loaded.network
    scale = f"mean {_list(pre.mean)}, std {_list(pre.std)}" if network else "inside the box"
    return {
        "channels": pre.channels if network else "as shown",
        "normalisation": scale,
        "template": WHOLE if pre.whole else pre.template_name,
        "output": network.outputs[0] if network else "",
        "layout": network.layouts[0] if network else "",
    }


def measure_wiring(context: AnalysisContext, *, faces: int = 200, only: tuple[str, ...] = ()) -> Wiring:
    """The wirings of the audited model, compared on at most SCREENED + `faces` faces.

    Args:
        only: axes to try; all by default.
    Raises:
        InsufficientData: no identities, too few people, or a box that costs money.
    """
    loaded = context.embedder.loaded
    if loaded.close is not None and loaded.network is None and not only:
        raise InsufficientData(
            "a remote box is asked some thousand times for this, which may cost money; name what to try to ask for it"
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

    return compared(loaded, context.faces.subjects, screen, test, vectors, rng, only)


class Shown:
    """The faces of a context as hypotheses frame them, read and found once."""

    def __init__(self, context: AnalysisContext, loaded: LoadedEmbedder) -> None:
        self._context, self._loaded = context, loaded
        self._pictures: dict[int, tuple[U8, F32]] = {}
        self.refused: dict[Hypothesis, str] = {}

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
        if name not in ("channels", "normalisation", "template", "output", "layout"):
            raise UsageError(f"unknown part of the wiring '{name}'", f"known: {', '.join(values)}")
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
    tried = [Tried(h, s.value, g) for (h, s), g in zip(answers, found, strict=True)]
    tried.sort(key=lambda t: -t.d_prime)
    better = [t for t in tried if t.gain.p <= WIRING_LEVEL and t.gain.share >= material(t.hypothesis)]
    best = _plainest(better)
    equal: tuple[Tried, ...] = ()
    if best is not None:
        of = dict(answers)
        rest = [t for t in better if t is not best]
        against = gains(of[best.hypothesis], [of[t.hypothesis] for t in rest], rng) if rest else []
        equal = tuple(t for t, g in zip(rest, against, strict=True) if g.high >= 0 or abs(g.share) < MATERIAL)
    flip = vectors(test, Hypothesis(template=MIRRORED)) if not only else None
    fused = (
        None
        if flip is None
        else gains(base, [separation(_unit(base_vectors + flip), subjects[test])], rng)[0]
    )
    return Wiring(
        stated_words(loaded),
        loaded.network is not None,
        base.value,
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
    return MATERIAL_CHANNELS if [axis for axis, _ in hypothesis.changes] == ["channels"] else MATERIAL


def _plainest(better: list[Tried]) -> Tried | None:
    """Of those within a material gain of the best one, that with the fewest changes."""
    if not better:
        return None
    near = [t for t in better if t.d_prime >= better[0].d_prime / (1 + MATERIAL)]
    return min(near, key=lambda t: (len(t.hypothesis.changes), -t.d_prime))


def _unit(vectors: F32) -> F32:
    finite = np.asarray(np.isfinite(vectors).all(axis=1))
    return unit_rows(np.where(finite[:, None], vectors, 0).astype(np.float32))


def _list(values: tuple[float, ...]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else f"[{', '.join(f'{v:g}' for v in values)}]"


def card_lines(hypothesis: Hypothesis, size: tuple[int, int]) -> dict[str, str]:
    """Key -> TOML value of the lines that a card needs for this. Raises UsageError where no card can say it."""
    lines: dict[str, str] = {}
    for axis, value in hypothesis.changes:
        if axis == "normalisation":
            mean, std = NORMALISATIONS[value]
            lines |= {"mean": _list(mean), "std": _list(std)}
        elif axis == "template":
            if value == WHOLE:
                raise UsageError(
                    "a card of an ONNX model cannot say 'whole pictures'", "use python:module:callable"
                )
            points = np.round(template_points(value, size), 3).tolist()
            native = {"arcface-112": 1.0, "dlib-150": 1.0}.get(value)
            lines["template"] = f'"{value}"' if native and size[0] == size[1] else str(points)
        else:
            lines[axis] = f'"{value}"'
    return lines


def fixed_card(found: Wiring, card: Path, out: Path) -> None:
    """Write `card` with the lines of the better wiring to `out`; all else stays, comments too.

    Raises:
        UsageError: nothing to change, or no card can say it.
    """
    from fraudit.embedding.cards import parse_card

    if found.best is None:
        raise UsageError("no wiring is better beyond doubt: there is nothing to fix")
    size = parse_card(card).spec.preprocess.size
    text = read_file(card, CARD_BYTES, "docs/cards.md describes one", "the card").decode("utf-8")
    lines = card_lines(found.best.hypothesis, size)
    write_text_atomic(out, changed_card(text, lines))
    parse_card(out)


def changed_card(text: str, lines: dict[str, str]) -> str:
    """A card's text with other values of some keys of its top level; what is missing stands at its start."""
    import tomllib

    rows, done = text.splitlines(), set()
    kept: list[str] = []
    at = 0
    while at < len(rows):
        if rows[at].lstrip().startswith("["):
            break
        key = rows[at].partition("=")[0].strip().strip("\"'")
        if "=" not in rows[at] or rows[at].lstrip().startswith("#") or key not in lines:
            kept.append(rows[at])
            at += 1
            continue
        end = at + 1  # a value may go over several rows
        while end < len(rows) and not _whole(tomllib, "\n".join(rows[at:end])):
            end += 1
        kept.append(f"{key} = {lines[key]}")
        done.add(key)
        at = end
    new = [f"{key} = {value}" for key, value in lines.items() if key not in done]
    return "\n".join([*new, *kept, *rows[at:]]) + "\n"


def _whole(tomllib: Any, text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True
