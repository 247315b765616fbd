"""1:N search with memory that does not grow with N, and its error rates (ISO/IEC 19795-1).

    found = search(gallery, vectors, searcher, above=0.3)
    fpir(found, threshold); fnir(found, threshold, rank=1); cmc(found, [1, 5, 20])
    threshold = fpir_threshold(found, 0.01)

A search returns the enrolled people whose score (cosine) is at or above the threshold. It is mated where the person
is enrolled. FPIR(N, T) is the share of non-mated searches that return anybody; FNIR(N, R, T) that of mated searches
whose mate is not within rank R at or above T. A mate's rank is 1 + the number of enrolled people with a strictly
higher score. A search without a vector returns nobody: it raises FNIR and never FPIR; so does a mate without one.

Scores are computed in 64 bits. Two that differ by less than `SAME` are equal: equal templates tie wherever in a block
they lie, although sums in another order differ in the last digit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.errors import DataError, InsufficientData, UsageError
from fraudit.stats.calibration import labelled_rng
from fraudit.stats.gallery import Templates
from fraudit.types import F64, I64, Bool

SAME = 1e-12
TILE, BLOCK = 4096, 1024  # enrolled vectors and searches a block: 32 MB of scores
PARTS = 20  # random parts of the enrolled people, for smaller galleries and the jackknife
MOST_HITS = 20_000_000


@dataclass(frozen=True, slots=True)
class Hits:
    """Candidates other than the mate at or above a score.

    Attributes:
        search: i64[H]. entry: i64[H], index into `Search.people`. score: f64[H].
    """

    search: I64
    entry: I64
    score: F64


@dataclass(frozen=True, slots=True)
class Search:
    """What S searches found among N enrolled people.

    Attributes:
        people: i64[N], the enrolled, rising. part: i64[N], random part (0 to PARTS - 1) of each.
        searcher: i64[S]. mate: i64[S], index into `people`; -1 in a non-mated search.
        top, second: f64[S], highest scores among OTHER people; -inf where there is none.
        top_entry: i64[S], who gave `top`, -1 for nobody (of equal scores, one in a fixed random order).
        mate_score: f64[S], -inf where there is no mate, or no vector of it.
        ahead: i64[S,PARTS], other people of each part who score strictly higher than the mate; 0 in non-mated ones.
        close_search, close_entry: i64[C], those people, of mated searches with at most `depth` of them.
        depth: see `close_search`. hits: candidates at or above `above` (inf: none were kept).
    """

    people: I64
    part: I64
    searcher: I64
    mate: I64
    top: F64
    second: F64
    top_entry: I64
    mate_score: F64
    ahead: I64
    close_search: I64
    close_entry: I64
    depth: int
    hits: Hits
    above: float

    @property
    def mated(self) -> Bool:
        """bool[S]."""
        return self.mate >= 0

    @property
    def rank(self) -> I64:
        """i64[S]: 1 + enrolled people ahead of the mate; of no meaning where `mate_score` is -inf."""
        return 1 + self.ahead.sum(axis=1)

    def candidates(self, threshold: float) -> Hits:
        """Candidates at or above `threshold`.

        Raises:
            UsageError: lower than what was kept.
        """
        if threshold < self.above:
            raise UsageError(
                f"candidates were kept from {self.above:g} on; found threshold {threshold:g}",
                "search again with a lower 'above'",
            )
        use = self.hits.score >= threshold
        return Hits(self.hits.search[use], self.hits.entry[use], self.hits.score[use])


class _Found:
    """Running results of a search; rows are searches."""

    def __init__(self, searches: int, depth: int) -> None:
        self.top, self.second = np.full(searches, -np.inf), np.full(searches, -np.inf)
        self.top_entry = np.full(searches, -1, np.int64)
        self.ahead = np.zeros((searches, PARTS), np.int32)
        self.depth, self.kept = depth, 0
        self.close: list[tuple[I64, I64]] = []
        self.hits: list[tuple[I64, I64, F64]] = []

    def add(self, rows: I64, entries: I64, scores: F64, part: int, mate: F64 | None, above: float) -> None:
        """Takes in f64[B,E] scores of searches `rows` against `entries`; `mate` f64[B] where they are mated."""
        line = np.arange(len(rows))
        at = scores.argmax(axis=1)
        best = scores[line, at]
        if mate is not None:
            over = np.flatnonzero(best > mate + SAME)
            if len(over):
                self._ahead(rows[over], entries, scores[over] > (mate[over] + SAME)[:, None], part)
        if above < np.inf:
            over = np.flatnonzero(best >= above - SAME)
            if len(over):
                a, b = np.nonzero(scores[over] >= above - SAME)
                self.hits.append((rows[over[a]], entries[b], scores[over[a], b]))
                self._count(len(a))
        scores[line, at] = -np.inf
        next_best = scores.max(axis=1)
        old = self.top[rows]
        higher = best > old
        self.second[rows] = np.maximum(np.minimum(best, old), np.maximum(next_best, self.second[rows]))
        self.top[rows] = np.where(higher, best, old)
        self.top_entry[rows] = np.where(higher, entries[at], self.top_entry[rows])

    def _count(self, more: int) -> None:
        self.kept += more
        if self.kept > MOST_HITS:
            raise UsageError(
                f"more than {MOST_HITS:,} candidates are at or above 'above'",
                "name a higher score to keep from",
            )

    def _ahead(self, rows: I64, entries: I64, higher: Bool, part: int) -> None:
        self.ahead[rows, part] += higher.sum(axis=1, dtype=np.int32)
        few = np.flatnonzero(self.ahead[rows].sum(axis=1) <= self.depth)
        a, b = np.nonzero(higher[few])
        self.close.append((rows[few[a]], entries[b]))


def _tiles(order: I64, part: I64, rows_of: I64) -> Iterator[I64]:
    """Entries in `order`, cut where the part changes and before more than TILE rows."""
    start, rows = 0, 0
    for i, entry in enumerate(order):
        if i > start and (part[entry] != part[order[start]] or rows + rows_of[entry] > TILE):
            yield order[start:i]
            start, rows = i, 0
        rows += int(rows_of[entry])
    if len(order):
        yield order[start:]


def _mate_scores(gallery: Templates, first: I64, many: I64, vectors: NDArray[Any], mate: I64) -> F64:
    """f64[S]: the highest score among the mate's vectors, -inf without one."""
    found = np.full(len(mate), -np.inf)
    searches = np.flatnonzero(mate >= 0)
    for start in range(0, len(searches), BLOCK):
        rows = searches[start : start + BLOCK]
        counts = many[mate[rows]]
        which = np.repeat(rows, counts)
        begin = np.cumsum(counts) - counts
        at = np.repeat(first[mate[rows]] - begin, counts) + np.arange(counts.sum())
        s = np.einsum("pd,pd->p", vectors[which].astype(np.float64), gallery.vectors[at], dtype=np.float64)
        found[rows] = np.maximum.reduceat(np.where(gallery.ok[at], s, -np.inf), begin)
    return found


