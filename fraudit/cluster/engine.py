"""An audit's black box and inverter, asked on the workers of a pool. What decides a figure is the same as here."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.audit.corrupted import CHUNK
from fraudit.cluster.pool import RayPool
from fraudit.cluster.shards import Shard
from fraudit.cluster.worker import Box, Job
from fraudit.embedding.runtime import EmbedderRuntime, Progress, check_flip
from fraudit.files.store import Store, digest_of
from fraudit.stats.all_pairs_pieces import HandOver, Pass
from fraudit.stats.probe_pairs import ProbeVectors
from fraudit.threads import thread_count
from fraudit.types import F32, I64, U8, Embeddings, FaceSet, Inverter, LoadedEmbedder, Located

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext
    from fraudit.audit.plan import AuditPlan
    from fraudit.perturb.base import Corruption

SHARD_BATCHES = 8  # batches of a black box in a shard
TASK = 1e11  # operations of a task of all pairs, a thread: about a second


class RemoteRuntime(EmbedderRuntime):
    """A black box whose questions are asked by workers.

    A box with a meter is a service with a rate and a price: one worker alone asks it, so that both hold.
    """

    def __init__(
        self,
        loaded: LoadedEmbedder,
        store: Store | None,
        pool: RayPool,
        box: Box,
        set_digest: Callable[[], str],
    ) -> None:
        super().__init__(loaded, store)
        self._pool, self._box, self._set_digest = pool, box, set_digest
        self._elsewhere = 0

    @property
    def queries(self) -> int:
        if self.loaded.meter is not None:
            return super().queries + self._pool.sent(self._box)
        return super().queries + self._elsewhere

    def asked_elsewhere(self, faces: int) -> None:
        """Count faces that workers showed to the box for others than this object."""
        self._elsewhere += faces

    @property
    def _askers(self) -> int:
        return 1 if self.loaded.meter is not None else 0

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
        """As here, shard by shard on the workers; pictures of another set than the plan's are embedded here."""
        if faces.digest != self._set_digest():
            return super().embed_faces(
                faces, indices, flip=flip, aligned=aligned, locate=locate, progress=progress, workers=workers
            )
        fusion = check_flip(flip)
        order = list(range(len(faces))) if indices is None else [int(i) for i in indices]
        step = SHARD_BATCHES * self.loaded.batch_size
        parts = [order[start : start + step] for start in range(0, len(order), step)]
        about: dict[str, Any] = {
            "embedder": self.fingerprint,
            "set": faces.digest,
            "flip": fusion,
            "aligned": aligned,
            "located": getattr(locate, "as_dict", dict)(),
        }
        calls = [
            (
                "embed",
                (self._box, faces.digest, part, fusion, aligned, _shard_name(self.fingerprint, about, part)),
            )
            for part in parts
        ]
        vectors, reasons = np.zeros((len(order), self.dim(fusion)), np.float32), [""] * len(order)
        done = 0
        for number, shard in self._pool.run(calls, self._askers):
            start = number * step
            vectors[start : start + len(shard.reasons)] = shard.vectors
            reasons[start : start + len(shard.reasons)] = shard.reasons
            self._elsewhere += shard.queries
            done += len(shard.reasons)
            _remember(locate, shard)
            if progress:
                progress(done, len(order))
        return self._result(vectors, reasons)

    def embed_aligned(self, images: U8, flip: str = "none", names: Sequence[str] | None = None) -> Embeddings:
        """As here; more than one batch is shared out among the workers."""
        size = self.loaded.batch_size
        if len(images) <= size or images.ndim != 4:
            return super().embed_aligned(images, flip, names)
        calls = [
            ("aligned", (self._box, images[start : start + size], flip))
            for start in range(0, len(images), size)
        ]
        found = self._pool.ordered(calls, only=self._askers)
        self._elsewhere += sum(queries for _, queries in found)
        return Embeddings(
            np.concatenate([answer.vectors for answer, _ in found]),
            np.concatenate([answer.ok for answer, _ in found]),
            tuple(reason for answer, _ in found for reason in answer.reasons),
            self.fingerprint,
        )


def _shard_name(fingerprint: str, about: dict[str, Any], rows: Sequence[int]) -> str:
    return f"vectors/{fingerprint[:32]}/{digest_of({**about, 'rows': np.asarray(rows, np.int64)})}.npz"


def _remember(locate: Any, shard: Shard) -> None:
    """Tell the detector's memory here what the workers' detectors said."""
    from fraudit.faces.detect import Remembered

    told = {
        key: Remembered(None if np.isnan(five).any() else five, int(count), float(score))
        for key, five, count, score in zip(shard.keys, shard.points, shard.faces, shard.scores, strict=True)
        if key
    }
    if told and locate is not None:
        locate.learn(told)


