"""Which wiring separates people best, on faces whose vectors are given: two stages, and what cannot be told apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from fraudit.analyses.doctor.card_lines import card_lines, stated_lines
from fraudit.analyses.doctor.hypotheses import AXES, MIRRORED, Hypothesis, options, own_in_255
from fraudit.analyses.doctor.pixels import Pixels, over_pixels
from fraudit.analyses.doctor.screening import shortlist
from fraudit.errors import InsufficientData, UsageError
from fraudit.stats.separations import LEAST_PEOPLE, Gain, Separation, gains, separation
from fraudit.types import F32, I64, LoadedEmbedder, unit_rows

# Each stage has half of the level. The second one judges hypotheses that the first one chose on the same people, so
# its p is multiplied by how many the first one judged (Bonferroni), whichever it chose.
STAGE_LEVEL = 0.0005
DRAWS = 29_999
LEADING = 3  # hypotheses that the second stage judges at most
# Least gain of d'. Two normalisations that are both published for one network differ by 3.4 %, and templates near each
# other by as little; channels are right or wrong.
MATERIAL = 0.05
MATERIAL_CHANNELS = 0.015
Vectors = Callable[[I64, Hypothesis], F32 | None]


@dataclass(frozen=True, slots=True)
class Tried:
    """One hypothesis on the people of its test: its d' and AUC, and how it compares with the stated wiring.

    `lines` are those of a card that says it, key -> TOML value; empty where no card can. `people`: how many judged it.
    """

    hypothesis: Hypothesis
    d_prime: float
    auc: float
    gain: Gain
    lines: dict[str, str]
    people: int

    @property
    def better(self) -> bool:
        """Beyond doubt, and by a material gain."""
        return self.gain.p <= STAGE_LEVEL and self.gain.share >= material(self.hypothesis)

    @property
    def equivalent(self) -> bool:
        """Whether its d' is that of the stated wiring, short of a material difference, at the bounds of its gain."""
        return within(self.gain, material(self.hypothesis))

    @property
    def undecided(self) -> bool:
        """Whether these people tell neither that it is worse, nor that it is equivalent, nor that it is better."""
        return not self.better and not self.equivalent and self.gain.high >= material(self.hypothesis)


@dataclass(frozen=True, slots=True)
class Wiring:
    """What was found.

    Attributes:
        stated: key -> TOML value of the card's lines; empty for a box whose input is made inside it.
        d_prime, auc: of the stated wiring, on `people` people and `faces` faces.
        tried: the hypotheses that were tested, best gain first. screened: how many were looked at before, on others.
        best: one that is better beyond doubt and by a material gain, or None.
        equal: hypotheses as good as the best one, by the same margins; their gains are those over it.
        flip: gain of adding the mirror image's vector, None where it was not measured.
        missing: (what could not be tried, why). synthetic: whether the faces show nobody.
        pixels: whether it tells people apart, None where that was not asked. all_axes: whether all was tried. Where all
            was tried and it does not, `best` is None: the wiring of such a model cannot be judged.
        own: the normalisation that is the card's own numbers times 255, where they look like those of pixels from 0 to
            1; else ''.
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
    pixels: Pixels | None = None
    all_axes: bool = True
    own: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """Hypotheses on the same faces: rows i64[N] of `people`; the stated vectors and d'; each one's d' and dimension."""

    rows: I64
    people: int
    stated: F32
    base: Separation
    answers: dict[Hypothesis, Separation]
    dims: dict[Hypothesis, int]

    def gains(self, rng: np.random.Generator) -> dict[Hypothesis, Gain]:
        """Over the stated wiring, tested together."""
        found = gains(self.base, list(self.answers.values()), rng, draws=DRAWS)
        return dict(zip(self.answers, found, strict=True))


def compared(
    loaded: LoadedEmbedder,
    subjects: I64,
    screen: I64,
    test: I64,
    vectors: Vectors,
    rng: np.random.Generator,
    only: tuple[str, ...] = (),
    more: Callable[[], I64] | None = None,
    plain: Callable[[I64], F32] | None = None,
) -> Wiring:
    """The comparison over faces whose vectors `vectors` gives: rows `screen` choose what rows `test` judge.

    Args:
        more: gives the rows `test` and others of people who did not screen; asked where `test` leaves something open.
        plain: f32[M,E] of rows, the faces' own pixels, with which the model has to compete.
    Raises:
        InsufficientData: fewer people than a test needs, or the model answers nothing as stated.
    """
    values, missing = options(loaded)
    for name in only:
        if name not in AXES:
            raise UsageError(f"unknown part of the wiring '{name}'", f"known: {', '.join(AXES)}")
    values = {axis: listed for axis, listed in values.items() if not only or axis in only}

    def screened(hypothesis: Hypothesis) -> float | None:
        found = vectors(screen, hypothesis)
        return None if found is None else separation(_unit(found), subjects[screen], 2).value

    own = own_in_255(loaded.spec.preprocess) if loaded.network else ""
    kept, seen = shortlist(values, screened, (Hypothesis(normalisation=own),) if own else ())
    first = _stage(subjects, test, vectors, kept)
    tried = _tried(loaded, first, first.gains(rng))
    last = first
    if more is not None and not any(t.better for t in tried) and (leading := _open(tried)):
        wider = more()
        if len(wider) > len(test):
            last = _stage(subjects, wider, vectors, leading)
            again = {h: _times(g, len(first.answers)) for h, g in last.gains(rng).items()}
            tried = [t for t in tried if t.hypothesis not in again]
            tried += _tried(loaded, last, again)
            tried.sort(key=lambda t: -t.gain.share)
    pixels = None
    if plain is not None:
        blurred = separation(_unit(plain(test)), subjects[test])
        pixels = over_pixels(blurred, {Hypothesis(): first.base, **first.answers}, rng)
    unjudged = pixels is not None and pixels.told != "yes" and not only
    best = None if unjudged else _plainest([t for t in tried if t.better], own)
    stages = [first] if last is first else [first, last]
    flip = vectors(test, Hypothesis(template=MIRRORED)) if not only else None
    fused = (
        None
        if flip is None
        else gains(first.base, [separation(_unit(first.stated + flip), subjects[test])], rng)[0]
    )
    return Wiring(
        stated_lines(loaded),
        first.base.value,
        first.base.auc,
        first.people,
        len(test),
        tuple(tried),
        len(seen),
        best,
        _equal(best, tried, stages, rng),
        fused,
        missing,
        pixels=pixels,
        all_axes=not only,
        own=own,
    )


