"""Out-of-distribution folders: drawings, renders and the like (ID3PM supplementary, Fig. 12)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fraudit.analyses.robustness.pictures import Parts
from fraudit.errors import DataError, InsufficientData
from fraudit.formatting import percent
from fraudit.stats.intervals import (
    LEAST_PEOPLE,
    clopper_pearson,
    clustered_mean,
    interval_or_reason,
    t_value,
)
from fraudit.types import F32, F64, Column, Figure, Interval, Metric, Table

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext
    from fraudit.audit.thresholds import Threshold

OOD_FACES = 500
NEIGHBOURS = 2000


def out_of_distribution(context: AnalysisContext, folder: str, threshold: Threshold) -> Parts:
    """Drawings, renders and the like: are they found, and where do their vectors lie?

    Raises:
        DataError: the folder cannot be read or holds no picture.
    """
    from fraudit.faces.detect import Locator
    from fraudit.faces.sources import open_faces

    others = open_faces(folder, need_people=False)
    if not len(others):
        raise DataError(f"no picture in {folder}", "give a folder of pictures as robustness.ood")
    locate = Locator() if others.landmarks is None else None
    count = min(len(others), OOD_FACES)
    pictures, points = [], []
    for i in range(count):
        try:
            data = others.read_bytes(i)
            picture = others.decode(data)
            found = locate(i, data, picture).points if locate else others.landmarks[i]  # type: ignore[index]
        except DataError:
            continue
        if found is not None and np.isfinite(found).all():
            pictures.append(picture)
            points.append(found)
    rate = clopper_pearson(len(pictures), count)
    metrics = [
        Metric(
            "robustness.ood.detected",
            len(pictures) / count,
            n=count,
            interval=rate,
            better="higher",
            label="Out-of-distribution pictures in which a face was found",
            n_unit="pictures",
        )
    ]
    if len(pictures) < 2:
        metrics.append(
            Metric("robustness.ood.nearest", None, missing=f"{len(pictures)} of {count} faces were found")
        )
        return Parts(metrics=tuple(metrics))
    answer = context.embed_pictures(pictures, np.stack(points).astype(np.float32))
    return Parts(metrics=tuple(metrics)) + nearest_parts(context, answer.unit()[answer.ok], threshold)


def nearest_parts(context: AnalysisContext, strange: F32, threshold: Threshold) -> Parts:
    """Where out-of-distribution vectors f32[M,D] (unit) lie, beside what real strangers do.

    Raises:
        InsufficientData: fewer than two vectors.
    """
    if len(strange) < 2:
        raise InsufficientData(f"the structure of a set needs at least 2 vectors; found {len(strange)}")
    embeddings = context.embeddings()
    rows = np.flatnonzero(embeddings.ok)
    if len(rows) > NEIGHBOURS:
        rows = np.sort(context.rng("robustness/ood").choice(rows, NEIGHBOURS, replace=False))
    known, people = embeddings.unit()[rows], context.faces.subjects[rows]
    nearest = (strange @ known.T).max(axis=1).astype(np.float64)
    among = (known @ known.T).astype(np.float64)
    among[people[:, None] == people[None, :]] = -np.inf
    usual = among.max(axis=1)
    within: F64 = (strange @ strange.T)[np.triu_indices(len(strange), 1)].astype(np.float64)
    usual_within = among[np.triu_indices(len(among), 1)]
    usual_within = usual_within[np.isfinite(usual_within)]
    match = nearest >= threshold.value
    each = np.arange(len(strange))
    around, few = interval_or_reason(lambda: clustered_mean(nearest, each))
    jackknife, fewer = interval_or_reason(lambda: _jackknife(strange))
    metrics = (
        Metric(
            "robustness.ood.nearest",
            float(nearest.mean()),
            n=len(nearest),
            interval=around,
            interval_missing=few,
            label="Similarity of an out-of-distribution face to the nearest known face",
            n_unit="pictures",
        ),
        Metric(
            "robustness.ood.match",
            float(match.mean()),
            n=len(match),
            interval=clopper_pearson(int(match.sum()), len(match)),
            better="lower",
            label="Out-of-distribution faces that match a known face",
            n_unit="pictures",
        ),
        Metric(
            "robustness.ood.within",
            float(within.mean()),
            n=len(strange),
            interval=jackknife,
            interval_missing=fewer,
            label="Mean similarity among out-of-distribution faces",
            n_unit="pictures",
        ),
    )
    edges = np.linspace(-1, 1, 41)
    series = [
        {
            "name": label,
            "edges": edges.tolist(),
            "counts": np.histogram(v, edges, density=True)[0].tolist(),
            "accent": accent,
            "panel": panel,
        }
        for label, v, accent, panel in (
            ("out of distribution", within, True, "among each other"),
            ("different people of the set", usual_within, False, "among each other"),
            ("out of distribution", nearest, True, "to the nearest known face"),
            (
                "faces of the set (other people)",
                usual[np.isfinite(usual)],
                False,
                "to the nearest known face",
            ),
        )
    ]
    alt = (
        f"{len(strange)} out-of-distribution faces: mean similarity {within.mean():.2f} among each other "
        "(different people "
        f"of the set {usual_within.mean():.2f}); {percent(float(match.mean()))} match a known face."
    )
    figure = Figure(
        "robustness_ood",
        "histogram",
        "Out-of-distribution faces in the model's space",
        "Vectors that crowd together say that the model sees the medium rather than the person.",
        alt,
        {
            "x": {"label": "cosine similarity", "scale": "linear"},
            "series": series,
            "marks": [{"axis": "x", "value": threshold.value, "label": "threshold"}],
        },
    )
    table = Table(
        "robustness_ood",
        "Out-of-distribution faces",
        (
            Column("what", "Similarity"),
            Column("ood", "Out of distribution", "number"),
            Column("known", "Face set", "number"),
            Column("n", "Pictures", "integer"),
        ),
        (
            {
                "what": "among each other, mean",
                "ood": float(within.mean()),
                "known": float(usual_within.mean()),
                "n": len(strange),
            },
            {
                "what": "to the nearest known face, mean",
                "ood": float(nearest.mean()),
                "known": float(usual[np.isfinite(usual)].mean()),
                "n": len(strange),
            },
        ),
        f"The face set's own figures are those of {len(rows):,} faces and other people only.",
    )
    return Parts(metrics=metrics, tables=(table,), figures=(figure,))


def _jackknife(vectors: F32) -> Interval:
    """Interval of the mean pairwise cosine by leaving one picture out.

    Raises:
        InsufficientData: too few pictures.
    """
    n = len(vectors)
    if n < LEAST_PEOPLE:
        raise InsufficientData(f"{n} pictures: at least {LEAST_PEOPLE:.0f} are needed for an interval")
    gram = (vectors @ vectors.T).astype(np.float64)
    total = gram.sum() - np.trace(gram)
    left_out = (total - 2 * (gram.sum(axis=1) - np.diag(gram))) / ((n - 1) * (n - 2))
    mean = total / (n * (n - 1))
    half = t_value(0.95, n - 1) * float(np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum()))
    return Interval(float(mean - half), float(mean + half), method=f"jackknife over {n} pictures")
