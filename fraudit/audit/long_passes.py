"""Passes over all pairs that take long: told how far they are, and done on the workers of an engine if there is one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fraudit.progress import Progress
from fraudit.stats.all_pairs_pieces import HandOver, Part, Pass, Run, run_here

if TYPE_CHECKING:
    from fraudit.audit.engine import Engine

LONG = 2e12  # operations of a pass: 17 s of one core, far more than handing the vectors to workers takes
MILLION = 1_000_000


def long_passes(engine: Engine | None, part: Callable[[str, int], Progress]) -> Run:
    """What does the pieces of a pass, for `fraudit.stats.all_pairs_pieces.passes_by`.

    A pass is long from `LONG` operations on, two a number of each score: 62,500 vectors of 512 numbers. Shorter ones,
    and those that a GPU of this machine does, are done here.

    Args:
        engine: does the others; None does them here too. part: begins to tell of one.
    """

    def run(work: Pass, todo: Sequence[int], hand_over: HandOver) -> None:
        if work.operations * len(todo) < LONG * len(work.pieces):
            run_here(work, todo, hand_over)
            return
        scores, done, lock = sum(map(work.pieces.scores, todo)), 0, threading.Lock()
        told = part("millions of pairs compared", round(scores / MILLION))

        def handed(numbers: Sequence[int], found: Part) -> None:
            nonlocal done
            hand_over(numbers, found)
            with lock:
                done += sum(map(work.pieces.scores, numbers))
                told(round(done / MILLION), told.total)

        if engine is None or work.device != "numpy":
            run_here(work, todo, handed)
        else:
            engine.pairs(work, todo, handed)

    return run
