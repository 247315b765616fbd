"""The edge to the terminal: what comes from files and services is written without secrets and without control codes.

`guard` replaces standard output and standard error while a command runs, so that no command has to think of it. Our own
control codes and tables go through `draw` and `show_table`.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

from fraudit.redact import redact

if TYPE_CHECKING:
    from rich.table import Table

# Control codes but tab and newline, letters that turn the direction of text, line separators, lone surrogates.
_CODES = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def plain(text: str) -> str:
    """`text` for a terminal: control codes as `\\u001b` (which JSON reads too), no secrets."""
    return _CODES.sub(lambda found: f"\\u{ord(found[0]):04x}", redact(text))


def one_line(value: Any) -> str:
    """A name or a sentence of a file on one line, so that it cannot pass for a line of ours."""
    return " ".join(str(value).split())


class Guarded:
    """A text stream whose writes are `plain`; everything else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self.raw = stream

    def write(self, text: str) -> int:
        """Write `text` without control codes and secrets; its length."""
        _write(self.raw, plain(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
    except UnicodeEncodeError:  # a terminal of another encoding
        coding = stream.encoding or "ascii"
        stream.write(text.encode(coding, "backslashreplace").decode(coding))


@contextlib.contextmanager
def guard() -> Iterator[None]:
    """Guard standard output and standard error while the block runs."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Guarded(_raw(sys.stdout)), Guarded(_raw(sys.stderr))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _raw(stream: Any) -> TextIO:
    return stream.raw if isinstance(stream, Guarded) else stream


def draw(codes: str, text: str, end: str = "") -> None:
    """`codes` of ours, then `text` of anybody's, to standard error."""
    stream = _raw(sys.stderr)
    _write(stream, codes + plain(text) + end)
    stream.flush()


def show_table(table: Table, rows: Iterable[Iterable[Any]]) -> None:
    """Add `rows` to a rich table, every cell taken literally, and print it on standard output."""
    from rich.console import Console
    from rich.text import Text

    for row in rows:
        table.add_row(*[Text(plain(one_line(cell))) for cell in row])
    Console(file=_raw(sys.stdout)).print(table)
