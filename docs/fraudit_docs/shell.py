"""Command lines that pages show, and whether the command line of this version takes them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import typer

from fraudit_docs.commands import Command, every, root

FENCE = re.compile(r"^( *)```(?:sh|bash|console)[^\n]*\n(.*?)^\1```", re.M | re.S)


def lines_of(text: str) -> Iterator[str]:
    """Every line of the page's shell blocks; lines that end in a backslash are joined."""
    for _, inner in FENCE.findall(text):
        yield from (line.strip() for line in inner.replace("\\\n", " ").splitlines() if line.strip())


def fraudit_lines(text: str) -> list[list[str]]:
    """The words after `fraudit` of every command line in the page's shell blocks, redirections left out."""
    found = []
    for line in lines_of(text):
        words = shlex.split(line, comments=True)
        if words[:1] == ["fraudit"]:
            end = next((i for i, word in enumerate(words) if word in (">", "|", "&&", ";", ">>")), len(words))
            found.append(words[1:end])
    return found


def parse(words: list[str]) -> Command:
    """The command that these words call, its options read and not run.

    Raises:
        click's UsageError: an unknown command or option, a value of the wrong kind, an argument too many.
    """
    found, rest, name = root(), list(words), []
    while getattr(found, "commands", None):
        head = rest.pop(0) if rest else ""
        if head not in found.commands:
            raise typer.BadParameter(f"there is no command {' '.join([*name, head])!r}")
        name.append(head)
        found = found.commands[head]
    found.make_context(name[-1], rest)
    known = {command.words: command for command in every()}
    if tuple(name) not in known:
        raise typer.BadParameter(f"the command {' '.join(name)!r} is an old name")
    return known[tuple(name)]
