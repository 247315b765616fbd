"""The reference of every command, from the command line itself."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer

from fraudit_docs.markdown import block, cell, code, page, table

FOLDER = "reference/commands"


@dataclass(frozen=True)
class Command:
    """One command of the tool: its words after `fraudit`, and click's object."""

    words: tuple[str, ...]
    click: Any

    @property
    def name(self) -> str:
        """`weights fetch`."""
        return " ".join(self.words)

    @property
    def path(self) -> str:
        """Its page."""
        return f"{FOLDER}/{'-'.join(self.words)}.md"


@functools.cache
def root() -> Any:
    """click's object of `fraudit`, made once: it takes half a second."""
    from fraudit.cli.main import app

    return typer.main.get_command(app)


def every() -> list[Command]:
    """Every command that is not hidden, in alphabetical order; groups themselves are left out."""

    def walk(found: Any, words: tuple[str, ...]) -> Iterator[Command]:
        inner = getattr(found, "commands", None)
        if inner is None:
            yield Command(words, found)
        for name, one in sorted((inner or {}).items()):
            if not one.hidden:
                yield from walk(one, (*words, name))

    return list(walk(root(), ()))


def summary(command: Command) -> str:
    """The first sentence of its help."""
    first = " ".join((command.click.help or "").partition("\n\n")[0].split())
    return first.partition(". ")[0].rstrip(".") + "."


def context_of(command: Command) -> Any:
    """An empty context of the command, to ask it for its help."""
    return command.click.context_class(command.click, info_name=f"fraudit {command.name}")


def described(command: Command) -> list[tuple[str, str, str]]:
    """(name, what it takes, meaning) of each argument and option, as its help says them."""
    context, found = context_of(command), []
    for parameter in command.click.params:
        record = parameter.get_help_record(context)
        if record:
            takes = re.search(r"(?:^| )(<[^>]*>|\[[^\]]*\])", record[0])
            name = record[0].replace(takes[0], "") if takes else record[0]
            found.append((name.strip(), takes[1] if takes else "", record[1]))
    return found


def usage(command: Command) -> str:
    """The line that shows how its parts follow each other."""
    return " ".join(["fraudit", *command.words, *command.click.collect_usage_pieces(context_of(command))])


def page_of(command: Command) -> str:
    """The page of one command."""
    example = getattr(command.click, "example", "")
    rows = [(code(name), code(takes), cell(text)) for name, takes, text in described(command)]
    return page(
        f"fraudit {command.name}",
        "\n\n".join(" ".join(part.split()) for part in (command.click.help or "").split("\n\n")),
        f"**Example**\n\n{block(example)}" if example else "",
        f"**Usage**\n\n{block(usage(command), 'text')}",
        f"**Arguments and options**\n\n{table(('name', 'takes', 'meaning'), rows)}" if rows else "",
        "`--debug` works with every command and shows tracebacks; the exit codes are "
        "[decided once](../../adr/0002-exit-codes.md).",
    )


def index() -> str:
    """The list of all commands."""
    rows = [(f"[fraudit {c.name}]({c.path.rpartition('/')[2]})", cell(summary(c))) for c in every()]
    return page(
        "Commands",
        "Made from the command line itself, so that it says what this version does. `fraudit COMMAND --help` says "
        "the same on a terminal.",
        table(("command", "what it does"), rows),
    )


def pages() -> dict[str, str]:
    """Path on the site -> Markdown."""
    return {f"{FOLDER}/index.md": index(), **{command.path: page_of(command) for command in every()}}
