"""Film strips of the direction analysis; made only where pictures may be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fraudit.analyses.directions.measure import Pictured
from fraudit.analyses.directions.params import Params
from fraudit.analyses.shared.words import judge_name
from fraudit.types import Gallery, GalleryItem, GalleryRow

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

STRIPS = 3


def galleries(context: AnalysisContext, params: Params, pictured: Pictured | None) -> list[Gallery]:
    """Film strips with the measured similarity under each frame; only where pictures may be shown."""
    if pictured is None or not context.show_pictures:
        return []
    made = []
    judges = sorted(pictured.paths, key=lambda p: p.own)
    if judges:
        p, frames = judges[0], judges[0].first.shape[1]
        rows = []
        for n in range(min(STRIPS, len(p.people))):
            items = []
            for f in range(frames):
                lines = tuple(
                    "no vector" if not np.isfinite(v) else f"{'first' if s == 0 else 'second'} {v:.2f}"
                    for s, v in enumerate((p.first[n, f], p.second[n, f]))
                )
                name = context.save_picture(pictured.path_pictures[n * frames + f])
                items.append(GalleryItem(name, f"frame {f + 1} of {frames}: {', '.join(lines)}", lines))
            rows.append(GalleryRow(f"pair {n + 1}", tuple(items)))
        text = (
            f"From one person's vector to another's (slerp). Cosine to both by {judge_name(p.judge, p.own)}."
        )
        made.append(Gallery("directions_paths", "Between two people", text, tuple(rows)))
    ranked = sorted(pictured.walks, key=lambda w: w.own)
    rows, gaps = [], None
    for name, pictures in pictured.strips.items():
        w = next(x for x in ranked if x.direction == name)
        gaps = w.gaps
        items = []
        for at, gap in enumerate(w.gaps):
            value = w.source[0, at]
            line = f"{value:.2f}" if np.isfinite(value) else "no vector"
            alt = f"{gap:g} gaps along {name}: cosine to the source {line}"
            items.append(GalleryItem(context.save_picture(pictures[at]), alt, (line,)))
        rows.append(GalleryRow(name, tuple(items)))
    if rows and gaps is not None:
        text = (
            "One face moved towards the other group of each attribute. Under each: cosine to the source by "
            f"{judge_name(ranked[0].judge, ranked[0].own)}."
        )
        columns = tuple(f"{g:g} gaps" for g in gaps)
        made.append(Gallery("directions_walks", "Along directions", text, tuple(rows), columns))
    return made
