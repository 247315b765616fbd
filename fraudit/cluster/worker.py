"""What one worker does. Nothing here knows Ray: a worker in this process gives the same answers."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.cluster.shards import Shard, ShardStore
from fraudit.errors import DataError
from fraudit.stats.all_pairs_pieces import Part, Pass
from fraudit.types import F32, I64, U8, Bool, Embeddings, FaceSet, Inverter

if TYPE_CHECKING:
    from fraudit.audit.plan import AuditPlan
    from fraudit.embedding.runtime import EmbedderRuntime
    from fraudit.faces.detect import Locator, Remembered

Box = tuple[str, str | None]  # name, card or `python:` target, and the weights' file


@dataclass(frozen=True, slots=True)
class Job:
    """What every worker opens.

    Attributes:
        plan: names the faces, the detector and the inverter.
        threads: of each worker. A network's answer can depend on their number, so it is that of the one who asks.
        store: folder or URL of the shards, '' to keep none.
        folder: that relative paths of the plan start from. need_people: False takes a set whose people have no names.
    """

    plan: AuditPlan
    threads: int
    store: str = ""
    folder: str = ""
    need_people: bool = True


class Recorded:
    """A detector's memory that also says what was answered, picture by picture."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.answers: dict[str, Remembered] = {}

    def get_many(self, keys: Sequence[str]) -> dict[str, Remembered]:
        """As the memory inside has it."""
        found: dict[str, Remembered] = self.inner.get_many(keys)
        self.answers |= found
        return found

    def put_many(self, answers: Mapping[str, Remembered]) -> None:
        """Remember, and say."""
        self.answers |= answers
        self.inner.put_many(answers)


