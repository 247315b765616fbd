"""What a run left behind at the level of pairs and people, so that two runs can be compared in pairs.

Everything is derived from `scores.csv` and `vectors.npz`; no model is asked anything. A piece of evidence that does
not reproduce the figure in the record is dropped, with a note: then only the two intervals are compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.errors import DataError, InsufficientData
from fraudit.files.doors import entering, open_arrays
from fraudit.scores import ScoreSet, read_run_scores
from fraudit.stats import verification as v
from fraudit.stats.calibration import (
    UNKNOWN,
    Calibration,
    calibrate,
    calibration_half,
    declared_people,
    fmr_sums,
    judged,
    pair_counts,
    pair_sums,
    threshold_tail,
)
from fraudit.stats.groups import join_labels, label_groups, word_groups
from fraudit.stats.intervals import PairClusters
from fraudit.stats.pairs import capped_genuine, genuine_pairs, pair_cosines
from fraudit.stats.same_face import projections, sketched_rows
from fraudit.stats.thresholds import person_mean
from fraudit.types import F32, F64, I64, Bool, Metric, PairList

Key = tuple[str, str]  # metric, group
MAX_GENUINE = 200_000  # as the bias analysis: beyond, it judges a sample
TOLERANCE = 1e-9
SKETCHED = 2_000  # faces of a sketch


@dataclass(frozen=True, slots=True)
class Events:
    """Errors on pairs: bool[P] events of people i64[P] left and right.

    `tail`: f64[S], what each calibration person adds to the rate's error through the threshold; None: no threshold.
    """

    events: Bool
    left: I64
    right: I64
    tail: F64 | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """A rate over all pairs of some people: its residual sums f64[S] by person over `n` pairs; `tail` as above.

    `pairs`: f64[S], pairs that involve each person; None in a baseline, where the new run knows them.
    """

    rate: float
    n: int
    sums: F64
    tail: F64 | None = None
    pairs: F64 | None = None


@dataclass(frozen=True, slots=True)
class Vectors:
    """vectors.npz: N faces. `declared`: the pairs of a set without identities (from scores.csv), else None.

    `unknown`: why no pair is known to be of two people, or ''.
    """

    ids: NDArray[np.str_]
    unit: F32
    ok: Bool
    subjects: I64
    attributes: Mapping[str, NDArray[Any]]
    declared: PairList | None = None
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Sketch:
    """A few numbers of some faces on random axes (`fraudit.stats.same_face`), of vectors with `dim` components.

    `rows`: i64[K] faces. `values`: f64[K,AXES]. `lost`: sha256 of which faces have no vector.
    """

    dim: int
    rows: I64
    values: F64
    lost: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Pair-level evidence of a run.

    Attributes:
        pairs: the scored pairs, or None.
        pairs_digest, people_digest: sha256 of which pairs and which faces of whom they are, '' without any.
        events, sums: by (metric, group). notes: what could not be used and why.
        vectors: all of them, None in a baseline. sketch: what a baseline keeps of them.
    """

    pairs: ScoreSet | None = None
    pairs_digest: str = ""
    people_digest: str = ""
    events: Mapping[Key, Events] = field(default_factory=dict)
    sums: Mapping[Key, Sums] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    vectors: Vectors | None = None
    sketch: Sketch | None = None


def read_vectors(path: Path) -> Vectors:
    """Read a run's vectors. Raises DataError where the file is no such thing."""
    with open_arrays(path, "is no vectors.npz of a run", "run the audit again") as data:
        vectors, ok = data["vectors"].astype(np.float32), data["ok"].astype(bool)
        ids, subjects = data["ids"].astype(np.str_), data["subjects"].astype(np.int64)
        named = {n.removeprefix("attribute."): data[n] for n in data.files if n.startswith("attribute.")}
        lengths = {len(column) for column in (ok, ids, subjects, *named.values())}
        if vectors.ndim != 2 or lengths != {len(vectors)} or not np.isfinite(vectors[ok]).all():
            raise DataError(
                f"{path} is no vectors.npz of a run: its arrays do not fit together", "run the audit again"
            )
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
        return Vectors(ids, unit, ok, subjects, named)


