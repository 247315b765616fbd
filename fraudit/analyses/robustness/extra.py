"""Pictures of the robustness analysis, reconstructions of corrupted vectors, and out-of-distribution folders.

ID3PM supplementary, Fig. 11 (angular distance under each reconstruction) and Fig. 12 (drawings and renders).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.analyses.robustness import cells as shown
from fraudit.errors import DataError, InsufficientData
from fraudit.formatting import percent
from fraudit.perturb.base import Corruption
from fraudit.stats.intervals import (
    LEAST_PEOPLE,
    clopper_pearson,
    clustered_mean,
    interval_or_reason,
    t_value,
)
from fraudit.stats.robustness import ProbePairs, share
from fraudit.types import (
    F32,
    F64,
    Column,
    Figure,
    Finding,
    Gallery,
    GalleryItem,
    GalleryRow,
    Interval,
    Metric,
    Table,
)

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

OOD_FACES = 500
NEIGHBOURS = 2000


@dataclass(frozen=True, slots=True)
class Parts:
    """Pieces of a result that can be added up."""

    findings: tuple[Finding, ...] = ()
    metrics: tuple[Metric, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    galleries: tuple[Gallery, ...] = ()
    caveats: tuple[str, ...] = ()

    def __add__(self, other: Parts) -> Parts:
        return Parts(
            self.findings + other.findings,
            self.metrics + other.metrics,
            self.tables + other.tables,
            self.figures + other.figures,
            self.galleries + other.galleries,
            self.caveats + other.caveats,
        )


def angular(cosine: Any) -> Any:
    """arccos(cosine) / pi, in 0..1: the distance of ID3PM's evaluation."""
    return np.arccos(np.clip(cosine, -1.0, 1.0)) / np.pi


def _copy(context: AnalysisContext, face: int) -> tuple[np.ndarray, np.ndarray, F32]:
    """(aligned crop, working picture, its landmarks) of one face."""
    points = context.landmarks()[0][face]
    picture, moved = shown.working_copy(context.picture(face), points, False)
    return context.aligned([face])[0][0], picture, moved


