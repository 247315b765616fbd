"""Faces on their way to a black box, a block at a time: nothing changes places, and nothing is asked twice."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fraudit.embedding import preparing, runtime
from fraudit.embedding.runtime import BLOCK, FIRST, EmbedderRuntime
from fraudit.errors import DataError
from fraudit.faces.boxes import Detection
from fraudit.faces.detect import LandmarkCache, Locator
from fraudit.files.store import Store
from fraudit.types import ARCFACE_112, EmbedderSpec, FaceSet, LoadedEmbedder, Preprocess
from tests.fixtures.boxes import picture_set

SPEC = EmbedderSpec("box", 3, Preprocess((112, 112), ARCFACE_112), "", "")
COUNT = 150


def colours(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32).mean((1, 2)) + 1


class Box:
    """Answers in the thread that asks, and says which it was."""

    def __init__(self, fails: int = -1) -> None:
        self.threads: list[int] = []
        self.sizes: list[int] = []
        self.fails = fails
        self.loaded = LoadedEmbedder(SPEC, self.forward, "0" * 64, batch_size=8, alone=self.alone)

    def forward(self, images: np.ndarray) -> np.ndarray:
        raise AssertionError("asked in the wrong way")

    def alone(self, images: np.ndarray) -> np.ndarray:
        self.threads.append(threading.get_ident())
        self.sizes.append(len(images))
        if len(self.threads) == self.fails:
            raise DataError("no more")
        return colours(images)


class Shades:
    """A detector: a face wherever the picture's corner is bright, degenerate points where it is 7."""

    name, fingerprint = "shades", "shades-1"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def find(self, image: np.ndarray) -> list[Detection]:
        return self.find_many([image])[0]

    def find_many(self, images: Sequence[np.ndarray]) -> list[list[Detection]]:
        self.asked.append(len(images))
        return [self._faces(int(image[0, 0, 0])) for image in images]

    def _faces(self, shade: int) -> list[Detection]:
        points = np.ones((5, 2), np.float32) if shade == 7 else ARCFACE_112
        return [Detection((0, 0, 112, 112), points, 0.9)] if shade > 5 else []


