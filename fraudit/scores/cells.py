"""One cell of a score file: a score, a flag, a fold.

An error names the line and says what the cell is like, never what it holds: columns get mixed up, and a cell may be a
person's name.
"""

from __future__ import annotations

import re

from fraudit.errors import DataError
from fraudit.faces.tables import read_flag, read_number

_COMMA = re.compile(r"[+-]?\d*,\d+")


def what(text: str) -> str:
    """`4 characters that are no number`: a cell without its content."""
    if _COMMA.fullmatch(text.strip()):
        return "a number with a decimal comma"
    return f"{len(text)} character{'s' if len(text) != 1 else ''} that {'are' if len(text) != 1 else 'is'} no number"


def number_cell(text: str, where: str) -> float:
    """A score; an empty field, `nan`, `NA` and the like say that there is none. Raises DataError."""
    try:
        return read_number(text)
    except ValueError:
        raise DataError(f"{where}: expected a score, found {what(text)}") from None


def flag_cell(text: str, where: str) -> bool:
    """Whether a pair is of one person. Raises DataError."""
    found = read_flag(text)
    if found is None:
        raise DataError(
            f"{where}: expected same to be 1 or 0, found {len(text)} other character{'s' if len(text) != 1 else ''}"
        )
    return found


def whole_cell(text: str, where: str) -> int:
    """A fold. Raises DataError."""
    try:
        value = float(text)
        if not value.is_integer():
            raise ValueError
        return int(value)
    except (ValueError, OverflowError):
        raise DataError(f"{where}: expected a whole number for fold, found something else") from None
