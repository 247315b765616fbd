"""What a long pass over all pairs has done so far, in one file that is never seen half-written."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.errors import DataError
from fraudit.files.doors import open_arrays
from fraudit.files.store import write_atomic
from fraudit.types import F32, I64

I32 = NDArray[np.int32]
Kept = list[tuple[I32, I32, F32]]
EVERY = 30.0  # seconds between two writes
_STEP = 4096


def _key(rows: Callable[[int, int], NDArray[Any]], n: int, person: I64, what: tuple[float, ...]) -> str:
    """sha256 of the rows, who they show, and what is measured."""
    made = hashlib.sha256(f"{n} {what!r}".encode())
    made.update(np.ascontiguousarray(person).data)
    for start in range(0, n, _STEP):
        made.update(np.ascontiguousarray(rows(start, min(start + _STEP, n))).data)
    return made.hexdigest()


class PairState:
    """The pieces of work done, with their sums.

    Args:
        path: of the file. work: what decides the result (rows, their number, people, what is measured); the state
            of other work is not read. pieces: of the work.
    Attributes:
        done: bool[pieces].
    """

    def __init__(
        self,
        path: Path,
        work: tuple[Callable[[int, int], NDArray[Any]], int, I64, tuple[float, ...]],
        pieces: int,
    ) -> None:
        self.path, self.key = path, _key(*work)
        self.done = np.zeros(pieces, bool)
        self._last = time.monotonic()

    def read(self, counts: I64) -> tuple[I64, Kept]:
        """(counts, pairs kept) of the pieces done; what was given where the file is not there or of other work."""
        if not self.path.is_file():
            return counts, []
        try:
            with open_arrays(self.path) as stored:
                if str(stored["key"]) != self.key or len(stored["done"]) != len(self.done):
                    return counts, []
                self.done = np.array(stored["done"], bool)
                kept = (stored["left"], stored["right"], stored["scores"])
                return np.array(stored["counts"], np.int64), [kept]
        except DataError:  # a damaged file is work to be done again
            self.done[:] = False
            return counts, []

    def finished(self, pieces: Sequence[int], counts: I64, kept: Kept) -> None:
        """Note some pieces; written where the last write is long ago."""
        self.done[np.asarray(pieces)] = True
        if time.monotonic() - self._last < EVERY:
            return
        if len(kept) > 1:
            kept[:] = [tuple(np.concatenate(part) for part in zip(*kept, strict=True))]  # type: ignore[list-item]
        left, right, scores = kept[0] if kept else (np.empty(0, np.int32),) * 2 + (np.empty(0, np.float32),)
        parts = {"done": self.done, "counts": counts, "left": left, "right": right, "scores": scores}

        def write(path: Path) -> None:
            with path.open("wb") as file:
                np.savez(file, key=np.array(self.key), **parts)  # type: ignore[arg-type]

        write_atomic(self.path, write)
        self._last = time.monotonic()

    def remove(self) -> None:
        """The work is done."""
        self.path.unlink(missing_ok=True)