def read_evidence(
    folder: Path, metrics: Mapping[Key, Metric], seed: int, bias_fmr: float, identified: bool = True,
    distinct: bool = False,
) -> Evidence:  # fmt: skip
    """Evidence of the run in `folder`; what is not there is left out and noted.

    Args:
        metrics: the record's, to check what is derived. seed: of the run. bias_fmr: operating point of its bias.
        identified: whether the set says who is shown; otherwise only the pairs of scores.csv are known.
        distinct: whether it was stated that every picture shows another person.
    """
    notes: list[str] = []
    scores = folder / "scores.csv"
    pairs = read_run_scores(scores) if scores.is_file() else None
    if pairs is None:
        notes.append("no scores.csv: nothing is compared pair by pair")
    vectors = None
    if (folder / "vectors.npz").is_file():
        vectors = read_vectors(folder / "vectors.npz")
        if not identified and pairs is not None:
            vectors = replace(vectors, declared=_indices(vectors, pairs))
        elif not (identified or distinct):
            vectors = replace(vectors, unknown=UNKNOWN)
            notes.append("nobody is named: error rates at a threshold are compared by what the record says")
    else:
        notes.append(
            "no vectors.npz: error rates at thresholds of other people are compared by their intervals"
        )
    with entering(f"{folder}: its scores.csv and vectors.npz do not fit its run.json", "run the audit again"):
        return evidence_of(vectors, pairs, metrics, seed, bias_fmr, notes)


def evidence_of(
    vectors: Vectors | None, pairs: ScoreSet | None, metrics: Mapping[Key, Metric], seed: int, bias_fmr: float,
    noted: Sequence[str] = (),
) -> Evidence:  # fmt: skip
    """Evidence from what a run left behind; arguments as `read_evidence`."""
    notes = list(noted)
    events: dict[Key, Events] = {}
    sums: dict[Key, Sums] = {}
    if vectors is not None:
        _faces(vectors, metrics, events)
        _judged(vectors, metrics, seed, events, sums)
        _groups(vectors, metrics, seed, bias_fmr, events, sums)
    if pairs is not None:
        _unscored(pairs, metrics, events)
    for key in [*events, *sums]:
        metric = metrics.get(key)
        found = float(events[key].events.mean()) if key in events else sums[key].rate
        # Another machine rounds cosines otherwise, so that the pair a threshold was read off may change sides.
        slack = max(TOLERANCE, 1.5 / (len(events[key].events) if key in events else sums[key].n))
        if metric is None or metric.value is None or abs(found - metric.value) > slack:
            stored = "nothing" if metric is None or metric.value is None else f"{metric.value:.6g}"
            notes.append(f"{key[0]}: the stored pairs give {found:.6g}, the record says {stored}; not paired")
            events.pop(key, None)
            sums.pop(key, None)
    about_pairs = digest_of(pairs.left, pairs.right, pairs.same, pairs.fold) if pairs is not None else ""
    about_people = digest_of(vectors.ids, vectors.subjects) if vectors is not None else ""
    return Evidence(pairs, about_pairs, about_people, events, sums, tuple(notes), vectors)


def sketch_of(vectors: Vectors, most: int = SKETCHED) -> Sketch:
    """What a baseline keeps of vectors: `AXES` numbers of at most `most` faces that have one."""
    having = np.flatnonzero(vectors.ok)
    rows = having[sketched_rows(len(having), most)]
    return Sketch(vectors.unit.shape[1], rows, projections(vectors.unit, rows), digest_of(~vectors.ok))


def digest_of(*columns: NDArray[Any] | None) -> str:
    """sha256 of which pairs or people the evidence is about, never of what the model said."""
    digest = hashlib.sha256()
    for column in columns:
        array = np.asarray(column)
        if array.dtype.kind in "OU":
            digest.update("\0".join(map(str, np.atleast_1d(array))).encode())
        else:
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _faces(vectors: Vectors, metrics: Mapping[Key, Metric], events: dict[Key, Events]) -> None:
    if ("verification.fta", "") in metrics:
        events["verification.fta", ""] = Events(~vectors.ok, vectors.subjects, vectors.subjects)


def _unscored(pairs: ScoreSet, metrics: Mapping[Key, Metric], events: dict[Key, Events]) -> None:
    left, right, _ = pairs.people()
    for kind, part in (("genuine", pairs.same), ("impostor", ~pairs.same)):
        key = (f"verification.unscored.{kind}", "")
        if key in metrics:
            events[key] = Events(np.isnan(pairs.score[part]), left[part], right[part])


def _rates_of(name: str, metrics: Mapping[Key, Metric]) -> list[tuple[float, Key]]:
    """(FMR target, key) of the metrics `name@fmr=X` that have a value."""
    start = f"{name}@fmr="
    return [
        (float(key[0].removeprefix(start)), key)
        for key, metric in metrics.items()
        if key[0].startswith(start) and not key[1] and metric.value is not None
    ]


