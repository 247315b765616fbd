"""Shows the pictures of every method to every judge and counts; no words, no charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.analyses.rivals.methods import (
    FIRST,
    Absent,
    Made,
    chosen_methods,
    open_generator,
    open_local,
    run_all,
)
from fraudit.analyses.rivals.params import Params
from fraudit.analyses.shared.counted import mean_or_none
from fraudit.analyses.shared.reconstructions import crops_at, judging_models, shown_to, usable_rows
from fraudit.errors import InsufficientData
from fraudit.inverters.inverting import cosine
from fraudit.inverters.rivals.attack import SIDE
from fraudit.stats.estimates import Estimate
from fraudit.stats.frechet import frechet_distance, group_jackknife
from fraudit.stats.intervals import Difference, interval_or_reason, paired_difference
from fraudit.stats.inversion import (
    Replacement,
    other_picture,
    pixel_spread,
    replacement,
    sample_spread,
    spread_people,
    tally,
)
from fraudit.stats.ssim import ms_ssim
from fraudit.types import F64, I64, U8, Bool, Embeddings, Interval, MethodCard

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext
    from fraudit.audit.thresholds import Threshold
    from fraudit.embedding.runtime import EmbedderRuntime

FOLDS = 10
REAL = Made(
    "real",
    MethodCard("", "vectors", "one-to-one", "", "", "", "the source itself at the pictures' resolution"),
    np.zeros((0, SIDE, SIDE, 3), np.uint8),
    np.zeros(0, np.int64),
    np.zeros((0, 0, SIDE, SIDE, 3), np.uint8),
    np.zeros((0, 0)),
    0,
    0,
    0.0,
    0.0,
    frozenset(),
    f"the source itself at {SIDE} px: what the resolution alone costs",
)


@dataclass(frozen=True, slots=True)
class AtFmr:
    """Counts at one operating point of a judge.

    Attributes:
        one, two: success of type I and II, over all pictures. strangers: pictures that match other people's sources.
        against: type I less that of ID3PM, paired; None where there is none.
        curve: type I after `Made.asked` questions. varied: type I under the conditions of `Made.variants`.
        missing: why there are no figures.
    """

    fmr: float
    threshold: float
    one: Estimate | None = None
    two: Estimate | None = None
    strangers: Estimate | None = None
    against: Difference | None = None
    curve: tuple[Estimate | None, ...] = ()
    varied: tuple[Estimate, ...] = ()
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """What one judge says of one method.

    Attributes:
        kin: it, or a model before it, was used to make the method: not independent.
        similarity: cosine to the source. spread: angular distance among samples of one vector.
        frechet: (value, interval, reason) of first samples to sources; None where it has too few vectors.
        replaced: accuracy of the replacement protocol; why there is none in `replaced_missing`.
        unseen: pictures without a vector.
    """

    judge: str
    own: bool
    kin: bool
    similarity: Estimate | None
    spread: Estimate | None
    frechet: tuple[float, Interval | None, str] | None
    replaced: Replacement | None
    replaced_missing: str
    points: tuple[AtFmr, ...]
    unseen: int
    cosines: F64 = field(repr=False)


@dataclass(frozen=True, slots=True)
class Method:
    """One method with its verdicts; `pixels` and `structure` are of its pictures alone.

    Attributes:
        pixels: RMS difference among samples, 0..255. structure: MS-SSIM of the first sample to the source.
        among: MS-SSIM of first samples of two people (Vec2Face, Table 2; lower is more diverse).
        pose, expression: mean pairwise distance among samples by 3DDFA; None where it is not at hand.
    """

    made: Made
    judged: tuple[Judged, ...]
    pixels: Estimate | None
    structure: Estimate | None
    among: Estimate | None = None
    pose: Estimate | None = None
    expression: Estimate | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Everything measured.

    Attributes:
        rows: i64[N] sources; people, others: i64[N]. samples: K.
        real: the sources themselves. methods: those that ran. absent: those that did not.
        pose_missing: why pose and expression were not measured. drawn: whether the set shows nobody.
    """

    rows: I64
    people: I64
    others: I64
    samples: int
    sources: U8
    real: Method
    methods: tuple[Method, ...]
    absent: tuple[Absent, ...]
    pose_missing: str = ""
    drawn: bool = False


