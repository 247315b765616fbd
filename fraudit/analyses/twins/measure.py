"""Two models on the same faces, measured: cosines, decisions at thresholds of other people, a mixed gallery."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fraudit.analyses.shared.attributes import demographic_groups
from fraudit.analyses.twins.params import Params
from fraudit.analyses.twins.verdict import Change, Verdict, judge, levels
from fraudit.compare.sameness import SAME, SameFace
from fraudit.errors import InsufficientData
from fraudit.stats.calibration import Calibration
from fraudit.stats.intervals import Difference, paired_difference
from fraudit.stats.paired import rate_difference, sums_difference
from fraudit.stats.pairs import pair_cosines
from fraudit.stats.same_face import face_cosines
from fraudit.stats.twins import Crossed, Cut, Way, crossed, mixed_calibration, stranger_cosines
from fraudit.types import F32, F64, I64, Bool, Interval

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

LEAST_PEOPLE = 50
EXPECTED = 10  # false matches of an FMR target among the judged pairs: with fewer one odd pair decides it
JUDGED_FACES = 4000  # of the judged half: 8 million pairs
SHOWN_PAIRS = 100_000
Make = Callable[[float], Difference]


@dataclass(frozen=True, slots=True)
class Flips:
    """Decisions on the judged genuine pairs that differ, both models at the first one's threshold.

    `lost`: accepted by the first alone. `gained`: by the second alone. Strangers are in `Crossed`.
    """

    lost: int
    gained: int
    share: float
    interval: Interval | None
    reason: str


@dataclass(frozen=True, slots=True)
class Point:
    """One FMR target: thresholds, decisions on strangers and on genuine pairs, and what changed."""

    cut: Cut
    strangers: Crossed
    flips: Flips
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class GroupCosine:
    """Mean cosine of the same face within one group; interval or the reason it is missing."""

    attribute: str
    group: str
    faces: int
    people: int
    mean: float
    interval: Interval | None
    reason: str


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that was measured; `first` is the old model.

    Attributes:
        names, dims: of both models. faces, people: that both gave a vector for. only: faces with a vector of the
            first alone, of the second alone. lost: condition on the faces that the second loses.
        cosines: of the same face, None where dimensions differ. rows: i64 faces that `cosines` are of.
        strangers: f64[K] cosines of the first's vector of one person with the second's of another, and their people.
        own_strangers: the same within the first model. mates: genuine pairs, within the first and mixed.
        points: one an FMR target that is judged. unjudged: other targets, why not.
        groups, cosines_by_group: FNMR changes and cosines by group, at the strictest judged target.
        identical: both models' vectors are the same to the last bit.
        place, own, group_changes: conditions of the verdict (`twins.verdict`), and those of groups.
    """

    names: tuple[str, str]
    dims: tuple[int, int]
    faces: int
    people: int
    only: tuple[int, int]
    lost: Change
    cosines: SameFace | None
    rows: I64
    strangers: tuple[F64, I64]
    own_strangers: F64
    mates: tuple[F64, F64]
    points: tuple[Point, ...]
    unjudged: tuple[tuple[float, str], ...]
    verdict: Verdict
    place: tuple[Change, ...]
    own: tuple[Change, ...]
    group_changes: tuple[Change, ...] = ()
    cosines_by_group: tuple[GroupCosine, ...] = ()
    groups_note: str = ""
    identical: bool = False
    ids: tuple[str, ...] = field(default=(), repr=False)

    @property
    def alike(self) -> bool:
        """Whether both models' vectors have one dimension."""
        return self.dims[0] == self.dims[1]


@dataclass(frozen=True, slots=True)
class _Half:
    """The judged half: genuine pairs of faces and their people; faces with a vector of both."""

    left: I64
    right: I64
    people: I64
    rows: I64