def person_sums(unit: F32, subjects: I64, threshold: float, ok: Bool, everyone: I64) -> Sums:
    """FMR over all pairs of different people among these faces, and its residuals by person of `everyone`."""
    rate, n, residuals, pairs = fmr_sums(unit, subjects, threshold, ok, everyone)
    return Sums(rate, n, residuals, pairs=pairs)


def _indices(vectors: Vectors, pairs: ScoreSet) -> PairList:
    """The pairs of scores.csv as faces of vectors.npz. Raises DataError where they belong to different runs."""
    order = np.argsort(vectors.ids)
    sides = []
    for names in (pairs.left, pairs.right):
        at = np.minimum(np.searchsorted(vectors.ids, names, sorter=order), len(order) - 1)
        if not np.array_equal(vectors.ids[order[at]], names):
            raise DataError(
                "scores.csv names faces that vectors.npz lacks", "the run's files belong to different runs"
            )
        sides.append(order[at])
    fold = pairs.fold if pairs.fold is not None else np.zeros(len(pairs), np.int64)
    return PairList(sides[0], sides[1], pairs.same, fold)


class Thresholds:
    """The run's thresholds again, each with the residual sums of its calibration people."""

    def __init__(self, vectors: Vectors, seed: int) -> None:
        if vectors.unknown:
            raise InsufficientData(vectors.unknown)
        self.vectors = vectors
        declared = vectors.declared
        self.calibration: Calibration = calibrate(
            vectors.unit, vectors.subjects, vectors.ok, seed, declared
        )
        people = vectors.subjects if declared is None else declared_people(vectors.subjects, declared)
        self._people = np.unique(people[calibration_half(vectors.subjects, seed, declared)])
        self._known: dict[float, tuple[float, F64]] = {}

    def at(self, fmr: float) -> tuple[float, F64]:
        """(threshold, f64[S] residual sums of the FMR by calibration person)."""
        if fmr not in self._known:
            value = self.calibration.threshold(fmr)
            self._known[fmr] = (value, self.calibration.sums(value, self._people))
        return self._known[fmr]

    def impostor_tail(self, fmr: float, rate: float) -> F64:
        """What the choice of the threshold adds to the error of an FMR of `rate` elsewhere, taken as proportional."""
        return threshold_tail(rate / fmr, self.at(fmr)[1])

    def tail(self, fmr: float, genuine: F64, weights: F64 | None = None) -> F64:
        """What the choice of the threshold adds to the error of the FNMR of `genuine` scores (NaN: rejected)."""
        return self.calibration.tail(fmr, genuine, self._people, weights)


def _judged(
    vectors: Vectors, metrics: Mapping[Key, Metric], seed: int,
    events: dict[Key, Events], sums: dict[Key, Sums],
) -> None:  # fmt: skip
    fnmrs, fmrs = (_rates_of(f"verification.{name}", metrics) for name in ("fnmr", "fmr"))
    if (fnmrs or fmrs) and not vectors.unknown:
        more = [_rates_of(f"verification.{name}", metrics) for name in ("fnmr_target", "fmr_target", "fnmr_per_person")]
        judged_at(
            Thresholds(vectors, seed), seed, fnmrs + more[0], fmrs + more[1], events, sums, per_person=more[2]
        )


def judged_at(
    thresholds: Thresholds, seed: int, fnmrs: Sequence[tuple[float, Key]], fmrs: Sequence[tuple[float, Key]],
    events: dict[Key, Events], sums: dict[Key, Sums], per_person: Sequence[tuple[float, Key]] = (),
) -> None:  # fmt: skip
    """Put the evidence of FNMR and FMR at thresholds of the calibration half into `events` and `sums`.

    Args:
        fnmrs, fmrs, per_person: (FMR target, key under which the evidence is wanted).
    """
    vectors = thresholds.vectors
    held, subjects = calibration_half(vectors.subjects, seed, vectors.declared), vectors.subjects
    declared = None if vectors.declared is None else judged(vectors.declared, held)
    if vectors.declared is not None:
        subjects = declared_people(subjects, vectors.declared)
    for target, key in fmrs:
        value = thresholds.at(target)[0]
        if declared is None:
            others = np.flatnonzero(~held)
            sums[key] = person_sums(
                vectors.unit[others], subjects[others], value, vectors.ok[others], np.unique(subjects[others])
            )
            continue
        use = ~declared.same & vectors.ok[declared.left] & vectors.ok[declared.right]
        left, right = declared.left[use], declared.right[use]
        hits = pair_cosines(vectors.unit, left, right) >= value
        everyone = np.unique(subjects[~held])
        sums[key] = Sums(
            float(hits.mean()), len(hits), pair_sums(hits, subjects[left], subjects[right], everyone),
            pairs=pair_counts(subjects[left], subjects[right], everyone),
        )  # fmt: skip
    left, right = judged_genuine(subjects, held, seed, declared)
    scores = pair_cosines(vectors.unit, left, right, vectors.ok)
    for target, key in fnmrs:
        rejected = ~(scores >= thresholds.at(target)[0])
        events[key] = Events(rejected, subjects[left], subjects[left], thresholds.tail(target, scores))
    for target, key in per_person:
        mean, rates = person_mean(~(scores >= thresholds.at(target)[0]), subjects[left])
        codes, counts = np.unique(subjects[left], return_inverse=True, return_counts=True)[1:]
        tail = thresholds.tail(target, scores, 1 / counts[codes])
        sums[key] = Sums(mean, len(rates), (rates - mean) / len(rates), tail)


