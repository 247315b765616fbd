"""The pairs and people behind the figures of verification, from what a run stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from fraudit.compare.evidence import Thresholds, person_sums
from fraudit.compare.hooks import Found, Stored
from fraudit.compare.values import Events, Key, Sums
from fraudit.files.vectors import Vectors
from fraudit.scores import ScoreSet
from fraudit.stats.calibration import calibration_half, declared_people, judged, pair_counts, pair_sums
from fraudit.stats.pairs import capped_genuine, pair_cosines
from fraudit.stats.thresholds import person_mean
from fraudit.types import I64, Bool, Metric, PairList


def evidence(stored: Stored) -> Found:
    """Failure to acquire, rates at thresholds of other people, and pairs without a score."""
    events: dict[Key, Events] = {}
    sums: dict[Key, Sums] = {}
    if stored.vectors is not None:
        _faces(stored.vectors, stored.metrics, events)
        _at_thresholds(stored.vectors, stored.metrics, stored.seed, events, sums)
    if stored.pairs is not None:
        _unscored(stored.pairs, stored.metrics, events)
    return events, sums


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


def _at_thresholds(
    vectors: Vectors,
    metrics: Mapping[Key, Metric],
    seed: int,
    events: dict[Key, Events],
    sums: dict[Key, Sums],
) -> None:
    fnmrs, fmrs = (_rates_of(f"verification.{name}", metrics) for name in ("fnmr", "fmr"))
    if (fnmrs or fmrs) and not vectors.unknown:
        more = [
            _rates_of(f"verification.{name}", metrics)
            for name in ("fnmr_target", "fmr_target", "fnmr_per_person")
        ]
        judged_at(
            Thresholds(vectors, seed), seed, fnmrs + more[0], fmrs + more[1], events, sums, per_person=more[2]
        )


def judged_at(
    thresholds: Thresholds,
    seed: int,
    fnmrs: Sequence[tuple[float, Key]],
    fmrs: Sequence[tuple[float, Key]],
    events: dict[Key, Events],
    sums: dict[Key, Sums],
    per_person: Sequence[tuple[float, Key]] = (),
) -> None:
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
            found = person_sums(
                vectors.unit[others], subjects[others], value, vectors.ok[others], np.unique(subjects[others])
            )
            sums[key] = replace(found, tail=thresholds.impostor_tail(target, found.rate))
            continue
        use = ~declared.same & vectors.ok[declared.left] & vectors.ok[declared.right]
        left, right = declared.left[use], declared.right[use]
        hits = pair_cosines(vectors.unit, left, right) >= value
        everyone = np.unique(subjects[~held])
        sums[key] = Sums(
            float(hits.mean()),
            len(hits),
            pair_sums(hits, subjects[left], subjects[right], everyone),
            thresholds.impostor_tail(target, float(hits.mean())),
            pairs=pair_counts(subjects[left], subjects[right], everyone),
        )
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
