"""What a person or a plugin author imports: `from fraudit.api import audit`.

Importing this module is instant; torch, onnxruntime and the rest are imported when something runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraudit.errors import FrauditError
from fraudit.policy import Policy
from fraudit.types import (
    ARCFACE_112,
    F32,
    Analysis,
    AnalysisResult,
    Column,
    EmbedderPlugin,
    EmbedderSpec,
    Embeddings,
    FaceSet,
    Figure,
    Finding,
    Gallery,
    GalleryItem,
    GalleryRow,
    Interval,
    Inverter,
    InverterPlugin,
    LoadedEmbedder,
    Metric,
    PairList,
    Preprocess,
    Table,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fraudit.embedding.runtime import EmbedderRuntime
    from fraudit.progress import Reporter
    from fraudit.report.run import Run

__all__ = [
    "ARCFACE_112",
    "Analysis",
    "AnalysisResult",
    "Column",
    "EmbedderPlugin",
    "EmbedderSpec",
    "Embeddings",
    "FaceSet",
    "Figure",
    "Finding",
    "FrauditError",
    "Gallery",
    "GalleryItem",
    "GalleryRow",
    "Interval",
    "Inverter",
    "InverterPlugin",
    "LoadedEmbedder",
    "Metric",
    "PairList",
    "Policy",
    "Preprocess",
    "Table",
    "audit",
    "audit_vectors",
    "open_inverter",
    "open_run",
]


def audit(
    embedder: str,
    dataset: str = "sample",
    *,
    weights: str | Path | None = None,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    params: Mapping[str, Mapping[str, Any]] | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    seed: int = 0,
    quiet: bool = False,
    reporter: Reporter | None = None,
    **plan: Any,
) -> Run:
    """Audit a black box on a face set; the same run that `fraudit analyze` makes.

    Args:
        embedder: registry name, path of a TOML card, or `python:module:callable`.
        dataset: `sample`, a known name, or a path.
        weights: weights file of the embedder, where it is not in its known place.
        only, skip: analyses by name; all by default.
        params: analysis -> parameter -> value, e.g. {"robustness": {"severities": (1, 3, 5)}}.
        out: run folder; a temporary one by default (keep it with `run.save(folder)`).
        overwrite: replace a finished run in `out`.
        seed: of everything random.
        quiet: say nothing; by default what takes longer than five seconds is told, in a notebook as a bar where
            tqdm is installed.
        reporter: told what is being done, in the place of that.
        **plan: further fields of `fraudit.audit.plan.AuditPlan` (judges, inverter, pictures, max_faces, ...).

    Returns:
        Run: `metrics`, `findings`, `tables` as pandas DataFrames, figures that show themselves in a
        notebook, `save(folder)` and `render()`.

    Raises:
        FrauditError: bad plan, data or weights. A failing analysis does not raise: see `run.failures`.
    """
    import tempfile

    from fraudit.threads import settle

    settle()  # before anything is loaded that reads it
    from fraudit.audit.plan import plan_from_values
    from fraudit.audit.runner import run_plan
    from fraudit.report.run import Run

    values: dict[str, Any] = {"embedder": embedder, "dataset": str(dataset), "seed": seed, **plan}
    values |= {"only": tuple(only), "skip": tuple(skip), "params": params or {}}
    if weights is not None:
        values["weights"] = str(weights)
    checked = plan_from_values(values, "audit()")
    folder = Path(out) if out else Path(tempfile.mkdtemp(prefix="fraudit-"))
    if quiet or reporter is not None:
        return Run(run_plan(checked, folder, overwrite=overwrite, reporter=reporter), folder)
    from fraudit.progress.console import of_a_call

    line = of_a_call()
    try:
        return Run(run_plan(checked, folder, overwrite=overwrite, reporter=line.reporter()), folder)
    finally:
        line.close()


def open_inverter(
    embedder: str, inverter: str = "auto", *, weights: str | Path | None = None
) -> tuple[Inverter, EmbedderRuntime]:
    """(inverter, black box): pictures from ID vectors, and the box that judges them.

    Args:
        embedder: registry name, path of a TOML card, or `python:module:callable`.
        inverter: `auto` (the bundled one), a bundled kind (`id3pm`, `linear`), or a trained inverter's folder.
        weights: weights file of the embedder, where it is not in its known place.
    Raises:
        ArtifactError: there is none, or it was trained for another embedder.
    """
    from fraudit.threads import settle

    settle()
    from fraudit.embedding.loading import load_embedder
    from fraudit.embedding.runtime import EmbedderRuntime
    from fraudit.errors import ArtifactError
    from fraudit.files.store import Store
    from fraudit.inverters.loading import find_inverter

    box = EmbedderRuntime(load_embedder(embedder, weights=Path(weights) if weights else None), Store())
    found, reason = find_inverter(inverter, box.loaded)
    if found is None:
        raise ArtifactError(reason)
    return found, box


def audit_vectors(
    vectors: F32,
    subjects: Sequence[Any] | NDArray[Any],
    *,
    name: str = "vectors",
    dataset: str = "vectors",
    attributes: Mapping[str, Sequence[Any] | NDArray[Any]] | None = None,
    only: Sequence[str] = (),
    params: Mapping[str, Mapping[str, Any]] | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    seed: int = 0,
) -> Run:
    """Audit ID vectors that exist already; `fraudit analyze --vectors` does the same from files.

    Args:
        vectors: f32[N,D], any length; a row of zeros is a picture without a vector.
        subjects: N names or numbers of people, equal where two pictures show one person.
        name, dataset: of the model and of the pictures, for the report.
        attributes: name -> N values, such as the demographic group.
        only: analyses by name; by default those that follow from vectors alone.
        params, out, overwrite, seed: as in `audit`.
    Raises:
        DataError: the lengths differ, or a vector is not finite. UsageError: unknown analysis or parameter.
    """
    import tempfile

    import numpy as np

    from fraudit.threads import settle

    settle()
    from fraudit.audit.stored_vectors import StoredVectors, faces_of, run_vectors
    from fraudit.errors import DataError
    from fraudit.report.run import Run

    rows = np.asarray(vectors, np.float32)
    if rows.ndim != 2 or len(rows) != len(subjects) or not rows.size:
        raise DataError(
            f"vectors: expected f32[N,D] of {len(subjects):,} pictures, found {list(rows.shape)}",
            "give one row and one subject a picture",
        )
    if not np.isfinite(rows).all():
        bad = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise DataError(f"vectors: row {bad} is not finite", "a row of zeros says that there is no vector")
    known = {key: np.asarray(values) for key, values in (attributes or {}).items()}
    for key, values in known.items():
        if len(values) != len(rows):
            raise DataError(f"attributes: '{key}' has {len(values):,} values, expected {len(rows):,}")
    people = np.unique(np.asarray(subjects), return_inverse=True)[1].astype(np.int64)
    faces = faces_of(dataset, [f"{at:06d}" for at in range(len(rows))], people, known)
    model = StoredVectors(name, rows, np.abs(rows).sum(axis=1) > 0)
    folder = Path(out) if out else Path(tempfile.mkdtemp(prefix="fraudit-"))
    made = run_vectors(
        faces, model, folder, only=tuple(only) or None, params=params, seed=seed, overwrite=overwrite
    )
    return Run(made, folder)


def open_run(folder: str | Path) -> Run:
    """A finished run from its folder. Raises DataError or ArtifactError where it cannot be read."""
    from fraudit.report.record import RunRecord
    from fraudit.report.run import Run

    return Run(RunRecord.load(Path(folder)), Path(folder))
