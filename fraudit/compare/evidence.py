"""What a run left behind at the level of pairs and people, so that two runs can be compared in pairs.

Everything is derived from `scores.csv` and `vectors.npz`; no model is asked anything. A piece of evidence that does
not reproduce the figure in the record is dropped, with a note: then only the two intervals are compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.compare.hooks import Stored, comparisons, owner
from fraudit.compare.values import Events, Evidence, Key, Sketch, Sums
from fraudit.errors import DataError, InsufficientData
from fraudit.files.doors import entering
from fraudit.files.vectors import Vectors, read_vectors
from fraudit.scores import ScoreSet, read_run_scores
from fraudit.scores.run import TEMPLATE_FILE
from fraudit.stats.calibration import (
    UNKNOWN,
    Calibration,
    calibrate,
    calibration_half,
    declared_people,
    fmr_sums,
    threshold_tail,
)
from fraudit.stats.same_face import projections, sketched_rows
from fraudit.types import F32, F64, I64, Bool, Metric, PairList

TOLERANCE = 1e-9
TEMPLATES = (
    f"verification compares templates of several pictures: it is judged by the pairs of {TEMPLATE_FILE}, and has no "
    "rate at a threshold of other people"
)
SKETCHED = 2_000  # faces of a sketch


def read_evidence(
    folder: Path,
    metrics: Mapping[Key, Metric],
    seed: int,
    params: Mapping[str, Mapping[str, Any]],
    identified: bool = True,
    distinct: bool = False,
) -> Evidence:
    """Evidence of the run in `folder`; what is not there is left out and noted.

    Args:
        metrics: the record's, to check what is derived. seed: of the run. params: analysis -> its parameters.
        identified: whether the set says who is shown; otherwise only the pairs of scores.csv are known.
        distinct: whether it was stated that every picture shows another person.
    """
    notes: list[str] = []
    scores = folder / "scores.csv"
    pairs = read_run_scores(scores) if scores.is_file() else None
    if pairs is None:
        notes.append("no scores.csv: nothing is compared pair by pair")
    of_templates = folder / TEMPLATE_FILE
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
        if not of_templates.is_file():
            return evidence_of(vectors, pairs, metrics, seed, params, notes)
        notes.append(TEMPLATES)
        found = evidence_of(vectors, read_run_scores(of_templates), metrics, seed, params, notes)
        return replace(found, templates=True)


def evidence_of(
    vectors: Vectors | None,
    pairs: ScoreSet | None,
    metrics: Mapping[Key, Metric],
    seed: int,
    params: Mapping[str, Mapping[str, Any]],
    noted: Sequence[str] = (),
) -> Evidence:
    """Evidence from what a run left behind; arguments as `read_evidence`."""
    notes = list(noted)
    events: dict[Key, Events] = {}
    sums: dict[Key, Sums] = {}
    measured = {owner(key[0]) for key in metrics}
    for name, comparison in comparisons():
        if comparison.evidence is not None and name in measured:
            own = Stored(vectors, pairs, metrics, seed, params.get(name) or {})
            more_events, more_sums = comparison.evidence(own)
            events |= more_events
            sums |= more_sums
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
        self.calibration: Calibration = calibrate(vectors.unit, vectors.subjects, vectors.ok, seed, declared)
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