class Worker:
    """Holds models and faces, each opened when it is first needed.

    Args:
        bill: told of every question to a box with a meter before it is sent; raises BudgetSpent.
    """

    def __init__(self, job: Job, bill: Callable[[Box, int], object] | None = None) -> None:
        self._bill = bill
        os.environ["FRAUDIT_THREADS"] = str(job.threads)
        if job.folder and os.path.isdir(job.folder):
            os.chdir(job.folder)
        from fraudit.threads import settle

        settle()
        self.job = job
        self._store = ShardStore(job.store) if job.store else None
        self._faces: FaceSet | None = None
        self._locate: Locator | None = None
        self._boxes: dict[Box, EmbedderRuntime] = {}
        self._inverter: Inverter | None = None

    def pid(self) -> int:
        """Of this worker's process."""
        return os.getpid()

    def _opened(self, digest: str) -> FaceSet:
        if self._faces is None:
            from fraudit.audit.runner import read_faces
            from fraudit.faces.detect import Locator
            from fraudit.faces.sources import open_faces
            from fraudit.progress import silent

            plan = self.job.plan
            self._faces = (
                read_faces(plan, silent())
                if self.job.need_people
                else open_faces(plan.dataset, need_people=False)
            )
            if self._faces.landmarks is None:
                self._locate = Locator(self.job.plan.detector or "", self.job.plan.several_faces)
                self._locate.cache = Recorded(self._locate.cache)  # type: ignore[assignment]
        if self._faces.digest != digest:
            raise DataError(
                f"the set {self.job.plan.dataset} on a worker is not the one that was asked about",
                "every machine needs the same pictures at the same path",
            )
        return self._faces

    def _box(self, box: Box) -> EmbedderRuntime:
        if box not in self._boxes:
            from fraudit.embedding.loading import load_embedder
            from fraudit.embedding.runtime import EmbedderRuntime
            from fraudit.files.store import Store

            loaded = load_embedder(box[0], weights=Path(box[1]) if box[1] else None)
            if loaded.meter is not None and self._bill is not None:
                # Counted outside this process before anything is sent: a worker that is lost takes no count with it.
                loaded.meter.shared = partial(self._bill, box)
            self._boxes[box] = EmbedderRuntime(loaded, Store())
        return self._boxes[box]

    def embed(self, box: Box, digest: str, rows: Sequence[int], flip: str, aligned: bool, name: str) -> Shard:
        """Vectors of faces `rows`; those of a shard that is in the store are read there.

        Args:
            digest: of the set. name: of the shard in the store.
        """
        runtime = self._box(box)
        dim = runtime.dim(flip)  # type: ignore[arg-type]
        if self._store is not None and (data := self._store.get(name)):
            stored = Shard.unpacked(data, len(rows), dim)
            if stored is not None:
                return stored
        faces, before = self._opened(digest), runtime.queries
        locate = None if aligned else self._locate
        memory = locate.cache if locate is not None else None
        answer = runtime.embed_faces(
            faces, rows, flip=flip, aligned=aligned, locate=locate, workers=self.job.threads
        )
        points, count = np.full((len(rows), 5, 2), np.nan, np.float32), np.zeros(len(rows), np.int64)
        scores, keys = np.full(len(rows), np.nan), [""] * len(rows)
        if locate is not None and isinstance(memory, Recorded) and memory.answers:
            for at, row in enumerate(rows):
                with contextlib.suppress(DataError):  # its reason is in the answer
                    key = locate.key(faces.read_bytes(int(row)))
                    if key in memory.answers:
                        keys[at] = key
                        found, count[at], scores[at] = memory.answers[key]
                        points[at] = np.nan if found is None else found
            memory.answers.clear()
        shard = Shard(
            answer.vectors, answer.reasons, tuple(keys), points, count, scores, runtime.queries - before
        )
        if self._store is not None:
            self._store.put(name, shard.packed())
        return shard

    def aligned(self, box: Box, images: U8, flip: str) -> tuple[Embeddings, int]:
        """(vectors of u8[N,h,w,3] aligned faces, faces that were shown for them)."""
        runtime = self._box(box)
        before = runtime.queries
        found = runtime.embed_aligned(images, flip)
        return found, runtime.queries - before

    def corrupted(
        self,
        box: Box,
        digest: str,
        probes: I64,
        points: F32,
        reasons: Sequence[str],
        corruptions: Sequence[str],
        severities: Sequence[int],
        where: str,
        label: str,
    ) -> tuple[dict[tuple[str, int], tuple[F32, Bool]], int]:
        """({cell: (f32[M,D], bool[M])} of M probes, faces that were shown for them).

        Args:
            points: f32[M,5,2] of the probes, and why there are none. corruptions: by name.
        """
        from fraudit.audit.context import AnalysisContext
        from fraudit.audit.corrupted import show_corrupted
        from fraudit.files.store import Store
        from fraudit.perturb.catalogue import resolve

        faces, runtime = self._opened(digest), self._box(box)
        before = runtime.queries
        context = AnalysisContext(
            self.job.plan, faces, runtime, store=Store(), run_dir=Path(), locate=self._locate
        )
        every, why = np.full((len(faces), 5, 2), np.nan, np.float32), ["not asked about"] * len(faces)
        every[probes] = points
        for index, reason in zip(probes, reasons, strict=True):
            why[int(index)] = reason
        context.know_landmarks(every, why)
        found = show_corrupted(context, probes, resolve(tuple(corruptions)), severities, where, label)
        return {key: (a.vectors, a.ok) for key, a in found.items()}, runtime.queries - before

    def pairs(self, work: Pass, todo: Sequence[int]) -> Part:
        """Counts and pairs of some pieces of a pass over all pairs, together."""
        return work.done_by(todo)

    def invert(self, box: Box, vectors: F32, seeds: I64, options: dict[str, Any]) -> U8:
        """u8[N,S,S,3] pictures of f32[N,D] vectors by the plan's inverter."""
        if self._inverter is None:
            from fraudit.inverters.loading import find_inverter

            self._inverter, missing = find_inverter(self.job.plan.inverter, self._box(box).loaded)
            if self._inverter is None:
                raise DataError(
                    f"a worker has no inverter: {missing}", "every machine needs it at the same path"
                )
        return self._inverter.invert(vectors, seeds, **options)
