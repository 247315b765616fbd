"""Fixtures of the cases: their folder, and a shell that runs their commands."""

from tests.fixtures.shell import cases, shell

__all__ = ["cases", "shell"]
