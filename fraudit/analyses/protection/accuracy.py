"""Accuracy that a scheme keeps, and whether templates of two keys can be linked."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fraudit.analyses.protection.sample import Sample
from fraudit.protections.choosing import protected, scored
from fraudit.stats.calibration import Calibration
from fraudit.stats.estimates import Estimate, estimated
from fraudit.stats.intervals import clustered_rate
from fraudit.stats.linkability import Linkability, system_linkability
from fraudit.stats.operating import ScoredPairs
from fraudit.stats.paired import curve_difference, rate_difference
from fraudit.stats.thresholds import calibration_fmr, threshold_interval, with_threshold
from fraudit.stats.verification import eer
from fraudit.types import F32, F64, I64, Bool, Interval, ProtectionPlugin

CHUNK = 20_000
STRANGERS = 20  # templates of other people that each one is compared with, for linkability


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Error rates of one scheme under one rule of keys, and what they are above those of the plain vectors.

    `missed`: FNMR at the FMR asked for, the threshold chosen on other people.
    """

    eer: Estimate
    missed: Estimate
    eer_change: Estimate
    missed_change: Estimate


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores f64[P] of the sample's pairs."""

    values: F64
    pairs: ScoredPairs
    calibration: Calibration
    errors: Bool
    judged: Bool
    threshold: float
    fmr: float


def templates(scheme: ProtectionPlugin, sample: Sample, key: int | None) -> F32:
    """f32[N,E] templates of the sample, under one key or (None) each under its person's own."""
    if key is not None or not scheme.keyed:
        return protected(scheme, sample.unit, key or 0)
    made: F32 | None = None
    for own in np.unique(sample.keys):
        part = sample.keys == own
        found = protected(scheme, sample.unit[part], int(own))
        made = np.zeros((len(sample.unit), found.shape[1]), np.float32) if made is None else made
        made[part] = found
    assert made is not None
    return made


def score_pairs(scheme: ProtectionPlugin, sample: Sample, made: F32, fmr: float) -> Scores:
    """Scores of all pairs, the threshold from those of the held people, errors of the others' genuine pairs."""
    p = sample.pairs
    values = np.concatenate(
        [
            scored(scheme, made[p.left[at : at + CHUNK]], made[p.right[at : at + CHUNK]])
            for at in range(0, len(p.left), CHUNK)
        ]
    ).astype(np.float64)
    left, right = sample.people[p.left], sample.people[p.right]
    both = sample.held[p.left] & sample.held[p.right]
    own = both & ~p.same
    rows = np.unique(np.concatenate([p.left[own], p.right[own]]))
    calibration = Calibration(rows, sample.people[rows], values[own], made[rows], left[own], right[own])
    at = calibration.threshold(fmr)
    judged = p.same & ~sample.held[p.left]
    return Scores(values, ScoredPairs(values, p.same, left, right), calibration, values < at, judged, at, fmr)


def accuracy(found: Scores, plain: Scores, sample_people: I64) -> Accuracy:
    """Rates of a scheme beside those of the plain vectors, on the same pairs."""
    pairs, judged = found.pairs, found.judged
    people = pairs.left[judged]
    count, n = len(np.unique(people)), int(judged.sum())
    errors, before = found.errors[judged], plain.errors[judged]
    value = float(errors.mean())

    def missed() -> Interval:
        at = threshold_interval(
            found.calibration.impostor, calibration_fmr(found.calibration, found.threshold)
        )
        ends = [float((found.values[judged] < end).mean()) for end in (at.low, at.high)]
        return with_threshold(clustered_rate(errors, people, people), value, ends[0], ends[1])

    everyone = np.unique(sample_people)
    tails = [s.calibration.tail(s.fmr, s.values[judged], everyone) for s in (plain, found)]
    everybody, of_all = len(everyone), len(found.values)
    eers = [float(eer(p.genuine, p.impostor).value) for p in (plain.pairs, pairs)]
    return Accuracy(
        estimated(eers[1], lambda: pairs.eer()[1], of_all, everybody),
        estimated(value, missed, n, count),
        estimated(
            eers[1] - eers[0],
            lambda: curve_difference(plain.pairs, pairs, "eer").interval,
            of_all,
            everybody,
        ),
        estimated(
            value - float(before.mean()),
            lambda: rate_difference(before, errors, people, people, tails[0], tails[1]).interval,
            n,
            count,
        ),
    )


def linkability(
    scheme: ProtectionPlugin, sample: Sample, rng: np.random.Generator, level: float, seed: int
) -> tuple[tuple[Linkability, Linkability], ...]:
    """D_sys of templates that each have a key of their own: two pictures of every person, and strangers.

    Returns:
        (at 95 %, at `level`) by the scheme's score, and by that of someone who knows the scheme, where it has one.
    Raises:
        InsufficientData: too few people.
    """
    order = np.argsort(sample.people, kind="stable")
    first = np.unique(sample.people[order], return_index=True)[1]
    one, two = order[first], order[first + 1]
    made = []
    for rows in (one, two):
        keys = rng.integers(0, 2**62, len(rows))
        if scheme.keyed:
            parts = [protected(scheme, sample.unit[[r]], int(k)) for r, k in zip(rows, keys, strict=True)]
            made.append(np.concatenate(parts))
        else:
            made.append(protected(scheme, sample.unit[rows], 0))
    count = len(one)
    steps = rng.choice(np.arange(1, count), min(STRANGERS, count - 1), replace=False)
    left = np.concatenate([np.arange(count), np.tile(np.arange(count), len(steps))])
    right = np.concatenate([np.arange(count), *((np.arange(count) + s) % count for s in steps)])
    mine, theirs = sample.people[one][left], sample.people[one][right]
    found = []
    for way in (scheme, *([replace(scheme, score=scheme.link)] if scheme.link else [])):
        values = scored(way, made[0][left], made[1][right])
        at, sure = (system_linkability(values, mine, theirs, level=x, seed=seed) for x in (0.95, level))
        found.append((at, sure))
    return tuple(found)
