"""Embedder runtime: align -> batch -> forward -> check, with flips fused and black-box queries counted.

Worker threads decode, detect and align a block of faces at a time, ahead of the model, in a bounded window, so that
memory stays flat in the number of faces. A box that can answer in the thread that asks answers there, block by block.
Any other is asked for whole batches in one thread, and every batch's vectors are stored before the next one is asked
for.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from fraudit.embedding.preparing import Prepared, Preparer
from fraudit.errors import DataError, UsageError, suggest
from fraudit.faces.decode import REASONS
from fraudit.files.store import Store
from fraudit.files.tables import VectorCache
from fraudit.threads import ahead, blocks, thread_count
from fraudit.types import F32, U8, Bool, EmbedderSpec, Embeddings, FaceSet, LoadedEmbedder, Located, unit_rows

Flip = Literal["none", "sum", "concat"]
FLIPS: tuple[Flip, ...] = ("none", "sum", "concat")
Progress = Callable[[int, int], None]
Forward = Callable[[U8], F32]
NO_FACE = "the black box found no face"
NOT_FINITE = "the model's vector is not finite (NaN or infinity)"
ZERO = "the model's vector is zero"
BLOCK, FIRST = 64, 16  # faces that a thread takes at a time, at most and at first
BLOCK_S = 1.0  # seconds that a thread should take for them: so long does an interruption wait


def check_flip(flip: str) -> Flip:
    """`flip` as one of FLIPS. Raises UsageError."""
    if flip not in FLIPS:
        raise UsageError(f"unknown flip '{flip}'", f"{suggest(flip, FLIPS)}known: {', '.join(FLIPS)}")
    return flip


def what_to_check(reason: str, otherwise: str = "check the pictures and the detector") -> str:
    """What to look at where no face gave a vector, most of them for `reason`; `otherwise` where the files open."""
    if reason in (NOT_FINITE, ZERO):
        return "the faces were shown to the model, and this is its own answer: check the model and its input"
    if reason in REASONS:
        return "check the files: most do not open as pictures (docs/formats.md says which do)"
    return otherwise


def _whole_rows(vectors: F32) -> tuple[F32, Bool]:
    """(f32[N,D] with zeros for rows that are not finite, bool[N] which those are): fusion would hide them."""
    broken: Bool = np.asarray(~np.isfinite(vectors).all(axis=1))
    return (np.where(broken[:, None], np.float32(0), vectors) if broken.any() else vectors), broken


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
        self.remembered = 0
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
                self.remembered += 1
            else:
                new.append(i)
        for start in range(0, len(new), size):
            rows = new[start : start + size]
            labels = [names[i] if names else f"face {i}" for i in rows]
            answers = self._ask(images[rows], fusion, labels, self.loaded.forward)
            self._settle(rows, answers, [keys[i] for i in rows], vectors, reasons)
        return self._result(vectors, reasons)

    def ask(self, images: U8) -> F32:
        """u8[N,h,w,3] -> f32[N,D] as the box answers now: nothing is remembered, fused or refused; all are counted.

        Raises:
            DataError: an answer of a wrong shape; and whatever the box raises.
        """
        return self._forward(images, [f"face {i}" for i in range(len(images))], self.loaded.forward)

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

        prepare = Preparer(faces, order, self.spec.preprocess, fusion, aligned, locate, self._cache)
        alone, size = self.loaded.alone, self.loaded.batch_size
        workers = workers or self.workers
        most = FIRST if alone else min(BLOCK, size)

        def ask(batch: Sequence[Prepared], forward: Forward) -> F32:
            crops = np.stack([item.crop for item in batch if item.crop is not None])
            return self._ask(crops, fusion, [faces.ids[order[item.row]] for item in batch], forward)

        def work(rows: range) -> tuple[list[Prepared], F32 | None]:
            nonlocal most
            began = time.perf_counter()
            made = prepare(rows)
            new = [item for item in made if item.crop is not None]
            if not alone or not new:
                return made, None
            answers = ask(new, alone)
            each = (time.perf_counter() - began) / len(new)
            most = int(min(BLOCK, max(1, BLOCK_S / max(each, 1e-6))))
            return made, answers

        def settle(batch: Sequence[Prepared], answers: F32) -> None:
            rows, keys = [item.row for item in batch], [item.key for item in batch]
            self._settle(rows, answers, keys, vectors, reasons)

        waiting: list[Prepared] = []  # for the model, in this thread
        done = 0
        window = workers + 1 if alone else -(-4 * size // most)
        parts = blocks(len(order), workers, lambda: most)
        for made, answers in ahead(work, parts, workers, window):
            for item in made:
                if item.vector is not None:
                    self._take(item.row, item.vector, vectors, reasons)
                    self.remembered += 1
                elif item.crop is None:
                    reasons[item.row] = item.reason
            new = [item for item in made if item.crop is not None]
            if answers is not None:
                settle(new, answers)
            else:
                waiting += new
            while len(waiting) >= size:
                settle(waiting[:size], ask(waiting[:size], self.loaded.forward))
                waiting = waiting[size:]
            done += len(made)
            if progress:
                progress(done, len(order))
        if waiting:
            settle(waiting, ask(waiting, self.loaded.forward))
        return self._result(vectors, reasons)

    def _ask(self, crops: U8, flip: Flip, names: Sequence[str], forward: Forward) -> F32:
        """f32[N,D'] with flips fused; raises DataError where the model's answer has a wrong shape."""
        plain = self._forward(crops, names, forward)
        lost: Bool = np.asarray(np.isnan(plain).all(axis=1))
        plain, broken = _whole_rows(plain)
        if flip == "none":
            fused = unit_rows(plain) if self.spec.unit_after_fusion else plain
        else:
            mirrored = self._forward(np.ascontiguousarray(crops[:, :, ::-1]), names, forward)
            lost |= np.isnan(mirrored).all(axis=1)
            mirrored, bad = _whole_rows(mirrored)
            broken |= bad
            if flip == "sum":
                fused = unit_rows(plain + mirrored)
            elif self.spec.unit_after_fusion:
                fused = np.concatenate([unit_rows(plain), unit_rows(mirrored)], axis=1)
            else:
                fused = np.concatenate([plain, mirrored], axis=1)
        if broken.any():  # a row of NaN alone says that there is no face
            fused = np.where(
                broken[:, None], np.where(lost[:, None], np.float32(np.nan), np.float32(np.inf)), fused
            )
        return fused

    def _forward(self, crops: U8, names: Sequence[str], forward: Forward) -> F32:
        answer = np.asarray(forward(crops))
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
                reasons[row] = NOT_FINITE
            elif not nonzero[place]:
                reasons[row] = ZERO
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
