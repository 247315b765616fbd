"""Detectors by name, and five landmarks of every picture of a set, remembered by content.

A picture that cannot be decoded, or in which no face is found, is a fact with a reason: it never stops a
run and is never dropped.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import os
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fraudit.errors import DataError, PluginError, WeightsError, suggest
from fraudit.faces.boxes import Detection, Detector, Policy, check_policy, choose
from fraudit.faces.decode import room_for
from fraudit.faces.installed import package_file
from fraudit.faces.members import open_table
from fraudit.files.store import cache_root
from fraudit.types import F32, U8, Bool, FaceSet, Located

NO_FACE = "no face found"
NOT_DECLARED = "no landmarks declared"
DETECTORS = ("yunet", "dlib", "scrfd", "mtcnn")  # in the order in which the default is looked for
_FILES = {
    "yunet": ("yunet_n_dynamic.onnx", "face_detection_yunet_2023mar.onnx"),
    "scrfd": ("det_10g.onnx", "scrfd_10g_bnkps.onnx"),
}


def weights_folders() -> list[Path]:
    """Where model files are looked for: $FRAUDIT_WEIGHTS, then the person's own weights folder."""
    import platformdirs

    named = os.environ.get("FRAUDIT_WEIGHTS")
    own = Path(platformdirs.user_data_dir("fraudit")) / "weights"
    return [Path(named), own] if named else [own]


def _model_file(name: str) -> Path | None:
    folders = weights_folders()
    if name == "scrfd":
        folders.append(Path.home() / ".insightface" / "models" / "buffalo_l")
    for folder in folders:
        for file in _FILES[name]:
            if (folder / file).is_file():
                return folder / file
    return None


def missing(name: str) -> str:
    """Why the detector `name` cannot run here, or ''."""
    if name in _FILES:
        if _model_file(name) is None:
            return f"{_FILES[name][0]} is in none of {', '.join(map(str, weights_folders()))}"
    elif name == "dlib":
        if find_spec("dlib") is None:
            return "the package dlib-bin (or dlib) is not installed"
        if package_file("face_recognition_models", "models/shape_predictor_5_face_landmarks.dat") is None:
            return "the package face_recognition_models is not installed"
    elif package_file("facenet_pytorch", "data/onet.pt") is None:
        return "the package facenet-pytorch is not installed"
    return ""


_HINTS = {
    "yunet": "put yunet_n_dynamic.onnx into the folder $FRAUDIT_WEIGHTS",
    "dlib": "pip install 'fraudit[dlib]'",
    "scrfd": "put det_10g.onnx of buffalo_l.zip (insightface's model zoo) into the folder $FRAUDIT_WEIGHTS",
    "mtcnn": "pip install --no-deps facenet-pytorch",
}


def default_detector() -> str:
    """`yunet` where its model is, else `dlib` where it is installed, else the first other that can run.

    Raises:
        WeightsError: none can.
    """
    for name in DETECTORS:
        if not missing(name):
            return name
    raise WeightsError(
        "no face detector can run here: " + "; ".join(f"{name}: {missing(name)}" for name in DETECTORS),
        f"{_HINTS['dlib']}, or {_HINTS['yunet']}",
    )


def open_detector(name: str = "", model: Path | None = None) -> Detector:
    """The detector `name`, or the default one for ''.

    Args:
        model: its model file, where it is not to be looked for (yunet, scrfd).
    Raises:
        PluginError: unknown name, or an optional package is missing.
        WeightsError: its model is missing or wrong.
    """
    name = name or default_detector()
    if name not in DETECTORS:
        raise PluginError(
            f"unknown detector '{name}'", f"{suggest(name, DETECTORS)}known: {', '.join(DETECTORS)}"
        )
    if model is None and (reason := missing(name)):
        kind = WeightsError if name in _FILES else PluginError
        raise kind(f"the detector '{name}' cannot run here: {reason}", _HINTS[name])
    found = model or (_model_file(name) if name in _FILES else None)
    return _opened(name, found and found.resolve())


@functools.lru_cache(maxsize=4)
def _opened(name: str, model: Path | None) -> Detector:
    """By the name and the file that were found: which detector is the default may change while a process lives."""
    if name == "yunet":
        from fraudit.faces.yunet import YuNet

        return YuNet(model)  # type: ignore[arg-type]
    if name == "scrfd":
        from fraudit.faces.scrfd import Scrfd

        return Scrfd(model)  # type: ignore[arg-type]
    if name == "dlib":
        from fraudit.faces.dlib_hog import DlibHog

        return DlibHog()
    from fraudit.faces.mtcnn import Mtcnn

    return Mtcnn()


class Remembered(NamedTuple):
    """What a detector said of one picture.

    Attributes:
        points: f32[5,2] of the face that is meant, None where no face was found. faces: how many were found.
        score: the detector's confidence in the face that is meant; NaN where there is none, or where a file that was
            written before scores were kept does not know it.
    """

    points: F32 | None
    faces: int
    score: float = math.nan


