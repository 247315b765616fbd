"""How far a long part of the work is: told alike by every command, by `audit()` and in notebooks.

A part is told as (label, done, total). `Pace` decides when that is due and words it with rate and time left; `Progress`
is what a loop is given to count with.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

Show = Callable[[str, int, int], None]
LIVE, PLAIN = 0.2, 5.0  # seconds between two lines on a terminal that redraws one, and elsewhere
LEAST_TIMED = 0.5  # seconds that a rate rests on at least: remembered answers come at once, and tell no pace
TICK = 0.5  # seconds between two looks whether it was silent for too long


def nowhere(label: str, done: int, total: int) -> None:
    """Tells nobody."""


@dataclass(frozen=True, slots=True)
class Reporter:
    """How a run tells a person what it does; both may be silent."""

    say: Callable[[str], None]
    progress: Callable[[str, int, int], None]
    stage: Callable[[str, str, str, str], None] | None = None

    def at(self, title: str, state: str, words: str = "", rate: str = "") -> None:
        """An analysis is `waiting`, `running`, or ended; where no table is shown, in one line.

        Args:
            words: how it ended. rate: how fast it was.
        """
        if self.stage is not None:
            self.stage(title, state, words, rate)
        elif state == "running":
            self.say(f"{title} ...")
        elif state != "waiting":
            self.say(f"{title}: {words}")


def silent() -> Reporter:
    """A reporter that says nothing."""
    return Reporter(lambda text: None, lambda label, done, total: None)


@dataclass
class Progress:
    """Counts one long part. Call it with (done, total), or `add` what each piece brought.

    Attributes:
        label: what is done, in words. total: how much there is, 0 where the first call says so.
        show: told (label, done, total). done: so far.
    """

    label: str
    total: int = 0
    show: Show = nowhere
    done: int = field(default=0, init=False)

    def __call__(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        self.show(self.label, done, total)

    def add(self, count: int = 1) -> None:
        """`count` more are done."""
        self(min(self.done + count, self.total), self.total)


def duration(seconds: float) -> str:
    """`45 s`, `12 min` or `3.1 h`."""
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _so_far(before: str, seconds: float) -> str:
    """`, 12 s so far`; nothing for less than a second."""
    return f"{before}{duration(seconds)} so far" if seconds >= 1 else ""


def overdue(done: int, total: int, rate: float, elapsed: float) -> bool:
    """Whether the piece at work takes longer than the rate gives all that are left: no time left can be told."""
    return rate > 0 and elapsed >= 1 and elapsed * rate > total - done


def words(label: str, done: int, total: int, rate: float, elapsed: float = 0.0) -> str:
    """One line: `robustness: 96/5,040, 31.2/s, 158 s left`.

    Args:
        rate: pieces a second, 0 where none is done yet. elapsed: seconds since `done` was counted.
    """
    if rate <= 0:
        return f"{label}: {done:,}/{total:,}{_so_far(', ', elapsed)}"
    if overdue(done, total, rate, elapsed):
        return f"{label}: {done:,}/{total:,}{_so_far(', the next ', elapsed)}"
    speed = f"{rate:.1f}/s" if rate >= 0.95 else f"{1 / rate:.1f} s each"
    return f"{label}: {done:,}/{total:,}, {speed}, {duration((total - done) / rate - elapsed)} left"


@dataclass
class _Part:
    """One label: how far it is, and the seconds and pieces that its rate rests on."""

    done: int = 0
    total: int = 0
    pieces: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Pieces a second; 0 where they came too fast to be work."""
        return self.pieces / self.seconds if self.seconds >= LEAST_TIMED else 0.0


class Pace:
    """When a line is due, and what it says; at most `PLAIN` seconds pass without one.

    Parts may take turns: each keeps the rate of the time that was its own.

    Args:
        live: one line is redrawn, so that it may change often.
        clock: seconds, never backwards.
    """

    def __init__(self, live: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._live, self._clock = live, clock
        self._parts: dict[str, _Part] = {}
        self._label = ""  # of the part that is counted, or what was said last
        self._shown = self._told = clock()
        self._counted: tuple[str, int] | None = None  # what the last line counted

    def said(self, text: str) -> None:
        """`text` was told: what follows is silent until the next word."""
        self._shown = self._told = self._clock()
        self._label, self._counted = text, None
        self._parts.clear()

    def step(self, label: str, done: int, total: int) -> str | None:
        """The line for `done` of `total`, or None where it is too early for another."""
        now = self._clock()
        part = self._parts.get(label)
        if part is None or done < part.done:
            # How long what is done by now took is not known.
            part = self._parts[label] = _Part(done, total)
        else:
            part.pieces += done - part.done
            part.seconds += now - self._told
            part.done, part.total = done, total
        self._label, self._told = label, now
        if now - self._shown < (LIVE if self._live else PLAIN) and not (self._live and done >= total):
            return None
        self._shown = now
        return self._counting(label, part, 0.0)

    def part(self) -> tuple[str, int, int, float, float] | None:
        """(label, done, total, pieces a second, seconds since) of the newest part that is not done, or None."""
        open_ = [(label, p) for label, p in self._parts.items() if p.done < p.total]
        if not open_:
            return None
        label, part = next(((n, p) for n, p in open_ if n == self._label), open_[-1])
        return label, part.done, part.total, part.rate, self._clock() - self._told

    def beat(self) -> str | None:
        """The line that is due since nothing was told for `PLAIN` seconds, or None."""
        now = self._clock()
        silent = now - self._told
        pause = 2 * TICK if self._live and silent >= PLAIN else PLAIN
        if not self._label or now - self._shown < pause - TICK:  # the next look would be too late
            return None
        self._shown = now
        part = self._parts.get(self._label)
        if part is None:
            return f"{self._label.rstrip('. ')}{_so_far(': ', silent)}"
        if part.done < part.total:
            return self._counting(self._label, part, silent)
        open_ = [label for label, p in self._parts.items() if p.done < p.total]
        if not open_:
            return f"after {self._label}{_so_far(': ', silent)}"
        # a part within another one is done: that one goes on
        return self._counting(open_[-1], self._parts[open_[-1]], silent)

    def _counting(self, label: str, part: _Part, elapsed: float) -> str:
        """The line of a part; where lines stay, a count that the last one told is not told again."""
        again = self._counted == (label, part.done)
        self._counted = label, part.done
        if again and not self._live and overdue(part.done, part.total, part.rate, elapsed):
            return f"{label}{_so_far(': the next ', elapsed)}"
        return words(label, part.done, part.total, part.rate, elapsed)
