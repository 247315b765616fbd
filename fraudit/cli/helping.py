"""Help that starts with an example, in one piece, so that it can be copied."""

from __future__ import annotations

import copy
import re
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

_EXAMPLE = re.compile(r"(?:^|\n\n)Example: ([^\n]+)\n*")


def taken_apart(text: str | None) -> tuple[str, str]:
    """(the example, the help without it)."""
    found = _EXAMPLE.search(text or "")
    if not found:
        return "", text or ""
    return found[1], f"{(text or '')[: found.start()]}\n\n{(text or '')[found.end() :]}".strip()


class Command(TyperCommand):
    """A command whose help starts with the example of its docstring."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.example, self.help = taken_apart(self.help)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The example, then usage, text and options."""
        if self.example:
            formatter.write(f"Example: {self.example}\n\n")
        super().format_help(ctx, formatter)


class Group(TyperGroup):
    """The same for a command that holds others."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.example, self.help = taken_apart(self.help)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The example, then usage, text, options and commands."""
        if self.example:
            formatter.write(f"Example: {self.example}\n\n")
        super().format_help(ctx, formatter)


class App(typer.Typer):
    """A typer app whose commands are `Command`s."""

    def __init__(self, **options: Any) -> None:
        super().__init__(cls=Group, **options)

    def command(self, name: str | None = None, **options: Any) -> Any:
        """Register a command."""
        return super().command(name, cls=Command, **options)

    def only(self, command: str) -> App:
        """This app with one of its commands or groups alone."""
        alone = copy.copy(self)
        alone.registered_commands = [c for c in self.registered_commands if c.name == command]
        alone.registered_groups = [g for g in self.registered_groups if g.name == command]
        return alone
