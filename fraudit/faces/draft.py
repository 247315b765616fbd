"""From what a reader found to a FaceSet: ids, subject numbers, digest."""

from __future__ import annotations

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
from fraudit.types import F32, I64, FaceSet, PairList


@dataclass(slots=True)
class Draft:
    """What a reader found.

    Attributes:
        files: N member names; also the ids.
        people: N labels of people, or None where nobody is identified.
        read: index -> bytes; by default the member's.
        identities: () -> N strings that change with the content; by default the members'.
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

    def finish(self, name: str, *, digest: bool = True) -> FaceSet:
        """The set. `digest=False` leaves it empty: for counting, never for a run.

        Raises:
            DataError: no picture, or two of one id.
        """
        # A file name need not be valid UTF-8, but reports and JSON are.
        ids = tuple(file.encode("utf-8", "backslashreplace").decode() for file in self.files)
        if not ids:
            raise DataError(
                f"the set '{name}' holds no picture", "expected .jpg, .png, .webp, .bmp, .tif or .gif"
            )
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
        )
        if not digest:
            return faces
        known = self.identities() if self.identities else self._members().identities(self.files)
        return with_digest(faces, known)

    def _members(self) -> Members:
        if self.members is None:
            raise TypeError("a draft without members needs read and identities")
        return self.members

    def _read_member(self, index: int) -> bytes:
        return self._members().read(self.files[index])


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
    for name, values in arrays:
        state.update(f"{name}:".encode())
        if values is None:
            continue
        if values.dtype.kind in "US":
            state.update("\0".join(map(str, values)).encode("utf-8", "backslashreplace"))
        else:
            state.update(np.ascontiguousarray(values).tobytes())
    return replace(faces, digest=state.hexdigest())