class LandmarkCache:
    """Answers of detectors by content; shared by threads and processes.

    A damaged file is begun anew; a full disk, a locked or a read-only file costs time, never the run. A file from
    before scores were kept gets a column for them, empty at first.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or cache_root() / "landmarks.sqlite"
        self._lock = threading.Lock()
        self._db = open_table(
            self.path,
            "CREATE TABLE IF NOT EXISTS landmarks "
            "(key TEXT PRIMARY KEY, points BLOB NOT NULL, faces INT NOT NULL, score REAL)",
        )
        self._score = "score"
        with contextlib.suppress(sqlite3.Error):
            if self._db is not None and not self._has_scores(self._db):
                self._score = "NULL"
                with contextlib.suppress(
                    sqlite3.OperationalError
                ):  # another process was faster, or read-only
                    self._db.execute("ALTER TABLE landmarks ADD COLUMN score REAL")
                if self._has_scores(self._db):
                    self._score = "score"

    @staticmethod
    def _has_scores(db: sqlite3.Connection) -> bool:
        return "score" in {row[1] for row in db.execute("PRAGMA table_info(landmarks)")}

    def get_many(self, keys: Sequence[str]) -> dict[str, Remembered]:
        """The answers that are known of `keys`, at most a few hundred."""
        rows = []
        with self._lock, contextlib.suppress(sqlite3.Error):
            if self._db is not None and keys:
                marks = ",".join("?" * len(keys))
                query = f"SELECT key, points, faces, {self._score} FROM landmarks WHERE key IN ({marks})"
                rows = self._db.execute(query, keys).fetchall()
        return {
            key: Remembered(
                np.frombuffer(blob, "<f4").reshape(5, 2).astype(np.float32) if blob else None,
                int(faces),
                math.nan if score is None else float(score),
            )
            for key, blob, faces, score in rows
            if len(blob) in (0, 40)
        }

    def put_many(self, answers: Mapping[str, Remembered]) -> None:
        """Remember answers, in one transaction."""
        rows = [
            (
                key,
                b"" if answer.points is None else np.asarray(answer.points, "<f4").tobytes(),
                answer.faces,
                None if math.isnan(answer.score) else answer.score,
            )
            for key, answer in answers.items()
        ]
        with self._lock, contextlib.suppress(sqlite3.Error):
            if self._db is not None and rows:
                query = "INSERT OR REPLACE INTO landmarks (key, points, faces, score) VALUES (?, ?, ?, ?)"
                try:
                    self._db.execute("BEGIN IMMEDIATE")
                    self._db.executemany(query, rows)
                    self._db.execute("COMMIT")
                except sqlite3.Error:
                    self._db.rollback()

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            if self._db is not None:
                self._db.close()


class Locator:
    """The five points of the face that is meant; callable as `(index, encoded bytes, picture) -> Located`.

    Attributes:
        several: distinct pictures asked about so far in which more than one face was found.

    Args:
        detector: its name, '' for the default, or an opened one.
        policy: which of several faces is meant.
        cache: where answers are remembered; None remembers nothing, True is the common cache.
    """

    def __init__(
        self,
        detector: str | Detector = "",
        policy: str = "most_central",
        cache: LandmarkCache | bool | None = True,
    ) -> None:
        self.detector: Detector = open_detector(detector) if isinstance(detector, str) else detector
        self.policy: Policy = check_policy(policy)
        self.cache = LandmarkCache() if cache is True else (cache or None)
        self._several: set[str] = set()

    @property
    def several(self) -> int:
        return len(self._several)

    def as_dict(self) -> dict[str, str]:
        """Plain values for provenance and cache keys."""
        return {"detector": self.detector.fingerprint, "policy": self.policy}

    def key(self, data: bytes) -> str:
        """sha256 hex of detector, model, policy and the picture's bytes."""
        head = f"{self.detector.fingerprint}|{self.policy}|".encode()
        return hashlib.sha256(head + hashlib.sha256(data).digest()).hexdigest()

    def remembered(self, data: bytes) -> Located | None:
        """The answer for these encoded bytes, where it is known without decoding them."""
        return self.block([data]).remembered(0)

    def learn(self, told: Mapping[str, Remembered]) -> None:
        """Remember what detectors elsewhere said, by key."""
        if self.cache:
            self.cache.put_many(told)
        for key, found in told.items():
            self.answer(key, found)

    def block(self, data: Sequence[bytes]) -> Block:
        """Several encoded pictures that one thread asks about one after the other."""
        return Block(self, data)

    def answer(self, key: str, found: Remembered) -> Located:
        """What is told of a picture; those with several faces are counted."""
        if found.faces > 1:
            self._several.add(key)
        return Located(None, NO_FACE) if found.points is None else Located(found.points)

    def ask(self, pictures: Sequence[U8]) -> list[Remembered]:
        """What the detector says of pictures; nothing is remembered."""
        many = getattr(self.detector, "find_many", None)
        told = many(pictures) if many else [self.detector.find(picture) for picture in pictures]
        return [self._meant(picture, faces) for picture, faces in zip(pictures, told, strict=True)]

    def _meant(self, picture: U8, faces: Sequence[Detection]) -> Remembered:
        height, width = picture.shape[:2]
        found = [face for face in faces if np.isfinite(face.landmarks).all()]
        meant = choose(found, height, width, self.policy) if found else None
        return Remembered(meant.landmarks, len(found), float(meant.score)) if meant else Remembered(None, 0)

    def score(self, data: bytes, decode: Callable[[bytes], U8]) -> float:
        """The detector's own confidence in the face that is meant in these encoded bytes, NaN where it finds none.

        `decode` gives the picture, where the detector has not seen it yet.
        """
        key = self.key(data)
        known = self.cache.get_many([key]).get(key) if self.cache else None
        if known is None or (known.points is not None and math.isnan(known.score)):
            (known,) = self.ask([decode(data)])
            if self.cache:
                self.cache.put_many({key: known})
        return known.score

    def __call__(self, index: int, data: bytes, picture: U8) -> Located:
        """Points f32[5,2] in pixels of `picture`, or the reason there are none. `index` is not used."""
        return self.block([data]).answers(lambda _: picture)[0]


