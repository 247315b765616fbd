"""Figures of verification: DET, score histograms, fold strip."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from fraudit.analyses.verification.judged import Judged
from fraudit.analyses.verification.measure import Evidence
from fraudit.analyses.verification.params import Params
from fraudit.formatting import fmr_words, number, percent
from fraudit.stats import verification as v
from fraudit.stats.folds import FoldAccuracy
from fraudit.stats.intervals import PairClusters, interval_or_reason
from fraudit.stats.operating import ScoredPairs
from fraudit.types import Figure


def figures(
    evidence: Evidence,
    pairs: ScoredPairs,
    folds: Sequence[FoldAccuracy],
    judged: Sequence[Judged],
    params: Params,
) -> list[Figure]:
    """DET (where both errors occur), score histograms, fold strip."""
    det = _det(evidence, pairs, params.points)
    found = [det] if det else []
    found.append(_histogram(pairs, judged, params.bins, main=det is None))
    if folds:
        found.append(_strip(folds, evidence.protocol or evidence))
    return found


def _det(evidence: Evidence, pairs: ScoredPairs, count: int) -> Figure | None:
    # A genuine pair without a score is rejected at every threshold.
    genuine = np.where(np.isnan(pairs.genuine), -np.inf, pairs.genuine)
    curve = v.thin(v.roc_points(genuine, pairs.impostor), count)
    use = (curve.fmr > 0) & (curve.fmr < 1) & (curve.fnmr > 0) & (curve.fnmr < 1)
    if use.sum() < 2:
        return None
    thresholds, x, y = (part[use][::-1] for part in (curve.thresholds, curve.fmr, curve.fnmr))
    same = pairs.same
    clusters = PairClusters(pairs.left[same], pairs.right[same])
    bands = [interval_or_reason(partial(clusters.rate_interval, genuine < t))[0] for t in thresholds]
    known = [band for band in bands if band is not None]
    n = int((~same & pairs.scored).sum())
    marks = [{"axis": "x", "value": 3 / n, "label": f"rule of three: 3 of {n:,} impostor pairs"}]
    if 30 / n < 0.5:
        marks.append({"axis": "x", "value": 30 / n, "label": "rule of thirty"})
    eer = v.eer(pairs.genuine, pairs.impostor)
    band = (
        "The band is the 95 % interval of FNMR"
        if all(bands)
        else "No band of FNMR: too few people carry the genuine pairs"
    )
    return Figure(
        "verification_det",
        "lines",
        "Detection error trade-off",
        f"Down and to the left is better. {band}; left of the rule of three the impostor pairs cannot resolve the FMR.",
        f"FNMR against FMR of {evidence.name} on probit axes; the errors are equal at {percent(eer.value)}, "
        f"FNMR is {percent(float(y[0]))} at FMR {number(float(x[0]))} and {percent(float(y[-1]))} at FMR "
        f"{number(float(x[-1]))}.",
        {
            "x": {"label": "FMR", "scale": "probit", "percent": True},
            "y": {"label": "FNMR", "scale": "probit", "percent": True},
            "series": [
                {
                    "name": evidence.name,
                    "x": x.tolist(),
                    "y": y.tolist(),
                    "accent": True,
                    "n": len(genuine),
                    "n_unit": "genuine pairs",
                    **(
                        {"low": [b.low or None for b in known], "high": [b.high for b in known]}
                        if len(known) == len(bands)
                        else {}
                    ),
                }
            ],
            "marks": marks,
        },
        main=True,
    )


def _histogram(pairs: ScoredPairs, judged: Sequence[Judged], bins: int, main: bool) -> Figure:
    table = v.score_histogram(pairs.genuine, pairs.impostor, bins)
    g, i = pairs.genuine[~np.isnan(pairs.genuine)], pairs.impostor[~np.isnan(pairs.impostor)]
    marks = [
        {"axis": "x", "value": j.threshold.value, "label": f"FMR {fmr_words(j.target)}"}
        for j in judged
        if j.threshold is not None
    ]
    return Figure(
        "verification_scores",
        "histogram",
        "Scores of genuine and impostor pairs",
        "The less the two outlines overlap, the fewer errors there are at any threshold.",
        f"Similarity of {len(g):,} genuine pairs, mean {number(float(g.mean()), 3)}, and of {len(i):,} impostor "
        f"pairs, mean {number(float(i.mean()), 3)}.",
        {
            "x": {"label": "Similarity", "scale": "linear"},
            "series": [
                {
                    "name": "genuine",
                    "edges": table["edges"],
                    "counts": table["genuine"],
                    "accent": True,
                    "n": len(g),
                    "n_unit": "pairs",
                },
                {
                    "name": "impostor",
                    "edges": table["edges"],
                    "counts": table["impostor"],
                    "n": len(i),
                    "n_unit": "pairs",
                },
            ],
            "marks": marks,
        },
        main=main,
    )


def _strip(folds: Sequence[FoldAccuracy], evidence: Evidence) -> Figure:
    first = folds[0]
    codes = np.unique(np.asarray(evidence.fold), return_inverse=True)[1]
    parts = [codes == k for k in range(len(first.accuracy))]
    clusters = [PairClusters(evidence.left[part], evidence.right[part]) for part in parts]
    rows: list[dict[str, Any]] = []
    for one in folds:
        for k, part in enumerate(parts):
            bounds, _ = interval_or_reason(partial(clusters[k].rate_interval, one.correct[part]))
            rows.append(
                {
                    "label": f"fold {k + 1}",
                    "value": float(one.accuracy[k]),
                    **({"low": bounds.low, "high": bounds.high} if bounds else {}),
                    "n": int(one.counts[k]),
                    **({"group": one.mode} if len(folds) > 1 else {}),
                }
            )
    bare = any("low" not in row for row in rows)
    worst, best = float(first.accuracy.min()), float(first.accuracy.max())
    return Figure(
        "verification_folds",
        "dots",
        "Accuracy of every fold",
        "A fold whose interval does not reach the line is harder than the others by more than chance explains"
        + ("; folds of too few people have no interval." if bare else "."),
        f"{len(first.accuracy)} folds from {percent(worst, 2)} to {percent(best, 2)}, "
        f"all pairs {percent(first.mean, 2)}.",
        {
            "x": {"label": "Accuracy", "scale": "linear", "percent": True},
            "rows": rows,
            "marks": [{"axis": "x", "value": first.mean, "label": "all"}],
        },
    )
