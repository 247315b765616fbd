"""Which pairs, and their cosines, with flat memory.

Unit rows f32[N,D] come from `Embeddings.unit()`. A face without a vector is left out by its `ok`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.errors import InsufficientData
from fraudit.stats.all_pairs import sweep
from fraudit.stats.all_pairs_pieces import I32
from fraudit.types import F32, F64, I64, Bool, PairList

BLOCK = 2048
BINS = 20_000
FOLDS, LEAST_FOLDS = 10, 2
PERSON_PAIRS = 45  # genuine pairs of ten pictures
MAX_GENUINE, MAX_IMPOSTOR = 200_000, 500_000


def pair_cosines(
    unit: NDArray[Any], left: I64, right: I64, ok: Bool | None = None, block: int = 65536
) -> F64:
    """f64[P] cosines of pairs of unit rows f32[N,D]; NaN where a face has no vector (`ok` bool[N] False)."""
    out = np.empty(len(left))
    for start in range(0, len(left), block):
        stop = start + block
        a, b = unit[left[start:stop]], unit[right[start:stop]]
        out[start:stop] = np.einsum("pd,pd->p", a, b, dtype=np.float64)
    if ok is not None:
        out[~(ok[left] & ok[right])] = np.nan
    return out


def angular(cosines: ArrayLike) -> F64:
    """arccos(cosine) / pi in [0, 1]: 0.5 is a right angle (ID3PM, Fig. 4 and Table 3). NaN stays NaN."""
    return np.asarray(np.arccos(np.clip(np.asarray(cosines, np.float64), -1, 1)) / np.pi)


def genuine_pairs(subjects: I64) -> tuple[I64, I64]:
    """Every pair of faces of one subject, each once: (left, right) i64[P] with left < right."""
    order = np.argsort(subjects, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(subjects[order]) != 0])) if len(order) else order
    left, right = [], []
    for group in np.split(order, starts[1:]):
        if len(group) > 1:
            i, j = np.triu_indices(len(group), 1)
            left.append(group[i])
            right.append(group[j])
    if not left:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate(left).astype(np.int64), np.concatenate(right).astype(np.int64)


def count_impostor_pairs(subjects: I64, groups: ArrayLike | None = None) -> int:
    """How many pairs of different subjects there are (within the same group, where groups are given)."""
    if groups is None:
        counts = np.unique(subjects, return_counts=True)[1].astype(np.int64)
        return int((len(subjects) ** 2 - (counts**2).sum()) // 2)
    labels = np.asarray(groups)
    return sum(count_impostor_pairs(subjects[labels == g]) for g in np.unique(labels))


def impostor_pairs(
    subjects: I64, count: int, rng: np.random.Generator, groups: ArrayLike | None = None
) -> tuple[I64, I64]:
    """Distinct random pairs of different subjects: (left, right) i64[<=count], left < right, sorted.

    Args:
        subjects: i64[N].
        count: how many; all of them where there are fewer.
        groups: N labels; both faces of a pair then carry the same label.
    """
    n = len(subjects)
    labels = (
        np.zeros(n, np.int64)
        if groups is None
        else np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    )
    available = count_impostor_pairs(subjects, labels)
    if available <= max(count, 0) or available <= 200_000:
        left, right = _all_impostors(subjects, labels)
        if len(left) > count:
            chosen = np.sort(rng.choice(len(left), count, replace=False))
            left, right = left[chosen], right[chosen]
        return left, right
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    starts = np.cumsum(sizes) - sizes
    share = sizes.astype(np.float64) ** 2
    keys = np.empty(0, np.int64)
    while len(keys) < count:
        want = int((count - len(keys)) * 1.3) + 64
        group = rng.choice(len(sizes), want, p=share / share.sum())
        i = order[starts[group] + (rng.random(want) * sizes[group]).astype(np.int64)]
        j = order[starts[group] + (rng.random(want) * sizes[group]).astype(np.int64)]
        different = subjects[i] != subjects[j]
        low, high = np.minimum(i, j)[different], np.maximum(i, j)[different]
        keys = np.sort(np.concatenate([keys, low.astype(np.int64) * n + high]))
        keys = keys[np.diff(keys, prepend=-1) > 0]  # np.unique hashes, which is slow on many close numbers
    keys = np.sort(rng.choice(keys, count, replace=False))
    return keys // n, keys % n


def _all_impostors(subjects: I64, labels: I64) -> tuple[I64, I64]:
    left, right = [], []
    for i in range(len(subjects) - 1):
        j = np.flatnonzero((subjects[i + 1 :] != subjects[i]) & (labels[i + 1 :] == labels[i])) + i + 1
        left.append(np.full(len(j), i, np.int64))
        right.append(j.astype(np.int64))
    if not left:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate(left), np.concatenate(right)


def linked_people(n: int, left: I64, right: I64, subjects: I64 | None = None) -> I64:
    """i64[n]: pictures that the pairs i64[P] link, directly or by way of others, get one number.

    Args:
        subjects: i64[n], pictures of equal numbers count as linked already.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    a, b = np.asarray(left, np.int64), np.asarray(right, np.int64)
    if subjects is not None:
        first, codes = np.unique(subjects, return_index=True, return_inverse=True)[1:]
        a, b = np.concatenate([a, np.arange(n)]), np.concatenate([b, first[codes.ravel()]])
    graph = coo_matrix((np.ones(len(a), bool), (a, b)), (n, n))
    found: I64 = connected_components(graph, directed=False)[1].astype(np.int64)
    return found


