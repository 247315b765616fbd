"""Figures of the compression analysis."""

from __future__ import annotations

from typing import Any

import numpy as np

from fraudit.analyses.compression.measure import Measured
from fraudit.analyses.compression.report import safe, tar_name
from fraudit.formatting import group_words, percent
from fraudit.stats.pca import CODES
from fraudit.types import Figure, Interval


def _series(
    name: str, panel: str, points: list[tuple[int, float, Interval | None]], accent: bool = False
) -> dict[str, Any]:
    return {
        "name": name,
        "panel": panel,
        "accent": accent,
        "points": True,
        "x": [p[0] for p in points],
        "y": [p[1] for p in points],
        "low": [p[2].low if p[2] else None for p in points],
        "high": [p[2].high if p[2] else None for p in points],
    }


def figures(m: Measured) -> tuple[Figure, ...]:
    """Accuracy, leaks and gaps against d; TAR against bytes; the scree."""
    axis_d = {"label": "axes kept", "scale": "log"}
    share = {"label": "share", "scale": "linear", "percent": True}
    series = []
    if m.losses:
        for label, suffix, accent in (("PCA", "", True), ("PCA + int8", "-int8", False)):
            curve = [(d, *m.losses[f"pca-{d}{suffix}"].tar) for d in m.dims]
            series.append(_series(label, tar_name(m), curve, accent))
        accuracy = [(d, *m.losses[f"pca-{d}"].accuracy) for d in m.dims]
        series.append(_series("PCA", "accuracy", accuracy, True))
    for leak in m.leaks:
        series.append(_series(leak.attribute, "AUC of attributes", [(d, *v) for d, v in leak.auc.items()]))
    if m.gaps:
        said = group_words(m.gaps.fnmr)
        for group, by in m.gaps.fnmr.items():
            series.append(
                _series(said[group], "FNMR by group", [(d, rate, i) for d, (rate, i, _) in by.items()])
            )
    found = []
    if series:
        d = safe(m)
        marks = [{"axis": "x", "value": d, "label": f"d = {d}"}] if d else []
        alt = f"Verification, readable attributes and group rates against the axes kept, of {m.dim}."
        if m.losses:
            at = min(16, m.dim)
            alt += f" {tar_name(m)} is {percent(m.losses['float32'].tar[0])} in full and "
            alt += f"{percent(m.losses[f'pca-{at}'].tar[0])} with {at} axes." if at in m.dims else "as drawn."
        data = {"x": axis_d, "y": share, "series": series, "marks": marks}
        data["panels"] = {
            "AUC of attributes": {"y": {"label": "AUC", "scale": "linear", "range": [0.4, 1.0]}}
        }
        caption = (
            "Axes and probes are fitted on other people than they are judged on; "
            "vertical lines are 95 % intervals."
        )
        found.append(
            Figure("compression_sweep", "lines", "What is left with d axes", caption, alt, data, True)
        )
    if m.losses:
        groups = (
            ("PCA, float32", [f"pca-{d}" for d in m.dims]),
            ("PCA + int8", [f"pca-{d}-int8" for d in m.dims]),
            ("all axes: " + ", ".join(CODES), ["binary", "int8", "float16"]),
        )
        lines = []
        for label, names in groups:
            curve = [(m.variants[n].size_bytes, *m.losses[n].tar) for n in names]
            lines.append(_series(label, "", curve, label == "PCA + int8"))
        data = {
            "x": {"label": "bytes a template", "scale": "log"},
            "y": {**share, "label": tar_name(m)},
            "series": lines,
        }
        full = m.variants["float32"].size_bytes
        alt = f"{tar_name(m)} against the size of a template; the full one takes {full} bytes."
        caption = "Up and to the left is better: fewer bytes for the same rate."
        found.append(Figure("compression_bytes", "lines", "Bytes a template", caption, alt, data))
    explained = np.cumsum(m.spectrum.variances) / m.spectrum.variances.sum()
    axes = np.arange(1, m.dim + 1)
    scree = {
        "x": axis_d,
        "y": share,
        "series": [{"name": "cumulative", "x": axes.tolist(), "y": explained.tolist(), "accent": True}],
        "marks": [
            {"axis": "x", "value": v, "label": f"{percent(k, 0)}: {v}"}
            for k, (v, _) in m.spectrum.dims.items()
        ],
    }
    half = m.spectrum.dims[0.95][0]
    alt = f"Cumulative variance of the principal axes: {half} of {m.dim} axes hold 95 %."
    caption = f"Unit vectors of {m.spectrum.n:,} faces of {m.spectrum.people:,} people."
    found.append(Figure("compression_scree", "lines", "Variance held by the first axes", caption, alt, scree))
    return tuple(found)
