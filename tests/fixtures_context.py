"""A context for tests of analyses: faces from arrays, an embedder that is a function, no files.

`FakeContext` honours what an analysis may ask of `fraudit.audit.context.AnalysisContext`. Everything is computed in
memory, deterministic by `seed`, and fast enough for planted-truth tests over many people.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from fraudit.audit.context import AnalysisContext
from fraudit.errors import DataError
from fraudit.progress import Progress
from fraudit.types import (
    ARCFACE_112,
    EmbedderSpec,
    Embeddings,
    FaceSet,
    Inverter,
    LoadedEmbedder,
    PairList,
    Preprocess,
)

ARCFACE = Preprocess(size=(112, 112), template=ARCFACE_112)


def identity_faces(
    people: int, each: int, *, seed: int = 0, side: int = 112, within: float = 0.25
) -> tuple[np.ndarray, np.ndarray]:
    """(u8[N,side,side,3] pictures, i64[N] subjects): smooth patterns, one per person, that show nobody.

    Args:
        within: what differs between two pictures of a person, relative to what differs between people.
    """
    rng = np.random.default_rng(seed)
    images, subjects = [], []
    for person in range(people):
        own = rng.normal(0, 1, (8, 8, 1))
        tint = rng.normal(0, 0.4, (1, 1, 3))
        for _ in range(each):
            cells = 128 + 38 * (own + tint + within * rng.normal(0, 1, (8, 8, 1)))
            smooth = cv2.resize(cells.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
            images.append(np.clip(np.rint(smooth), 0, 255).astype(np.uint8))
            subjects.append(person)
    return np.stack(images), np.array(subjects, np.int64)


def luma_pattern(images: np.ndarray) -> np.ndarray:
    """An embedder u8[N,h,w,3] -> f32[N,64]: coarse luma less its mean. Blind to colour, scale and offset."""
    rows = []
    for image in images:
        luma = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        cells = cv2.resize(luma, (8, 8), interpolation=cv2.INTER_AREA).ravel()
        rows.append(cells - cells.mean() + 1e-3 * np.eye(64, dtype=np.float32)[0])
    return np.stack(rows).astype(np.float32)


def face_set(
    images: Sequence[np.ndarray],
    subjects: np.ndarray,
    *,
    attributes: Mapping[str, np.ndarray] | None = None,
    landmarks: np.ndarray | None = None,
    declare_landmarks: bool = True,
    pairs: PairList | None = None,
    identified: bool = True,
    synthetic: bool = True,
    name: str = "planted",
) -> FaceSet:
    """A FaceSet whose `read_bytes` gives a picture's number and whose `decode` looks it up."""
    points = np.repeat(ARCFACE_112[None], len(images), axis=0) if landmarks is None else landmarks
    digest = hashlib.sha256(np.ascontiguousarray(subjects).tobytes())
    for image in images:
        digest.update(np.ascontiguousarray(image).tobytes())
    return FaceSet(
        name=name,
        ids=tuple(f"{int(s)}/{i:05d}.png" for i, s in enumerate(subjects)),
        subjects=np.asarray(subjects, np.int64),
        attributes=dict(attributes or {}),
        landmarks=points.astype(np.float32) if declare_landmarks else None,
        pairs=pairs,
        digest=digest.hexdigest(),
        read_bytes=lambda index: str(index).encode(),
        decode=lambda data: images[int(data)],
        identified=identified,
        synthetic=synthetic,
    )


@dataclass(frozen=True, slots=True)
class FakeLocated:
    """As `fraudit.embedding.runtime.Located`."""

    points: np.ndarray | None
    reason: str = ""


class FakeRuntime:
    """An embedder function with a name; counts its queries as `EmbedderRuntime` does."""

    def __init__(
        self, forward: Callable[[np.ndarray], np.ndarray], dim: int, name: str = "planted",
        preprocess: Preprocess = ARCFACE,
    ) -> None:  # fmt: skip
        spec = EmbedderSpec(name, dim, preprocess, licence="test", source="test")
        self.loaded = LoadedEmbedder(spec, forward, hashlib.sha256(name.encode()).hexdigest())
        self.queries = 0

    @property
    def spec(self) -> EmbedderSpec:
        return self.loaded.spec

    @property
    def fingerprint(self) -> str:
        return self.loaded.fingerprint

    def embed_aligned(self, images: np.ndarray, flip: str = "none") -> Embeddings:
        if not len(images):
            return Embeddings(
                np.zeros((0, self.spec.dim), np.float32), np.zeros(0, bool), (), self.fingerprint
            )
        self.queries += len(images)
        vectors = np.asarray(self.loaded.forward(images), np.float32)
        ok = np.isfinite(vectors).all(1) & (np.abs(vectors).sum(1) > 0)
        return Embeddings(
            np.where(ok[:, None], vectors, 0).astype(np.float32), ok,
            tuple("" if good else "the vector is zero or not finite" for good in ok), self.fingerprint,
        )  # fmt: skip