def fold_count(people: int) -> int:
    """Ten identity-disjoint folds, fewer where that leaves a fold fewer than two people, 0 below four people."""
    return min(FOLDS, people // 2) if people >= 2 * LEAST_FOLDS else 0


def subject_folds(subjects: I64, folds: int = FOLDS, seed: int = 0) -> I64:
    """i64[N], 0-based fold of each face: no subject lies in two folds.

    Genuine pairs and faces are spread evenly, and a fold has two people or more where there are enough.

    Raises:
        InsufficientData: fewer subjects than folds.
    """
    known, codes, counts = np.unique(subjects, return_inverse=True, return_counts=True)
    if len(known) < folds:
        raise InsufficientData(f"{folds} identity-disjoint folds need {folds} subjects; found {len(known)}")
    shuffled = np.random.default_rng([seed, 11]).permutation(len(known))
    order = shuffled[np.argsort(-counts[shuffled], kind="stable")]
    genuine = np.minimum(counts * (counts - 1) // 2, most_genuine(counts))
    weight = genuine / max(int(genuine.sum()), 1) + counts / counts.sum()
    fold_of = np.empty(len(known), np.int64)
    load, people = np.zeros(folds), np.zeros(folds)
    for place, subject in enumerate(order):
        # One person a fold, then a second one, then wherever there is least.
        open_folds = (
            np.flatnonzero(people == min(place // folds, people.min())) if place < 2 * folds else None
        )
        at = int(np.argmin(load) if open_folds is None else open_folds[np.argmin(load[open_folds])])
        fold_of[subject] = at
        load[at] += weight[subject]
        people[at] += 1
    return fold_of[codes.ravel()]


def most_genuine(counts: I64) -> int:
    """How many genuine pairs one person may give, from i64[S] pictures a person.

    `PERSON_PAIRS`, or three times what the median person gives where that is more. In LFW one person of 5,749 has
    140,185 of the 242,257 genuine pairs: a rate over all of them would be that person's.
    """
    pairs = counts * (counts - 1) // 2
    return max(PERSON_PAIRS, int(3 * np.median(pairs[pairs > 0]))) if (pairs > 0).any() else PERSON_PAIRS


def capped_genuine(subjects: I64, seed: int, most: int = MAX_GENUINE) -> tuple[I64, I64]:
    """All genuine pairs (left, right) i64[P], at most `most_genuine` a person and `most` in all (seeded samples)."""
    left, right = genuine_pairs(subjects)
    rng = np.random.default_rng([seed, 13])
    rank = rng.permutation(len(left))
    person = np.unique(subjects, return_inverse=True)[1].ravel()[left]
    order = np.lexsort((rank, person))
    first = np.flatnonzero(np.diff(person[order], prepend=-1))
    place = np.arange(len(left)) - np.repeat(first, np.diff(np.append(first, len(left))))
    keep = order[place < most_genuine(np.unique(subjects, return_counts=True)[1])]
    if len(keep) > most:
        keep = keep[np.argsort(rank[keep], kind="stable")[:most]]
    keep = np.sort(keep)
    return left[keep], right[keep]


def rate_pairs(
    subjects: ArrayLike, seed: int, max_genuine: int = MAX_GENUINE, max_impostor: int = MAX_IMPOSTOR
) -> PairList:
    """The pairs that rates are measured on: all there are, whatever the folds.

    Genuine: see `capped_genuine`. Impostor: all, or a seeded sample of `max_impostor`. `fold` is -1 throughout.

    Args:
        subjects: i64[N].
    Raises:
        InsufficientData: no genuine or no impostor pair.
    """
    people = np.asarray(subjects, np.int64)
    genuine = capped_genuine(people, seed, max_genuine)
    impostor = impostor_pairs(people, max_impostor, np.random.default_rng([seed, 14]))
    _need_both(people, len(genuine[0]), len(impostor[0]))
    left, right = (np.concatenate([g, i]) for g, i in zip(genuine, impostor, strict=True))
    same = np.arange(len(left)) < len(genuine[0])
    return PairList(left, right, same, np.full(len(left), -1, np.int64))


def _need_both(people: I64, genuine: int, impostor: int) -> None:
    if genuine and impostor:
        return
    counts = np.unique(people, return_counts=True)[1]
    raise InsufficientData(
        f"verification needs genuine and impostor pairs; found {genuine} and {impostor} among {len(people):,} "
        f"pictures of {len(counts):,} people",
        "use a set in which some people have two pictures or more (or a larger --limit)"
        if not genuine
        else "use a set with more people (or a larger --limit)",
    )


def make_pairs(
    subjects: ArrayLike,
    max_genuine: int,
    max_impostor: int,
    seed: int,
    folds: int = FOLDS,
    fill: bool = False,
) -> PairList:
    """An accuracy protocol where a set declares none: identity-disjoint folds.

    Both people of an impostor pair lie in the pair's fold, so that no person is seen in two folds. There are
    `fold_count` folds at most; with fewer than four people none, and `fold` is -1 throughout.

    Args:
        subjects: i64[N].
        max_genuine, max_impostor: caps; a seeded sample is drawn where there are more.
        seed: of folds and samples.
        fill: where folds hold fewer impostor pairs, add others up to the cap, in no fold (-1).
    Raises:
        InsufficientData: no genuine pair or no impostor pair.
    """
    people = np.asarray(subjects, np.int64)
    count = min(folds, fold_count(len(np.unique(people))))
    fold = subject_folds(people, count, seed) if count else np.full(len(people), -1, np.int64)
    rng = np.random.default_rng([seed, 12])
    g_left, g_right = capped_genuine(people, seed, max_genuine)
    i_left, i_right = impostor_pairs(people, max_impostor, rng, groups=fold)
    if fill and len(i_left) < max_impostor:
        more = impostor_pairs(people, max_impostor, rng)
        across = np.flatnonzero(fold[more[0]] != fold[more[1]])[: max_impostor - len(i_left)]
        i_left, i_right = np.append(i_left, more[0][across]), np.append(i_right, more[1][across])
    _need_both(people, len(g_left), len(i_left))
    left, right = np.concatenate([g_left, i_left]), np.concatenate([g_right, i_right])
    same = np.arange(len(left)) < len(g_left)
    where = np.where(fold[left] == fold[right], fold[left], -1)
    order = np.argsort(where, kind="stable")
    return PairList(left[order], right[order], same[order], where[order])


@dataclass(frozen=True, slots=True)
class ScoreHistogram:
    """Counts of scores on a fine grid over [-1, 1].

    Attributes:
        edges: f64[K+1]. counts: i64[K]. n: number of pairs.
    """

    edges: F64
    counts: I64
    n: int

    def fmr(self, threshold: float) -> float:
        """Share of pairs at or above the bin that holds `threshold`: never below the true FMR."""
        first = int(np.clip(np.searchsorted(self.edges, threshold, "right") - 1, 0, len(self.counts)))
        return float(self.counts[first:].sum() / self.n)

    def threshold(self, target_fmr: float) -> float:
        """Lowest bin edge whose FMR is at most `target_fmr`."""
        above = np.append(np.cumsum(self.counts[::-1])[::-1], 0)
        return float(self.edges[int(np.argmax(above <= target_fmr * self.n * (1 + 1e-12)))])

    @classmethod
    def of(cls, counts: I64) -> ScoreHistogram:
        """Of i64[K] counts in equal bins over [-1, 1]."""
        return cls(np.linspace(-1, 1, len(counts) + 1), counts, int(counts.sum()))


def impostor_histogram(
    unit: NDArray[Any], subjects: ArrayLike, ok: Bool | None = None, bins: int = BINS
) -> ScoreHistogram:
    """Histogram of the cosines of all pairs of different subjects, streamed (`fraudit.stats.all_pairs`).

    Raises:
        InsufficientData: no pair of different subjects.
    """
    found = ScoreHistogram.of(sweep(unit, subjects, ok, bins=bins).counts)
    if not found.n:
        raise InsufficientData("no pair of different subjects")
    return found


@dataclass(frozen=True, slots=True)
class MatchCounts:
    """Impostor matches of all pairs at one threshold, by group.

    Attributes:
        groups: G labels. matches, pairs: i64[G,G], symmetric; the diagonal counts pairs within a group once.
        face_matches, face_pairs: i64[N,G], per face against each group (0 rows for faces without a vector).
    """

    groups: tuple[str, ...]
    matches: I64
    pairs: I64
    face_matches: I64
    face_pairs: I64


class GroupCounts:
    """Matches of each face with each group, counted as `sweep` hands its pairs over.

    Args:
        groups: N labels. ok: bool[N], rows with a vector.
    """

    def __init__(self, subjects: ArrayLike, groups: ArrayLike, ok: Bool | None = None) -> None:
        people = np.asarray(subjects)
        self._use = np.ones(len(people), bool) if ok is None else np.asarray(ok, bool)
        self._person = np.unique(people, return_inverse=True)[1].ravel()
        names, codes = np.unique(np.asarray(groups).astype(str), return_inverse=True)
        self.names, self._codes = tuple(map(str, names)), codes.ravel()
        self._matched = np.zeros(len(people) * len(names), np.int64)

    def take(self, left: I32, right: I32, scores: F32) -> None:
        """Rows i32[K] of pairs that match."""
        g = len(self.names)
        for one, two in ((left, right), (right, left)):
            np.add.at(self._matched, one.astype(np.int64) * g + self._codes[two], 1)

    def result(self) -> MatchCounts:
        """Of what was taken."""
        g = len(self.names)
        cells = np.bincount(
            self._person[self._use] * g + self._codes[self._use],
            minlength=(self._person.max(initial=-1) + 1) * g,
        ).reshape(-1, g)
        paired = np.where(self._use[:, None], cells.sum(axis=0) - cells[self._person], 0)
        faces = self._matched.reshape(-1, g), paired.astype(np.int64)
        totals = []
        for per_face in faces:
            table = np.zeros((g, g), np.int64)
            np.add.at(table, self._codes, per_face)
            table[np.diag_indices(g)] //= 2
            totals.append(table)
        return MatchCounts(self.names, totals[0], totals[1], faces[0], faces[1])


def count_matches(
    unit: NDArray[Any], subjects: ArrayLike, threshold: float, groups: ArrayLike, ok: Bool | None = None
) -> MatchCounts:
    """Impostor matches (cosine >= threshold) of all N^2/2 pairs within and across groups, streamed."""
    counted = GroupCounts(subjects, groups, ok)
    sweep(unit, subjects, ok, floor=threshold, take=counted.take)
    return counted.result()
