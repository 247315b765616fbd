"""From what a reader found to a FaceSet: ids, subject numbers, digest."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.errors import DataError
from fraudit.faces.decode import decode_picture
from fraudit.faces.members import Members
from fraudit.faces.picking import picked
from fraudit.faces.templates import hashed_parts, shown_in
from fraudit.types import F32, I64, FaceSet, PairList, Templates

UNNAMED = "pictures that no list of the set names"


@dataclass(slots=True)
class Draft:
    """What a reader found.

    Attributes:
        files: N member names; also the ids.
        people: N labels of people, or None where nobody is identified.
        read: index -> bytes; by default the member's.
        identities: () -> N strings that change with the content; by default the members'.
        left_out: reason -> count of what the reader left out. notes: how the set was read, for a person.
        templates: of these pictures, each of one person; their `subjects` are filled in by `finish`.
    """

    members: Members | None
    files: Sequence[str]
    people: Sequence[str] | None
    attributes: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    landmarks: F32 | None = None
    pairs: PairList | None = None
    subjects: I64 | None = None
    synthetic: bool = False
    licence: str = ""
    read: Callable[[int], bytes] | None = None
    identities: Callable[[], Sequence[str]] | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()
    templates: Templates | None = None

    def leaving_out(self, reason: str, count: int) -> Draft:
        """The draft with `count` more left out for `reason`."""
        found = {**self.left_out, reason: self.left_out.get(reason, 0) + count}
        return dataclasses.replace(self, left_out=found)

    def finish(self, name: str, *, digest: bool = True) -> FaceSet:
        """The set. `digest=False` leaves it empty: for counting, never for a run.

        Raises:
            DataError: no picture, or two of one id.
        """
        # A file name need not be valid UTF-8, but reports and JSON are.
        ids = tuple(file.encode("utf-8", "backslashreplace").decode() for file in self.files)
        if not ids:
            raise _no_picture(name, self.members)
        if len(set(ids)) != len(ids):
            twice, _ = Counter(ids).most_common(1)[0]
            raise DataError(f"the set '{name}' lists '{twice}' twice", "every picture must be listed once")
        if self.subjects is not None:
            subjects = self.subjects
        elif self.people is None:
            subjects = np.arange(len(ids), dtype=np.int64)
        else:
            subjects = np.unique(np.array(self.people, dtype=str), return_inverse=True)[1].astype(np.int64)
        faces = FaceSet(
            name=name,
            ids=ids,
            subjects=subjects,
            attributes=dict(self.attributes),
            landmarks=self.landmarks,
            pairs=self.pairs,
            digest="",
            read_bytes=self.read or self._read_member,
            decode=decode_picture,
            identified=self.people is not None,
            synthetic=self.synthetic,
            licence=self.licence,
            left_out=self._all_left_out(),
            notes=tuple(self.notes),
            templates=None if self.templates is None else shown_in(self.templates, subjects),
        )
        if not digest:
            return faces
        known = self.identities() if self.identities else self._members().identities(self.files)
        return with_digest(faces, known)

    def _all_left_out(self) -> dict[str, int]:
        if self.members is None or not self.members.names:
            return dict(self.left_out)
        found = picked(self.members)
        unnamed = len(set(found.pictures) - set(self.files))
        return {**found.left_out(), **({UNNAMED: unnamed} if unnamed else {}), **self.left_out}

    def _members(self) -> Members:
        if self.members is None:
            raise TypeError("a draft without members needs read and identities")
        return self.members

    def _read_member(self, index: int) -> bytes:
        return self._members().read(self.files[index])


def _no_picture(name: str, members: Members | None) -> DataError:
    """Why a set has no picture, and what lies there instead."""
    names = members.names if members is not None else ()
    packs = [one for one in names if one.lower().endswith(".bin")]
    if packs:
        some = ", ".join(packs[:4]) + (", ..." if len(packs) > 4 else "")
        return DataError(
            f"the set '{name}' holds no picture, but insightface's pairs in {some}",
            "pass one of these files itself",
        )
    if any(one.lower().endswith((".rec", ".idx", ".tfrecord", ".lmdb", ".mdb")) for one in names):
        return DataError(
            f"the set '{name}' holds training records (.rec and the like), which are not read",
            "unpack them into a folder a person, or pass a .bin",
        )
    others = (
        [f"{count:,} {reason}" for reason, count in picked(members).left_out().items()] if members else []
    )
    found = f"; it holds {'; '.join(others)}" if others else ""
    return DataError(
        f"the set '{name}' holds no picture{found}",
        "expected .jpg, .png, .webp, .bmp, .tif, .gif, .pgm, .jp2 or .avif",
    )


def with_digest(faces: FaceSet, identities: Sequence[str]) -> FaceSet:
    """The set with `digest` = sha256 over ids, labels, protocol and the files' identities.

    The name of the set and where it lies do not count, so that a copy elsewhere shares its cache.
    """
    from dataclasses import replace

    state = hashlib.sha256()
    for part in zip(faces.ids, identities, strict=True):
        state.update("\0".join(part).encode() + b"\n")
    arrays: list[tuple[str, NDArray[Any] | None]] = [
        ("subjects", faces.subjects),
        ("landmarks", faces.landmarks),
    ]
    arrays += sorted(faces.attributes.items())
    if faces.pairs is not None:
        arrays += [(key, getattr(faces.pairs, key)) for key in ("left", "right", "same", "fold")]
    if faces.templates is not None:
        arrays += hashed_parts(faces.templates)
    for name, values in arrays:
        state.update(f"{name}:".encode())
        if values is None:
            continue
        if values.dtype.kind in "US":
            state.update("\0".join(map(str, values)).encode("utf-8", "backslashreplace"))
        else:
            state.update(np.ascontiguousarray(values).tobytes())
    return replace(faces, digest=state.hexdigest())
