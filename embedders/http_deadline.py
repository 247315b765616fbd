"""One deadline for a whole request: name look-up, connection, every byte sent and every byte received.

A time limit on each read alone never ends where a service sends a byte now and then, in its headers or its answer.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Overdue(Exception):
    """The request did not end in time."""


def within(seconds: float, call: Callable[[], T], abandon: Callable[[], None]) -> T:
    """What `call()` returns, or raises, within `seconds`.

    It runs in a thread of its own, which cannot be made to end; `abandon` closes what it waits for.

    Raises:
        Overdue: it takes longer.
    """
    answers: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put((call(), None))
        except BaseException as error:  # raised anew by whoever waits for the answer
            answers.put((None, error))

    threading.Thread(target=work, daemon=True, name="fraudit-request").start()
    try:
        found, error = answers.get(timeout=seconds)
    except queue.Empty:
        abandon()
        raise Overdue(f"no answer within {seconds:g} s") from None
    except BaseException:  # interrupted: nobody waits for the answer any more
        abandon()
        raise
    if error is not None:
        raise error
    return found  # type: ignore[return-value]