@dataclass(frozen=True, slots=True)
class _Models:
    """Unit rows, whether there is a vector, and calibrations; `mixed` None where dimensions differ."""

    u: F32
    v: F32
    ok: tuple[Bool, Bool]
    first: Calibration
    second: Calibration
    mixed: Calibration | None
    everyone: I64

    def cut(self, target: float) -> Cut:
        mixed = float("nan") if self.mixed is None else self.mixed.threshold(target)
        return Cut(target, self.first.threshold(target), self.second.threshold(target), mixed)

    def calibration(self, way: Way) -> Calibration | None:
        return {"own": self.second, "mixed_own": self.mixed}.get(way, self.first)

    def scores(self, left: I64, right: I64) -> dict[str, F64]:
        """Genuine scores of the first, the second, and of the first's template with the second's probe."""
        a, b = self.ok
        found = {
            "first": pair_cosines(self.u, left, right, a),
            "second": pair_cosines(self.v, left, right, b),
        }
        if self.mixed is not None:
            mixed = np.einsum("pd,pd->p", self.u[left], self.v[right], dtype=np.float64)
            found["mixed"] = np.where(a[left] & b[right], mixed, np.nan)
        return found


def _kind(way: Way) -> str:
    return {"first": "first", "kept": "second", "own": "second"}.get(way, "mixed")


def _change(
    what: tuple[str, Way, float],
    rates: tuple[float, float],
    n: tuple[int, str],
    make: Make,
    of: tuple[float, float, float],
    limit: float,
    group: str = "",
) -> Change:
    """The condition `what` (rate, way, FMR target) on `rates`, its intervals at the levels `of` made by `make`."""
    usual = accusing = harsh = None
    reason = ""
    try:
        usual, accusing, harsh = (make(level) for level in of)
    except InsufficientData as error:
        reason = error.message
    return Change(*what, *rates, *n, usual, accusing, harsh, limit, reason, group)


def _models(context: AnalysisContext, reverse: bool) -> tuple[_Models, tuple[str, str]]:
    boxes = [context.embedder, context.other]
    if reverse:
        boxes.reverse()
    old, new = boxes
    assert old is not None
    assert new is not None
    if old.fingerprint == new.fingerprint and old.loaded.cacheable:
        raise InsufficientData(
            f"both sides are the same model ({old.spec.name}, {new.spec.name}): what it answered once is "
            "remembered, so that asking again proves nothing; embed on each machine and compare the stored vectors"
        )
    context.progress(f"twins: {old.spec.name} and {new.spec.name} on the same faces")
    a, b = context.embeddings(old), context.embeddings(new)
    u, v = a.unit(), b.unit()
    held = context.calibration_mask()
    mixed = None
    if u.shape[1] == v.shape[1]:
        rows = np.flatnonzero(held & a.ok & b.ok)
        mixed = mixed_calibration(u, v, context.faces.subjects, rows, context.rng("twins/mixed"))
    everyone = np.unique(context.faces.subjects[held])
    found = _Models(u, v, (a.ok, b.ok), context.calibration(old), context.calibration(new), mixed, everyone)
    return found, (old.spec.name, new.spec.name)


def _half(context: AnalysisContext, models: _Models) -> _Half:
    pairs = context.judged_pairs()
    genuine = pairs.same & (models.ok[0][pairs.left] | models.ok[1][pairs.left])
    genuine &= models.ok[0][pairs.right] | models.ok[1][pairs.right]  # what neither acquires tells nothing
    left, right = pairs.left[genuine], pairs.right[genuine]
    rows = np.flatnonzero(~context.calibration_mask() & models.ok[0] & models.ok[1])
    if len(rows) > JUDGED_FACES:
        rows = np.sort(context.rng("twins/judged").choice(rows, JUDGED_FACES, replace=False))
    if not len(left):
        raise InsufficientData("nobody among the judged people has two pictures with a vector")
    return _Half(left, right, context.faces.subjects[left], rows)


def _targets(models: _Models, half: _Half, subjects: I64, fmrs: Sequence[float]) -> tuple[list[float], Any]:
    """(targets that are judged, (target, why not) of the others): by counts alone, before any score is looked at."""
    counts = np.unique(subjects[half.rows], return_counts=True)[1].astype(np.int64)
    judged = int(len(half.rows) ** 2 - (counts**2).sum()) // 2
    chosen = min(len(c.impostor) for c in (models.first, models.second, models.mixed) if c is not None)
    good, left_out = [], []
    for fmr in sorted(set(fmrs), reverse=True):
        least = min(judged, chosen) * fmr
        if least >= EXPECTED:
            good.append(fmr)
        else:
            why = f"{least:.2g} false matches are expected among {min(judged, chosen):,} pairs of strangers"
            left_out.append((fmr, f"{why}; {EXPECTED} are needed"))
    return good, tuple(left_out)


