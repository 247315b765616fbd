"""Attack success of reconstructions, and how alike samples of one ID vector are: plain arrays in, rates out.

Type I: the reconstruction matches the picture whose template was inverted. Type II: it matches another
picture of the same person (Mai et al., IEEE TPAMI 41(5), 2019). A reconstruction without a vector matches
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fraudit.errors import InsufficientData
from fraudit.stats.folds import fold_accuracy
from fraudit.stats.intervals import PairClusters, clustered_mean, clustered_rate
from fraudit.types import F64, I64, Bool, Interval


@dataclass(frozen=True, slots=True)
class Figure:
    """A rate or mean with its interval, the comparisons it rests on and the people in them."""

    value: float
    interval: Interval
    n: int
    people: int


def angular(cosines: ArrayLike) -> F64:
    """arccos(cosine) / pi in [0, 1]: 0.5 is a right angle (ID3PM, Fig. 4 and Table 3). NaN stays NaN."""
    return np.asarray(np.arccos(np.clip(np.asarray(cosines, np.float64), -1, 1)) / np.pi)


def success(scores: ArrayLike, threshold: float, left: ArrayLike, right: ArrayLike) -> Figure:
    """Share of f64[P] similarities >= threshold; NaN (no vector) never matches.

    Args:
        left, right: i64[P] subjects of both sides; equal where it is one person.
    Raises:
        InsufficientData: no comparison.
    """
    events = np.asarray(scores, np.float64) >= threshold
    if not len(events):
        raise InsufficientData("no comparison to count")
    a, b = np.asarray(left), np.asarray(right)
    people = len(np.unique(np.concatenate([a, b])))
    return Figure(float(events.mean()), clustered_rate(events, a, b), len(events), people)


def mean_of(values: ArrayLike, people: ArrayLike) -> Figure:
    """Mean of f64[N] values, NaN left out, with an interval clustered by person.

    Raises:
        InsufficientData: fewer than two people with a value.
    """
    v, p = np.asarray(values, np.float64), np.asarray(people)
    good = np.isfinite(v)
    count = len(np.unique(p[good]))
    if count < 2:
        raise InsufficientData(f"a mean with an interval needs at least 2 people; found {count}")
    return Figure(float(v[good].mean()), clustered_mean(v[good], p[good]), int(good.sum()), count)


def other_picture(subjects: I64, rows: I64, usable: Bool, rng: np.random.Generator) -> I64:
    """i64[len(rows)]: for each face of `rows` a random other usable face of the same person, -1 for none."""
    order = np.flatnonzero(usable)[np.argsort(subjects[usable], kind="stable")]
    known, first, count = np.unique(subjects[order], return_index=True, return_counts=True)
    found = np.full(len(rows), -1, np.int64)
    for i, row in enumerate(rows):
        at = int(np.searchsorted(known, subjects[row]))
        if at == len(known) or known[at] != subjects[row]:
            continue
        own = order[first[at] : first[at] + count[at]]
        own = own[own != row]
        if len(own):
            found[i] = rng.choice(own)
    return found


def spread_people(subjects: I64, rows: I64, count: int, rng: np.random.Generator) -> I64:
    """`count` of `rows`, sorted: one face a person first, people with several faces before the others.

    So the sample has as many people as it can, and as many of them as possible have another picture.
    """
    shuffled = rng.permutation(rows)
    order = shuffled[np.argsort(subjects[shuffled], kind="stable")]
    _, first, size = np.unique(subjects[order], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(first, size)
    alone = np.repeat(size == 1, size)
    chosen = np.lexsort((rng.random(len(order)), alone, rank))[:count]
    return np.sort(order[chosen])


def sample_spread(unit: F64, samples: int, ok: Bool) -> F64:
    """f64[N]: mean pairwise angular distance among the `samples` unit rows of each of N sources.

    Args:
        unit: f64[N*samples,D], source by source. ok: bool[N*samples]; sources with fewer than two are NaN.
    """
    out = np.full(len(unit) // samples, np.nan)
    for i in range(len(out)):
        part = slice(i * samples, (i + 1) * samples)
        rows = unit[part][ok[part]]
        if len(rows) > 1:
            out[i] = angular(rows @ rows.T)[np.triu_indices(len(rows), 1)].mean()
    return out


@dataclass(frozen=True, slots=True)
class Replacement:
    """Accuracy over the folds with identity-clustered interval; thresholds from the other folds."""

    accuracy: float
    std: float
    interval: Interval
    n: int
    folds: int


def replacement(scores: ArrayLike, same: ArrayLike, fold: ArrayLike, left: I64, right: I64) -> Replacement:
    """Fold accuracy of f64[P] scores (ID3PM, Table 2); `left`, `right` i64[P] are subjects."""
    found = fold_accuracy(scores, same, fold)
    interval = PairClusters(left, right).rate_interval(found.correct)
    value = float(found.correct.mean())
    return Replacement(value, found.std, interval, len(found.correct), len(found.accuracy))