def _stage(subjects: I64, rows: I64, vectors: Vectors, hypotheses: list[Hypothesis]) -> Stage:
    stated = vectors(rows, Hypothesis())
    if stated is None:
        raise InsufficientData("the model does not answer as its card states")
    answers, dims = {}, {}
    for h in hypotheses:
        found = vectors(rows, h)
        if found is not None:
            answers[h] = separation(_unit(found), subjects[rows], LEAST_PEOPLE)
            dims[h] = found.shape[1]
    people = len(np.unique(subjects[rows]))
    return Stage(rows, people, stated, separation(_unit(stated), subjects[rows]), answers, dims)


def _tried(loaded: LoadedEmbedder, stage: Stage, found: dict[Hypothesis, Gain]) -> list[Tried]:
    def lines(h: Hypothesis) -> dict[str, str]:
        return card_lines(h, loaded.spec, stage.dims[h]) if loaded.network else {}

    listed = [Tried(h, s.value, s.auc, found[h], lines(h), stage.people) for h, s in stage.answers.items()]
    return sorted(listed, key=lambda t: -t.gain.share)


def _open(tried: list[Tried]) -> list[Hypothesis]:
    """What seems better and may be so materially, best first; one that is better by too little is decided."""
    return [t.hypothesis for t in tried if t.gain.share > 0 and t.gain.p > STAGE_LEVEL and t.undecided][
        :LEADING
    ]


def _times(gain: Gain, count: int) -> Gain:
    return Gain(gain.share, gain.low, gain.high, min(1.0, gain.p * count))


def material(hypothesis: Hypothesis) -> float:
    """The least gain that a finding takes for this change."""
    return apart(hypothesis, Hypothesis())


def apart(one: Hypothesis, other: Hypothesis) -> float:
    """The least difference of d' by which two wirings are called different."""
    differ = [axis for axis in AXES if getattr(one, axis) != getattr(other, axis)]
    return MATERIAL_CHANNELS if differ == ["channels"] else MATERIAL


def within(gain: Gain, least: float) -> bool:
    """Whether both bounds of a gain lie within the least difference."""
    return -least < gain.low and gain.high < least


def _plainest(better: list[Tried], own: str = "") -> Tried | None:
    """Of those within a material gain of the best one, that with the fewest changes, the normalisation `own` first."""
    if not better:
        return None
    near = [t for t in better if 1 + t.gain.share >= (1 + better[0].gain.share) / (1 + MATERIAL)]
    return min(
        near, key=lambda t: (len(t.hypothesis.changes), t.hypothesis.normalisation != own, -t.gain.share)
    )


def _equal(
    best: Tried | None, tried: list[Tried], stages: list[Stage], rng: np.random.Generator
) -> tuple[Tried, ...]:
    """Hypotheses that are as good as the best one, plainest first, with their gains over it.

    Equivalent: the simultaneous 95 % interval of the gain lies within the least difference (two one-sided tests,
    Schuirmann 1987). Each is judged by the last of `stages` that asked it.
    """
    if best is None:
        return ()
    known, equal = {t.hypothesis: t for t in tried}, []
    for stage in reversed(stages):
        rest = [h for h in stage.answers if h in known and h != best.hypothesis]
        against = gains(stage.answers[best.hypothesis], [stage.answers[h] for h in rest], rng)
        for h, gain in zip(rest, against, strict=True):
            if within(gain, apart(h, best.hypothesis)):
                equal.append(replace(known[h], gain=gain, people=stage.people))
            del known[h]
    return tuple(sorted(equal, key=lambda t: (len(t.hypothesis.changes), -t.gain.share)))


def _unit(vectors: F32) -> F32:
    finite = np.asarray(np.isfinite(vectors).all(axis=1))
    return unit_rows(np.where(finite[:, None], vectors, 0).astype(np.float32))
