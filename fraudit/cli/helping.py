"""Help that starts with an example, in one piece, so that it can be copied."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from difflib import get_close_matches
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


# What people type for an option that is called otherwise, in every command that has it.
SYNONYMS = {
    "--images": "--dataset", "--data": "--dataset", "--set": "--dataset", "--model": "--embedder",
    "--output": "--out", "--checkpoint": "--weights", "--force": "--overwrite",
    "--far": "--fmr", "--threads": "--workers", "--cpus": "--workers",
}  # fmt: skip


def near_option(error: Any, arguments: Sequence[str]) -> tuple[str, str] | None:
    """(what was typed, the option meant or '') of click's error of an unknown option; None for other errors.

    Args:
        arguments: the command line. Of `-dataset` click names `-d` alone.
    """
    typed, ctx = getattr(error, "option_name", ""), getattr(error, "ctx", None)
    if not typed or ctx is None or not hasattr(error, "possibilities"):
        return None
    if not typed.startswith("--"):
        words = (word.partition("=")[0] for word in arguments)
        typed = next((w for w in words if w.startswith(typed) and len(w) > 2), typed)
    known = [
        name
        for option in ctx.command.get_params(ctx)
        for name in (*option.opts, *option.secondary_opts)
        if name.startswith("--") and not getattr(option, "hidden", False)
    ]
    wanted = f"--{typed.lstrip('-').replace('_', '-').lower()}"
    synonym = SYNONYMS.get(wanted, "")
    if wanted in known or synonym in known:
        return typed, wanted if wanted in known else synonym
    bare = {name[2:]: name for name in known}
    near = get_close_matches(wanted[2:], bare, n=1, cutoff=0.6)
    return typed, bare[near[0]] if near else ""


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
