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
        "New minus base on the same pairs, in percentage points, with 95 % intervals, each for its figure alone. "
        + _rule(deltas),
        "; ".join(shown) + ".",
        {
            "x": {"label": "new minus base", "scale": "linear", "percent": True, "unit": "points"},
            "rows": rows,
            "marks": [{"axis": "x", "value": 0.0, "label": "no change"}],
        },
        True,
    )


def _rule(deltas: Sequence[Delta]) -> str:
    """By which rule differences are told from none; as `fraudit.compare.deltas.judged_together` judges."""
    same = next((d for d in deltas if d.how == "same model"), None)
    if same is not None:
        return "Both runs are of numerically the same model, so that none is a difference."
    return (
        "Where one crosses 0 no difference is shown; where it does not, the figure counts as better or worse, and is "
        "drawn in colour, only if it also passes the correction for all the differences that were tested together "
        "(Holm)."
    )


def det(sides: Sequence[Side]) -> Figure | None:
    """The DET curves of all runs on one pair of axes."""
    series: list[dict[str, Any]] = []
    said: list[str] = []
    limits: dict[int, None] = {}
    for at, side in enumerate(sides):
        curve = _curve_of(side)
        if curve is None:
            continue
        x, y, n = curve
        use = np.asarray(x) >= 3 / n  # what is left of it these pairs cannot give
        if use.sum() < 2:
            continue
        x, y = x[use], y[use]
        limits[n] = None
        series.append({"name": side.label, "x": x.tolist(), "y": y.tolist(), "accent": at == len(sides) - 1})
        said.append(f"{side.label} FNMR {percent(float(y[0]))} at FMR {number(float(x[0]))}")
    if len(series) < 2:
        return None
    marks = [
        {"axis": "x", "value": 3 / n, "label": f"rule of three: 3 of {n:,} impostor pairs"} for n in limits
    ]
    data: dict[str, Any] = {
        "x": {"label": "FMR", "scale": "probit", "percent": True},
        "y": {"label": "FNMR", "scale": "probit", "percent": True},
        "series": series,
        "marks": marks,
    }
    caption = (
        "Down and to the left is better. Curves end at the rule of three, as the pairs resolve no lower FMR."
    )
    return Figure("det", "lines", "Detection error trade-off", caption, "; ".join(said) + ".", data)


def _curve_of(side: Side) -> tuple[F64, F64, int] | None:
    """(FMR, FNMR) f64[K] and the impostor pairs they are of: of the side's own chart, else of its scored pairs."""
    figure = figure_of(side, "verification_det")
    marks = (figure.data.get("marks") or []) if figure is not None else []
    three = next((m["value"] for m in marks if str(m["label"]).startswith("rule of three")), None)
    if figure is not None and three:
        first = figure.data["series"][0]
        return np.asarray(first["x"], np.float64), np.asarray(first["y"], np.float64), round(3 / three)
    pairs = side.evidence.pairs
    if pairs is None or not pairs.same.any() or pairs.same.all():
        return None
    x, y = fnmr_curve(pairs)
    impostor = pairs.score[~pairs.same]
    return x, y, int((~np.isnan(impostor)).sum()) or len(impostor)


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