class Block:
    """Pictures that are asked about together: what is known of them is read at once, what is found is written at once.

    Args:
        data: the encoded pictures; they are meant by their place.
    """

    def __init__(self, locator: Locator, data: Sequence[bytes]) -> None:
        self._locator, self.keys = locator, [locator.key(each) for each in data]
        self._known = locator.cache.get_many(self.keys) if locator.cache else {}
        self._found: dict[str, Remembered] = {}

    def remembered(self, at: int) -> Located | None:
        """The answer for picture `at`, where it is known without decoding it."""
        key = self.keys[at]
        known = self._known.get(key) or self._found.get(key)
        return None if known is None else self._locator.answer(key, known)

    def find(self, places: Sequence[int], pictures: Sequence[U8]) -> list[Located]:
        """Ask the detector for some of them."""
        keys = [self.keys[at] for at in places]
        found = self._locator.ask(pictures)
        self._found |= dict(zip(keys, found, strict=True))
        return [self._locator.answer(key, each) for key, each in zip(keys, found, strict=True)]

    def answers(self, picture: Callable[[int], U8]) -> list[Located]:
        """What is known of each picture, else what the detector says of `picture(place)`; it is remembered."""
        told = {at: known for at in range(len(self.keys)) if (known := self.remembered(at)) is not None}
        new = [at for at in range(len(self.keys)) if at not in told]
        told |= dict(zip(new, self.find(new, [picture(at) for at in new]), strict=True))
        self.keep()
        return [told[at] for at in range(len(self.keys))]

    def keep(self) -> None:
        """Remember what was found."""
        if self._locator.cache and self._found:
            self._locator.cache.put_many(self._found)
            self._found = {}


def locate_in(locate: Callable[[int, bytes, U8], Located], pictures: Sequence[U8]) -> list[Located]:
    """The answers of a `Locator`, or of a function like it, for decoded u8[H,W,3] RGB, remembered by their pixels."""
    data = [picture.tobytes() for picture in pictures]
    if not isinstance(locate, Locator):
        return [locate(-1, each, picture) for each, picture in zip(data, pictures, strict=True)]
    return locate.block(data).answers(lambda at: pictures[at])


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Five points of the pictures asked for.

    Attributes:
        points: f32[M,5,2], NaN rows where there are none.
        reasons: M strings, '' where there are points: failure to acquire by class.
        several: pictures in which more than one face was found.
    """

    points: F32
    reasons: tuple[str, ...]
    several: int


def locate(
    faces: FaceSet,
    indices: Sequence[int] | np.ndarray | None = None,
    detector: str | Detector = "",
    policy: str = "most_central",
    cache: LandmarkCache | bool | None = True,
    *,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Landmarks:
    """The five points of pictures `indices` (all by default): the declared ones, else a detector's.

    Args:
        detector, policy, cache: see `Locator`; not used where the set declares its landmarks.
        workers: threads.
        progress: called with (done, total).
    """
    order = list(range(len(faces))) if indices is None else [int(i) for i in indices]
    if faces.landmarks is not None:
        points = np.asarray(faces.landmarks[order], np.float32).reshape(len(order), 5, 2)
        whole: Bool = np.asarray(np.isfinite(points).all(axis=(1, 2)))
        return Landmarks(points, tuple("" if ok else NOT_DECLARED for ok in whole), 0)
    locator = Locator(detector, policy, cache)

    def one(index: int) -> Located:
        try:
            data = faces.read_bytes(index)
            with room_for(data):
                return locator.block([data]).answers(lambda _: faces.decode(data))[0]
        except DataError as error:
            return Located(None, error.message)

    points = np.full((len(order), 5, 2), np.nan, np.float32)
    reasons = [""] * len(order)
    with ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="fraudit-detect") as pool:
        try:
            for row, found in enumerate(pool.map(one, order)):
                if found.points is None:
                    reasons[row] = found.reason
                else:
                    points[row] = found.points
                if progress:
                    progress(row + 1, len(order))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Landmarks(points, tuple(reasons), locator.several)
