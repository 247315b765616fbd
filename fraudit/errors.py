"""Errors a person can act on: what was expected, what was found, what to do next.

Every class carries the exit code of its kind (docs/adr/0002-exit-codes.md). The command line prints
`error: MESSAGE` and `hint: HINT`, one line each, and shows a traceback only with `--debug`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from fraudit.redact import redact


class FrauditError(Exception):
    """Base of all errors that are not bugs.

    Args:
        message: one line; what was expected and what was found.
        hint: one line; what to do next. Empty when the message already says it.
        draft: lines to copy and complete, such as a card; printed after the hint as they are.
    """

    exit_code = 70

    def __init__(self, message: str, hint: str = "", draft: str = "") -> None:
        self.message = redact(message)
        self.hint = redact(hint)
        self.draft = redact(draft)
        super().__init__(self.message)
        if self.hint:
            self.add_note(f"hint: {self.hint}")  # shown below the message where nobody catches the error


class UsageError(FrauditError):
    """A wrong option, an unknown key, a value out of range."""

    exit_code = 2


class InsufficientEvidence(FrauditError):
    """A gate could neither pass nor fail a rule with the data at hand."""

    exit_code = 3


class PluginError(FrauditError):
    """A plugin is unknown, duplicated, invalid, or misses an optional package."""

    exit_code = 4


class DataError(FrauditError):
    """Data that cannot be read or used: bad manifest, wrong shape, not finite."""

    exit_code = 5


class InsufficientData(DataError):
    """Readable data, but too little of it for the figure that was asked for."""


class ArtifactError(FrauditError):
    """Weights or a stored artifact: missing, wrong hash, corrupt, of another producer."""

    exit_code = 6


class WeightsError(ArtifactError):
    """Model weights: missing, wrong file, wrong architecture, truncated, not finite."""


def suggest(word: str, known: Iterable[str]) -> str:
    """`did you mean 'X'? ` for the nearest known word, or '' where nothing is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'? " if near else ""
