"""Impostor evidence near a threshold: the highest scores with their people, so that millions of pairs need no list.

A threshold for an FMR of x is decided by the x highest scores alone. Kept are the pairs at or above a floor, ordered,
and of all others only how many each person, and each pair of people, has. Error sums by person follow for every
threshold above the floor (`fraudit.stats.rates.PersonSums`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.errors import InsufficientData
from fraudit.stats.all_pairs import Swept, highest, sweep
from fraudit.stats.pairs import BINS, ScoreHistogram, count_impostor_pairs
from fraudit.stats.rates import PersonSums
from fraudit.types import F64, I64, Bool

MOST_PAIRS = 8_000_000  # kept above the floor: 160 MB; larger sets are thinned by pictures


@dataclass(frozen=True, slots=True)
class Tail:
    """The highest scores of comparisons that should not match, and who is in them.

    Attributes:
        scores: f64[K] descending, all at or above `floor`.
        left, right: i32[K] codes 0..S-1 of the people of each; equal where one person makes each trial (a search).
        edge: i32[K] code of the two people together, numbered as they first appear.
        edge_sizes: f64[E] trials of each such pair of people in all, above the floor or not.
        pairs: f64[S] trials that involve each person. people: i64[S] their numbers in the set, sorted.
        squares: sum over all pairs of people of (their trials)^2. room: likewise of trials^0.5 (trials - 1).
        floor: no trial at or above it is missing.
        sides: people in a trial: 2 for an impostor pair, 1 for a search.
        enrolled: i32[K] code of the enrolled person that a search found, or None. n_enrolled: people enrolled.
        deeper: makes the same tail down to another floor, or None where everything is kept.
    """

    scores: F64
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    edge: NDArray[np.int32]
    edge_sizes: F64
    pairs: F64
    people: I64
    squares: float
    floor: float
    sides: int = 2
    enrolled: NDArray[np.int32] | None = None
    n_enrolled: int = 0
    deeper: Callable[[float], Tail] | None = field(default=None, repr=False)
    room: float = 0.0

    @property
    def n(self) -> int:
        """Trials in all."""
        return round(float(self.pairs.sum()) / self.sides)

    @property
    def independent(self) -> float:
        """Pairs of people (or searchers) that count as much as all trials, if those of one pair of people agree.

        Kish's number n^2 / sum of squares.
        """
        return self.n**2 / self.squares

    def reaching(self, threshold: float) -> Tail:
        """A tail that holds every trial at or above `threshold`."""
        return self if threshold >= self.floor or self.deeper is None else self.deeper(threshold)

    def count(self, threshold: float) -> int:
        """Trials with score >= threshold; `threshold` is at or above the floor."""
        return int(np.searchsorted(-self.scores, -threshold, "right"))

    def sums(self, count: int) -> PersonSums:
        """Error sums by person where the `count` highest trials match."""
        people = len(self.pairs)
        hits = np.bincount(self.edge[:count]).astype(np.float64)
        errors = np.bincount(self.left[:count], minlength=people).astype(np.float64)
        if self.sides == 1:
            return PersonSums("all", errors, self.pairs, 1)
        errors += np.bincount(self.right[:count], minlength=people)
        joint = float(hits @ hits), float(hits @ self.edge_sizes[: len(hits)]), self.squares
        return PersonSums("all", errors, self.pairs, 2, joint)

    def unseen(self, count: int) -> float:
        """By how much matches between the same two people would vary more if large pairs were as alike as small ones.

        Two people of many pictures make many trials that match together or not at all (relatives). A set has few such
        pairs, and a low rate where none of them matches: the plain sum of squares is then too small. Here the
        covariance of two trials of the same two people is averaged with weights trials^-0.5, as that of genuine pairs
        is (`fraudit.stats.intervals.PairClusters`), and taken for all of them.
        """
        if self.room <= 0 or not count:
            return 0.0
        hits = np.bincount(self.edge[:count]).astype(np.float64)
        excess = hits * (hits - 1)
        alike = float((excess / np.sqrt(self.edge_sizes[: len(hits)])).sum()) / self.room
        return max(0.0, alike * (self.squares - self.n) - float(excess.sum()))

    def attraction(self, count: int) -> tuple[float, float]:
        """How the matches of a search gather on few enrolled people: (variance, its degrees of freedom).

        The variance is of the number of matches over galleries: sum_j (c_j - mean)^2 N / (N - 1) less what matches
        dealt at random would give. Few people who attract most leave few degrees of freedom. (0, inf) for pairs.
        """
        if self.enrolled is None or self.n_enrolled < 2 or not count:
            return 0.0, np.inf
        found = np.bincount(self.enrolled[:count]).astype(np.float64)
        mean = count / self.n_enrolled
        squares = np.append((found - mean) ** 2, np.full(self.n_enrolled - len(found), mean**2))
        total = float(squares.sum())
        even = 2 * total**2 / max(float(squares @ squares), 1e-300) - 1
        return max(0.0, total * self.n_enrolled / (self.n_enrolled - 1) - count), max(1.0, even)


def _numbered(low: I64, high: I64, people: int) -> tuple[NDArray[np.int32], I64]:
    """(i32[K] code of each unordered pair by first appearance, i64[E] its key low * people + high)."""
    keys, first, inverse = np.unique(low * people + high, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    place = np.empty(len(keys), np.int32)
    place[order] = np.arange(len(keys), dtype=np.int32)
    return place[inverse.ravel()], keys[order]


def tail_of_pairs(scores: ArrayLike, left: ArrayLike, right: ArrayLike) -> Tail:
    """Of a list of impostor pairs: f64[P] similarities (NaN is left out), i64[P] people of both sides.

    Raises:
        InsufficientData: no pair with a score. ValueError: a pair of one person.
    """
    s = np.asarray(scores, np.float64).ravel()
    a, b = np.asarray(left).ravel(), np.asarray(right).ravel()
    use = ~np.isnan(s)
    s, a, b = s[use], a[use], b[use]
    if not len(s):
        raise InsufficientData("no pair of different people has a score", "use a set with more people")
    if (a == b).any():
        raise ValueError("an impostor pair is of two people")
    order = np.argsort(-s, kind="stable")
    known, codes = np.unique(np.concatenate([a, b]), return_inverse=True)
    codes = codes.reshape(2, -1).astype(np.int64)[:, order]
    edge, _ = _numbered(codes.min(0), codes.max(0), len(known))
    sizes = np.bincount(edge).astype(np.float64)
    pairs = np.bincount(codes.ravel(), minlength=len(known)).astype(np.float64)
    one, two = codes.astype(np.int32)
    return Tail(
        s[order],
        one,
        two,
        edge,
        sizes,
        pairs,
        known.astype(np.int64),
        float(sizes @ sizes),
        -np.inf,
        room=float((np.sqrt(sizes) * (sizes - 1)).sum()),
    )


def tail_of_vectors(
    unit: NDArray[Any], subjects: ArrayLike, largest: float, ok: Bool | None = None, seed: int = 0
) -> Tail:
    """Of all impostor pairs of unit rows f32[N,D], in one pass: memory is that of the highest `largest` share.

    Args:
        subjects: i64[N]. largest: FMR, in (0, 1], that the tail has to reach. ok: bool[N], rows with a vector.
        seed: of the pictures that are drawn where more than `MOST_PAIRS` would be kept.
    Raises:
        InsufficientData: no pair of different people.
    """
    use = np.ones(len(unit), bool) if ok is None else np.asarray(ok, bool)
    people = np.asarray(subjects, np.int64)
    expected = largest * count_impostor_pairs(people[use])
    if expected > MOST_PAIRS:
        keep = np.flatnonzero(use)
        some = int(len(keep) * np.sqrt(MOST_PAIRS / expected))
        use = np.zeros(len(unit), bool)
        use[np.random.default_rng([seed, 19]).choice(keep, some, replace=False)] = True
    found = highest(unit, people, largest, use, bins=BINS, floor_of=lambda c: _below(c, largest), seed=seed)
    if not found.pairs:
        raise InsufficientData("no pair of different subjects")
    return _collected(found, unit, people, use)


def _below(counts: I64, largest: float) -> float:
    """A bin below the threshold of an FMR of `largest`."""
    bins = ScoreHistogram.of(counts)
    return bins.threshold(largest) - float(bins.edges[1] - bins.edges[0])


def _collected(found: Swept, unit: NDArray[Any], subjects: I64, use: Bool) -> Tail:
    known = np.unique(subjects[use])
    person = np.searchsorted(known, subjects)
    one, two = person[found.left].astype(np.int32), person[found.right].astype(np.int32)
    edge, keys = _numbered(
        np.minimum(one, two).astype(np.int64), np.maximum(one, two).astype(np.int64), len(known)
    )
    faces = np.bincount(person[use]).astype(np.float64)
    squares = faces**2
    return Tail(
        found.scores.astype(np.float64),
        one,
        two,
        edge,
        faces[keys // len(known)] * faces[keys % len(known)],
        faces * (faces.sum() - faces),
        known,
        _over_pairs(squares),
        found.floor,
        deeper=lambda threshold: _collected(sweep(unit, subjects, use, floor=threshold), unit, subjects, use),
        room=_over_pairs(faces**1.5) - _over_pairs(faces**0.5),
    )


def tail_without_matches(subjects: ArrayLike) -> Tail:
    """Of all impostor pairs of i64[N] people of the pictures, where none matches: needs no score.

    Raises:
        InsufficientData: no pair of different people.
    """
    known, faces = np.unique(np.asarray(subjects, np.int64), return_counts=True)
    if len(known) < 2:
        raise InsufficientData("no pair of different subjects")
    counts = faces.astype(np.float64)
    none = np.zeros(0, np.int32)
    return Tail(
        np.zeros(0),
        none,
        none,
        none,
        np.zeros(0),
        counts * (counts.sum() - counts),
        known,
        _over_pairs(counts**2),
        np.inf,
        room=_over_pairs(counts**1.5) - _over_pairs(counts**0.5),
    )


def _over_pairs(values: F64) -> float:
    """Sum over all pairs of people of the product of f64[S] values."""
    return float(values.sum() ** 2 - values @ values) / 2


def tail_of_searches(
    top: ArrayLike, searchers: ArrayLike, found: ArrayLike | None = None, enrolled: int = 0
) -> Tail:
    """Of searches of people who are not enrolled: a trial is a search, a match any candidate at the threshold.

    Args:
        top: f64[S], each search's highest score over the gallery; NaN (no vector) never matches, and counts.
        searchers: i64[S], who searches.
        found: i64[S], the enrolled person of that score: whom the false positives gather on is then part of their
            uncertainty. enrolled: people in the gallery; needed with `found`.
    Raises:
        InsufficientData: no search. ValueError: `found` without `enrolled`.
    """
    s = np.asarray(top, np.float64).ravel()
    if not len(s):
        raise InsufficientData(
            "no search of a person who is not enrolled", "keep some people out of the gallery"
        )
    if found is not None and enrolled < 1:
        raise ValueError("the number of people enrolled is needed beside whom each search found")
    s = np.where(np.isnan(s), -np.inf, s)
    order = np.argsort(-s, kind="stable")
    known, codes = np.unique(np.asarray(searchers).ravel(), return_inverse=True)
    who: NDArray[np.int32] = codes.ravel()[order].astype(np.int32)
    pairs = np.bincount(who, minlength=len(known)).astype(np.float64)
    made = Tail(
        s[order],
        who,
        who,
        who,
        pairs,
        pairs,
        known.astype(np.int64),
        float(pairs @ pairs),
        -np.inf,
        1,
        n_enrolled=enrolled,
    )
    if found is None:
        return made
    whom = np.unique(np.asarray(found).ravel(), return_inverse=True)[1].ravel()[order].astype(np.int32)
    return replace(made, enrolled=whom)