def strip(
    context: AnalysisContext,
    corruptions: Sequence[Corruption],
    severities: Sequence[int],
    pairs: ProbePairs,
    answers: Mapping[tuple[str, int], Any],
) -> Parts:
    """One face under every corruption at the middle severity, as the model sees it, with its similarity."""
    face = int(pairs.probes[0])
    severity = severities[len(severities) // 2]
    crop, picture, points = _copy(context, face)
    clean = context.embeddings().unit()[face]
    first = GalleryItem(context.save_picture(crop), "The clean face.", ("clean",))
    rows = []
    for family in dict.fromkeys(c.family for c in corruptions):
        items = [first]
        for corruption in (c for c in corruptions if c.family == family):
            answer = answers[corruption.name, severity]
            worse = shown.corrupted_crop(context, corruption, severity, face, crop, (picture, points))
            line = f"similarity {float(answer.vectors[0] @ clean):.2f}" if answer.ok[0] else "not acquired"
            name = context.save_picture(worse)
            alt = f"The same face under {corruption.label.lower()}, {line}."
            items.append(GalleryItem(name, alt, (corruption.label, line)))
        rows.append(GalleryRow(family, tuple(items)))
    caption = (
        f"One face as the model sees it at severity {severity}; under each, the cosine to the clean vector."
    )
    return Parts(galleries=(Gallery("robustness_strip", "One face, every corruption", caption, tuple(rows)),))


def reconstructions(
    context: AnalysisContext,
    count: int,
    severity: int,
    corruptions: Sequence[Corruption],
    answers: Mapping[tuple[str, int], Any],
    pairs: ProbePairs,
    threshold: Any,
) -> Parts:
    """What the inverter makes of each corrupted vector of `count` probes, and how far that is from the source."""
    from fraudit.inverters.geometry import landmarks_of
    from fraudit.inverters.inverting import invert_in_pieces

    raw = context.embeddings()
    unit = raw.unit()
    norms = np.linalg.norm(raw.vectors, axis=1)
    limit = float(angular(threshold.value))
    vectors, source, names = [], [], []
    for k, face in enumerate(pairs.probes[:count]):
        vectors.append(raw.vectors[face])
        source.append(k)
        names.append("clean")
        for corruption in corruptions:
            answer = answers[corruption.name, severity]
            if answer.ok[k]:
                # Answers are kept as unit vectors; the inverter was trained on raw ones.
                vectors.append(answer.vectors[k] * norms[face])
                source.append(k)
                names.append(corruption.name)
    seeds = np.full(len(vectors), context.seed, np.int64)
    told = context.part("robustness: inverting vectors", len(vectors)).add
    made = invert_in_pieces(context.inverter, np.stack(vectors).astype(np.float32), seeds, told)  # type: ignore[arg-type]
    points = np.repeat(landmarks_of(made.shape[1])[None], len(made), axis=0)
    answer = context.embed_pictures(list(made), points)
    cosine = np.einsum("kd,kd->k", answer.unit(), unit[pairs.probes[source]], dtype=np.float64)
    distance = angular(cosine)
    close = answer.ok & (distance <= limit)
    corrupted = np.array([name != "clean" for name in names])
    people = context.faces.subjects[pairs.probes[source]]
    metrics = []
    for name, mask, label in (
        (
            "robustness.reconstruction_match_clean",
            ~corrupted,
            "Reconstructions of clean vectors that match their source",
        ),
        (
            "robustness.reconstruction_match",
            corrupted,
            f"Reconstructions at severity {severity} that match their source",
        ),
    ):
        if mask.any():
            found = share(close[mask], people[mask], people[mask])
            metrics.append(
                Metric(
                    name,
                    found.value,
                    n=found.n,
                    interval=found.interval,
                    interval_missing=found.reason,
                    label=label,
                    better="none",
                    n_unit="reconstructions",
                )
            )
    caveat = (
        f"Reconstructions of {count} people only, with one seed; the distance is judged by "
        "the "
        "audited model itself, as in ID3PM's Fig. 11, and says nothing of an independent judge."
    )
    if not context.show_pictures:
        return Parts(metrics=tuple(metrics), caveats=(caveat,))
    rows = []
    for k, face in enumerate(pairs.probes[:count]):
        crop, picture, landmarks = _copy(context, int(face))
        tops, below = [], []
        for at in np.flatnonzero(np.array(source) == k):
            name = names[at]
            corruption = next((c for c in corruptions if c.name == name), None)
            seen = crop
            if corruption is not None:
                seen = shown.corrupted_crop(
                    context, corruption, severity, int(face), crop, (picture, landmarks)
                )
            label = corruption.label if corruption else "clean"
            tops.append(GalleryItem(context.save_picture(seen), f"Source, {label.lower()}.", (label,)))
            lines = (f"{distance[at]:.3f}", "match" if close[at] else "no match")
            alt = f"Reconstruction of the vector under {label.lower()}, angular distance {', '.join(lines)}."
            below.append(GalleryItem(context.save_picture(made[at]), alt, lines))
        rows += [GalleryRow(f"source {k + 1}", tuple(tops)), GalleryRow("made", tuple(below))]
    caption = (
        f"Severity {severity}. Under each reconstruction: its angular distance (arccos(cos)/pi) to the "
        f"clean source; up to the model's own threshold of {limit:.3f} the two match."
    )
    gallery = Gallery("robustness_reconstructions", "What is left in the vector", caption, tuple(rows))
    return Parts(metrics=tuple(metrics), galleries=(gallery,), caveats=(caveat,))


def out_of_distribution(context: AnalysisContext, folder: str, threshold: Any) -> Parts:
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


def nearest_parts(context: AnalysisContext, strange: F32, threshold: Any) -> Parts:
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
