"""Data files of installed packages, found without importing them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def package_file(package: str, inside: str) -> Path | None:
    """A data file of an installed package, found without importing it; None where it is not there."""
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(folder) / inside).is_file():
            return Path(folder) / inside
    return None