def judged_genuine(subjects: I64, held: Bool, seed: int, declared: PairList | None) -> tuple[I64, I64]:
    """The genuine pairs (left, right) that verification judges at a threshold of other people."""
    if declared is not None:
        return declared.left[declared.same], declared.right[declared.same]
    left, right = capped_genuine(subjects, seed)
    return left[~held[left]], right[~held[left]]


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in text).strip("_").lower()


def _labels(vectors: Vectors, named: set[str]) -> dict[str, NDArray[np.str_]]:
    """`bias.ATTRIBUTE` -> str[N] groups, of every attribute and intersection of two that the record audits."""
    single = {name: word_groups(name, label_groups(values)) for name, values in vectors.attributes.items()}
    found = {f"bias.{_slug(name)}": labels for name, labels in single.items()}
    for one, own in single.items():
        for two, other in single.items():
            if one != two:
                found[f"bias.{_slug(f'{one} x {two}')}"] = join_labels([own, other])
    return {base: labels for base, labels in found.items() if f"{base}.fmr" in named}


def _groups(
    vectors: Vectors, metrics: Mapping[Key, Metric], seed: int, fmr: float,
    events: dict[Key, Events], sums: dict[Key, Sums],
) -> None:  # fmt: skip
    """Rates of demographic groups at the one threshold."""
    audited = _labels(vectors, {key[0] for key in metrics})
    if not audited or vectors.declared is not None or vectors.unknown:
        return
    thresholds = Thresholds(vectors, seed)
    value = thresholds.at(fmr)[0]
    others = ~calibration_half(vectors.subjects, seed)
    left, right = genuine_pairs(vectors.subjects)
    use = others[left] & others[right]
    left, right = left[use], right[use]
    scores = pair_cosines(vectors.unit, left, right, vectors.ok)
    for base, labels in audited.items():
        for group in (key[1] for key in list(metrics) if key[0] == f"{base}.fmr"):
            rows = np.flatnonzero((labels == group) & others)
            if len(rows):
                people = np.unique(vectors.subjects[rows])
                found = person_sums(
                    vectors.unit[rows], vectors.subjects[rows], value, vectors.ok[rows], people
                )
                sums[f"{base}.fmr", group] = replace(found, tail=thresholds.impostor_tail(fmr, found.rate))
            lost = labels == group
            if lost.any() and (f"{base}.fta", group) in metrics:
                events[f"{base}.fta", group] = Events(
                    ~vectors.ok[lost], vectors.subjects[lost], vectors.subjects[lost]
                )
            inside = (labels[left] == group) & (labels[right] == group)
            if (f"{base}.fnmr", group) in metrics and inside.any() and len(left) <= MAX_GENUINE:
                own = scores[inside]
                subjects = vectors.subjects[left[inside]]
                events[f"{base}.fnmr", group] = Events(
                    ~(own >= value), subjects, subjects, thresholds.tail(fmr, own)
                )


def clusters(pairs: ScoreSet) -> PairClusters:
    """The people of scored pairs."""
    left, right, _ = pairs.people()
    return PairClusters(left, right)


def fnmr_curve(pairs: ScoreSet, points: int = 160) -> tuple[F64, F64]:
    """(FMR, FNMR) f64[K] of the pairs where both lie in (0, 1), FMR ascending."""
    genuine = np.where(np.isnan(pairs.score[pairs.same]), -np.inf, pairs.score[pairs.same])
    curve = v.thin(v.roc_points(genuine, pairs.score[~pairs.same]), points)
    use = (curve.fmr > 0) & (curve.fmr < 1) & (curve.fnmr > 0) & (curve.fnmr < 1)
    return curve.fmr[use][::-1], curve.fnmr[use][::-1]
