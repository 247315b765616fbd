"""The all-pairs engine: which pairs, and their cosines, with flat memory.

Unit rows f32[N,D] come from `Embeddings.unit()`. A face without a vector is left out by its `ok`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.errors import InsufficientData
from fraudit.types import F64, I64, Bool, PairList

BLOCK = 2048
MOST_MATCHES = 20_000_000  # matches of which `count_matches` remembers the people: 320 MB


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
        keys = np.unique(np.concatenate([keys, low.astype(np.int64) * n + high]))
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


def subject_folds(subjects: I64, folds: int = 10, seed: int = 0) -> I64:
    """i64[N], 0-based fold of each face: no subject lies in two folds, and genuine pairs are spread evenly.

    Raises:
        InsufficientData: fewer subjects than folds.
    """
    known, codes, counts = np.unique(subjects, return_inverse=True, return_counts=True)
    if len(known) < folds:
        raise InsufficientData(f"{folds} identity-disjoint folds need {folds} subjects; found {len(known)}")
    shuffled = np.random.default_rng([seed, 11]).permutation(len(known))
    order = shuffled[np.argsort(-counts[shuffled], kind="stable")]
    fold_of = np.empty(len(known), np.int64)
    load = np.zeros((folds, 2))
    for subject in order:
        c = int(counts[subject])
        at = int(np.lexsort((load[:, 1], load[:, 0]))[0])
        fold_of[subject] = at
        load[at] += (c * (c - 1) / 2, c)
    return fold_of[codes.ravel()]


def make_pairs(
    subjects: ArrayLike, max_genuine: int, max_impostor: int, seed: int, folds: int = 10
) -> PairList:
    """A verification protocol where a set declares none: identity-disjoint folds.

    Both people of an impostor pair lie in the pair's fold, so that no person is seen in two folds.

    Args:
        subjects: i64[N].
        max_genuine, max_impostor: caps; a seeded sample is drawn where there are more.
        seed: of folds and samples.
    Raises:
        InsufficientData: no genuine pair, no impostor pair, or fewer subjects than folds.
    """
    people = np.asarray(subjects, np.int64)
    fold = subject_folds(people, folds, seed)
    rng = np.random.default_rng([seed, 12])
    g_left, g_right = genuine_pairs(people)
    if len(g_left) > max_genuine:
        chosen = np.sort(rng.choice(len(g_left), max_genuine, replace=False))
        g_left, g_right = g_left[chosen], g_right[chosen]
    i_left, i_right = impostor_pairs(people, max_impostor, rng, groups=fold)
    if not len(g_left) or not len(i_left):
        raise InsufficientData(
            f"verification needs genuine and impostor pairs; found {len(g_left)} and {len(i_left)}",
            "use a set in which some people have two pictures or more",
        )
    left, right = np.concatenate([g_left, i_left]), np.concatenate([g_right, i_right])
    same = np.arange(len(left)) < len(g_left)
    order = np.argsort(fold[left], kind="stable")
    return PairList(left[order], right[order], same[order], fold[left][order])


def _blocks(n: int, block: int) -> Iterator[tuple[slice, slice]]:
    for i in range(0, n, block):
        for j in range(i, n, block):
            yield slice(i, min(i + block, n)), slice(j, min(j + block, n))


def _usable(unit: NDArray[Any], subjects: ArrayLike, ok: Bool | None) -> tuple[NDArray[Any], I64, I64]:
    keep = np.arange(len(unit)) if ok is None else np.flatnonzero(ok)
    return np.ascontiguousarray(unit[keep], np.float32), np.asarray(subjects, np.int64)[keep], keep


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


def impostor_histogram(
    unit: NDArray[Any], subjects: ArrayLike, ok: Bool | None = None, bins: int = 20_000, block: int = BLOCK
) -> ScoreHistogram:
    """Histogram of the cosines of all pairs of different subjects, streamed: memory is block x block.

    Raises:
        InsufficientData: no pair of different subjects.
    """
    rows, people, _ = _usable(unit, subjects, ok)
    counts = np.zeros(bins, np.int64)
    for a, b in _blocks(len(rows), block):
        scores = rows[a] @ rows[b].T
        use = people[a][:, None] != people[b][None, :]
        if a == b:
            use &= np.tri(len(scores), k=-1, dtype=bool)
        at = np.clip(((scores[use] + 1) * (bins / 2)).astype(np.int64), 0, bins - 1)
        counts += np.bincount(at, minlength=bins)
    n = int(counts.sum())
    if not n:
        raise InsufficientData("no pair of different subjects")
    return ScoreHistogram(np.linspace(-1, 1, bins + 1), counts, n)


@dataclass(frozen=True, slots=True)
class MatchCounts:
    """Impostor matches of all pairs at one threshold, by group.

    Attributes:
        groups: G labels. matches, pairs: i64[G,G], symmetric; the diagonal counts pairs within a group once.
        face_matches, face_pairs: i64[N,G], per face against each group (0 rows for faces without a vector).
        identity_squares: f64[G,G], symmetric: squared matches of each two people within or across groups, summed;
            None where there are more than `MOST_MATCHES` matches.
    """

    groups: tuple[str, ...]
    matches: I64
    pairs: I64
    face_matches: I64
    face_pairs: I64
    identity_squares: F64 | None = None


def _identity_squares(rows: I64, columns: I64, people: I64, codes: I64, groups: int) -> F64:
    """f64[G,G] of matches i64[M] between faces `rows` and `columns` (each pair once)."""
    span = int(people.max()) + 1
    a, b = people[rows] * groups + codes[rows], people[columns] * groups + codes[columns]
    key, counts = np.unique(np.minimum(a, b) * (span * groups) + np.maximum(a, b), return_counts=True)
    first, second = (key // (span * groups)) % groups, key % groups
    out = np.zeros((groups, groups))
    np.add.at(out, (first, second), counts.astype(np.float64) ** 2)
    return out + out.T - np.diag(np.diag(out))


def count_matches(
    unit: NDArray[Any], subjects: ArrayLike, threshold: float, groups: ArrayLike, ok: Bool | None = None,
    block: int = BLOCK,
) -> MatchCounts:  # fmt: skip
    """Impostor matches (cosine >= threshold) of all N^2/2 pairs within and across groups, streamed."""
    rows, people, keep = _usable(unit, subjects, ok)
    names, all_codes = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    codes, g = all_codes.ravel()[keep], len(names)
    hot = np.eye(g, dtype=np.float32)[codes]
    matched, paired = np.zeros((len(rows), g)), np.zeros((len(rows), g))
    found: list[tuple[I64, I64]] = []
    kept = 0
    for a, b in _blocks(len(rows), block):
        use = people[a][:, None] != people[b][None, :]
        hit = ((rows[a] @ rows[b].T) >= threshold) & use
        if kept <= MOST_MATCHES:
            i, j = np.nonzero(np.tril(hit, -1) if a == b else hit)
            found.append((i + a.start, j + b.start))
            kept += len(i)
        matched[a] += hit.astype(np.float32) @ hot[b]
        paired[a] += use.astype(np.float32) @ hot[b]
        if a != b:
            matched[b] += hit.T.astype(np.float32) @ hot[a]
            paired[b] += use.T.astype(np.float32) @ hot[a]
    totals = []
    for per_face in (matched, paired):
        table = np.rint(hot.astype(np.float64).T @ per_face).astype(np.int64)
        table[np.diag_indices(g)] //= 2
        totals.append(table)
    full = np.zeros((2, len(unit), g), np.int64)
    full[0, keep], full[1, keep] = np.rint(matched), np.rint(paired)
    squares = None
    if kept <= MOST_MATCHES:
        i, j = (np.concatenate(part) for part in zip(*found, strict=True)) if found else (keep[:0], keep[:0])
        persons = np.unique(people, return_inverse=True)[1].ravel().astype(np.int64)
        squares = _identity_squares(i, j, persons, codes.astype(np.int64), g) if len(i) else np.zeros((g, g))
    return MatchCounts(tuple(map(str, names)), totals[0], totals[1], full[0], full[1], squares)
