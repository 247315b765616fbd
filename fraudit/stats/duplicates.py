"""Pictures that are there twice: files of equal bytes, and pictures whose vectors are all but the same.

How many pairs of different pictures would lie this near by chance is taken from the pairs just beyond: the number of
pairs within a small distance d = 1 - cosine grows as a power of d (the dimension of the pictures' variation). The
counts within 4 and 16 times the limit, without those within it, give the power and so the number expected within it.
Copies add to the flagged pairs and not to that count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.errors import InsufficientData, UsageError
from fraudit.stats.all_pairs import sweep
from fraudit.stats.all_pairs_pieces import I32
from fraudit.stats.pairs import count_impostor_pairs
from fraudit.types import F32, F64, I64, Bool

NEAR = 0.99  # cosine at or above which two pictures are taken for the same
MOST_LISTED = 20_000  # pairs
LEAST_BEYOND = 10  # pairs that a power is fitted to
_STEP = 4.0  # ratio of the distances that the power is taken from


@dataclass(frozen=True, slots=True)
class NearCopies:
    """Pairs of pictures with all but the same vector, of one kind (within a person, or across people).

    Attributes:
        left, right: i64[K], pictures, the nearest pair first, at most `MOST_LISTED`. cosine: f64[K].
        count: pairs at or above the limit. pairs: of all. expected_false: pairs of different pictures expected among
            them, NaN where the pairs beyond the limit do not thin out towards it (`missing`).
    """

    left: I64
    right: I64
    cosine: F64
    count: int
    pairs: int
    expected_false: float
    missing: str

    @property
    def false_share(self) -> float:
        """Expected share of different pictures among the flagged pairs, in [0, 1]; NaN where it is unknown."""
        return min(1.0, self.expected_false / self.count) if self.count else 0.0


@dataclass(frozen=True, slots=True)
class Copies:
    """Near copies within people and across people at the cosine `near`."""

    near: float
    within: NearCopies
    across: NearCopies


def expected_nearer(near_counts: tuple[int, int]) -> float:
    """Pairs expected within a distance d from the numbers in (d, 4 d] and (d, 16 d].

    With N(d) = A d^k the ratio of both is 4^k + 1. One is added to the smaller count, so that few pairs err high; with
    fewer than `LEAST_BEYOND` pairs within 16 d the power is taken to be 1, below that of any set of pictures seen.

    Returns:
        NaN where the counts do not grow as they must; 0 where no pair lies within 16 d.
    """
    inner, outer = near_counts
    if not outer:
        return 0.0
    if outer < LEAST_BEYOND:
        return (inner + 1) / (_STEP - 1)
    grown = outer / (inner + 1) - 1  # 4^k
    return (inner + 1) / (grown - 1) if grown > 1.05 else float("nan")


class _Near:
    """Pairs near enough, of one person and of two, counted as they are handed over; the nearest are kept.

    Args:
        people: i64[N]. ends: f64[3] cosines, the highest first.
    """

    def __init__(self, people: I64, ends: F64) -> None:
        self._people, self.ends = people, ends
        self.counts = np.zeros((2, 3), np.int64)
        none = np.empty(0, np.int64)
        self.found: list[tuple[I64, I64, F64]] = [(none, none, none.astype(np.float64))] * 2

    def take(self, left: I32, right: I32, scores: F32) -> None:
        """Rows i32[K] of pairs."""
        own = self._people[left] == self._people[right]
        values = scores.astype(np.float64)
        for kind, part in enumerate((own, ~own)):
            self.counts[kind] += [(values[part] >= end).sum() for end in self.ends]
            hit = np.flatnonzero(part & (values >= self.ends[0]))
            if len(hit):
                new = (left[hit].astype(np.int64), right[hit].astype(np.int64), values[hit])
                self.found[kind] = _nearest([self.found[kind], new])


def near_copies(unit: NDArray[Any], subjects: I64, ok: Bool | None = None, *, near: float = NEAR) -> Copies:
    """All pairs with a cosine at or above `near`, in one pass over all pairs (`fraudit.stats.all_pairs`).

    Args:
        unit: f32[N,D] unit vectors. subjects: i64[N]. ok: bool[N], whether there is a vector.
    Raises:
        UsageError: `near` outside (0.9, 1). InsufficientData: fewer than two pictures.
    """
    if not 0.9 < near < 1:
        raise UsageError(f"near copies have a cosine between 0.9 and 1; found {near:g}")
    people = np.asarray(subjects, np.int64)
    used = people if ok is None else people[ok]
    if len(used) < 2:
        raise InsufficientData(f"copies need two pictures or more; found {len(used)}")
    taken = _Near(people, 1 - (1 - near) * np.array([1, _STEP, _STEP**2], np.float64))
    # Every picture stands for itself, so that pairs of one person are compared too.
    every = sweep(unit, np.arange(len(people)), ok, floor=float(taken.ends[2]), take=taken.take).pairs
    across = count_impostor_pairs(used)
    counts, found, pairs = taken.counts, taken.found, (every - across, across)
    kinds = []
    for kind in (0, 1):
        left, right, cosine = found[kind]
        count, inner, outer = (int(c) for c in counts[kind])
        expected = expected_nearer((inner - count, outer - count))
        missing = (
            "" if np.isfinite(expected) else "the pairs just beyond the limit do not thin out towards it"
        )
        expected = expected if missing else min(expected, float(count))
        kinds.append(NearCopies(left, right, cosine, count, int(pairs[kind]), expected, missing))
    return Copies(near, kinds[0], kinds[1])


def _nearest(parts: list[tuple[I64, I64, F64]]) -> tuple[I64, I64, F64]:
    left, right, cosine = (np.concatenate(x) for x in zip(*parts, strict=True))
    order = np.lexsort((right, left, -cosine))[:MOST_LISTED]
    return left[order], right[order], cosine[order]


@dataclass(frozen=True, slots=True)
class EqualFiles:
    """Files of equal bytes.

    Attributes:
        groups: indices of pictures of each group, larger groups first. pictures: in them. spare: that could go.
        across: groups whose pictures are said to show several people. There is no chance in it: expected false is 0.
    """

    groups: tuple[tuple[int, ...], ...]
    pictures: int
    spare: int
    across: tuple[tuple[int, ...], ...]


def equal_files(digests: Sequence[str], subjects: I64) -> EqualFiles:
    """Groups of pictures with equal digests of their bytes ('' unknown: left out).

    Args:
        digests: N. subjects: i64[N].
    """
    by_digest: dict[str, list[int]] = defaultdict(list)
    for i, digest in enumerate(digests):
        if digest:
            by_digest[digest].append(i)
    groups = sorted((tuple(g) for g in by_digest.values() if len(g) > 1), key=lambda g: (-len(g), g))
    across = tuple(g for g in groups if len({int(subjects[i]) for i in g}) > 1)
    total = sum(map(len, groups))
    return EqualFiles(tuple(groups), total, total - len(groups), across)


def one_picture_people(subjects: I64, ok: Bool | None = None) -> tuple[I64, int]:
    """(subjects with one usable picture, people in all): they give no genuine pair."""
    used = np.asarray(subjects, np.int64) if ok is None else np.asarray(subjects, np.int64)[ok]
    known, counts = np.unique(used, return_counts=True)
    return known[counts == 1], len(known)
