"""Galleries of the inversion audit; made only where pictures may be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fraudit.analyses.inversion.measure import Sources, Sweep, Verdict
from fraudit.analyses.inversion.params import Params
from fraudit.analyses.inversion.varied import strips
from fraudit.analyses.shared.words import judge_name
from fraudit.faces.align import align
from fraudit.inverters.geometry import CANVAS_PX, landmarks_of
from fraudit.types import U8, Gallery, GalleryItem, GalleryRow

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def sources_gallery(
    context: AnalysisContext, params: Params, sources: Sources, verdicts: Sequence[Verdict]
) -> Gallery:
    """Source and reconstruction, with the cosine by every judge under it. Seeded choice, never the best."""
    count = min(params.shown, len(sources.rows))
    chosen = np.sort(context.rng("inversion/gallery").choice(len(sources.rows), count, replace=False))
    size, points = (CANVAS_PX, CANVAS_PX), context.landmarks()[0]
    top, below = [], []
    for n, i in enumerate(chosen):
        row = int(sources.rows[i])
        picture = align(context.picture(row), points[row], size, landmarks_of(CANVAS_PX))
        alt = f"source face {n + 1} of {count}"
        top.append(GalleryItem(context.save_picture(picture), alt))
        lines, words = [], []
        for v in verdicts:
            if np.isfinite(v.source[i]):
                at = next((t for f, t in sorted(v.thresholds.items()) if t.resolvable), None)
                verdict = "" if at is None else " match" if v.source[i] >= at.value else " no match"
                lines.append(f"{v.name} {v.source[i]:.2f}{verdict}")
            else:
                lines.append(f"{v.name}: no vector")
            words.append(lines[-1])
        alt = f"reconstruction {n + 1}: {', '.join(words)}"
        below.append(GalleryItem(context.save_picture(sources.pictures[i]), alt, tuple(lines)))
    return Gallery(
        "inversion_sources",
        "Source and reconstruction",
        "Each lower face was made from the ID vector of the one above it alone. Cosine of the two by each judge, "
        "and whether it reaches the judge's threshold at the strictest FMR; a seeded choice, not the best.",
        (GalleryRow("source", tuple(top)), GalleryRow("made", tuple(below))),
    )


def samples_gallery(
    context: AnalysisContext, swept: Sequence[Sweep], shown: Mapping[float, U8], columns: int = 6
) -> Gallery:
    """Samples of one vector at every guidance: the same seeds in a column."""
    person = int(context.rng("inversion/samples").integers(len(swept[0].people)))
    k = swept[0].samples
    judge = next((s for s in swept if not s.own), swept[0])
    rows = []
    for guidance, pictures in sorted(shown.items()):
        mine = next(s for s in swept if (s.judge, s.own, s.guidance) == (judge.judge, judge.own, guidance))
        items = []
        for n in range(min(k, columns)):
            value = mine.each[person, n]
            line = f"{value:.2f}" if np.isfinite(value) else "no vector"
            alt = f"sample {n + 1} at guidance {guidance:g}: cosine to the source {line}"
            items.append(GalleryItem(context.save_picture(pictures[person * k + n]), alt, (line,)))
        rows.append(GalleryRow(f"guidance {guidance:g}", tuple(items)))
    return Gallery(
        "inversion_guidance",
        "Samples of one vector",
        f"A column has one seed. Under each: cosine to the source by {judge_name(judge.judge, judge.own)}.",
        tuple(rows),
    )


def galleries(
    context: AnalysisContext,
    params: Params,
    sources: Sources,
    verdicts: Sequence[Verdict],
    swept: Sequence[Sweep],
    shown: Mapping[float, U8],
) -> tuple[Gallery, ...]:
    """None at all where pictures may not be shown."""
    if not context.show_pictures or params.shown < 1:
        return ()
    return (
        sources_gallery(context, params, sources, verdicts),
        *strips(context, params, sources),
        samples_gallery(context, swept, shown),
    )
