"""Vectors that exist already, brought into the order of a set's pictures by their ids."""

from __future__ import annotations

import contextlib
import posixpath
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fraudit.errors import DataError, FrauditError
from fraudit.faces.pairing import Finder, composed
from fraudit.files.vectors import GivenVectors
from fraudit.report.record import RunRecord
from fraudit.types import F32, Bool, FaceSet

ABSENT = "the file has no vector of this picture"


@dataclass(frozen=True, slots=True)
class Matched:
    """Vectors in the order of a set's faces: f32[N,D], bool[N], N reasons; ids of the file that name no picture."""

    vectors: F32
    ok: Bool
    reasons: tuple[str, ...]
    unknown: tuple[str, ...]


def match(given: GivenVectors, faces: FaceSet, file: Path) -> Matched:
    """Bring vectors into the order of a set's faces.

    An id is a picture's path in the set, the end of it, or a longer path that ends in it; another ending is allowed.

    Raises:
        DataError: no id names a picture, or two name one.
    """
    finder, names = Finder(faces.ids), [_bare(name) for name in faces.ids]
    rows = np.full(len(faces), -1, np.int64)
    unknown = []
    for row, name in enumerate(given.ids):
        at = finder.find(name)
        if at is None or not _ends_alike(_bare(name), names[at]):
            unknown.append(name)
        elif rows[at] >= 0:
            raise DataError(
                f"{file}: the ids '{given.ids[rows[at]]}' and '{name}' both name the picture '{faces.ids[at]}'",
                "give every picture one vector, under its path in the set",
            )
        else:
            rows[at] = row
    if (rows < 0).all():
        raise DataError(
            f"{file}: none of its {len(given.ids):,} ids names a picture of '{faces.name}': its first is "
            f"'{given.ids[0]}', the set's is '{faces.ids[0]}'",
            "ids are paths in the set (docs/formats.md); fraudit analyze --dry-run counts what a set holds",
        )
    held = rows >= 0
    vectors = np.where(held[:, None], given.vectors[rows], 0).astype(np.float32)
    reasons = tuple(given.reasons[row] if row >= 0 else ABSENT for row in rows)
    return Matched(vectors, held & given.ok[rows], reasons, tuple(unknown))


def _bare(name: str) -> str:
    return posixpath.splitext(composed(name))[0]


def _ends_alike(one: str, other: str) -> bool:
    """Whether one path is the other, or the end of it."""
    return one == other or one.endswith(f"/{other}") or other.endswith(f"/{one}")


def name_of(file: Path) -> str:
    """The model's name: that of the run beside the file, else the file's or its folder's."""
    with contextlib.suppress(FrauditError):
        box = RunRecord.load(file.parent).inputs.get("embedder")
        if isinstance(box, dict) and box.get("name"):
            return str(box["name"])
    return file.stem if file.stem != "vectors" else file.resolve().parent.name or file.stem