def search(
    gallery: Templates,
    vectors: NDArray[Any],
    searcher: ArrayLike,
    *,
    ok: ArrayLike | None = None,
    above: float = np.inf,
    depth: int = 1,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Search:
    """Search every vector among all enrolled people, block by block.

    Args:
        gallery: rows of one person count as one candidate with its best score (`enrol(..., "best")`).
        vectors: f[S,D] unit rows. searcher: i64[S], person of each; enrolled or not. ok: bool[S], False: no vector.
        above: candidates from this score on are kept one by one. depth: of how many people ahead of a mate names
            are kept (ranks up to `depth` then have intervals that resample enrolled people).
        seed: of the parts. progress: called with the number of comparisons made.
    Raises:
        DataError: nobody enrolled, other shapes, or values that are not finite. UsageError: too many candidates
            at or above `above`.
    """
    who, q = np.asarray(searcher, np.int64), np.asarray(vectors)
    usable = np.ones(len(who), bool) if ok is None else np.asarray(ok, bool)
    if not len(gallery):
        raise DataError("a search needs at least one enrolled person; found none")
    if q.ndim != 2 or q.shape != (len(who), gallery.vectors.shape[1]):
        raise DataError(
            f"searches must be [S, D] with S = {len(who)} people and D = {gallery.vectors.shape[1]} as enrolled; "
            f"found {list(q.shape)}"
        )
    if not np.isfinite(q[usable]).all() or not np.isfinite(gallery.vectors).all():
        raise DataError("vectors must be finite; mark what has none with ok = False")
    if (np.diff(gallery.names) < 0).any():
        raise DataError("rows of the gallery must be sorted by person")
    people, first, many = np.unique(gallery.names, return_index=True, return_counts=True)
    at = np.minimum(np.searchsorted(people, who), len(people) - 1)
    mate = np.where(people[at] == who, at, -1)
    q = np.where(usable[:, None], q, 0).astype(q.dtype, copy=False)
    mate_score = np.where(usable, _mate_scores(gallery, first, many, q, mate), -np.inf)
    order = labelled_rng(seed, "search.parts").permutation(len(people))
    part = np.empty(len(people), np.int64)
    part[order] = np.arange(len(people)) * PARTS // len(people)
    found = _Found(len(who), depth)
    place = np.full(len(people) + 1, -1, np.int64)
    for entries in _tiles(order, part, many):
        rows = np.concatenate([np.arange(first[e], first[e] + many[e]) for e in entries])
        enrolled = gallery.vectors[rows].astype(np.float64, copy=False)
        cuts = np.cumsum(many[entries]) - many[entries]
        place[entries] = np.arange(len(entries))
        for kind in (True, False):
            chosen = np.flatnonzero(((mate >= 0) == kind) & usable)
            for start in range(0, len(chosen), BLOCK):
                block = chosen[start : start + BLOCK]
                scores = q[block].astype(np.float64, copy=False) @ enrolled.T
                scores[:, ~gallery.ok[rows]] = -np.inf
                if len(rows) > len(entries):
                    scores = np.maximum.reduceat(scores, cuts, axis=1)
                if kind:
                    own = np.flatnonzero(place[mate[block]] >= 0)
                    scores[own, place[mate[block[own]]]] = -np.inf
                found.add(
                    block, entries, scores, int(part[entries[0]]), mate_score[block] if kind else None, above
                )
                if progress:
                    progress(len(block) * len(rows))
        place[entries] = -1
    return _result(found, people, part, who, mate, mate_score, above)


def _result(
    found: _Found, people: I64, part: I64, who: I64, mate: I64, mate_score: F64, above: float
) -> Search:
    ahead = found.ahead.astype(np.int64)
    empty = np.empty(0, np.int64)
    close = [np.concatenate([empty, *(c[side] for c in found.close)]) for side in (0, 1)]
    near = ahead[close[0]].sum(axis=1) <= found.depth
    row = np.concatenate([empty, *(h[0] for h in found.hits)])
    candidate = np.concatenate([empty, *(h[1] for h in found.hits)])
    kept = np.concatenate([np.empty(0), *(h[2] for h in found.hits)])
    top, second, mates, kept = _settled(found.top, found.second, mate_score, kept)
    hits = Hits(row, candidate, kept)
    entry = np.where(np.isfinite(top), found.top_entry, -1)
    return Search(
        people,
        part,
        who,
        mate,
        top,
        second,
        entry,
        mates,
        ahead,
        close[0][near],
        close[1][near],
        found.depth,
        hits,
        above,
    )


def _settled(*scores: F64) -> list[F64]:
    """The same scores, those that differ by less than SAME made equal (the lowest of them)."""
    everything = np.concatenate(scores)
    values, at = np.unique(everything, return_inverse=True)
    new = np.ones(len(values), bool)
    with np.errstate(invalid="ignore"):
        new[1:] = ~(np.diff(values) < SAME)
    lowest = values[new][np.cumsum(new) - 1][at.ravel()] if len(values) else everything
    return np.split(lowest, np.cumsum([len(s) for s in scores])[:-1])


def false_positives(found: Search, threshold: float) -> Bool:
    """bool[J] of the non-mated searches, in order: whether anybody is returned."""
    best = found.top[~found.mated]
    return (best >= threshold) & np.isfinite(best)


def misses(found: Search, threshold: float = -np.inf, rank: int | None = 1) -> Bool:
    """bool[J] of the mated searches, in order: mate below `threshold` or not within `rank` (None: any rank)."""
    mated = found.mated
    score = found.mate_score[mated]
    missed = ~(score >= threshold) | ~np.isfinite(score)
    return missed if rank is None else missed | (found.rank[mated] > rank)


def fpir(found: Search, threshold: float) -> float:
    """FPIR(N, T).

    Raises:
        InsufficientData: no non-mated search.
    """
    events = false_positives(found, threshold)
    if not len(events):
        raise InsufficientData("FPIR needs searches of people who are not enrolled; found none")
    return float(events.mean())


def fnir(found: Search, threshold: float = -np.inf, rank: int | None = 1) -> float:
    """FNIR(N, R, T); TPIR is 1 less it.

    Raises:
        InsufficientData: no mated search.
    """
    events = misses(found, threshold, rank)
    if not len(events):
        raise InsufficientData("FNIR needs searches of people who are enrolled; found none")
    return float(events.mean())


def cmc(found: Search, ranks: Sequence[int]) -> F64:
    """f64[R]: identification rate at each rank, without a threshold."""
    return np.array([1 - fnir(found, -np.inf, int(rank)) for rank in ranks])


def fpir_threshold(found: Search, target: float) -> float:
    """The lowest candidate score whose FPIR is at most `target`; infinity where there is none.

    Candidates are the scores at which an error rate changes: the mates' scores, and the best of every non-mated
    search.

    Raises:
        UsageError: target outside (0, 1). InsufficientData: no non-mated search.
    """
    if not 0 < target < 1:
        raise UsageError(f"an FPIR target lies between 0 and 1; found {target:g}")
    best = np.sort(found.top[~found.mated])
    if not len(best):
        raise InsufficientData(
            "a threshold for FPIR needs searches of people who are not enrolled; found none"
        )
    scores = np.unique(np.concatenate([best, found.mate_score[found.mated]]))
    scores = scores[np.isfinite(scores)]
    rate = (len(best) - np.searchsorted(best, scores, "left")) / len(best)
    good = np.flatnonzero(rate <= target)
    return float(scores[good[0]]) if len(good) else float("inf")