class RemoteInverter:
    """An inverter whose pieces are made by workers; whatever else is asked of it, the one here answers."""

    def __init__(self, here: Inverter, pool: RayPool, box: Box) -> None:
        self._here, self._pool, self._box = here, pool, box
        self._piece = max(1, int(getattr(here, "chunk", 0)) or 64)
        self.chunk = self._piece * 2 * pool.size

    def __getattr__(self, name: str) -> Any:
        return getattr(self._here, name)

    def invert(self, id_vectors: F32, seeds: I64, **options: Any) -> U8:
        """As the inverter here, in pieces of its own size."""
        starts = range(0, len(id_vectors), self._piece)
        calls = []
        for start in starts:
            part = slice(start, start + self._piece)
            own = {k: v[part] if isinstance(v, np.ndarray) and v.ndim == 2 else v for k, v in options.items()}
            calls.append(("invert", (self._box, id_vectors[part], np.asarray(seeds)[part], own)))
        return np.concatenate(self._pool.ordered(calls))


class RayEngine:
    """Opens black boxes and inverters of one plan on a pool.

    Args:
        job: the plan, the workers' threads and the store. workers, address: see `RayPool`.
    """

    def __init__(self, job: Job, workers: int = 0, address: str = "") -> None:
        self.pool, self.threads = RayPool(job, workers, address), job.threads
        self._digest = ""
        self._box: Box = ("", None)

    @classmethod
    def of(
        cls,
        plan: AuditPlan,
        *,
        workers: int = 0,
        address: str = "",
        store: str = "",
        need_people: bool = True,
    ) -> RayEngine:
        """Of a plan, with as many threads a worker as are used here."""
        job = Job(plan, thread_count(), _absolute(store), os.getcwd(), need_people)
        return cls(job, workers, address)

    def begin(self, faces: FaceSet) -> None:
        """The plan's faces are these."""
        self._digest = faces.digest

    def runtime(
        self, name: str, weights: str | None, loaded: LoadedEmbedder, store: Store
    ) -> EmbedderRuntime:
        """A black box; the first one is the audited model."""
        box: Box = (name, weights)
        if not self._box[0]:
            self._box = box
        return RemoteRuntime(loaded, store, self.pool, box, lambda: self._digest)

    def inverter(self, here: Inverter) -> Inverter:
        """An inverter of the audited model."""
        return RemoteInverter(here, self.pool, self._box)

    def corrupted(
        self,
        context: AnalysisContext,
        probes: Sequence[int] | I64,
        corruptions: Sequence[Corruption],
        severities: Sequence[int],
        where: str,
        label: str,
    ) -> dict[tuple[str, int], ProbeVectors]:
        """As `show_corrupted`, some probes a task: a worker reads, corrupts, detects, aligns and embeds them.

        Raises:
            InsufficientData: a probe's face has no landmarks, though it was embedded.
        """
        dim, points = context.embedder.dim(), context.landmarks()[0]
        reasons = context.landmarks()[1]
        parts = [
            np.asarray(probes[start : start + CHUNK], np.int64) for start in range(0, len(probes), CHUNK)
        ]
        names = tuple(c.name for c in corruptions)
        how = (names, tuple(severities), where, label)
        calls = []
        for part in parts:
            why = [reasons[int(i)] for i in part]
            calls.append(("corrupted", (self._box, self._digest, part, points[part], why, *how)))
        cells = [(name, severity) for name in names for severity in severities]
        answers = {
            key: ProbeVectors(np.zeros((len(probes), dim), np.float32), np.zeros(len(probes), bool))
            for key in cells
        }
        told = context.part(f"{label}: corrupted faces", len(probes) * len(cells))
        one = 1 if context.embedder.loaded.meter is not None else 0
        for number, (found, queries) in self.pool.run(calls, one):
            rows = slice(number * CHUNK, number * CHUNK + len(parts[number]))
            for key, (vectors, ok) in found.items():
                answers[key].vectors[rows], answers[key].ok[rows] = vectors, ok
            if isinstance(context.embedder, RemoteRuntime):
                context.embedder.asked_elsewhere(queries)
            told.add(len(parts[number]) * len(cells))
        return answers

    def pairs(self, work: Pass, todo: Sequence[int], hand_over: HandOver) -> None:
        """As `run_here`, some pieces a task: a worker gives their counts together, and they are summed here."""
        each = work.operations / max(len(work.pieces), 1)
        step = max(1, round(TASK * self.threads / each))
        ranges = [todo[start : start + step] for start in range(0, len(todo), step)]
        place = self.pool.share(work)
        for number, found in self.pool.run([("pairs", (place, numbers)) for numbers in ranges]):
            hand_over(ranges[number], found)

    def close(self) -> None:
        """Let the workers go."""
        self.pool.close()


def _absolute(store: str) -> str:
    return store if "://" in store or not store else str(Path(store).absolute())
