"""Pictures of the robustness analysis, and reconstructions of corrupted vectors.

ID3PM supplementary, Fig. 11 (angular distance under each reconstruction).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fraudit.analyses.robustness.params import NAME
from fraudit.analyses.shared.reconstructions import make_pictures
from fraudit.audit.corrupted import corrupted_crop, working_copy
from fraudit.perturb.base import Corruption
from fraudit.stats.pairs import angular
from fraudit.stats.probe_pairs import ProbePairs, ProbeVectors
from fraudit.stats.robustness import share
from fraudit.types import (
    F32,
    Figure,
    Finding,
    Gallery,
    GalleryItem,
    GalleryRow,
    Metric,
    Table,
)

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext
    from fraudit.audit.pair_scores import Cells
    from fraudit.audit.thresholds import Threshold


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


def _copy(context: AnalysisContext, face: int) -> tuple[np.ndarray, np.ndarray, F32]:
    """(aligned crop, working picture, its landmarks) of one face."""
    points = context.landmarks()[0][face]
    picture, moved = working_copy(context.picture(face), points, False)
    return context.aligned([face])[0][0], picture, moved


def strip(
    context: AnalysisContext,
    corruptions: Sequence[Corruption],
    severities: Sequence[int],
    pairs: ProbePairs,
    answers: Mapping[Cells, ProbeVectors],
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
            worse = corrupted_crop(context, corruption, severity, face, crop, (picture, points), NAME)
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
    answers: Mapping[Cells, ProbeVectors],
    pairs: ProbePairs,
    threshold: Threshold,
) -> Parts:
    """What the inverter makes of each corrupted vector of `count` probes, and how far that is from the source."""
    from fraudit.inverters.geometry import landmarks_of

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
    made = make_pictures(context, np.stack(vectors).astype(np.float32), seeds, told=told)
    points = np.repeat(landmarks_of(made.shape[1])[None], len(made), axis=0)
    seen_again = context.embed_pictures(list(made), points)
    cosine = np.einsum("kd,kd->k", seen_again.unit(), unit[pairs.probes[source]], dtype=np.float64)
    distance = angular(cosine)
    close = seen_again.ok & (distance <= limit)
    worse = np.array([name != "clean" for name in names])
    people = context.faces.subjects[pairs.probes[source]]
    metrics = []
    for name, mask, label in (
        (
            "robustness.reconstruction_match_clean",
            ~worse,
            "Reconstructions of clean vectors that match their source",
        ),
        (
            "robustness.reconstruction_match",
            worse,
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
            corrupted = next((c for c in corruptions if c.name == name), None)
            seen = crop
            if corrupted is not None:
                seen = corrupted_crop(
                    context, corrupted, severity, int(face), crop, (picture, landmarks), NAME
                )
            label = corrupted.label if corrupted else "clean"
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