def _fnmr(models: _Models, half: _Half, scores: dict[str, F64], cut: Cut, way: Way) -> Make:
    base, score = ~(scores["first"] >= cut.first), scores[_kind(way)]
    errors = ~(score >= cut.at(way))
    tails: tuple[F64 | None, F64 | None] = (None, None)
    if way in ("own", "mixed_own"):  # both thresholds were chosen on these people; else one is given to both
        mine, theirs = models.first, models.calibration(way)
        assert theirs is not None
        tails = (
            mine.tail(cut.target, scores["first"], models.everyone),
            theirs.tail(cut.target, score, models.everyone),
        )
    return lambda level: rate_difference(base, errors, half.people, half.people, *tails, level)


def _fmr(strangers: Crossed, way: Way) -> Make:
    a, b = strangers.ways["first"], strangers.ways[way]
    return lambda level: sums_difference(a.rate, b.rate, a.sums, b.sums, a.n, level, a.pairs)


def _point(
    models: _Models, half: _Half, scores: dict[str, F64], strangers: Crossed, params: Params, of: Any
) -> Point:
    cut = strangers.cut
    changes: list[Change] = []
    rejected = ~(scores["first"] >= cut.first)
    for way in (w for w in strangers.ways if w != "first"):
        missed = float((~(scores[_kind(way)] >= cut.at(way))).mean())
        one, two = strangers.ways["first"], strangers.ways[way]
        changes += [
            _change(
                ("fnmr", way, cut.target),
                (float(rejected.mean()), missed),
                (len(rejected), "genuine pairs"),
                _fnmr(models, half, scores, cut, way),
                of,
                params.margin,
            ),
            _change(
                ("fmr", way, cut.target),
                (one.rate, two.rate),
                (one.n, "impostor pairs"),
                _fmr(strangers, way),
                of,
                (params.fmr_factor - 1) * cut.target,
            ),
        ]
    return Point(cut, strangers, _flips(half, rejected, ~(scores["second"] >= cut.first)), tuple(changes))


def _flips(half: _Half, first: Bool, second: Bool) -> Flips:
    from fraudit.stats.intervals import clustered_rate, interval_or_reason

    moved = first ^ second
    interval, reason = interval_or_reason(lambda: clustered_rate(moved, half.people, half.people))
    lost, gained = int((second & ~first).sum()), int((first & ~second).sum())
    return Flips(lost, gained, float(moved.mean()), interval, reason)


def _lost(models: _Models, subjects: I64, margin: float, of: tuple[float, float, float]) -> Change:
    a, b = (~ok for ok in models.ok)
    rates = float(a.mean()), float(b.mean())
    make = partial(paired_difference, a, b, subjects, subjects)
    return _change(("lost", "kept", 0.0), rates, (len(a), "faces"), make, of, margin)


def _by_group(
    context: AnalysisContext, half: _Half, scores: dict[str, F64], cut: Cut, params: Params
) -> list[tuple[str, str, Bool, Bool, I64]]:
    """(attribute, group, errors of the first, of the second at the first's threshold, people) of large groups."""
    out = []
    for name, labels in demographic_groups(context.faces, params.by).items():
        for group in np.unique(labels[labels != ""]):
            use = (labels[half.left] == group) & (labels[half.right] == group)
            people = half.people[use]
            if len(np.unique(people)) < LEAST_PEOPLE // 2:
                continue
            one, two = (~(scores[kind][use] >= cut.first) for kind in ("first", "second"))
            out.append((name, str(group), one, two, people))
    return out


def _cosines_by_group(
    context: AnalysisContext, params: Params, found: SameFace, rows: I64
) -> tuple[GroupCosine, ...]:
    out = []
    for name, labels in demographic_groups(context.faces, params.by).items():
        for group in np.unique(labels[rows][labels[rows] != ""]):
            use = labels[rows] == group
            part = SameFace(found.cosines[use], found.subjects[use], True)
            count = len(np.unique(part.subjects))
            try:
                mean, interval = part.figure("mean")
                out.append(GroupCosine(name, str(group), part.faces, count, mean, interval, ""))
            except InsufficientData as error:
                mean = float(part.cosines.mean())
                out.append(GroupCosine(name, str(group), part.faces, count, mean, None, error.message))
    return tuple(out)


