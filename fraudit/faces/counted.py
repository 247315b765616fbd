"""Counts of sets that have a name, remembered in the user's cache until anything changes that they rest on.

What a count rests on is what opening the set looked at (`fraudit.faces.watching`): the zip; or every folder, whose
state changes when a name in it comes or goes, and every file that was read. Looking at those again costs some
microseconds each and opens nothing. A count that cannot be trusted is made again, never shown; where folders do not
tell (`telling`) it is made every time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from pathlib import Path
from typing import Any

from fraudit.errors import DataError
from fraudit.faces.watching import Seen, state_of, telling, watched
from fraudit.files.store import cache_root, write_bytes_atomic

_JUST_NOW_NS = (
    2_000_000_000  # a change that follows within one step of the clock may not show: FAT counts 2 s
)
_COUNTS = ("pictures", "people", "pairs")


def counts(name: str, path: Path) -> dict[str, Any]:
    """Pictures, people, pairs (int, or None where there is none), attributes (names) and left_out (reason -> count)
    of the known set `name` that lies at `path`; or its `problem`, one line, which is never remembered.
    """
    place = cache_root() / "set-counts" / f"{_digest(name, str(path.absolute()))[:32]}.json"
    known = _remembered(place)
    if known is not None:
        return known
    began = time.time_ns()
    with watched() as seen:
        found = counted(name)
    if "problem" not in found and telling(seen) and not _just_changed(seen, began):
        kept = {"code": _code(), "paths": list(seen), "state": _digest(*seen.values()), "counts": found}
        with contextlib.suppress(OSError):  # a full or read-only disk costs time the next time
            write_bytes_atomic(place, json.dumps(kept).encode())
    return found


def counted(name: str) -> dict[str, Any]:
    """What opening the known set `name` shows, or what is wrong with it; see `counts`."""
    import numpy as np

    from fraudit.faces.sources import open_faces

    try:
        faces = open_faces(name, digest=False)
    except DataError as error:
        return {"problem": error.message}
    return {
        "pictures": len(faces),
        "people": len(np.unique(faces.subjects)) if faces.identified else None,
        "pairs": len(faces.pairs) if faces.pairs else None,
        "attributes": list(faces.attributes),
        "left_out": dict(faces.left_out),
    }


def _remembered(place: Path) -> dict[str, Any] | None:
    """The counts kept at `place`, where they are whole and all that they rest on is as it was; else None."""
    try:
        kept = json.loads(place.read_bytes())
        if kept["code"] != _code() or _digest(*map(state_of, kept["paths"])) != kept["state"]:
            return None
        return _checked(kept["counts"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _checked(found: Any) -> dict[str, Any]:
    """The counts, if they are of the types that `counts` states. Raises TypeError, KeyError."""
    numbers = [found[key] for key in _COUNTS if found[key] is not None]
    left_out, attributes = found["left_out"], found["attributes"]
    if not all(type(number) is int and number >= 0 for number in (*numbers, *left_out.values())):
        raise TypeError("a count is no number")
    if not isinstance(attributes, list) or not all(isinstance(one, str) for one in (*attributes, *left_out)):
        raise TypeError("a name is no text")
    return {**{key: found[key] for key in _COUNTS}, "attributes": attributes, "left_out": left_out}


def _just_changed(seen: Seen, began: int) -> bool:
    """Whether something changed so shortly before `began` (ns) that the next change might leave its state as it is."""
    times = (part for state in seen.values() for part in state[-2:])
    return max(times, default=0) > began - _JUST_NOW_NS


def _code() -> str:
    """Changes with the code that reads sets."""
    files = sorted(str(file) for file in Path(__file__).parent.glob("*.py"))
    return _digest(*files, *map(state_of, files))


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()
