"""One pass over all pairs of different people: the histogram of their cosines, and every pair at or above a floor.

Each core does pieces of the work (`fraudit.stats.all_pairs_pieces`; numpy and BLAS release the interpreter), or a GPU
does all, or other machines do (`passes_by`). Memory beside the vectors: a few MB a core, and the pairs that are kept.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.stats.all_pairs_pieces import I32, Order, Part, Pass, joined, run_pass
from fraudit.stats.pair_state import PairState
from fraudit.types import F32, I64, Bool

ROWS, COLUMNS = 384, 1024  # of a tile: 1.5 MB of scores
INLINE = 4_000_000  # scores below which threads cost more than they bring

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
    order = Order(unit, subjects, ok)
    n = len(order)
    floor = max(float(floor), -1.5)
    small = n * (n + 1) / 2 <= INLINE
    on = _device(device, small)
    if tile is None:
        tile = (ROWS, COLUMNS) if on == "numpy" else _torch_tile()
    work = Pass(order, bins, np.float32(floor), tile, on, 1 if small else workers or 0)
    counts = np.zeros(bins, np.int64)
    kept: list[tuple[I32, I32, F32]] = []
    saved = (
        PairState(state, (order.rows, n, order.person, (bins, float(work.floor), *tile)), len(work.pieces))
        if state
        else None
    )
    if saved is not None:
        counts, kept = saved.read(counts)
    lock = threading.Lock()
    at = order.at.astype(np.int32)

    def hand_over(numbers: Sequence[int], part: Part) -> None:
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
                saved.finished(numbers, counts, kept)
            if progress is not None:
                progress(sum(map(work.pieces.scores, numbers)))

    if n > 1:
        run_pass(
            work,
            range(len(work.pieces)) if saved is None else np.flatnonzero(~saved.done).tolist(),
            hand_over,
        )
    if saved is not None:
        saved.remove()
    left, right, scores = _ordered(kept)
    return Swept(counts, order.pairs, left, right, scores, floor)


def _torch_tile() -> tuple[int, int]:
    from fraudit.stats.all_pairs_torch import TILE

    return TILE


def _device(wanted: str, small: bool) -> str:
    if wanted != "auto":
        return wanted
    torch = sys.modules.get("torch")
    return "cuda" if torch is not None and not small and torch.cuda.is_available() else "numpy"


def _ordered(kept: list[tuple[I32, I32, F32]]) -> tuple[I32, I32, F32]:
    """The highest first; equal scores by row, so that the order does not depend on which core was first."""
    left, right, scores = joined(kept)
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
