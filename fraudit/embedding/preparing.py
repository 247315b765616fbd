"""A block of faces on its way to a black box: read, located and aligned, one after the other in one thread.

What is remembered is asked for once a block, not once a face: every question to a file hands the interpreter to another
thread and waits for it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from fraudit.errors import DataError, UsageError
from fraudit.faces.decode import pixels_of, room_for
from fraudit.files.tables import VectorCache
from fraudit.types import F32, U8, FaceSet, Located, Preprocess

HELD_BYTES = 16 * 1024 * 1024  # of encoded pictures that a block holds at one time, or one picture
HELD_PIXELS = 4_000_000  # of decoded ones
Locate = Callable[[int, bytes, U8], Located]


@dataclass(frozen=True, slots=True)
class Prepared:
    """One face on its way to the model: a vector from the cache, a crop, or a reason.

    Attributes:
        row: its place among the faces asked for. key: of its vector in the cache.
        crop: u8[h,w,3] as the model is shown it. vector: f32[D'], as it was remembered. reason: why there is neither.
        points: f32[5,2], where they are known and the face is not aligned yet.
    """

    row: int
    key: str = ""
    crop: U8 | None = None
    vector: F32 | None = None
    reason: str = ""
    points: F32 | None = None


class Asked(Protocol):
    """What a detector says of the pictures of a block, by their place in it."""

    def remembered(self, at: int) -> Located | None: ...

    def find(self, places: Sequence[int], pictures: Sequence[U8]) -> list[Located]: ...

    def keep(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _OneByOne:
    """A `locate` that knows nothing of blocks."""

    locate: Locate
    indices: Sequence[int]
    data: Sequence[bytes]

    def remembered(self, at: int) -> Located | None:
        known: Located | None = getattr(self.locate, "remembered", lambda data: None)(self.data[at])
        return known

    def find(self, places: Sequence[int], pictures: Sequence[U8]) -> list[Located]:
        return [
            self.locate(self.indices[at], self.data[at], picture)
            for at, picture in zip(places, pictures, strict=True)
        ]

    def keep(self) -> None:
        """It remembers for itself."""


@dataclass(frozen=True, slots=True)
class Preparer:
    """Called with rows of `order`, in the thread that is to do the work: a `Prepared` of each, in their order.

    Attributes:
        order: indices into `faces`. flip: part of a vector's key.
        aligned: the pictures are the model's own aligned faces already.
        locate: (index, encoded bytes, picture) -> five points, or a `Locator`; used where the set declares none.
        cache: of vectors, or None.
    """

    faces: FaceSet
    order: Sequence[int]
    preprocess: Preprocess
    flip: str
    aligned: bool
    locate: Locate | None
    cache: VectorCache | None

    def __call__(self, rows: Sequence[int]) -> list[Prepared]:
        made: list[Prepared] = []
        for part in self._read(rows):
            made += self._part(part)
        return made

    def _read(self, rows: Sequence[int]) -> Iterator[list[tuple[int, bytes | DataError]]]:
        """(row, encoded bytes or why there are none), as many at a time as may be held."""
        part: list[tuple[int, bytes | DataError]] = []
        held = 0
        for row in rows:
            try:
                data: bytes | DataError = self.faces.read_bytes(self.order[row])
            except DataError as error:
                data = error
            part.append((row, data))
            held += len(data) if isinstance(data, bytes) else 0
            if held >= HELD_BYTES:
                yield part
                part, held = [], 0
        yield part

    def _part(self, read: list[tuple[int, bytes | DataError]]) -> list[Prepared]:
        found = [(row, data) for row, data in read if isinstance(data, bytes)]
        made = {
            row: Prepared(row, reason=error.message) for row, error in read if isinstance(error, DataError)
        }
        asked = self._asked(found)
        if asked is None:
            made |= {row: self._declared(row, data) for row, data in found}
        else:
            try:
                made |= self._located(found, asked)
            finally:
                asked.keep()
        keys = [item.key for item in made.values() if item.key]
        known = self.cache.get(keys) if self.cache is not None and keys else {}
        for row, data in found:
            made[row] = self._shown(made[row], data, known)
        return [made[row] for row, _ in read]

    def _asked(self, found: Sequence[tuple[int, bytes]]) -> Asked | None:
        """The detector's answers for the pictures of a block; None where no detector is needed."""
        if self.preprocess.whole or self.aligned or self.faces.landmarks is not None:
            return None
        if self.locate is None:
            raise UsageError(
                f"the set '{self.faces.name}' declares no landmarks and no detector was given",
                "choose one with --detector, or pass --aligned for aligned faces",
            )
        data = [each for _, each in found]
        block: Callable[[Sequence[bytes]], Asked] | None = getattr(self.locate, "block", None)
        return block(data) if block else _OneByOne(self.locate, [self.order[row] for row, _ in found], data)

    def _declared(self, row: int, data: bytes) -> Prepared:
        """The key and the points of a face that needs no detector."""
        if self.preprocess.whole:  # the box finds the face itself, wherever that is
            return Prepared(row, content_key(data, "whole", None, self.flip))
        if self.aligned:
            return Prepared(row, content_key(data, "aligned", None, self.flip))
        points: F32 = self.faces.landmarks[self.order[row]]  # type: ignore[index]
        if not np.isfinite(points).all():
            return Prepared(row, reason="no landmarks declared for this picture")
        return Prepared(row, content_key(data, "declared", points, self.flip), points=points)

    def _located(self, found: Sequence[tuple[int, bytes]], asked: Asked) -> dict[int, Prepared]:
        """Keys and points by row, and crops where a picture had to be decoded for them."""
        # What the detector said of these bytes before needs no decoded picture.
        told = {at: known for at in range(len(found)) if (known := asked.remembered(at)) is not None}
        made = {found[at][0]: self._placed(*found[at], known) for at, known in told.items()}
        for group in _groups([at for at in range(len(found)) if at not in told], found):
            with room_for(*(found[at][1] for at in group)):
                pictures: dict[int, U8] = {}
                for at in group:
                    row, data = found[at]
                    try:
                        pictures[at] = self.faces.decode(data)
                    except DataError as error:
                        made[row] = Prepared(row, reason=error.message)
                answers = asked.find(list(pictures), list(pictures.values())) if pictures else []
                for (at, picture), answer in zip(pictures.items(), answers, strict=True):
                    row, data = found[at]
                    made[row] = self._placed(row, data, answer, picture)
        return made

    def _placed(self, row: int, data: bytes, told: Located, picture: U8 | None = None) -> Prepared:
        """What a detector's answer comes to; with the crop, where there is a picture."""
        if told.points is None:
            return Prepared(row, reason=told.reason or "no face found")
        try:
            crop = None if picture is None else self._aligned(picture, told.points)
        except DataError as error:
            return Prepared(row, reason=error.message)
        return Prepared(row, content_key(data, "located", told.points, self.flip), crop, points=told.points)

    def _shown(self, item: Prepared, data: bytes, known: dict[str, F32]) -> Prepared:
        """With its vector, where that is remembered; else with what the model is shown."""
        if item.reason:
            return item
        if item.key in known:
            return replace(item, crop=None, vector=known[item.key])
        if item.crop is not None:
            return item
        try:
            with room_for(data):
                return replace(item, crop=self._crop(self.faces.decode(data), item.points))
        except DataError as error:
            return Prepared(item.row, reason=error.message)

    def _crop(self, picture: U8, points: F32 | None) -> U8:
        """What the model is shown of a picture. Raises DataError: it is not what it is said to be."""
        if points is not None:
            return self._aligned(picture, points)
        if self.preprocess.whole:
            from fraudit.faces.align import fitted

            return fitted(picture, self.preprocess.size)
        expected, found = self.preprocess.size, picture.shape[:2]
        if found != expected:
            raise DataError(f"aligned face is {found[0]}x{found[1]}, expected {expected[0]}x{expected[1]}")
        return picture

    def _aligned(self, picture: U8, points: F32) -> U8:
        from fraudit.faces.align import align

        return align(picture, points, self.preprocess.size, self.preprocess.template)


def _groups(places: Sequence[int], found: Sequence[tuple[int, bytes]]) -> Iterator[list[int]]:
    """`places` in groups whose pictures may be decoded at one time."""
    group: list[int] = []
    pixels = 0
    for at in places:
        more = pixels_of(found[at][1])
        if group and pixels + more > HELD_PIXELS:
            yield group
            group, pixels = [], 0
        group.append(at)
        pixels += more
    if group:
        yield group


def content_key(data: bytes, how: str, points: F32 | None, flip: str) -> str:
    """sha256 hex of encoded bytes and of what is shown of them: the key of a vector."""
    place = b"" if points is None else np.round(points, 3).astype("<f4").tobytes()
    return hashlib.sha256(f"{how}/{flip}/".encode() + place + data).hexdigest()
