"""Verification of two runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fraudit.analyses.verification.paired import evidence
from fraudit.analyses.verification.printed import points
from fraudit.compare.figures import figure_of
from fraudit.compare.hooks import Comparison
from fraudit.compare.values import Delta, Side
from fraudit.formatting import number, percent
from fraudit.formatting import points as percentage_points
from fraudit.scores import ScoreSet
from fraudit.stats import verification as v
from fraudit.types import F64, Figure

HEADLINES = (
    "verification.accuracy", "verification.eer", "verification.tar@far=", "verification.fnmr@fmr=",
    "verification.fta",
)  # fmt: skip


def figures(sides: Sequence[Side], changes: Sequence[tuple[Side, Sequence[Delta]]]) -> list[Figure]:
    """What changed, every DET curve on one pair of axes, and the histograms of scores."""
    made = [*(forest(new, deltas) for new, deltas in changes), det(sides)]
    return [figure for figure in made if figure is not None] + histograms(sides)


def forest(new: Side, deltas: Sequence[Delta]) -> Figure | None:
    """Differences of the verification rates of one new run: figures that are shares, no thresholds or scores."""
    rows: list[dict[str, Any]] = [
        {
            "label": d.label.split(" (")[0].replace("FNMR at the threshold for FMR", "FNMR at FMR"),
            "value": d.value,
            "low": d.interval.low,
            "high": d.interval.high,
            "accent": d.verdict in ("worse", "better"),
        }
        for d in deltas
        if d.name.startswith(HEADLINES) and d.new.better != "none"
        if not d.group and d.interval is not None and d.value is not None
    ]
    if not rows:
        return None
    shown = [f"{r['label']} {percentage_points(r['value'])}" for r in rows[:6]]
    return Figure(
        f"differences_{new.label}",
        "dots",
        f"What changed in verification with {new.label}",
        "New minus base on the same pairs, in percentage points. An interval that crosses 0 shows no difference.",
        "; ".join(shown) + ".",
        {
            "x": {"label": "new minus base", "scale": "linear", "percent": True, "unit": "points"},
            "rows": rows,
            "marks": [{"axis": "x", "value": 0.0, "label": "no change"}],
        },
        True,
    )


def det(sides: Sequence[Side]) -> Figure | None:
    """The DET curves of all runs on one pair of axes."""
    series, said, n = [], [], 0
    for at, side in enumerate(sides):
        pairs = side.evidence.pairs
        figure = figure_of(side, "verification_det")
        if figure is not None:
            first = dict(figure.data["series"][0])
            first = {"name": side.label, "x": first["x"], "y": first["y"]}
        elif pairs is not None and pairs.same.any():
            x, y = fnmr_curve(pairs)
            first = {"name": side.label, "x": x.tolist(), "y": y.tolist()}
        else:
            continue
        if len(first["x"]) < 2:
            continue
        series.append({**first, "accent": at == len(sides) - 1})
        n = int((~pairs.same).sum()) if pairs is not None and pairs.same.any() else n
        said.append(f"{side.label} FNMR {percent(first['y'][0])} at FMR {number(first['x'][0])}")
    if len(series) < 2:
        return None
    data: dict[str, Any] = {
        "x": {"label": "FMR", "scale": "probit", "percent": True},
        "y": {"label": "FNMR", "scale": "probit", "percent": True},
        "series": series,
    }
    if n:
        data["marks"] = [{"axis": "x", "value": 3 / n, "label": f"rule of three: 3 of {n:,} impostor pairs"}]
    caption = "Down and to the left is better. Left of the rule of three the pairs cannot resolve the FMR."
    return Figure("det", "lines", "Detection error trade-off", caption, "; ".join(said) + ".", data)


def histograms(sides: Sequence[Side]) -> list[Figure]:
    """Score histograms, one small figure a run; scales differ between models, so axes do too."""
    found = []
    for side in sides:
        figure = figure_of(side, "verification_scores")
        if figure is not None:
            found.append(replace(figure, title=f"Scores of {side.label}", caption="", main=False))
    return found if len(found) > 1 else []


def fnmr_curve(pairs: ScoreSet, points: int = 160) -> tuple[F64, F64]:
    """(FMR, FNMR) f64[K] of the pairs where both lie in (0, 1), FMR ascending."""
    genuine = np.where(np.isnan(pairs.score[pairs.same]), -np.inf, pairs.score[pairs.same])
    curve = v.thin(v.roc_points(genuine, pairs.score[~pairs.same]), points)
    use = (curve.fmr > 0) & (curve.fmr < 1) & (curve.fnmr > 0) & (curve.fnmr < 1)
    return curve.fmr[use][::-1], curve.fnmr[use][::-1]


# What a reader asks first: error rates at a threshold in use, then at thresholds of the same pairs.
COMPARISON = Comparison(
    first=("verification.fnmr@", "verification.fmr@", "verification.tar@", "verification.eer", "verification.accuracy"),
    pair_figures=("eer", "auc", "d_prime", "accuracy", "tar@far="),
    rules=(
        "verification.fnmr@fmr=1e-3", "verification.fnmr@fmr=1e-2", "verification.tar@far=1e-3",
        "verification.accuracy",
    ),
    main=True,
    evidence=evidence,
    points=points,
    figures=figures,
)  # fmt: skip
