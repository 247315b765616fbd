"""Charts and the contact sheet of the comparison of inversion methods, as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.analyses.rivals.measure import Found, Judged
from fraudit.analyses.rivals.params import NAME, Params
from fraudit.analyses.rivals.report import independent
from fraudit.analyses.shared.counted import chart_curve, chart_interval
from fraudit.analyses.shared.words import judge_key, judge_name, slug
from fraudit.formatting import fmr_words, percent
from fraudit.types import Figure, Gallery, GalleryItem, GalleryRow

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def figures(found: Found) -> tuple[Figure, ...]:
    """Success of every method by every judge, and success against questions."""
    return tuple(f for f in (_dots(found), *_curves(found), *_variants(found)) if f is not None)


def _dots(found: Found) -> Figure | None:
    rows: list[dict[str, Any]] = []
    for place, real in enumerate(found.real.judged):
        for m in (found.real, *found.methods):
            j = m.judged[place]
            p = j.points[0]
            if p.one is None:
                continue
            name = f"{m.made.name}{' (kin)' if j.kin else ''}"
            rows.append(
                {
                    "label": name,
                    "value": p.one.value,
                    "n": p.one.n,
                    "group": judge_name(real.judge, real.own),
                    **chart_interval(p.one.interval),
                }
            )
    if not rows:
        return None
    at = fmr_words(found.real.judged[0].points[0].fmr)
    words = ", ".join(f"{r['label']} {percent(r['value'])}" for r in rows)
    return Figure(
        f"{NAME}.success",
        "dots",
        f"Success of every method at FMR {at}",
        "Share of pictures that match their source. Bars: 95 % interval, clustered by people.",
        f"Success of type I at FMR {at}: {words}.",
        {"x": {"label": f"success, type I, FMR {at}", "scale": "linear", "percent": True}, "rows": rows},
        main=True,
    )


def _curves(found: Found) -> list[Figure]:
    drawn = []
    for place, real in enumerate(found.real.judged):
        series: list[dict[str, Any]] = []
        for m in found.methods:
            j: Judged = m.judged[place]
            p = j.points[0]
            if len(m.made.asked) and p.curve:
                curve = chart_curve(p.curve)
                series.append(
                    {"name": m.made.name, "x": [int(x) for x in m.made.asked], "points": True, **curve}
                )
            elif p.one is not None:
                series.append({"name": m.made.name, "points": True, "x": [1], **chart_curve([p.one])})
        if not any(len(s["x"]) > 1 for s in series):
            continue
        name, at = judge_name(real.judge, real.own), fmr_words(real.points[0].fmr)
        ends = ", ".join(f"{s['name']} {percent(s['y'][-1])} after {s['x'][-1]:,}" for s in series)
        drawn.append(
            Figure(
                f"{NAME}.curve_{judge_key(real.judge, real.own)}",
                "lines",
                f"Success against questions, by {name}",
                "Trained methods ask nothing while they work and stand at 1. Shared pools are not counted.",
                f"Success of type I at FMR {at}: {ends}.",
                {
                    "x": {"label": "questions a picture", "scale": "log"},
                    "y": {"label": f"success, type I, FMR {at}", "scale": "linear", "percent": True},
                    "series": series,
                },
            )
        )
    return drawn


def _variants(found: Found) -> list[Figure]:
    """Success of an attack under other conditions, such as coarser scores, by every judge."""
    drawn = []
    for m in found.methods:
        rows: list[dict[str, Any]] = []
        for j in m.judged:
            p = j.points[0]
            if p.one is None or not p.varied:
                continue
            for label, e in zip(("as they are", *m.made.variants), (p.one, *p.varied), strict=True):
                group = judge_name(j.judge, j.own) + (" (kin)" if j.kin else "")
                rows.append(
                    {"label": label, "value": e.value, "n": e.n, "group": group, **chart_interval(e.interval)}
                )
        if rows:
            at = fmr_words(m.judged[0].points[0].fmr)
            drawn.append(
                Figure(
                    f"{NAME}.{slug(m.made.name)}_variants",
                    "dots",
                    f"What coarser scores take from {m.made.name}",
                    "The remedy of whoever answers with scores: the same attack on rounded ones.",
                    f"Success at FMR {at}: "
                    + ", ".join(f"{r['label']} {percent(r['value'])}" for r in rows)
                    + ".",
                    {
                        "x": {"label": f"success, type I, FMR {at}", "scale": "linear", "percent": True},
                        "rows": rows,
                    },
                )
            )
    return drawn


def galleries(context: AnalysisContext, params: Params, found: Found) -> tuple[Gallery, ...]:
    """The contact sheet: one row a method, the same people in every row; none where pictures may not be shown."""
    if not context.show_pictures or params.shown < 1:
        return ()
    count = min(params.shown, len(found.rows))
    chosen = np.sort(context.rng("rivals/sheet").choice(len(found.rows), count, replace=False))
    top = [
        GalleryItem(context.save_picture(found.sources[i]), f"source face {n + 1} of {count}")
        for n, i in enumerate(chosen)
    ]
    rows = [GalleryRow("source", tuple(top))]
    for m in found.methods:
        judged = independent(m) or m.judged[0]
        items = []
        for n, i in enumerate(chosen):
            value = judged.cosines[i, 0]
            line = f"{value:.2f}" if np.isfinite(value) else "no vector"
            alt = f"{m.made.name}, person {n + 1}: cosine to the source {line}"
            items.append(GalleryItem(context.save_picture(m.made.pictures[i * found.samples]), alt, (line,)))
        rows.append(GalleryRow(m.made.name, tuple(items)))
    caption = (
        "One row a method, one column a person; under each picture its cosine to the source by the independent judge "
        "(the audited model where there is none). A seeded choice of people, the first sample of each."
    )
    return (Gallery(f"{NAME}_sheet", "What every method makes of the same vectors", caption, tuple(rows)),)
