"""Figures of the direction analysis, from counted rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fraudit.analyses.directions.measure import Path, Pictured, Reach, Walk, half_way
from fraudit.analyses.directions.report import significant
from fraudit.analyses.shared.counted import chart_curve, chart_interval, mean_or_none
from fraudit.analyses.shared.words import judge_name
from fraudit.formatting import percent
from fraudit.stats.directions import Study
from fraudit.types import F64, Figure


def _cells(values: F64) -> list[list[float | None]]:
    return [[float(v) if np.isfinite(v) else None for v in row] for row in values]


def _matrix(study: Study) -> Figure:
    names = [d.contrast.name for d in study.directions]
    m = len(names)
    pairs = significant(study)
    top = "; ".join(f"{names[a]} and {names[b]} {study.cosines[a, b]:.2f}" for a, b in pairs[:5])
    return Figure(
        "directions_cosines",
        "heatmap",
        "Cosines of the directions",
        "Freed of the noise of a sample of people; empty where one of the two is not shown to exist. Attributes "
        "that share a direction cannot be changed one without the other.",
        f"Largest: {top}." if top else f"No two of {m} directions are shown not to be orthogonal.",
        {
            "rows": names,
            "columns": names,
            "values": _cells(study.cosines),
            "low": _cells(study.low),
            "high": _cells(study.high),
            "unit": "",
            "scale": "diverging",
        },
        main=bool(np.isfinite(study.cosines).sum() > 1),
    )


def _stability(study: Study) -> Figure:
    rows = [
        {
            "label": d.contrast.name,
            "value": d.stability,
            **chart_interval(d.stability_interval),
            "n": d.count,
            "accent": d.exists,
        }
        for d in sorted(study.directions, key=lambda d: -d.stability)
    ]
    return Figure(
        "directions_stability",
        "dots",
        "Is a direction found again on other people?",
        "Cosine to expect between the directions of two halves of the people. Near 1 the direction is a property "
        "of the model; near 0 it is noise. Emphasised: directions that unrelated labels would not have (Holm 5 %).",
        "; ".join(f"{r['label']} {r['value']:.2f}" for r in rows),
        {"x": {"label": "cosine between halves", "scale": "linear"}, "rows": rows},
        main=not np.isfinite(study.cosines).sum() > 1,
    )


def _kept(reaches: Sequence[Reach]) -> Figure:
    rows: list[dict[str, Any]] = [
        {
            "label": r.direction,
            "value": r.kept.value,
            **chart_interval(r.kept.interval),
            "n": r.kept.n,
        }
        for r in sorted(reaches, key=lambda r: r.kept.value)
    ]
    return Figure(
        "directions_kept",
        "dots",
        "Still the same person after the whole gap?",
        "Share of vectors that match themselves when moved towards the other group by the distance between the "
        "two. A high share: the attribute hardly separates people for this model.",
        "; ".join(f"{r['label']} {percent(r['value'])}" for r in rows),
        {"x": {"label": "kept", "scale": "linear", "percent": True, "range": [0, 1]}, "rows": rows},
    )


def _walks(walks: Sequence[Walk]) -> Figure:
    series, marks = [], {}
    for w in walks:
        means = [mean_or_none(w.source[:, at], w.people) for at in range(len(w.gaps))]
        panel = judge_name(w.judge, w.own)
        series.append(
            {
                "name": w.direction,
                "panel": panel,
                "points": True,
                "x": w.gaps.tolist(),
                **chart_curve(means),
            }
        )
        if not w.threshold.missing:
            marks[panel] = {"axis": "y", "value": w.threshold.value, "label": "threshold", "panel": panel}
    words = [
        f"{s['name']} by {s['panel']}: {s['y'][0]:.2f} to {s['y'][-1]:.2f}"
        for s in series
        if s["y"][0] is not None and s["y"][-1] is not None
    ]
    return Figure(
        "directions_walks",
        "lines",
        "Pictures along a direction, shown to every judge",
        "Mean cosine of the picture to the real source, against the distance moved. Below the line the picture "
        "shows another person. At 0 only the inverter's own loss is seen.",
        "; ".join(words),
        {
            "x": {"label": "gaps moved towards the other group", "scale": "linear"},
            "y": {"label": "cosine to the source", "scale": "linear"},
            "series": series,
            "marks": list(marks.values()),
        },
    )


def _paths(paths: Sequence[Path]) -> Figure:
    frames = paths[0].first.shape[1]
    x = [float(f) for f in range(1, frames + 1)]
    series, marks, words = [], {}, []

    def add(name: str, panel: str, values: F64, people: Any) -> None:
        means = [mean_or_none(values[:, f], people) for f in range(frames)]
        series.append(
            {
                "name": name,
                "panel": panel,
                "points": True,
                "x": x,
                **chart_curve(means),
            }
        )

    for p in paths:
        panel = judge_name(p.judge, p.own)
        add("to the first person", panel, p.first, p.people[:, 0])
        add("to the second person", panel, p.second, p.people[:, 0])
        if not p.threshold.missing:
            marks[panel] = {"axis": "y", "value": p.threshold.value, "label": "threshold", "panel": panel}
        share = half_way(p)
        matched = f"{percent(share.value)} of middle frames match both" if share else "no threshold"
        words.append(f"{panel}: {matched}")
    return Figure(
        "directions_paths",
        "lines",
        "Slerp paths between two people",
        f"Mean cosine of each frame's picture to the two people of {len(paths[0].people)} pairs. Where both curves "
        "lie above the line one picture passes as two people.",
        "; ".join(words),
        {
            "x": {"label": "frame, from the first to the second person", "scale": "linear"},
            "y": {"label": "cosine", "scale": "linear"},
            "series": series,
            "marks": list(marks.values()),
        },
    )


def _axes(study: Study) -> Figure:
    names = [d.contrast.name for d in study.directions]
    count = max(c.axis for c in study.axes)
    cell = {(c.contrast, c.axis): c for c in study.axes}
    share = [next(c.share for c in study.axes if c.axis == a) for a in range(1, count + 1)]
    top = max(study.axes, key=lambda c: abs(c.r))

    def grid(pick: Any) -> list[list[float | None]]:
        return [[pick(cell[n, a]) for a in range(1, count + 1)] for n in names]

    return Figure(
        "directions_axes",
        "heatmap",
        "Principal axes and attributes",
        "Correlation r of the position on each axis of largest variance with each attribute's two groups, over "
        "people's mean faces; within people where the attribute varies there.",
        f"Largest: axis {top.axis} with {top.contrast}, r {top.r:.2f}.",
        {
            "rows": names,
            "columns": [f"axis {a + 1} ({percent(s)})" for a, s in enumerate(share)],
            "values": grid(lambda c: c.r),
            "low": grid(lambda c: chart_interval(c.interval)["low"]),
            "high": grid(lambda c: chart_interval(c.interval)["high"]),
            "unit": "",
            "scale": "diverging",
        },
    )


def figures(study: Study, reaches: Sequence[Reach], pictured: Pictured | None) -> list[Figure]:
    """Matrix, stability, reach, axes; walks and paths where pictures were made."""
    drawn = [_matrix(study)] if len(study.directions) > 1 else []
    drawn += [_stability(study)]
    drawn += [_kept(reaches)] if reaches else []
    drawn += [_axes(study)]
    if pictured and pictured.walks:
        drawn.append(_walks(pictured.walks))
    if pictured and pictured.paths:
        drawn.append(_paths(pictured.paths))
    return drawn
