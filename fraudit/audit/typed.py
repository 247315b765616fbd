"""The command that the person typed, for commands that plan an audit of their own."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

SPELT_OUT = "analyze"  # its plan may come from a file: the plan's own command is told instead
_ALONE = ("--overwrite", "--quiet", "--json")
_WITH_VALUE = ("--out", "--junit", "--fix")
TYPED: ContextVar[str] = ContextVar("typed", default="")


@contextmanager
def typed(arguments: list[str]) -> Iterator[None]:
    """Reports of runs within tell to type these arguments."""
    token = TYPED.set(repeated(arguments))
    try:
        yield
    finally:
        TYPED.reset(token)


def repeated(arguments: list[str]) -> str:
    """`fraudit doctor --embedder card.toml`, without where this run went; '' for `analyze`."""
    if not arguments or arguments[0] == SPELT_OUT:
        return ""
    words, left = ["fraudit"], iter(arguments)
    for word in left:
        if word in _WITH_VALUE:
            next(left, None)
        elif word not in _ALONE and not word.startswith(tuple(f"{name}=" for name in _WITH_VALUE)):
            words.append(word)
    return shlex.join(words)
