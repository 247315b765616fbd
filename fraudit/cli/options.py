"""Options that become parameters of an analysis: what is wrong is said with the option that was typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def check_options(
    command: str,
    params: type,
    values: Mapping[str, Any],
    options: Mapping[str, str] | None = None,
    hints: Mapping[str, str] | None = None,
) -> None:
    """Build an analysis' Params of what was typed, before anything is loaded.

    Args:
        command: its name, for the hint. values: parameter -> value, those that were given.
        options: parameter -> option, such as `--max-queries`, where it is not the parameter's own name.
        hints: parameter -> what to do, where its error has no hint.
    Raises:
        UsageError: `--samples: expected at least 2, found 1`.
    """
    from fraudit.errors import UsageError

    try:
        params(**values)
    except (ValueError, UsageError) as error:  # each begins with the parameter's name
        name, _, said = str(error).partition(": ")
        option = (options or {}).get(name, f"--{name.replace('_', '-')}")
        usual = (hints or {}).get(name, f"fraudit {command} --help says what each takes")
        hint = error.hint if isinstance(error, UsageError) else usual
        raise UsageError(f"{option}: {said}", hint) from error