def choose_sources(context: AnalysisContext, params: Params) -> tuple[I64, I64]:
    """(i64[N] sources, one a person, i64[N] another picture of each).

    Raises:
        InsufficientData: fewer than two people outside the calibration half have two pictures with a vector.
    """
    usable = usable_rows(context)
    subjects = context.faces.subjects
    pool = np.zeros(len(subjects), bool)
    pool[usable] = True
    count = context.max_faces(params.people)
    rows = spread_people(subjects, usable, count, context.rng("rivals/sources"), 1)
    others = other_picture(subjects, rows, pool, context.rng("rivals/others"))
    rows, others = rows[others >= 0], others[others >= 0]
    if len(rows) < 2:
        raise InsufficientData("fewer than two people outside the calibration half have two pictures")
    return rows, others


def compare_methods(context: AnalysisContext, params: Params) -> Found:
    """Every method on the same vectors, by the same judges, at the same thresholds."""
    chosen_methods(params)  # a wrong name is told before anything is asked
    local, generator = open_local(context, params.local), open_generator(params.generator)
    rows, others = choose_sources(context, params)
    people, k = context.faces.subjects[rows], params.samples
    vectors = np.repeat(context.embeddings().vectors[rows], k, axis=0)
    seeds = np.tile(context.seed + np.arange(k), len(rows))
    made, absent = run_all(context, params, vectors, seeds, local, generator)
    if not made:
        raise InsufficientData("; ".join(f"{a.name}: {a.reason}" for a in absent))
    sources = crops_at(context, rows, SIDE)
    judges = [_Judge(context, params, box, rows, others, people) for box in judging_models(context)]
    real = Method(_real(sources), tuple(j.of(_real(sources), 1, None) for j in judges), None, None)
    first = next((m for m in made if m.name == FIRST), None)
    base = [j.cosines(first.pictures) if first else None for j in judges]
    done = tuple(
        Method(
            m,
            tuple(j.of(m, k, b if m.name != FIRST else None) for j, b in zip(judges, base, strict=True)),
            mean_or_none(pixel_spread(m.pictures, k), people),
            mean_or_none(_structure(sources, m.pictures[::k]), people),
            mean_or_none(_structure(np.roll(m.pictures[::k], 1, axis=0), m.pictures[::k]), people),
            *_poses(m.pictures, k, people),
        )
        for m in made
    )
    from fraudit.faces.pose3d import missing

    return Found(
        rows, people, others, k, sources, real, done, tuple(absent), missing(), context.faces.synthetic
    )


def _real(sources: U8) -> Made:
    from dataclasses import replace

    return replace(REAL, pictures=sources)


def _structure(sources: U8, made: U8) -> F64:
    """f64[N] MS-SSIM; pictures of another size are shown at the sources'."""
    import cv2

    side = sources.shape[1]
    if made.shape[1] != side:
        made = np.stack([cv2.resize(p, (side, side), interpolation=cv2.INTER_AREA) for p in made])
    return np.array([ms_ssim(a, b) for a, b in zip(sources, made, strict=True)])


def _poses(pictures: U8, k: int, people: I64) -> tuple[Estimate | None, Estimate | None]:
    from fraudit.faces.pose3d import angles, expression, missing, open_pose3d
    from fraudit.inverters.geometry import landmarks_of
    from fraudit.stats.inversion import pairwise_distance

    if missing():
        return None, None
    points = np.repeat(landmarks_of(pictures.shape[1])[None], len(pictures), axis=0)
    parameters = open_pose3d().parameters(pictures, points)
    pose, smile = (mean_or_none(pairwise_distance(f(parameters), k), people) for f in (angles, expression))
    return pose, smile


