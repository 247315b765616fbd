"""A run from ID vectors that exist already: no model is asked, no picture is opened.

For templates that a database holds, for transformed vectors (PCA, quantisation), and for planted regressions. The
analyses that need nothing but vectors run as ever; the others say what they lack.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.audit.context import AnalysisContext
from fraudit.audit.distinct import require_distinct
from fraudit.audit.execute import choose_analyses, execute
from fraudit.audit.inputs import inputs
from fraudit.audit.plan import AuditPlan, build_params
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import DataError, InsufficientData
from fraudit.faces.detect import Locator
from fraudit.files.store import Store
from fraudit.files.vectors import NO_VECTOR
from fraudit.plugins import ANALYSES
from fraudit.progress import Reporter, silent
from fraudit.report.record import RunRecord
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

NO_PICTURES = "a run of stored vectors has no pictures: audit the model itself for this analysis"


def no_picture(*_: object) -> Any:
    """In the place of what opens a picture. Raises InsufficientData."""
    raise InsufficientData(NO_PICTURES)


def from_vectors() -> tuple[str, ...]:
    """Analyses whose figures follow from the vectors of clean pictures, in report order."""
    found = [analysis for _, analysis in ANALYSES.items() if analysis.from_vectors]
    return tuple(a.name for a in sorted(found, key=lambda a: (a.order, a.name)))


@dataclass
class StoredVectors:
    """Stands where an embedder stands, and answers from memory.

    Attributes:
        vectors: f32[N,D]. ok: bool[N]. name: of the model.
        reasons: N, '' where there is a vector; by default one for all that have none.
        unasked: why it cannot be shown a picture. no_inverter: why its vectors are not inverted.
    """

    name: str
    vectors: F32
    ok: Bool
    reasons: tuple[str, ...] = ()
    unasked: str = NO_PICTURES
    no_inverter: str = "no inverter was given"
    queries: int = 0
    remembered: int = 0
    spec: EmbedderSpec = field(init=False)
    loaded: LoadedEmbedder = field(init=False)
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha256(np.ascontiguousarray(self.vectors).tobytes()).hexdigest()
        preprocess = Preprocess((112, 112), ARCFACE_112, template_name="unknown: vectors were stored")
        self.spec = EmbedderSpec(
            self.name, int(self.vectors.shape[1]), preprocess, "that of the stored vectors", "stored vectors"
        )
        self.loaded = LoadedEmbedder(self.spec, no_picture, digest, cacheable=False)  # nothing is asked twice
        self.fingerprint = digest

    def embed_faces(self, faces: FaceSet, *, flip: str = "none", **_: object) -> Embeddings:
        """The stored vectors. Raises DataError where mirrored ones are asked for."""
        if flip != "none":
            raise DataError("no vectors of mirrored faces are stored", "use the fold protocol `exact`")
        reasons = self.reasons or tuple("" if good else NO_VECTOR for good in self.ok)
        return Embeddings(np.where(self.ok[:, None], self.vectors, 0), self.ok, reasons, self.fingerprint)

    def embed_aligned(self, images: U8, flip: str = "none") -> Embeddings:
        """Raises InsufficientData: there is no model."""
        raise InsufficientData(self.unasked)

    def close(self) -> None:
        """Nothing is held."""


def faces_of(
    name: str,
    ids: Sequence[str],
    subjects: I64,
    attributes: Mapping[str, NDArray[Any]] | None = None,
    pairs: PairList | None = None,
    identified: bool = True,
) -> FaceSet:
    """A face set without pictures that knows who is who, or (not `identified`) which pairs the set declared."""
    digest = hashlib.sha256("\0".join(ids).encode() + np.ascontiguousarray(subjects).tobytes())
    for key in sorted(attributes or {}):
        digest.update(key.encode() + "\0".join(map(str, (attributes or {})[key])).encode())
    return FaceSet(
        name,
        tuple(ids),
        np.asarray(subjects, np.int64),
        dict(attributes or {}),
        np.repeat(ARCFACE_112[None], len(ids), axis=0),
        pairs,
        digest.hexdigest(),
        no_picture,
        no_picture,
        identified,
    )


def run_vectors(
    faces: FaceSet,
    model: StoredVectors,
    run_dir: Path,
    *,
    only: Sequence[str] | None = None,
    params: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    overwrite: bool = False,
    distinct: bool = False,
) -> RunRecord:
    """Audit stored vectors into `run_dir`: run.json, scores.csv, vectors.npz.

    Args:
        only: analyses; by default those whose figures follow from vectors, on request where `params` names them.
        distinct: states that every picture of a set without identities and pairs shows another person.
    Raises:
        FrauditError: the vectors do not fit the faces; failures of single analyses are recorded.
    """
    usual = [n for n in from_vectors() if not ANALYSES.get(n).on_request or n in (params or {})]
    plan = AuditPlan(
        model.name,
        faces.name,
        only=tuple(usual if only is None else only),
        params=dict(params or {}),
        seed=seed,
        pictures="none",
        distinct=distinct,
    )
    return run_stored(plan, faces, model, run_dir, plan.as_dict(), overwrite=overwrite)


def run_stored(
    plan: AuditPlan,
    faces: FaceSet,
    model: StoredVectors,
    run_dir: Path,
    stated: Mapping[str, Any],
    *,
    locate: Locator | None = None,
    other: StoredVectors | EmbedderRuntime | None = None,
    boxes: ExitStack | None = None,
    command: str = "",
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> RunRecord:
    """The analyses of `plan` over the vectors of `faces`; no model is asked, but for `other` where it is one.

    Args:
        boxes: closes `other`; done at the end. stated: the plan as the record states it. command: that repeats the run.
    Raises:
        FrauditError: the vectors do not fit the faces; failures of single analyses are recorded.
    """
    told = reporter or silent()
    chosen = [(a, build_params(a.params, plan.params.get(a.name, {}), a.name)) for a in choose_analyses(plan)]
    context = stored_context(plan, faces, model, run_dir, told, locate, other)
    return execute(
        context,
        chosen,
        boxes or ExitStack(),
        lambda: inputs(context),
        stated,
        command=command,
        report=told,
        overwrite=overwrite,
        started=time.monotonic(),
    )


def stored_context(
    plan: AuditPlan,
    faces: FaceSet,
    model: StoredVectors,
    run_dir: Path,
    reporter: Reporter,
    locate: Locator | None = None,
    other: StoredVectors | EmbedderRuntime | None = None,
) -> AnalysisContext:
    """The context of analyses over stored vectors. Raises DataError, UsageError where they do not fit the faces."""
    if model.vectors.shape[0] != len(faces) or len(model.ok) != len(faces):
        raise DataError(f"expected vectors of {len(faces)} faces, found {len(model.vectors)}")
    require_distinct(plan.distinct, faces)
    return AnalysisContext(
        plan,
        faces,
        model,  # type: ignore[arg-type]
        store=Store(run_dir / ".store"),
        run_dir=run_dir,
        no_pictures=model.unasked,
        locate=locate,
        other=other,  # type: ignore[arg-type]
        inverter_missing=model.no_inverter,
        say=reporter.say,
        show_progress=reporter.progress,
    )
