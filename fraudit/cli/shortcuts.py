"""Options of `fraudit analyze` that set one parameter of one analysis, or leave one out."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def with_request(only: tuple[str, ...], profile: str | None) -> tuple[str, ...]:
    """The analyses asked for alone, with the one that `--profile` asks for; () means all, and its parameter asks."""
    name = "profile"
    return (*only, name) if profile is not None and only and name not in only else only


def with_shortcuts(
    params: dict[str, dict[str, Any]],
    quality: Path | None,
    enrol: list[str] | None,
    profile: str | None = None,
) -> dict[str, dict[str, Any]]:
    """`params` with what `--quality`, `--enrol` and `--profile` set. Raises UsageError: no such file."""
    from fraudit.errors import UsageError

    if quality is not None:
        if not quality.is_file():
            raise UsageError(f"--quality: there is no file {quality}", "pass the CSV that OFIQ wrote")
        params.setdefault("quality", {})["file"] = str(quality)
    if enrol:
        params.setdefault("conditions", {})["enrol"] = [part for given in enrol for part in given.split(",")]
    if profile is not None:
        params.setdefault("profile", {})["plan"] = profile
    return params


def every_method(
    inverter: str | None, only: tuple[str, ...], params: dict[str, dict[str, Any]]
) -> tuple[str | None, tuple[str, ...]]:
    """(`--inverter`, `--only`) where `--inverter all` asks for every inversion method: the audit's own stays `auto`."""
    name = "rivals"
    if inverter != "all":
        return inverter, only
    params.setdefault(name, {}).setdefault("methods", "")
    return None, (*only, name) if only and name not in only else only


def left_out(skip: tuple[str, ...], no_doctor: bool) -> tuple[str, ...] | None:
    """Analyses that are not run, with what `--no-doctor` adds; None where the plan decides."""
    return (*skip, *(("doctor",) if no_doctor else ())) or None