@dataclass
class FakeStore:
    """Memory in place of files."""

    kept: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    def arrays(self, kind: str, parts: Mapping[str, Any], compute: Callable[[], Mapping[str, Any]]) -> dict:
        key = f"{kind}:{sorted(parts.items())!r}"
        if key not in self.kept:
            self.kept[key] = {name: np.asarray(value) for name, value in compute().items()}
        return self.kept[key]


class FakeContext:
    """What `run(context, params)` of an analysis is given.

    Args:
        images: N pictures u8[H,W,3]; aligned to the ArcFace template unless `landmarks` says otherwise.
        subjects: i64[N].
        embed: u8[M,112,112,3] -> f32[M,dim].
        dim: length of a vector.
        attributes: name -> array[N].
        locate: picture -> f32[5,2] or None, in the place of a detector; None: landmarks are declared.
        judges: further embedder functions of the same dimension.
        inverter: object that honours `fraudit.types.Inverter`.
        vectors: f32[N,dim] clean vectors, in the place of asking `embed` for them.
        inversion_planned: whether the audit has its inversion section. limited: whether `--limit` took pictures away.
    """

    def __init__(
        self, images: Sequence[np.ndarray], subjects: np.ndarray,
        embed: Callable[[np.ndarray], np.ndarray] = luma_pattern, dim: int = 64, *,
        attributes: Mapping[str, np.ndarray] | None = None, landmarks: np.ndarray | None = None,
        locate: Callable[[np.ndarray], np.ndarray | None] | None = None, pairs: PairList | None = None,
        identified: bool = True, judges: Sequence[Callable[[np.ndarray], np.ndarray]] = (),
        inverter: Inverter | None = None, seed: int = 0, show_pictures: bool = True,
        face_limit: int | None = None, vectors: np.ndarray | None = None, distinct: bool = False,
        inversion_planned: bool = True, limited: bool = False,
    ) -> None:  # fmt: skip
        self.faces = face_set(
            images, subjects, attributes=attributes, landmarks=landmarks, declare_landmarks=locate is None,
            pairs=pairs, identified=identified,
        )  # fmt: skip
        self.embedder = FakeRuntime(embed, dim)
        self.judges = tuple(FakeRuntime(judge, dim, f"judge{i}") for i, judge in enumerate(judges))
        self.inverter = inverter
        self.inverter_missing = "" if inverter else "no inverter was given"
        self.store = FakeStore()
        self.seed = seed
        self.inversion_planned = inversion_planned
        self.limited = limited
        self.show_pictures = show_pictures
        self.saved: dict[str, np.ndarray] = {}
        self.said: list[str] = []
        self.parts: list[Progress] = []
        self._locate = locate
        self._face_limit = face_limit
        self._known: dict[str, Embeddings] = {}
        self._calibrations: dict[str, Any] = {}
        self._scores: dict[tuple[str, float], Any] = {}
        self._pair_scores: Any = None
        self._rated: PairList | None = None
        self._repeats: str | None = None
        self.distinct = distinct
        if vectors is not None:
            ok = np.abs(vectors).sum(1) > 0
            reasons = tuple("" if good else "no face found" for good in ok)
            self._known[self.embedder.fingerprint] = Embeddings(
                vectors.astype(np.float32), ok, reasons, self.embedder.fingerprint
            )

    @classmethod
    def of_vectors(cls, vectors: np.ndarray, subjects: np.ndarray, **options: Any) -> FakeContext:
        """A context whose clean vectors are given: for analyses that never look at a picture."""
        blank = [np.zeros((112, 112, 3), np.uint8)] * len(vectors)
        return cls(blank, subjects, dim=vectors.shape[1], vectors=vectors, **options)

    def rng(self, label: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(label.encode())])

    def max_faces(self, default: int) -> int:
        return min(default, self._face_limit) if self._face_limit else default

    def progress(self, text: str) -> None:
        self.said.append(text)

    def part(self, label: str, total: int) -> Progress:
        self.parts.append(Progress(label, total))
        return self.parts[-1]

    def picture(self, index: int) -> np.ndarray:
        return self.faces.read(int(index))

    def landmarks(self) -> tuple[np.ndarray, tuple[str, ...]]:
        if self.faces.landmarks is not None:
            return self.faces.landmarks, ("",) * len(self.faces)
        found = [self.locate_in(self.picture(i)).points for i in range(len(self.faces))]
        missing = np.full((5, 2), np.nan, np.float32)
        points = np.stack([missing if p is None else p for p in found]).astype(np.float32)
        return points, tuple("no face found" if p is None else "" for p in found)

    @property
    def has_detector(self) -> bool:
        return self._locate is not None and self.faces.landmarks is None

    def locate_in(self, picture: np.ndarray) -> FakeLocated:
        points = self._locate(picture) if self._locate else None
        return FakeLocated(points, "" if points is not None else "no face found")

    def aligned(
        self, indices: Sequence[int], runtime: FakeRuntime | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        points, reasons = self.landmarks()
        box = runtime or self.embedder
        crops = np.zeros((len(indices), *box.spec.preprocess.size, 3), np.uint8)
        ok = np.array([not reasons[int(i)] for i in indices], bool)
        for row in np.flatnonzero(ok):
            crops[row] = self._crop(self.picture(indices[row]), points[int(indices[row])], box)
        return crops, ok

    @staticmethod
    def _crop(image: np.ndarray, points: np.ndarray, box: FakeRuntime) -> np.ndarray:
        prep = box.spec.preprocess
        matrix = cv2.estimateAffinePartial2D(points.astype(np.float64), prep.template.astype(np.float64))[0]
        return cv2.warpAffine(image, matrix, prep.size[::-1])

    def embeddings(self, runtime: FakeRuntime | None = None, flip: str = "none") -> Embeddings:
        box = runtime or self.embedder
        if box.fingerprint not in self._known:
            crops, found = self.aligned(np.arange(len(self.faces)), box)
            answer = box.embed_aligned(crops[found])
            vectors = np.zeros((len(found), answer.vectors.shape[1]), np.float32)
            vectors[found] = answer.vectors
            ok = found.copy()
            ok[found] = answer.ok
            reasons = tuple("" if good else "no face found" for good in ok)
            self._known[box.fingerprint] = Embeddings(vectors, ok, reasons, box.fingerprint)
        return self._known[box.fingerprint]

    def embed_aligned(self, images: np.ndarray, runtime: FakeRuntime | None = None) -> Embeddings:
        return (runtime or self.embedder).embed_aligned(images)

    def embed_pictures(
        self, images: Sequence[np.ndarray], landmarks: np.ndarray, runtime: FakeRuntime | None = None
    ) -> Embeddings:
        box = runtime or self.embedder
        found = np.isfinite(landmarks).all(axis=(1, 2))
        vectors = np.zeros((len(images), box.spec.dim), np.float32)
        ok = found.copy()
        if found.any():
            rows = np.flatnonzero(found)
            answer = box.embed_aligned(np.stack([self._crop(images[i], landmarks[i], box) for i in rows]))
            vectors[rows] = answer.vectors
            ok[rows] = answer.ok
        return Embeddings(vectors, ok, tuple("" if good else "no face found" for good in ok), box.fingerprint)

    # What an analysis may ask about people, pairs and thresholds is the real context's own code.
    scores = AnalysisContext.scores
    declared = AnalysisContext.declared
    pictures_asked = AnalysisContext.pictures_asked
    people = AnalysisContext.people
    protocol_note = AnalysisContext.protocol_note
    pairs = AnalysisContext.pairs
    rate_pairs = AnalysisContext.rate_pairs
    calibration_mask = AnalysisContext.calibration_mask
    judged_pairs = AnalysisContext.judged_pairs
    calibration = AnalysisContext.calibration
    threshold = AnalysisContext.threshold
    threshold_or_reason = AnalysisContext.threshold_or_reason
    unknown_people = AnalysisContext.unknown_people
    repeat_note = AnalysisContext.repeat_note
    _folds = AnalysisContext._folds
    _need_identities = AnalysisContext._need_identities

    def save_picture(self, image: np.ndarray, quality: int = 80) -> str:
        if image.dtype != np.uint8 or image.ndim != 3:
            raise DataError("a saved picture is u8[H,W,3]")
        name = hashlib.sha256(image.tobytes()).hexdigest()[:16] + ".webp"
        self.saved[name] = image
        return name
