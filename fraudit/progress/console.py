"""Words and progress for a person: on standard error, so that standard output can be piped."""

from __future__ import annotations

import sys
import threading
import weakref
from types import TracebackType
from typing import Any

from fraudit.progress import TICK, Pace, Reporter
from fraudit.progress.terminal import draw, one_line

CLEAR = "\r\x1b[2K"


class Line:
    """One progress line with rate and time left; plain lines where standard error is no terminal.

    A thread repeats what is being done where nothing was told for five seconds; it ends with `close`, or with the
    object.

    Args:
        quiet: say nothing at all.
        terse: only tell of what takes long.
    """

    def __init__(self, quiet: bool = False, terse: bool = False) -> None:
        self.quiet, self._terse = quiet, terse
        self._live = sys.stderr.isatty()
        self._pace = Pace(self._live)
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._watch: threading.Thread | None = None
        self._open = False  # a line is drawn that may be redrawn

    def say(self, text: str) -> None:
        """One line of text."""
        if self.quiet:
            return
        with self._lock:
            self._begin()
            self._pace.said(text)
            if not self._terse:
                self._clear()
                draw("", one_line(text), "\n")

    def progress(self, label: str, done: int, total: int) -> None:
        """`done` of `total`; drawn at most five times a second (every 5 s where not live)."""
        if self.quiet:
            return
        with self._lock:
            self._begin()
            text = self._pace.step(label, done, total)
            if text is not None:
                self._draw(text, done >= total and not self._terse)

    def close(self) -> None:
        """Nothing more is told by itself."""
        self._stop.set()
        with self._lock:
            self._clear()

    def __enter__(self) -> Line:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _draw(self, text: str, last: bool = False) -> None:
        if self._live:
            draw(CLEAR, one_line(text), "\n" if last else "")
            self._open = not last
        else:
            draw("", one_line(text), "\n")

    def _clear(self) -> None:
        if self._open:
            draw(CLEAR, "")
            self._open = False

    def _begin(self) -> None:
        if self._watch is None and not self._stop.is_set():
            arguments = (weakref.ref(self), self._stop)
            self._watch = threading.Thread(target=_watch, args=arguments, name="fraudit-line", daemon=True)
            self._watch.start()

    def _beat(self) -> None:
        with self._lock:
            text = self._pace.beat()
            if text is not None and not self._stop.is_set():
                self._draw(text)

    def reporter(self) -> Reporter:
        """For `fraudit.audit.runner.run_plan`."""
        return Reporter(self.say, self.progress)


def _watch(line: weakref.ref[Line], stop: threading.Event) -> None:
    while not stop.wait(TICK):
        found = line()
        if found is None:
            return
        found._beat()
        del found


class Bars:
    """The same in a notebook, as bars of tqdm where that is installed."""

    def __init__(self) -> None:
        from tqdm.auto import tqdm

        self._new: Any = tqdm
        self._bar: Any = None
        self._label = ""

    def say(self, text: str) -> None:
        """Nothing: a notebook shows what takes long, and the result."""

    def progress(self, label: str, done: int, total: int) -> None:
        """One bar a part."""
        if label != self._label or self._bar is None:
            self.close()
            self._label, self._bar = label, self._new(total=total, desc=label, leave=False)
        self._bar.total, self._bar.n = total, done
        self._bar.refresh()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def reporter(self) -> Reporter:
        """For `fraudit.audit.runner.run_plan`."""
        return Reporter(self.say, self.progress)


def in_notebook() -> bool:
    """Whether this runs in a notebook's kernel."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


def of_a_call() -> Line | Bars:
    """For a call from Python: silent but for what takes long."""
    if in_notebook():
        try:
            return Bars()
        except ImportError:
            pass
    return Line(terse=True)