class _Judge:
    """One model with its thresholds and its vectors of sources and other pictures."""

    def __init__(
        self,
        context: AnalysisContext,
        params: Params,
        box: EmbedderRuntime,
        rows: I64,
        others: I64,
        people: I64,
    ) -> None:
        self.context, self.box, self.people = context, box, people
        known = context.embeddings(box)
        self.unit = known.unit()
        self.rows, self.others = rows, others
        self.keep: Bool = known.ok[rows] & known.ok[others]
        self.thresholds: list[Threshold] = [context.threshold_or_reason(f, runtime=box) for f in params.fmrs]
        self.fmrs = params.fmrs

    def cosines(self, pictures: U8) -> F64:
        """f64[N,K]: pictures to their sources; NaN where there is no vector."""
        return self._alike(shown_to(self.context, self.box, pictures), self.rows)

    def _alike(self, answer: Embeddings, faces: I64) -> F64:
        k = len(answer) // len(self.rows)
        found = cosine(answer.vectors, self.unit[np.repeat(faces, k)])
        good = answer.ok & np.repeat(self.keep, k)
        return np.where(good, found, np.nan).reshape(-1, k)

    def of(self, made: Made, k: int, first: F64 | None) -> Judged:
        """The verdict on one method's N*k pictures; `first`: f64[N,K] cosines of the method it is paired with."""
        answer = shown_to(self.context, self.box, made.pictures)
        source, other = self._alike(answer, self.rows), self._alike(answer, self.others)
        unit = answer.unit().astype(np.float64)
        across = unit @ self.unit[self.rows].T.astype(np.float64)
        kept = [self.cosines(pictures) for pictures in made.kept]
        varied = [self.cosines(pictures) for pictures in (made.varied if made.varied is not None else ())]
        points = tuple(
            self._point(f, t, source, other, across, answer.ok, kept, varied, first)
            for f, t in zip(self.fmrs, self.thresholds, strict=True)
        )
        people = np.repeat(self.people, k)
        replaced, why = self._replaced(other[:, 0])
        own = self.box is self.context.embedder
        return Judged(
            self.box.spec.name,
            own,
            not own and self.box.fingerprint in made.kin,
            mean_or_none(source.ravel(), people),
            mean_or_none(sample_spread(unit, k, answer.ok), self.people) if k > 1 else None,
            self._frechet(unit[::k], answer.ok[::k]),
            replaced,
            why,
            points,
            int((~answer.ok).sum()),
            source,
        )

    def _point(
        self,
        fmr: float,
        at: Threshold,
        source: F64,
        other: F64,
        across: F64,
        ok: Bool,
        kept: Sequence[F64],
        varied: Sequence[F64],
        first: F64 | None,
    ) -> AtFmr:
        if not at.resolvable:
            why = (
                at.missing
                or f"needs {round(3 / fmr):,} impostor pairs for its threshold; there are {at.n_impostor:,}"
            )
            return AtFmr(fmr, at.value, missing=why)
        if not self.keep.any():
            return AtFmr(fmr, at.value, missing="this judge has no vector of any source")
        k, keep = source.shape[1], self.keep
        people = np.repeat(self.people[keep], k)

        def counted(cosines: F64) -> Estimate:
            return tally((cosines[keep] >= at.value).ravel(), people, people)

        made_by = np.repeat(self.people, k)
        i, j = np.nonzero((made_by[:, None] != self.people[None]) & ok[:, None] & keep[None])
        strangers = tally(across[i, j] >= at.value, made_by[i], self.people[j]) if len(i) else None
        against = None
        if first is not None and first.shape == source.shape:
            try:
                against = paired_difference(
                    (first[keep] >= at.value).ravel(), (source[keep] >= at.value).ravel(), people, people
                )
            except InsufficientData:
                against = None
        return AtFmr(
            fmr,
            at.value,
            counted(source),
            counted(other),
            strangers,
            against,
            tuple(counted(c) for c in kept),
            tuple(counted(c) for c in varied),
        )

    def _frechet(self, unit: F64, ok: Bool) -> tuple[float, Interval | None, str] | None:
        use = ok & self.keep
        real, made, people = self.unit[self.rows][use].astype(np.float64), unit[use], self.people[use]
        try:
            value = frechet_distance(real, made)
        except InsufficientData:
            return None
        found, reason = interval_or_reason(
            lambda: group_jackknife(lambda keep: frechet_distance(real[keep], made[keep]), people)
        )
        return value, found, reason

    def _replaced(self, made: F64) -> tuple[Replacement | None, str]:
        """ID3PM's protocol: the first picture of every genuine pair becomes its reconstruction.

        People are dealt into folds; impostor pairs are a person's source with the next one's other picture, as many
        as there are genuine pairs. Thresholds come from the other folds.
        """
        use = np.flatnonzero(self.keep)
        folds = min(FOLDS, len(use) // 2)
        if folds < 2:
            return None, "the replacement protocol needs four people"
        fold, left, right, same, scores = [], [], [], [], []
        for part in range(folds):
            mine = use[part::folds]
            for n, i in enumerate(mine):
                j = mine[(n + 1) % len(mine)]
                stranger = float(self.unit[self.rows[i]] @ self.unit[self.others[j]])
                scores += [made[i], stranger]
                left += [self.people[i], self.people[i]]
                right += [self.people[i], self.people[j]]
                same += [True, False]
                fold += [part, part]
        try:
            arrays: list[Any] = [np.array(x) for x in (scores, same, fold, left, right)]
            return replacement(*arrays), ""
        except InsufficientData as error:
            return None, error.message