def measure_twins(context: AnalysisContext, params: Params) -> Measured:
    """All figures of the section.

    Raises:
        InsufficientData: fewer than 50 people, or no FMR target that the set resolves. UsageError: no such attribute.
    """
    subjects = context.faces.subjects
    if (people := len(np.unique(subjects))) < LEAST_PEOPLE:
        raise InsufficientData(
            f"two models are judged on at least {LEAST_PEOPLE} people, found {people}",
            "use a set with more people, or a larger --limit",
        )
    models, names = _models(context, params.reverse)
    alike = models.u.shape[1] == models.v.shape[1]
    both = models.ok[0] & models.ok[1]
    if not both.any():
        raise InsufficientData("no face has a vector of both models")
    half = _half(context, models)
    targets, unjudged = _targets(models, half, subjects, params.fmrs)
    if not targets:
        raise InsufficientData(f"no FMR target can be judged: at {unjudged[0][0]:g} {unjudged[0][1]}")
    scores = models.scores(half.left, half.right)
    rows = np.flatnonzero(both)
    cosines = SameFace(face_cosines(models.u[rows], models.v[rows]), subjects[rows], True) if alike else None
    cuts = [models.cut(t) for t in targets]
    strangers = crossed(models.u[half.rows], models.v[half.rows], subjects[half.rows], cuts)
    parts = _by_group(context, half, scores, cuts[-1], params) if alike else []
    tested = 1 + len(parts) + (8 if alike else 4) * len(cuts)
    of = levels(tested)
    points = tuple(_point(models, half, scores, found, params, of) for found in strangers)
    lost = _lost(models, subjects, params.margin, of)
    every = [c for point in points for c in point.changes]
    place = (lost, *(c for c in every if c.way in ("kept", "mixed")))
    own = (lost, *(c for c in every if c.way in ("own", "mixed_own") and c.rate == "fnmr"))
    same = (
        cosines is not None
        and bool((models.ok[0] == models.ok[1]).all())
        and float(cosines.cosines.min()) >= 1 - SAME
    )
    group_changes = [
        _change(
            ("fnmr", "kept", cuts[-1].target),
            (float(one.mean()), float(two.mean())),
            (len(one), "genuine pairs"),
            partial(paired_difference, one, two, who, who),
            of,
            params.margin,
            f"{name}: {group}",
        )
        for name, group, one, two, who in parts
    ]
    rng, empty = context.rng("twins/strangers"), np.empty(0)
    shown = half.rows
    u, v, who = models.u[shown], models.v[shown], subjects[shown]
    return Measured(
        names,
        (models.u.shape[1], models.v.shape[1]),
        len(rows),
        len(np.unique(subjects[rows])),
        (int((models.ok[0] & ~models.ok[1]).sum()), int((models.ok[1] & ~models.ok[0]).sum())),
        lost,
        cosines,
        rows,
        stranger_cosines(u, v, who, SHOWN_PAIRS, rng) if alike else (empty, np.empty(0, np.int64)),
        stranger_cosines(u, u, who, SHOWN_PAIRS, rng)[0],
        (_known(scores["first"]), _known(scores["mixed"]) if alike else empty),
        points,
        unjudged,
        judge(same, alike, place, own),
        place,
        own,
        tuple(group_changes),
        _cosines_by_group(context, params, cosines, rows) if cosines is not None else (),
        "" if parts or not alike else _no_groups(context, params),
        same and np.array_equal(models.u, models.v),
        context.faces.ids,
    )


def _no_groups(context: AnalysisContext, params: Params) -> str:
    if not demographic_groups(context.faces, params.by):
        return "the set has no demographic attributes (name one with --attributes)"
    return f"no group has genuine pairs of {LEAST_PEOPLE // 2} people among those judged"


def _known(values: NDArray[Any]) -> F64:
    return np.asarray(values[~np.isnan(values)], np.float64)
