"""Metrics of verification over scored pairs: each with n and interval, or the reason it is missing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from fraudit.analyses.verification.judged import metric, share
from fraudit.analyses.verification.measure import Evidence, Points
from fraudit.errors import InsufficientData
from fraudit.formatting import fmr_words
from fraudit.stats import verification as v
from fraudit.stats.estimates import Estimate, estimated
from fraudit.stats.folds import FoldAccuracy
from fraudit.stats.intervals import PairClusters, interval_or_reason
from fraudit.stats.operating import ScoredPairs
from fraudit.stats.thresholds import eer_threshold_interval
from fraudit.types import Better, Interval, Metric

SPREAD = "spread of the folds, not an estimate"


def fold_metrics(folds: tuple[FoldAccuracy, ...], clusters: PairClusters, missing: str) -> list[Metric]:
    """Accuracy and its spread over folds of every mode, or why there are none."""
    if not folds:
        return [
            Metric(name, None, missing=missing, label=label)
            for name, label in (
                ("verification.accuracy", "Accuracy over the folds"),
                ("verification.accuracy_std", "Standard deviation over the folds"),
            )
        ]
    found = []
    for at, one in enumerate(folds):
        suffix = "" if at == 0 else f".{one.mode}"
        how = "" if len(folds) == 1 else f", {one.mode}"
        n, k = int(one.counts.sum()), len(one.accuracy)
        interval, why = interval_or_reason(partial(clusters.rate_interval, one.correct))
        found += [
            Metric(
                f"verification.accuracy{suffix}",
                one.mean,
                n=n,
                n_unit="pairs",
                interval=interval,
                interval_missing=why,
                better="higher",
                label=f"Accuracy over {k} folds{how}",
            ),
            Metric(
                f"verification.accuracy_std{suffix}",
                one.std,
                n=k,
                n_unit="folds",
                better="none",
                interval_missing=SPREAD,
                label=f"Accuracy, standard deviation of {k} folds{how}",
            ),
        ]
    return found


def curve_metrics(pairs: ScoredPairs) -> list[Metric]:
    """EER with its threshold, AUC and d'."""
    n = int(pairs.scored.sum())
    eer = v.eer(pairs.genuine, pairs.impostor)

    def shown(value: float, make: Callable[[], Interval]) -> Estimate:
        return estimated(value, make)

    rows: list[tuple[str, Estimate, Better, str]] = [
        ("eer", shown(eer.value, lambda: pairs.eer()[1]), "lower", "Equal error rate"),
        (
            "eer_threshold",
            shown(eer.threshold, lambda: eer_threshold_interval(pairs, eer)),
            "none",
            "Threshold of the EER",
        ),
        (
            "auc",
            shown(v.auc(pairs.genuine, pairs.impostor), lambda: pairs.auc()[1]),
            "higher",
            "Area under the ROC",
        ),
    ]
    found = [
        metric(f"verification.{name}", s, "", n, "pairs", text, better) for name, s, better, text in rows
    ]
    text = "d' of genuine and impostor scores"
    try:
        d_prime: Estimate | None = shown(v.d_prime(pairs.genuine, pairs.impostor), lambda: pairs.d_prime()[1])
        missing = ""
    except InsufficientData as error:
        d_prime, missing = None, error.message
    return [*found, metric("verification.d_prime", d_prime, missing, n, "pairs", text, "higher")]


def point_metrics(points: Points) -> list[Metric]:
    """TAR at every FAR."""
    found = []
    for point, interval, why in points:
        shown = Estimate(point.tar_all, interval, reason=why) if point.resolvable else None
        name, label = f"verification.tar@far={fmr_words(point.far)}", f"TAR at FAR {fmr_words(point.far)}"
        found.append(metric(name, shown, why, point.n_genuine_all, "genuine pairs", label, "higher"))
    return found


def missing_metrics(evidence: Evidence) -> list[Metric]:
    """Shares of pairs without a score."""
    found = []
    for kind, part in (("genuine", evidence.same), ("impostor", ~evidence.same)):
        lost = np.isnan(evidence.scores[part])
        shown = share(lost, evidence.left[part], evidence.right[part])
        name, label = f"verification.unscored.{kind}", f"{kind.capitalize()} pairs without a score"
        found.append(metric(name, shown, "", len(lost), f"{kind} pairs", label, "lower"))
    return found
