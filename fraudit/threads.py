"""How many threads the libraries below use, and how they wait for one another."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from fraudit.errors import UsageError

if TYPE_CHECKING:
    from concurrent.futures import Future

S = TypeVar("S")
T = TypeVar("T")
LEAST = 8  # in a range, where there are more
VARIABLE = "FRAUDIT_THREADS"
# Read by a library when it is loaded: OpenMP (torch, scikit-learn), OpenBLAS, MKL and OpenCV.
LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


def stated() -> int | None:
    """$FRAUDIT_THREADS, or None where it is not set.

    Raises:
        UsageError: it is not a positive integer.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"{VARIABLE} must be a positive integer, found '{text}'")
    return int(text)


def thread_count() -> int:
    """$FRAUDIT_THREADS, else the cores this process may use.

    Raises:
        UsageError: the variable is not a positive integer.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    return stated() or (len(affinity(0)) if affinity else os.cpu_count() or 1)


def settle() -> None:
    """Bound the threads of every library by $FRAUDIT_THREADS, and let waiting threads sleep.

    A thread of OpenMP that waits for another one spins by default. On a machine that does other work the other one
    is not running, and spinning keeps it from it: two threads were ten times slower than one. What is loaded later
    reads the environment; what is loaded already is told.

    Raises:
        UsageError: the variable is not a positive integer.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    count = stated()
    if count is None:
        return
    for name in LIBRARIES:
        os.environ[name] = str(count)
    if "numpy" in sys.modules:
        from threadpoolctl import threadpool_limits

        threadpool_limits(count)
    torch, cv2 = sys.modules.get("torch"), sys.modules.get("cv2")
    if torch is not None:
        torch.set_num_threads(count)
    if cv2 is not None:
        cv2.setNumThreads(count)


def ahead(work: Callable[[S], T], items: Iterable[S], workers: int, window: int) -> Iterator[T]:
    """work(item) of all items in order, done by `workers` threads, at most `window` of them under way or waiting.

    An item is taken when its place in the window is free, not before.
    """
    from collections import deque
    from concurrent.futures import ThreadPoolExecutor
    from itertools import islice

    pool = ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="fraudit-faces")
    left = iter(items)
    pending: deque[Future[T]] = deque(pool.submit(work, item) for item in islice(left, max(1, window)))
    try:
        while pending:
            made = pending.popleft().result()
            pending.extend(pool.submit(work, item) for item in islice(left, 1))
            yield made
    finally:
        for future in pending:
            future.cancel()
        pool.shutdown(wait=True, cancel_futures=True)


def blocks(count: int, workers: int, most: Callable[[], int]) -> Iterator[range]:
    """0 to `count` in ranges of at most `most()`, asked when each is needed; the last are small, to end together."""
    at = 0
    while at < count:
        share = (count - at) // max(1, workers)
        size = max(1, min(most(), max(LEAST, share), -(-count // max(1, workers))))
        yield range(at, min(count, at + size))
        at += size