class Counting(LandmarkCache):
    """Counts its questions."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.read, self.written = 0, 0

    def get_many(self, keys: Sequence[str]) -> dict:
        self.read += 1
        return super().get_many(keys)

    def put_many(self, answers: dict) -> None:
        self.written += 1
        super().put_many(answers)


def shaded(count: int = COUNT, size: int = 5000) -> FaceSet:
    """Pictures of shades 0, 1, 2, ...; number 11 cannot be read, 12 cannot be decoded."""

    def read(index: int) -> bytes:
        if index == 11:
            raise DataError("file vanished")
        return bytes([index % 251]) * size

    def decode(data: bytes) -> np.ndarray:
        if data[0] == 12:
            raise DataError("truncated image")
        return np.full((112, 112, 3), data[0], np.uint8)

    names = tuple(f"{i}.png" for i in range(count))
    return FaceSet("shades", names, np.arange(count), {}, None, None, "d", read, decode)


def test_a_box_that_answers_in_any_thread_gives_what_one_that_answers_in_batches_gives(
    tmp_path: Path,
) -> None:
    faces, steps = picture_set(COUNT, broken=frozenset({3, 77})), []
    alone = Box()
    one = EmbedderRuntime(alone.loaded, Store(tmp_path / "a"), workers=3)
    found = one.embed_faces(faces, progress=lambda *step: steps.append(step))
    other = EmbedderRuntime(replace(alone.loaded, forward=colours, alone=None), Store(tmp_path / "b"))
    same = other.embed_faces(faces)
    np.testing.assert_array_equal(found.vectors, same.vectors)
    assert found.reasons == same.reasons
    assert found.reasons.count("truncated picture") == 2
    assert (one.queries, other.queries) == (COUNT - 2, COUNT - 2)
    assert threading.get_ident() not in alone.threads
    assert steps[-1] == (COUNT, COUNT)
    assert steps == sorted(steps)
    assert max(b[0] - a[0] for a, b in pairwise(steps)) <= BLOCK


def test_what_goes_wrong_stays_in_its_own_place(tmp_path: Path) -> None:
    box, detector = Box(), Shades()
    found = EmbedderRuntime(box.loaded, Store(tmp_path), workers=2).embed_faces(
        shaded(), locate=Locator(detector, cache=LandmarkCache(tmp_path / "l.sqlite"))
    )
    wrong = {row: reason for row, reason in enumerate(found.reasons) if reason}
    assert wrong == {
        **dict.fromkeys(range(6), "no face found"),
        7: "degenerate landmarks",
        11: "file vanished",
        12: "truncated image",
    }
    shades = np.arange(COUNT)[found.ok]
    np.testing.assert_allclose(found.vectors[found.ok], np.repeat(shades[:, None] + 1, 3, axis=1), atol=0.01)


def test_memories_are_asked_once_a_block_and_the_detector_once_a_picture(tmp_path: Path) -> None:
    detector, memory = Shades(), Counting(tmp_path / "l.sqlite")
    first = EmbedderRuntime(Box().loaded, Store(tmp_path), workers=1).embed_faces(
        shaded(), locate=Locator(detector, cache=memory)
    )
    assert sum(detector.asked) == COUNT - 2  # two were never seen
    assert max(detector.asked) > 8
    assert memory.read == memory.written < 20
    again = EmbedderRuntime(Box().loaded, Store(tmp_path))
    faces = replace(
        shaded(), decode=lambda data: pytest.fail("decoded") if data[0] not in (7, 12) else _bad(data)
    )
    same = again.embed_faces(faces, locate=Locator(detector, cache=Counting(tmp_path / "l.sqlite")))
    assert again.queries == 0
    assert sum(detector.asked) == COUNT - 2
    np.testing.assert_array_equal(first.vectors, same.vectors)
    assert first.reasons == same.reasons


def _bad(data: bytes) -> np.ndarray:
    if data[0] == 12:
        raise DataError("truncated image")
    return np.full((112, 112, 3), data[0], np.uint8)


def test_vectors_of_blocks_before_an_error_are_remembered(tmp_path: Path) -> None:
    faces = picture_set(COUNT)
    broken = Box(fails=3)
    with pytest.raises(DataError, match="no more"):
        EmbedderRuntime(broken.loaded, Store(tmp_path), workers=1).embed_faces(faces)
    again = EmbedderRuntime(Box().loaded, Store(tmp_path), workers=1)
    assert again.embed_faces(faces).ok.all()
    assert again.queries == COUNT - sum(broken.sizes[:2]) < COUNT


def test_blocks_grow_where_the_box_is_fast_and_stay_small_where_it_is_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fast = Box()
    EmbedderRuntime(fast.loaded, workers=1).embed_faces(picture_set(400))
    assert (fast.sizes[0], max(fast.sizes)) == (FIRST, BLOCK)
    monkeypatch.setattr(runtime, "BLOCK_S", 1e-9)
    slow = Box()
    EmbedderRuntime(slow.loaded, workers=1).embed_faces(picture_set(60))
    assert slow.sizes[0] == FIRST
    assert slow.sizes[-1] == 1


def test_few_large_pictures_are_held_at_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "pixels_of", lambda data: 1000)
    monkeypatch.setattr(preparing, "HELD_PIXELS", 3000)
    detector = Shades()
    EmbedderRuntime(Box().loaded, workers=2).embed_faces(shaded(40), locate=Locator(detector, cache=None))
    assert max(detector.asked) == 3
    monkeypatch.setattr(preparing, "HELD_PIXELS", 1)  # one alone is more than that
    detector = Shades()
    EmbedderRuntime(Box().loaded, workers=2).embed_faces(shaded(40), locate=Locator(detector, cache=None))
    assert set(detector.asked) == {1}


def test_few_large_files_are_held_at_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "HELD_BYTES", 20_000)
    detector = Shades()
    found = EmbedderRuntime(Box().loaded, workers=1).embed_faces(
        shaded(40, size=9000), locate=Locator(detector, cache=None)
    )
    assert max(detector.asked) == 3
    assert found.ok.sum() == 40 - 6 - 3
