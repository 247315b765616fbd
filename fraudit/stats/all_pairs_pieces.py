"""A pass over all pairs as pieces of work: rows and columns of a tile or some, done by the cores here or by others.

Rows are put in the order of people, so that pairs of one person lie near the diagonal: only the tiles there are masked,
and what was masked is subtracted from the lowest bin. All other tiles are a product, a rounding to whole bins and a
count, while they lie in the cache. Counts are whole numbers: who did which piece, and when, changes none.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.threads import thread_count
from fraudit.types import F32, I64, Bool

I32 = NDArray[np.int32]
Part = tuple[
    I64, I32, I32, F32
]  # i64[bins] counts; rows and columns i32[K] of pairs at or above the floor, scores
HandOver = Callable[[Sequence[int], Part], None]  # numbers of pieces done, and what they gave together
REACH = 4  # tiles in a piece of work, after which its results are handed over
LOAD_TORCH = 2_000_000_000  # scores from which its faster count is worth the second that torch takes to load
MASKED = np.float32(-2)  # below every cosine
COPY = 64 * 2**20  # bytes of vectors that are copied into the order of people; more are gathered tile by tile
STRIP = 1024  # rows that are looked at together


class Order:
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
            self._source = self._rows  # the vectors as they were are needed no more
        squares = (np.einsum("nd,nd->n", r, r) for r in self._strips())
        self.unit = all(float(s.max()) <= 1 + 1e-5 for s in squares)  # then no cosine is a bin beyond [-1, 1]

    def __len__(self) -> int:
        return len(self.at)

    @property
    def dim(self) -> int:
        """D."""
        return int(self._source.shape[1])

    def _strips(self) -> Iterator[NDArray[np.float32]]:
        return (self.rows(i, min(i + STRIP, len(self))) for i in range(0, len(self), STRIP))

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


class Pieces:
    """Rows and columns of each piece of work: the upper triangle of n x n in strips, cut every `REACH` tiles."""

    def __init__(self, n: int, tile: tuple[int, int]) -> None:
        self._n, self._height, self._width = n, tile[0], tile[1] * REACH
        left = n - np.arange(0, n, self._height, dtype=np.int64)
        self._ends: I64 = np.cumsum(-(-left // self._width))

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, number: int) -> tuple[slice, slice]:
        strip = int(np.searchsorted(self._ends, number, "right"))
        before = int(self._ends[strip - 1]) if strip else 0
        row = strip * self._height
        column = row + (number - before) * self._width
        return slice(row, min(row + self._height, self._n)), slice(column, min(column + self._width, self._n))

    def scores(self, number: int) -> int:
        """How many are computed in one."""
        a, b = self[number]
        return (a.stop - a.start) * (b.stop - b.start)


@dataclass(frozen=True, slots=True)
class Pass:
    """All that decides what a piece of work gives; it can be sent to another process.

    Attributes:
        bins: of the histogram, 0 for none. floor: pairs at or above it are wanted. tile: rows and columns multiplied at
            once. device: `numpy`, or a device of torch. threads: of this process; 0 takes as many as it may.
    """

    order: Order
    bins: int
    floor: np.float32
    tile: tuple[int, int]
    device: str = "numpy"
    threads: int = 0
    pieces: Pieces = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pieces", Pieces(len(self.order), self.tile))

    @property
    def operations(self) -> float:
        """Of its products: two a number of each score."""
        return float(len(self.order)) ** 2 * self.order.dim

    def done_by(self, todo: Sequence[int]) -> Part:
        """What the pieces `todo` give together, done by this process."""
        counts, found = np.zeros(self.bins, np.int64), list[tuple[I32, I32, F32]]()
        lock = threading.Lock()

        def take(_numbers: Sequence[int], part: Part) -> None:
            with lock:
                np.add(counts, part[0], out=counts)
                found.append(part[1:])

        with _one_blas_thread():  # the same sums whatever the number of threads is
            run_here(self, todo, take)
        return counts, *joined(found)


Run = Callable[[Pass, Sequence[int], HandOver], None]  # does the pieces with these numbers
_RUN: ContextVar[Run | None] = ContextVar("all_pairs_run", default=None)


@contextmanager
def passes_by(run: Run) -> Iterator[None]:
    """Within this block `run` does the pieces of every pass over all pairs."""
    token = _RUN.set(run)
    try:
        yield
    finally:
        _RUN.reset(token)


def run_pass(work: Pass, todo: Sequence[int], hand_over: HandOver) -> None:
    """Do the pieces `todo`, here or wherever `passes_by` says."""
    (_RUN.get() or run_here)(work, todo, hand_over)


def run_here(work: Pass, todo: Sequence[int], hand_over: HandOver) -> None:
    """Do the pieces `todo` on the cores of this process, or on its GPU; `hand_over` is called by several threads."""
    if not len(todo):
        return
    if work.device != "numpy":
        from fraudit.stats.all_pairs_torch import TorchWorker

        _work(
            TorchWorker(work.order, work.bins, work.floor, work.tile, work.device),
            work,
            iter(todo),
            hand_over,
        )
        return
    threads = min(work.threads or thread_count(), len(todo))
    count = _counter(float(len(work.order)) ** 2 / 2)
    workers = [CoreWorker(work.order, work.bins, work.floor, work.tile, count) for _ in range(threads)]
    with _one_blas_thread(threads > 1):
        if threads == 1:
            _work(workers[0], work, iter(todo), hand_over)
            return
        shared = _Shared(todo)
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda worker: _work(worker, work, shared, hand_over), workers))


class _Shared:
    """Numbers that several threads take in turn."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._numbers, self._lock = iter(numbers), threading.Lock()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        with self._lock:
            return next(self._numbers)


def _work(worker: Any, work: Pass, numbers: Iterator[int], hand_over: HandOver) -> None:
    for number in numbers:
        hand_over((int(number),), worker.piece(*work.pieces[int(number)]))


def joined(found: Sequence[tuple[I32, I32, F32]]) -> tuple[I32, I32, F32]:
    """Lists of pairs as one."""
    if not found:
        none = np.empty(0, np.int32)
        return none, none, none.astype(np.float32)
    one, two, scores = (np.concatenate(part) for part in zip(*found, strict=True))
    return one, two, scores


@contextmanager
def _one_blas_thread(wanted: bool = True) -> Iterator[None]:
    """BLAS works with one thread in each of ours."""
    if not wanted:
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


class CoreWorker:
    """The buffers of one core."""

    def __init__(
        self,
        order: Order,
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

    def piece(self, a: slice, b: slice) -> Part:
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
        return counts, *joined(found)

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
