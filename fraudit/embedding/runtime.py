"""Embedder runtime: align -> batch -> forward -> check, with flips fused and black-box queries counted.

Decoding, detection and alignment run in worker threads ahead of the model, in a bounded window, so that
memory stays flat in the number of faces. Every batch's vectors are stored before the next one is asked for.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fraudit.errors import DataError, UsageError, suggest
from fraudit.faces.decode import room_for
from fraudit.files.store import Store
from fraudit.files.tables import VectorCache
from fraudit.threads import ahead, thread_count
from fraudit.types import F32, U8, Bool, EmbedderSpec, Embeddings, FaceSet, LoadedEmbedder, Located, unit_rows

Flip = Literal["none", "sum", "concat"]
FLIPS: tuple[Flip, ...] = ("none", "sum", "concat")
Progress = Callable[[int, int], None]
NO_FACE = "the black box found no face"


@dataclass(frozen=True, slots=True)
class Prepared:
    """One face on its way to the model: a vector from the cache, a crop, or a reason."""

    index: int
    key: str = ""
    crop: U8 | None = None
    vector: F32 | None = None
    reason: str = ""


def check_flip(flip: str) -> Flip:
    """`flip` as one of FLIPS. Raises UsageError."""
    if flip not in FLIPS:
        raise UsageError(f"unknown flip '{flip}'", f"{suggest(flip, FLIPS)}known: {', '.join(FLIPS)}")
    return flip


class EmbedderRuntime:
    """One black box, its cache and its bill.

    Attributes:
        queries: faces really shown to the black box by this object (a mirror counts as one more, and so does a face
            that is sent again after an error).

    Args:
        loaded: the black box.
        store: where vectors are remembered; None remembers nothing.
        workers: threads that decode, detect and align; None takes one for each core, and two at least.
    """

    def __init__(
        self, loaded: LoadedEmbedder, store: Store | None = None, workers: int | None = None
    ) -> None:
        self.loaded, self.workers = loaded, workers or max(2, thread_count())
        self._shown = 0
        self._before = loaded.meter.sent if loaded.meter else 0
        self._cache: VectorCache | None = (
            store.vectors(loaded.fingerprint) if store and loaded.cacheable else None
        )
        self._lock = threading.Lock()

    @property
    def queries(self) -> int:
        return self.loaded.meter.sent - self._before if self.loaded.meter else self._shown

    def add_queries(self, faces: int) -> None:
        """Count faces that were shown to the box's network past this object."""
        with self._lock:
            self._shown += faces

    @property
    def spec(self) -> EmbedderSpec:
        """Facts of the embedder."""
        return self.loaded.spec

    @property
    def fingerprint(self) -> str:
        """sha256 hex of everything that decides a vector."""
        return self.loaded.fingerprint

    def close(self) -> None:
        """Release what the box holds, such as connections; what is remembered stays."""
        if self.loaded.close:
            self.loaded.close()

    def dim(self, flip: Flip = "none") -> int:
        """Length of a vector: D, or 2 D for `concat`."""
        return self.spec.dim * (2 if flip == "concat" else 1)

    def embed_aligned(self, images: U8, flip: str = "none", names: Sequence[str] | None = None) -> Embeddings:
        """u8[N,h,w,3] RGB faces in the model's own template -> Embeddings of N.

        A vector that is zero or not finite is refused: `ok` is False and the reason says so.

        Raises:
            DataError: wrong picture size, or the model answers in a wrong shape.
        """
        fusion = check_flip(flip)
        height, width = self.spec.preprocess.size
        if images.ndim != 4 or images.shape[1:] != (height, width, 3) or images.dtype != np.uint8:
            raise DataError(
                f"aligned faces: expected u8[N,{height},{width},3], found {images.dtype}{list(images.shape)}",
                f"{self.spec.name} wants {height}x{width} RGB faces",
            )
        keys = [self._pixel_key(image, fusion) for image in images]
        known = {} if self._cache is None else self._cache.get(keys)
        vectors = np.zeros((len(images), self.dim(fusion)), np.float32)
        reasons = [""] * len(images)
        size = self.loaded.batch_size
        new: list[int] = []
        for i, key in enumerate(keys):
            if key in known:
                self._take(i, known[key], vectors, reasons)
            else:
                new.append(i)
        for start in range(0, len(new), size):
            rows = new[start : start + size]
            labels = [names[i] if names else f"face {i}" for i in rows]
            answers = self._ask(images[rows], fusion, labels)
            self._settle(rows, answers, [keys[i] for i in rows], vectors, reasons)
        return self._result(vectors, reasons)

    def ask(self, images: U8) -> F32:
        """u8[N,h,w,3] -> f32[N,D] as the box answers now: nothing is remembered, fused or refused; all are counted.

        Raises:
            DataError: an answer of a wrong shape; and whatever the box raises.
        """
        return self._forward(images, [f"face {i}" for i in range(len(images))])

    def embed_faces(
        self,
        faces: FaceSet,
        indices: Sequence[int] | np.ndarray | None = None,
        *,
        flip: str = "none",
        aligned: bool = False,
        locate: Callable[[int, bytes, U8], Located] | None = None,
        progress: Progress | None = None,
        workers: int | None = None,
    ) -> Embeddings:
        """Embeddings of the faces `indices` (all by default), read, located and aligned on the way.

        Args:
            aligned: the pictures are the model's own aligned faces already; no landmarks are used.
            locate: (index, encoded bytes, picture) -> five points; used where the set declares none.
            progress: called with (done, total).
            workers: threads that decode, detect and align; None takes the runtime's own number.
        """
        fusion = check_flip(flip)
        order = list(range(len(faces))) if indices is None else [int(i) for i in indices]
        vectors = np.zeros((len(order), self.dim(fusion)), np.float32)
        reasons = [""] * len(order)

        def prepare(row: int) -> Prepared:
            return self._prepare(faces, order[row], row, fusion, aligned, locate)

        batch: list[Prepared] = []

        def flush() -> None:
            nonlocal batch
            if batch:
                rows = [item.index for item in batch]
                crops = np.stack([item.crop for item in batch if item.crop is not None])
                answers = self._ask(crops, fusion, [faces.ids[order[row]] for row in rows])
                self._settle(rows, answers, [item.key for item in batch], vectors, reasons)
                batch = []

        window = 4 * self.loaded.batch_size
        for done, item in enumerate(ahead(prepare, len(order), workers or self.workers, window), start=1):
            if item.vector is not None:
                self._take(item.index, item.vector, vectors, reasons)
            elif item.crop is None:
                reasons[item.index] = item.reason
            else:
                batch.append(item)
                if len(batch) >= self.loaded.batch_size:
                    flush()
            if progress:
                progress(done, len(order))
        flush()
        return self._result(vectors, reasons)

    def _prepare(
        self,
        faces: FaceSet,
        index: int,
        row: int,
        flip: Flip,
        aligned: bool,
        locate: Callable[[int, bytes, U8], Located] | None,
    ) -> Prepared:
        try:
            data = faces.read_bytes(index)
            with room_for(data):
                return self._prepare_read(faces, index, row, flip, aligned, locate, data)
        except DataError as error:
            return Prepared(row, reason=error.message)

    def _prepare_read(
        self,
        faces: FaceSet,
        index: int,
        row: int,
        flip: Flip,
        aligned: bool,
        locate: Callable[[int, bytes, U8], Located] | None,
        data: bytes,
    ) -> Prepared:
        from fraudit.faces.align import align, fitted

        preprocess = self.spec.preprocess
        if preprocess.whole:  # it finds the face itself, wherever that is
            key = self._content_key(data, "whole", None, flip)
            if self._cache is not None and (hit := self._cache.get([key])):
                return Prepared(row, key, vector=hit[key])
            return Prepared(row, key, crop=fitted(faces.decode(data), preprocess.size))
        picture: U8 | None = None
        points = None if faces.landmarks is None or aligned else faces.landmarks[index]
        how = "aligned" if aligned else "declared"
        if points is None and not aligned:
            if locate is None:
                raise UsageError(
                    f"the set '{faces.name}' declares no landmarks and no detector was given",
                    "choose one with --detector, or pass --aligned for aligned faces",
                )
            # What the detector said of these bytes before needs no decoded picture.
            remembered = getattr(locate, "remembered", lambda data: None)(data)
            if remembered is None:
                picture = faces.decode(data)
                remembered = locate(index, data, picture)
            if remembered.points is None:
                return Prepared(row, reason=remembered.reason or "no face found")
            points, how = remembered.points, "located"
        if points is not None and not np.isfinite(points).all():
            return Prepared(row, reason="no landmarks declared for this picture")
        key = self._content_key(data, how, points, flip)
        if self._cache is not None and (hit := self._cache.get([key])):
            return Prepared(row, key, vector=hit[key])
        picture = faces.decode(data) if picture is None else picture
        if points is not None:
            return Prepared(row, key, crop=align(picture, points, preprocess.size, preprocess.template))
        if picture.shape[:2] != preprocess.size:
            expected, found = preprocess.size, picture.shape[:2]
            reason = f"aligned face is {found[0]}x{found[1]}, expected {expected[0]}x{expected[1]}"
            return Prepared(row, reason=reason)
        return Prepared(row, key, crop=picture)

    def _ask(self, crops: U8, flip: Flip, names: Sequence[str]) -> F32:
        """f32[N,D'] with flips fused; raises DataError where the model's answer has a wrong shape."""
        plain = self._forward(crops, names)
        lost: Bool = np.asarray(np.isnan(plain).all(axis=1))
        if flip == "none":
            fused = unit_rows(plain) if self.spec.unit_after_fusion else plain
        else:
            mirrored = self._forward(np.ascontiguousarray(crops[:, :, ::-1]), names)
            lost |= np.isnan(mirrored).all(axis=1)
            if flip == "sum":
                fused = unit_rows(plain + mirrored)
            elif self.spec.unit_after_fusion:
                fused = np.concatenate([unit_rows(plain), unit_rows(mirrored)], axis=1)
            else:
                fused = np.concatenate([plain, mirrored], axis=1)
        if lost.any():
            fused = np.where(lost[:, None], np.float32(np.nan), fused)
        return fused

    def _forward(self, crops: U8, names: Sequence[str]) -> F32:
        answer = np.asarray(self.loaded.forward(crops))
        with self._lock:
            self._shown += len(crops)
        expected = (len(crops), self.spec.dim)
        if answer.shape != expected or answer.dtype.kind not in "fiu":
            raise DataError(
                f"{self.spec.name}: expected f32{list(expected)} for {names[0]}"
                f"{' and others' if len(names) > 1 else ''}, found {answer.dtype}{list(answer.shape)}",
                "the model or its card is wrong: check `dim` and the output's shape",
            )
        return answer.astype(np.float32, copy=False)

    @staticmethod
    def _take(row: int, known: F32, vectors: F32, reasons: list[str]) -> None:
        """A remembered vector; one of NaN says that the box found no face."""
        if np.isnan(known).all():
            reasons[row] = NO_FACE
        else:
            vectors[row] = known

    def _settle(
        self, rows: Sequence[int], answers: F32, keys: Sequence[str], vectors: F32, reasons: list[str]
    ) -> None:
        good: dict[str, F32] = {}
        finite: Bool = np.asarray(np.isfinite(answers).all(axis=1))
        lost: Bool = np.asarray(np.isnan(answers).all(axis=1) & self.loaded.finds_faces)
        nonzero = np.abs(answers).sum(axis=1) > 0
        for place, row in enumerate(rows):
            if lost[place]:
                reasons[row] = NO_FACE
                good[keys[place]] = answers[place]  # an answer too, and it may have cost money
            elif not finite[place]:
                reasons[row] = "the model's vector is not finite"
            elif not nonzero[place]:
                reasons[row] = "the model's vector is zero"
            else:
                vectors[row] = answers[place]
                good[keys[place]] = answers[place]
        if self._cache is not None and good:
            self._cache.put(good)

    def _result(self, vectors: F32, reasons: list[str]) -> Embeddings:
        ok: Bool = np.array([not reason for reason in reasons], dtype=bool)
        return Embeddings(vectors, ok, tuple(reasons), self.fingerprint)

    def _pixel_key(self, image: U8, flip: Flip) -> str:
        return hashlib.sha256(b"pixels" + flip.encode() + np.ascontiguousarray(image).tobytes()).hexdigest()

    def _content_key(self, data: bytes, how: str, points: F32 | None, flip: Flip) -> str:
        head = f"{how}/{flip}/".encode()
        place = b"" if points is None else np.round(points, 3).astype("<f4").tobytes()
        return hashlib.sha256(head + place + data).hexdigest()
