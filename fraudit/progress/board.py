"""One live table of a run on a terminal: analysis, state, time, rate, time left; plain lines elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fraudit.progress import Pace, Reporter, duration, overdue
from fraudit.progress.console import Line
from fraudit.progress.terminal import Guarded, one_line, plain

if TYPE_CHECKING:
    from rich.table import Table

LEAST_COLUMNS = 60  # a narrower terminal gets one line


class _Row:
    def __init__(self, state: str) -> None:
        self.state, self.rate = state, ""
        self.begun = self.ended = 0.0


class Board:
    """A table that is redrawn in place. What is said besides it scrolls above; the last table stays.

    Its streams stay guarded: what is written meanwhile has no control codes and no secrets.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        stream = sys.stderr.raw if isinstance(sys.stderr, Guarded) else sys.stderr
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._rows: dict[str, _Row] = {}
        self._pace = Pace(live=True)
        self._at = ""  # what is done before the first analysis
        self._lock = threading.RLock()
        self._before: Any = None
        self._live = Live(console=self._console, get_renderable=self._table, refresh_per_second=5)

    def __enter__(self) -> Board:
        self._before = sys.stderr, sys.stdout
        self._live.start()  # puts its own streams in the place of ours, which must be guarded too
        sys.stderr, sys.stdout = Guarded(sys.stderr), Guarded(sys.stdout)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """The table is drawn a last time and stays."""
        with self._lock:
            self._at = ""
            for row in self._rows.values():
                if row.state == "running":
                    row.state, row.ended = "stopped", time.monotonic()
        self._live.stop()
        sys.stderr, sys.stdout = self._before

    def say(self, text: str) -> None:
        """A line above the table; what is about to be done (`loading dlib`) stands in the table alone."""
        with self._lock:
            self._pace.said(text)
            self._at = one_line(text)
        from rich.text import Text

        self._console.print(Text(plain(one_line(text))))

    def progress(self, label: str, done: int, total: int) -> None:
        """`done` of `total` of a part of the running analysis."""
        with self._lock:
            self._pace.step(label, done, total)

    def stage(self, title: str, state: str, words: str, rate: str) -> None:
        """An analysis waits, runs, or ended with `state`; why it did not run scrolls above the table."""
        now = time.monotonic()
        with self._lock:
            row = self._rows.setdefault(title, _Row(state))
            row.state, row.rate = state, rate
            if state == "running":
                row.begun = now
                self._pace.said(title)
            elif row.begun:
                row.ended = now
        if state in ("not run", "failed"):
            self.say(f"{title}: {words}")

    def reporter(self) -> Reporter:
        """For `fraudit.audit.runner.run_plan`."""
        return Reporter(self.say, self.progress, self.stage)

    def _table(self) -> Table:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, expand=False, pad_edge=False)
        table.add_column("analysis", no_wrap=True, overflow="ellipsis", ratio=3)
        table.add_column("state", no_wrap=True, overflow="ellipsis", ratio=4)
        for name in ("time", "rate", "left"):
            table.add_column(name, no_wrap=True, justify="right")
        with self._lock:
            now = time.monotonic()
            for title, row in self._rows.items():
                cells = self._cells(row, now)
                table.add_row(*(Text(plain(one_line(cell))) for cell in (title, *cells)))
            if not self._rows:
                part = self._pace.part()
                table.add_row(*(Text(plain(one_line(cell))) for cell in (self._at, *_part_cells(part, ""))))
        return table

    def _cells(self, row: _Row, now: float) -> tuple[str, str, str, str]:
        if row.state != "running":
            lasted = duration(row.ended - row.begun) if row.ended else ""
            return row.state, lasted, row.rate, ""
        return _part_cells(self._pace.part(), duration(now - row.begun))


def _part_cells(part: tuple[str, int, int, float, float] | None, lasted: str) -> tuple[str, str, str, str]:
    """(state, time, rate, left) of what is being counted."""
    if part is None:
        return "running" if lasted else "", lasted, "", ""
    label, done, total, rate, elapsed = part
    state = f"{label} {done:,}/{total:,}"
    if rate <= 0:
        return state, lasted, "", ""
    speed = f"{rate:.1f}/s" if rate >= 0.95 else f"{1 / rate:.1f} s each"
    left = "" if overdue(done, total, rate, elapsed) else duration((total - done) / rate - elapsed)
    return state, lasted, speed, left


def of_a_run(quiet: bool) -> Board | Line:
    """A table on a terminal that can redraw one, else lines."""
    wide = shutil.get_terminal_size((80, 24)).columns >= LEAST_COLUMNS
    able = sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")
    return Board() if able and wide and not quiet else Line(quiet)
