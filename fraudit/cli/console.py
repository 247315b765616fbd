"""Words and progress for a person: on standard error, so that standard output can be piped."""

from __future__ import annotations

import sys
import time

from fraudit.cli.terminal import draw, one_line
from fraudit.runner import Reporter

CLEAR = "\r\x1b[2K"


class Line:
    """One progress line with rate and time left; plain lines where standard error is no terminal."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._live = sys.stderr.isatty()
        self._label = ""
        self._started = 0.0
        self._shown = 0.0

    def say(self, text: str) -> None:
        """One line of text."""
        if not self.quiet:
            self._clear()
            print(one_line(text), file=sys.stderr, flush=True)

    def progress(self, label: str, done: int, total: int) -> None:
        """`done` of `total`; drawn at most five times a second (every 30 s where not live)."""
        if self.quiet:
            return
        now = time.monotonic()
        if label != self._label or done <= 1:
            self._label, self._started, self._shown = label, now, now
            return
        pause = 0.2 if self._live else 30.0
        if now - self._shown < pause and not (done == total and self._live):
            return
        self._shown = now
        rate = done / max(now - self._started, 1e-6)
        text = f"{one_line(label)}: {done:,}/{total:,}, {rate:.1f}/s, {(total - done) / max(rate, 1e-6):.0f} s left"
        if self._live:
            draw(CLEAR, text, "" if done < total else "\n")
        else:
            print(text, file=sys.stderr, flush=True)

    def _clear(self) -> None:
        if self._live:
            draw(CLEAR, "")

    def reporter(self) -> Reporter:
        """For `fraudit.runner.run_plan`."""
        return Reporter(self.say, self.progress)
