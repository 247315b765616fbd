"""Options of `fraudit analyze` that set one parameter of one analysis."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def with_shortcuts(
    params: dict[str, dict[str, Any]], quality: Path | None, enrol: list[str] | None
) -> dict[str, dict[str, Any]]:
    """`params` with what `--quality` and `--enrol` set. Raises UsageError: no such file."""
    from fraudit.errors import UsageError

    if quality is not None:
        if not quality.is_file():
            raise UsageError(f"--quality: there is no file {quality}", "pass the CSV that OFIQ wrote")
        params.setdefault("quality", {})["file"] = str(quality)
    if enrol:
        params.setdefault("conditions", {})["enrol"] = [part for given in enrol for part in given.split(",")]
    return params
