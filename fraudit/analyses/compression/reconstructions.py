"""Reconstructions of projected vectors, judged by the model itself (ID3PM, supplementary Fig. 15)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from fraudit.analyses.shared.reconstructions import make_pictures
from fraudit.inverters.geometry import landmarks_of
from fraudit.stats.intervals import clustered_mean, interval_or_reason
from fraudit.stats.pairs import angular
from fraudit.stats.pca import Pca, fit_pca, project
from fraudit.types import F32, I64, Gallery, GalleryItem, GalleryRow, Metric

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def projected_raw(vectors: F32, unit: F32, rows: Sequence[int] | I64, d: int, pca: Pca) -> F32:
    """f32[K,D]: raw vectors of faces `rows` after projection of their unit vectors, at their own length."""
    lengths = np.linalg.norm(vectors[list(rows)], axis=1, keepdims=True)
    return (project(unit[list(rows)], pca, d) * lengths).astype(np.float32)


def _named(d: int) -> tuple[str, str]:
    """(name, label) of the metric of d axes."""
    return f"compression.reconstruction_similarity.{d}", f"Similarity of the reconstruction from {d} axes"


def reconstructions(
    context: AnalysisContext, people: int, dims: Sequence[int]
) -> tuple[tuple[Metric, ...], tuple[Gallery, ...]]:
    """(metrics, galleries): inverted projections of a few people, judged by the model itself (Fig. 15)."""

    embeddings = context.embeddings()
    unit, subjects = embeddings.unit(), context.faces.subjects
    rows = np.flatnonzero(embeddings.ok)
    first = rows[np.sort(np.unique(subjects[rows], return_index=True)[1])]
    count = min(people, len(first))
    shown = context.rng("compression/reconstructions").choice(first, count, replace=False)
    others = rows[~np.isin(subjects[rows], subjects[shown])]  # the people shown are left out of the axes
    if len(others) < 2:
        why = f"axes are fitted on people who are not shown: expected two such pictures, found {len(others)}"
        return tuple(
            Metric(name, None, missing=f"{why} (use more people, or a larger --limit)", label=label)
            for name, label in map(_named, dims)
        ), ()
    pca = fit_pca(unit[others])
    vectors = np.concatenate([projected_raw(embeddings.vectors, unit, shown, d, pca) for d in dims])
    seeds = np.full(len(vectors), context.seed, np.int64)
    told = context.part("compression: inverting vectors", len(vectors)).add
    made = make_pictures(context, vectors, seeds, told=told)
    points = np.repeat(landmarks_of(made.shape[1])[None], len(made), axis=0)
    again = context.embed_pictures(list(made), points)
    source = np.tile(shown, len(dims))
    cosine = np.einsum("kd,kd->k", again.unit(), unit[source], dtype=np.float64)
    distance, owner = angular(cosine), subjects[source]
    metrics = []
    for k, d in enumerate(dims):
        part = slice(k * count, (k + 1) * count)
        good = again.ok[part]
        name, label = _named(d)
        if good.sum() < 2:
            metrics.append(
                Metric(name, None, missing="fewer than two reconstructions gave a vector", label=label)
            )
            continue
        values = cosine[part][good]
        people = owner[part][good]
        interval, why = interval_or_reason(partial(clustered_mean, values, people))
        metrics.append(
            Metric(
                name,
                float(values.mean()),
                n=len(values),
                interval=interval,
                interval_missing=why,
                label=label,
                n_unit="people",
            )
        )
    if not context.show_pictures:
        return tuple(metrics), ()
    crops = context.aligned(shown)[0]
    table = []
    for i in range(count):
        items = [GalleryItem(context.save_picture(crops[i]), "Source.", ("source",))]
        for k, d in enumerate(dims):
            at = k * count + i
            line = f"{distance[at]:.3f}" if again.ok[at] else "no vector"
            alt = f"Reconstruction from {d} axes, angular distance {line}."
            items.append(GalleryItem(context.save_picture(made[at]), alt, (f"d = {d}", line)))
        table.append(GalleryRow(f"person {i + 1}", tuple(items)))
    caption = (
        "Reconstructions of vectors projected onto the first d axes, one seed; under each, the angular "
        "distance "
        "(arccos(cos)/pi) to the source, by the audited model itself."
    )
    columns = ("source", *(f"d = {d}" for d in dims))
    return tuple(metrics), (
        Gallery("compression_reconstructions", "What d axes still show", caption, tuple(table), columns),
    )
