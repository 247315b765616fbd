"""A run from ID vectors that exist already: no model is asked, no picture is opened.

For templates that a database holds, for transformed vectors (PCA, quantisation), and for planted regressions. The
analyses that need nothing but vectors run as ever; the others say what they lack.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.audit.context import AnalysisContext, require_distinct
from fraudit.audit.plan import AuditPlan, build_params
from fraudit.audit.runner import claim_folder, environment, inputs, run_one, save_evidence
from fraudit.errors import DataError, InsufficientData
from fraudit.files.store import Store
from fraudit.plugins import ANALYSES
from fraudit.report.record import RunRecord
from fraudit.scores.vectors import read_vectors
from fraudit.types import (
    ARCFACE_112,
    F32,
    I64,
    U8,
    Bool,
    EmbedderSpec,
    Embeddings,
    FaceSet,
    LoadedEmbedder,
    PairList,
    Preprocess,
)


def capable() -> tuple[str, ...]:
    """Analyses that need nothing but vectors and what the set says, in report order."""
    found = [a for a in ANALYSES.usable() if not {"pictures", "vectors", "inverter"} & {*a.needs}]
    return tuple(a.name for a in sorted(found, key=lambda a: (a.order, a.name)))


def _no_picture(*_: object) -> Any:
    raise InsufficientData("a run of stored vectors has no pictures: audit the model itself for this analysis")


@dataclass
class StoredVectors:
    """Stands where an embedder stands, and answers from memory.

    Attributes:
        vectors: f32[N,D]. ok: bool[N]. name: of the model. reason: of faces without a vector.
    """

    name: str
    vectors: F32
    ok: Bool
    reason: str = "no vector stored"
    queries: int = 0
    spec: EmbedderSpec = field(init=False)
    loaded: LoadedEmbedder = field(init=False)
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha256(np.ascontiguousarray(self.vectors).tobytes()).hexdigest()
        preprocess = Preprocess((112, 112), ARCFACE_112, template_name="unknown: vectors were stored")
        self.spec = EmbedderSpec(
            self.name, int(self.vectors.shape[1]), preprocess, "that of the stored vectors", "stored vectors"
        )
        self.loaded = LoadedEmbedder(self.spec, _no_picture, digest)
        self.fingerprint = digest

    def embed_faces(self, faces: FaceSet, *, flip: str = "none", **_: object) -> Embeddings:
        """The stored vectors. Raises DataError where mirrored ones are asked for."""
        if flip != "none":
            raise DataError("no vectors of mirrored faces are stored", "use the fold protocol `exact`")
        reasons = tuple("" if good else self.reason for good in self.ok)
        return Embeddings(np.where(self.ok[:, None], self.vectors, 0), self.ok, reasons, self.fingerprint)

    def embed_aligned(self, images: U8, flip: str = "none") -> Embeddings:
        """Raises DataError: there is no model."""
        return _no_picture(images, flip)


def faces_of(
    name: str, ids: Sequence[str], subjects: I64, attributes: Mapping[str, NDArray[Any]] | None = None,
    pairs: PairList | None = None, identified: bool = True,
) -> FaceSet:  # fmt: skip
    """A face set without pictures that knows who is who, or (not `identified`) which pairs the set declared."""
    digest = hashlib.sha256("\0".join(ids).encode() + np.ascontiguousarray(subjects).tobytes())
    for key in sorted(attributes or {}):
        digest.update(key.encode() + "\0".join(map(str, (attributes or {})[key])).encode())
    return FaceSet(
        name, tuple(ids), np.asarray(subjects, np.int64), dict(attributes or {}),
        np.repeat(ARCFACE_112[None], len(ids), axis=0), pairs, digest.hexdigest(), _no_picture, _no_picture,
        identified,
    )  # fmt: skip


def run_vectors(
    faces: FaceSet, model: StoredVectors, run_dir: Path, *, only: Sequence[str] | None = None,
    params: Mapping[str, Mapping[str, Any]] | None = None, seed: int = 0, overwrite: bool = False,
    distinct: bool = False,
) -> RunRecord:  # fmt: skip
    """Audit stored vectors into `run_dir`: run.json, scores.csv, vectors.npz.

    Args:
        only: analyses; by default those that are `capable`.
        distinct: states that every picture of a set without identities and pairs shows another person.
    Raises:
        FrauditError: the vectors do not fit the faces; failures of single analyses are recorded.
    """
    if model.vectors.shape[0] != len(faces) or len(model.ok) != len(faces):
        raise DataError(f"expected vectors of {len(faces)} faces, found {len(model.vectors)}")
    wanted = capable() if only is None else tuple(only)
    plan = AuditPlan(
        model.name, faces.name, only=wanted, params=dict(params or {}), seed=seed, pictures="none",
        distinct=distinct,
    )  # fmt: skip
    require_distinct(distinct, faces)
    claim_folder(run_dir, overwrite)
    context = AnalysisContext(plan, faces, model, store=Store(run_dir / ".store"), run_dir=run_dir)  # type: ignore[arg-type]
    results, failures = [], []
    for name in wanted:
        analysis = ANALYSES.get(name)
        result, failure = run_one(
            analysis, context, build_params(analysis.params, plan.params.get(name, {}), name)
        )
        results.append(result)
        failures += [failure] if failure else []
    save_evidence(context, run_dir)
    record = RunRecord(
        plan.as_dict(), environment(plan), inputs(context, None), tuple(results), tuple(failures),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )  # fmt: skip
    record.save(run_dir)
    return record


def derived_run(
    source: Path, name: str, vectors: F32, run_dir: Path, *, overwrite: bool = False
) -> RunRecord:
    """The run `source` again with other vectors of the same faces, such as compressed ones.

    Pairs, seed and provenance of the data are those of `source`, so that the two runs can be compared.
    """
    record = RunRecord.load(source)
    stored = read_vectors(source / "vectors.npz")
    from fraudit.scores import read_run_scores

    data, pairs = record.inputs["dataset"], None
    identified = bool(data.get("identified", True))
    if data.get("protocol_pairs") is not None or (not identified and (source / "scores.csv").is_file()):
        scores = read_run_scores(source / "scores.csv")
        order = np.argsort(stored.ids)
        left, right = (
            order[np.searchsorted(stored.ids, side, sorter=order)] for side in (scores.left, scores.right)
        )
        fold = scores.fold if scores.fold is not None else np.zeros(len(scores), np.int64)
        pairs = PairList(left, right, scores.same, fold)
    faces = faces_of(
        data["name"], [str(i) for i in stored.ids], stored.subjects, stored.attributes,
        pairs, identified,
    )  # fmt: skip
    done = [r.name for r in record.results if r.status == "done" and r.name in capable()]
    made = run_vectors(
        faces, StoredVectors(name, np.asarray(vectors, np.float32), stored.ok), run_dir, only=done,
        params=record.plan.get("params") or {}, seed=int(record.plan.get("seed") or 0), overwrite=overwrite,
        distinct=bool(record.plan.get("distinct", False)),
    )  # fmt: skip
    same = {**made.plan, "limit": record.plan.get("limit")}
    made = replace(made, plan=same, inputs={**made.inputs, "dataset": data})
    made.save(run_dir)
    return made
