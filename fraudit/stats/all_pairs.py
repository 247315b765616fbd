"""One pass over all pairs of different people: the histogram of their cosines, and every pair at or above a floor.

Rows are put in the order of people, so that pairs of one person lie near the diagonal: only the tiles there are masked,
and what was masked is subtracted from the lowest bin. All other tiles are a product, a rounding to whole bins and a
count, while they lie in the cache. Each core has tiles of its own (numpy and BLAS release the interpreter), or a GPU
has them all. Memory beside the vectors: a few MB a core, and the pairs that are kept.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.stats.pair_state import PairState
from fraudit.threads import thread_count
from fraudit.types import F32, I64, Bool

I32 = NDArray[np.int32]
ROWS, COLUMNS = 384, 1024  # of a tile: 1.5 MB of scores
REACH = 4  # tiles in a piece of work, after which its results are handed over
INLINE = 4_000_000  # scores below which threads cost more than they bring
LOAD_TORCH = 2_000_000_000  # scores from which its faster count is worth the second that torch takes to load
MASKED = np.float32(-2)  # below every cosine
COPY = 64 * 2**20  # bytes of vectors that are copied into the order of people; more are gathered tile by tile

Take = Callable[[I32, I32, F32], None]


@dataclass(frozen=True, slots=True)
class Swept:
    """What a pass over all pairs of different people found.

    Attributes:
        counts: i64[bins], cosines in equal bins over [-1, 1] (empty where none were asked for). pairs: of all.
        left, right: i32[K], rows with left < right of the pairs at or above `floor`, and f32[K] their `scores`, the
            highest first and equal ones by row; empty where they were handed to `take`.
    """

    counts: I64
    pairs: int
    left: I32
    right: I32
    scores: F32
    floor: float


class _Order:
    """Usable rows in the order of people, so that one person's rows lie side by side."""

    def __init__(self, unit: NDArray[Any], subjects: ArrayLike, ok: Bool | None) -> None:
        keep = np.arange(len(unit)) if ok is None else np.flatnonzero(ok)
        codes = np.unique(np.asarray(subjects)[keep], return_inverse=True)[1].ravel()
        order = np.argsort(codes, kind="stable")
        self.at: I64 = keep[order]
        self.person: I64 = codes[order]
        sizes = np.bincount(codes) if len(codes) else np.zeros(0, np.int64)
        self.end: I64 = np.cumsum(sizes)[self.person] if len(codes) else self.person
        self.pairs = int((len(codes) ** 2 - (sizes.astype(np.int64) ** 2).sum()) // 2)
        in_order = len(self.at) == len(unit) and bool((np.diff(self.at) == 1).all())
        plain = unit.dtype == np.float32 and unit.flags.c_contiguous
        self._source = unit
        self._rows: NDArray[Any] | None = None
        if in_order and plain:
            self._rows = unit
        elif len(self.at) * unit.shape[1] * 4 <= COPY:
            self._rows = np.ascontiguousarray(unit[self.at], np.float32)
        squares = (np.einsum("nd,nd->n", r, r) for r in self._strips())
        self.unit = all(float(s.max()) <= 1 + 1e-5 for s in squares)  # then no cosine is a bin beyond [-1, 1]

    def __len__(self) -> int:
        return len(self.at)

    def _strips(self) -> Iterator[NDArray[np.float32]]:
        return (self.rows(i, min(i + COLUMNS, len(self))) for i in range(0, len(self), COLUMNS))

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """f32[stop - start,D] in the order of people."""
        if self._rows is not None:
            return self._rows[start:stop]
        return np.ascontiguousarray(self._source[self.at[start:stop]], np.float32)

    def tiles(self, a: slice, b: slice, width: int) -> Iterator[slice]:
        """Columns of the tiles of a piece: first those of the rows' own people, which are masked."""
        band = min(max(a.stop, int(self.end[a.stop - 1])), b.stop)
        cuts = [*range(b.start, band, width), *range(max(band, b.start), b.stop, width), b.stop]
        for start, stop in pairwise(cuts):
            yield slice(start, stop)

    def masked(self, a: slice, b: slice) -> Bool | None:
        """bool[m,n], pairs of the tile that are not wanted; None where all are."""
        if b.start >= max(a.stop, int(self.end[a.stop - 1])):
            return None
        bad: Bool = self.person[a, None] == self.person[None, b]
        bad |= np.arange(b.start, b.stop)[None] <= np.arange(a.start, a.stop)[:, None]
        return bad


def _pieces(n: int, tile: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each piece of work: the upper triangle in strips, cut every `REACH` tiles."""
    height, width = tile[0], tile[1] * REACH
    for i in range(0, n, height):
        for j in range(i, n, width):
            yield slice(i, min(i + height, n)), slice(j, min(j + width, n))


@contextmanager
def _one_blas_thread(workers: int) -> Iterator[None]:
    """BLAS works with one thread in each of ours."""
    if workers == 1:
        yield
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


def _counter(scores: float) -> Callable[[NDArray[Any], int], I64]:
    """Counts whole numbers in [0, bins): torch needs no wider copy of them, which is half of numpy's time."""
    if "torch" not in sys.modules and scores < LOAD_TORCH:
        return lambda at, bins: np.bincount(at, minlength=bins).astype(np.int64)
    import torch

    return lambda at, bins: torch.bincount(torch.from_numpy(at), minlength=bins).numpy()


class _Worker:
    """The buffers of one core."""

    def __init__(
        self,
        order: _Order,
        bins: int,
        floor: np.float32,
        tile: tuple[int, int],
        count: Callable[[Any, int], I64],
    ) -> None:
        self.order, self.bins, self.floor, self.width, self.count = order, bins, floor, tile[1], count
        size = min(tile[0], len(order)) * min(tile[1], len(order))
        self.scores = np.empty(size, np.float32)
        self.whole = np.empty(size, np.int16 if bins < np.iinfo(np.int16).max - 2 else np.int32)
        self.over = np.empty(size, bool)

    def piece(self, a: slice, b: slice) -> tuple[I64, I32, I32, F32]:
        """(i64[bins] counts, rows and columns i32[K] of pairs at or above the floor, their scores f32[K])."""
        counts = np.zeros(self.bins, np.int64)
        found: list[tuple[I32, I32, F32]] = []
        left = self.order.rows(a.start, a.stop)
        for columns in self.order.tiles(a, b, self.width):
            shape = (a.stop - a.start, columns.stop - columns.start)
            size = shape[0] * shape[1]
            flat = self.scores[:size]
            tile = flat.reshape(shape)
            np.matmul(left, self.order.rows(columns.start, columns.stop).T, out=tile)
            bad = self.order.masked(a, columns)
            if bad is not None:
                np.copyto(tile, MASKED, where=bad)
            if self.floor < np.inf:
                self._over(flat, a.start, columns.start, shape[1], found)
            if self.bins:
                clip = bad is not None or not self.order.unit or self.bins > 100_000
                counts += self._binned(flat, self.whole[:size], clip)
                if bad is not None:
                    counts[0] -= np.count_nonzero(bad)
        none = np.empty(0, np.int32)
        one, two, scores = (
            (np.concatenate(part) for part in zip(*found, strict=True))
            if found
            else (none, none, none.astype(np.float32))
        )
        return counts, one, two, scores

    def _over(self, flat: F32, row: int, column: int, width: int, found: list[tuple[I32, I32, F32]]) -> None:
        over = np.greater_equal(flat, self.floor, out=self.over[: len(flat)])
        if len(flat) % 8:
            at = np.flatnonzero(over)
        else:  # few are over: eight are passed by at a time
            words = np.flatnonzero(over.view(np.uint64))
            word, byte = np.nonzero(over.reshape(-1, 8)[words])
            at = words[word] * 8 + byte
        if not len(at):
            return
        a, b = np.divmod(at.astype(np.int32), np.int32(width))
        found.append((a + np.int32(row), b + np.int32(column), flat[at]))

    def _binned(self, flat: F32, whole: NDArray[Any], clip: bool) -> I64:
        """Counts of f32 cosines, which are overwritten; beyond [-1, 1] is in the outermost bins."""
        flat += np.float32(1)
        flat *= np.float32(self.bins / 2)
        if clip:
            np.clip(flat, np.float32(0), np.float32(self.bins - 1), out=flat)
        np.copyto(whole, flat, casting="unsafe")
        counts = self.count(whole, self.bins)
        if len(counts) > self.bins:  # a cosine of 1, or a rounding above it
            counts[self.bins - 1] += counts[self.bins :].sum()
        return counts[: self.bins]


def sweep(
    unit: NDArray[Any],
    subjects: ArrayLike,
    ok: Bool | None = None,
    *,
    bins: int = 0,
    floor: float = np.inf,
    take: Take | None = None,
    workers: int | None = None,
    device: str = "auto",
    tile: tuple[int, int] | None = None,
    progress: Callable[[int], None] | None = None,
    state: Path | None = None,
) -> Swept:
    """The cosines of all pairs of different people among unit rows f32[N,D].

    Args:
        subjects: N labels of people. ok: bool[N], rows with a vector.
        bins: of the histogram over [-1, 1], at most 2^31; 0: none.
        floor: pairs at or above it are kept (inf: none). The comparison is in 32 bits, as the scores are.
        take: given (left, right, scores) of some pairs at or above the floor, in turns, instead of keeping them.
        workers: threads; by default `fraudit.threads.thread_count`. device: `numpy`, a
            device of torch (`cuda`), or `auto`: a GPU where torch is loaded and sees one. tile: rows and columns that
            are multiplied at once.
        progress: called with the number of scores that were computed.
        state: file to which the work done is written every half minute, and from which the same work goes on; removed
            at the end. Not with `take`.
    Raises:
        ValueError: `state` together with `take`.
    """
    if state is not None and take is not None:
        raise ValueError("pairs that are handed on cannot be resumed; give 'state' or 'take'")
    order = _Order(unit, subjects, ok)
    n = len(order)
    floor = max(float(floor), -1.5)
    low = np.float32(floor)
    small = n * (n + 1) / 2 <= INLINE
    on = _device(device, small)
    if tile is None:
        tile = (ROWS, COLUMNS) if on == "numpy" else _torch().TILE
    pieces = list(_pieces(n, tile))
    counts = np.zeros(bins, np.int64)
    kept: list[tuple[I32, I32, F32]] = []
    saved = (
        PairState(state, (order.rows, n, order.person, (bins, float(low), *tile)), len(pieces))
        if state
        else None
    )
    if saved is not None:
        counts, kept = saved.read(counts)
    threads = 1 if small else min(workers or thread_count(), max(len(pieces), 1))
    lock = threading.Lock()
    todo = iter([i for i in range(len(pieces)) if saved is None or not saved.done[i]])
    at = order.at.astype(np.int32)

    def hand_over(number: int, part: tuple[I64, I32, I32, F32]) -> None:
        a, b = pieces[number]
        here, one, two, scores = part
        with lock:
            np.add(counts, here, out=counts)
            if len(scores):
                first, second = at[one], at[two]
                pair = (np.minimum(first, second), np.maximum(first, second), scores)
                if take is not None:
                    take(*pair)
                else:
                    kept.append(pair)
            if saved is not None:
                saved.finished(number, counts, kept)
            if progress is not None:
                progress((a.stop - a.start) * (b.stop - b.start))

    def work(worker: Any) -> None:
        while True:
            with lock:
                number = next(todo, None)
            if number is None:
                return
            hand_over(number, worker.piece(*pieces[number]))

    if n > 1:
        if on != "numpy":
            work(_torch().TorchWorker(order, bins, low, tile, on))
        else:
            count = _counter(n * n / 2)
            with _one_blas_thread(threads):
                if threads == 1:
                    work(_Worker(order, bins, low, tile, count))
                else:
                    with ThreadPoolExecutor(threads) as pool:
                        list(pool.map(work, [_Worker(order, bins, low, tile, count) for _ in range(threads)]))
    if saved is not None:
        saved.remove()
    left, right, scores = _ordered(kept)
    return Swept(counts, order.pairs, left, right, scores, floor)


def _torch() -> Any:
    from fraudit.stats import all_pairs_torch

    return all_pairs_torch


def _device(wanted: str, small: bool) -> str:
    if wanted != "auto":
        return wanted
    torch = sys.modules.get("torch")
    return "cuda" if torch is not None and not small and torch.cuda.is_available() else "numpy"


def _ordered(kept: list[tuple[I32, I32, F32]]) -> tuple[I32, I32, F32]:
    """The highest first; equal scores by row, so that the order does not depend on which core was first."""
    if not kept:
        none = np.empty(0, np.int32)
        return none, none, none.astype(np.float32)
    left, right, scores = (np.concatenate(part) for part in zip(*kept, strict=True))
    kept.clear()
    by = np.lexsort((right, left, -scores))
    return left[by], right[by], scores[by]


def guessed_floor(unit: NDArray[Any], subjects: ArrayLike, share: float, ok: Bool | None, seed: int) -> float:
    """A cosine that most likely lies below the highest `share` of all pairs of different people, from 2,000 rows."""
    keep = np.arange(len(unit)) if ok is None else np.flatnonzero(ok)
    if len(keep) > 2000:
        keep = np.sort(np.random.default_rng([seed, 23]).choice(keep, 2000, replace=False))
    rows, people = np.asarray(unit[keep], np.float32), np.asarray(subjects)[keep]
    scores = (rows @ rows.T)[(people[:, None] != people[None]) & ~np.tri(len(keep), dtype=bool)]
    count = int(1.3 * share * len(scores) + 3 * np.sqrt(share * len(scores))) + 10
    if count >= len(scores):
        return -1.5
    return float(np.partition(scores, len(scores) - count)[len(scores) - count])


def highest(
    unit: NDArray[Any],
    subjects: ArrayLike,
    share: float,
    ok: Bool | None = None,
    *,
    bins: int,
    floor_of: Callable[[I64], float],
    seed: int = 0,
    state: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> Swept:
    """Histogram and every pair at or above a floor that only the histogram tells, as a rule in one pass.

    Args:
        share: about how many of the pairs will be kept, in (0, 1]; a floor is guessed from it. floor_of: given counts
            i64[bins], the floor. Where the guess is above it a second pass is made.
    """
    first = sweep(
        unit,
        subjects,
        ok,
        bins=bins,
        floor=guessed_floor(unit, subjects, share, ok, seed),
        state=state,
        progress=progress,
    )
    floor = floor_of(first.counts) if first.pairs else np.inf
    if floor < first.floor:
        again = sweep(unit, subjects, ok, floor=floor, progress=progress)
        return Swept(first.counts, first.pairs, again.left, again.right, again.scores, floor)
    keep = int(np.searchsorted(-first.scores, -np.float32(floor), "right"))
    return Swept(first.counts, first.pairs, first.left[:keep], first.right[:keep], first.scores[:keep], floor)
