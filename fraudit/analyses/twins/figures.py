"""Charts of the twins analysis, as data: docs/figures.md says what each kind takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from fraudit.analyses.twins.measure import Measured
from fraudit.formatting import fmr_words, number, percent
from fraudit.types import Figure

_SHORT = {"kept": "new, old threshold", "mixed": "old against new, old threshold",
          "own": "new, own threshold", "mixed_own": "old against new, own threshold"}  # fmt: skip


def figures(m: Measured) -> tuple[Figure, ...]:
    """Cosines of the same face beside those of mates and strangers; FNMR by what decides."""
    return (*([_cosines(m)] if m.cosines is not None else []), _fnmr(m))


def _cosines(m: Measured) -> Figure:
    assert m.cosines is not None
    parts = [
        ("same face, old and new", m.cosines.cosines, True),
        ("mates, old and new", m.mates[1], False),
        ("mates, old", m.mates[0], False),
        ("strangers, old and new", m.strangers[0], False),
        ("strangers, old", m.own_strangers, False),
    ]
    low = min(-0.2, *(float(v.min()) for _, v, _ in parts if len(v)))
    edges = np.linspace(max(-1.0, low), 1.0, 81)
    series: list[dict[str, Any]] = []
    for name, values, accent in parts:
        counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
        series.append({"name": name, "edges": edges.tolist(), "counts": counts.tolist(), "accent": accent})
    at = m.points[-1].cut
    marks = [{"axis": "x", "value": at.first, "label": f"old threshold, FMR {fmr_words(at.target)}"}]
    median = float(np.median(m.cosines.cosines))
    apart = [number(float(np.median(v)), 3) for v in (m.strangers[0], m.own_strangers)]
    alt = (
        f"The same face has a median cosine of {number(median, 4)} under both models; strangers across the models "
        f"{apart[0]}, within the old one {apart[1]}."
    )
    return Figure(
        "twins_cosines",
        "histogram",
        "The same face under both models",
        "Old templates can be searched with the new model where mates across the models lie as those of the old one.",
        alt,
        {"x": {"label": "cosine", "scale": "linear"}, "series": series, "marks": marks},
        main=True,
    )


def _fnmr(m: Measured) -> Figure:
    rows: list[dict[str, Any]] = []
    for p in m.points:
        group = f"FMR {fmr_words(p.cut.target)}"
        for c in (c for c in p.changes if c.rate == "fnmr"):
            ends = c.usual.interval if c.usual is not None else None
            rows.append(
                {
                    "label": _SHORT[c.way],
                    "group": group,
                    "value": c.second - c.first,
                    "low": ends.low if ends else None,
                    "high": ends.high if ends else None,
                    "n": c.n,
                }
            )
    said = "; ".join(f"{r['group']}, {r['label']}: {percent(r['value'])}" for r in rows)
    return Figure(
        "twins_fnmr",
        "dots",
        "Change of FNMR against the old model",
        "Paired 95 % intervals; the line is the largest rise that counts as none.",
        said + ".",
        {
            "x": {"label": "new less old FNMR", "scale": "linear", "percent": True, "unit": "points"},
            "rows": rows,
            "marks": [{"axis": "x", "value": m.lost.limit, "label": "limit"}],
        },
        main=m.cosines is None,
    )
