"""What verification measures on scored pairs: with a model at hand, or on a foreign score file alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fraudit.analyses import verification_words as words
from fraudit.analyses.verification_figures import figures as draw
from fraudit.errors import DataError, InsufficientData
from fraudit.stats import verification as v
from fraudit.stats.folds import FoldAccuracy, fold_accuracy, ten_folds
from fraudit.stats.intervals import PairClusters, clustered_rate
from fraudit.stats.operating import ScoredPairs, all_pairs_fmr
from fraudit.stats.pairs import pair_cosines
from fraudit.types import F64, I64, AnalysisResult, Bool, Interval, Metric

if TYPE_CHECKING:
    from fraudit.analyses.verification import Params
    from fraudit.context import AnalysisContext


@dataclass(frozen=True, slots=True)
class Evidence:
    """Scored pairs: f64[P] scores (NaN: no vector), bool[P] same, i64[P] people of both sides, i64[P] folds.

    `people_known` is False where people were inferred from genuine pairs; `fold` is None without folds.
    """

    name: str
    scores: F64
    same: Bool
    left: I64
    right: I64
    fold: I64 | None
    people_known: bool = True


@dataclass(frozen=True, slots=True)
class Judged:
    """Error rates at a threshold that was chosen on other people.

    Attributes:
        target: FMR. threshold: similarity, or None with the reason in `missing`. provenance: how it was chosen.
        rates: over the judged genuine pairs. fnmr_interval: of rates.fnmr.
        fmr, n_impostor, fmr_interval: over all pairs of judged people.
    """

    target: float
    threshold: float | None = None
    provenance: str = ""
    missing: str = ""
    rates: v.Rates | None = None
    fnmr_interval: Interval | None = None
    fmr: float | None = None
    n_impostor: int = 0
    fmr_interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class Extra:
    """What only a model can give: further fold modes, judged thresholds, failures to acquire over faces."""

    folds: tuple[FoldAccuracy, ...] = ()
    judged: tuple[Judged, ...] = ()
    metrics: tuple[Metric, ...] = ()
    faces: int | None = None
    reasons: tuple[tuple[str, int], ...] = field(default_factory=tuple)


def judge(context: AnalysisContext, params: Params, evidence: Evidence) -> Extra:
    """Everything of `Extra`, from the context's embeddings."""
    embeddings = context.embeddings()
    lost = ~embeddings.ok
    subjects = context.faces.subjects
    fta = Metric(
        "verification.fta",
        float(lost.mean()),
        n=len(lost),
        n_unit="faces",
        interval=clustered_rate(lost, subjects, subjects),
        better="lower",
        label="Faces without a vector (failure to acquire)",
    )
    counts: dict[str, int] = {}
    for reason in embeddings.reasons:
        if reason:
            counts[reason] = counts.get(reason, 0) + 1
    return Extra(
        tuple(_mirrored_folds(context, mode) for mode in params.modes if mode != "exact"),
        tuple(_judged(context, fmr) for fmr in params.fmrs),
        (fta,),
        len(lost),
        tuple(sorted(counts.items(), key=lambda item: -item[1])),
    )


def _mirrored_folds(context: AnalysisContext, mode: str) -> FoldAccuracy:
    both = context.embeddings(flip="concat")
    dim = context.embedder.spec.dim
    if both.vectors.shape[1] != 2 * dim:
        raise DataError(f"mirrored vectors: expected {2 * dim} numbers a face, found {both.vectors.shape[1]}")
    return ten_folds(mode, both.vectors[:, :dim], context.pairs(), both.vectors[:, dim:], both.ok)  # type: ignore[arg-type]


def _judged(context: AnalysisContext, target: float) -> Judged:
    try:
        threshold = context.threshold(target)
    except InsufficientData as error:
        return Judged(target, missing=error.message)
    if not threshold.resolvable:
        return Judged(
            target, missing=words.unresolved(target, threshold.n_impostor, "calibration impostor pairs")
        )
    embeddings, subjects = context.embeddings(), context.faces.subjects
    unit = embeddings.unit()
    others = ~context.calibration_mask()
    try:
        fmr, n_impostor, fmr_interval = all_pairs_fmr(
            unit[others], subjects[others], threshold.value, embeddings.ok[others]
        )
    except InsufficientData as error:
        return Judged(target, threshold.value, threshold.provenance, error.message)
    pairs = context.judged_pairs()
    scores = pair_cosines(unit, pairs.left, pairs.right, embeddings.ok)
    rates = v.rates_at(scores, pairs.same, threshold.value)
    interval = None
    if rates.fnmr is not None:
        genuine = pairs.same
        people = subjects[pairs.left[genuine]]
        interval = clustered_rate(~(scores[genuine] >= threshold.value), people, people)
    return Judged(
        target,
        threshold.value,
        threshold.provenance,
        "" if rates.fnmr is not None else "no genuine pair lies outside the calibration people",
        rates,
        interval,
        fmr,
        n_impostor,
        fmr_interval,
    )


def result_of(evidence: Evidence, params: Params, extra: Extra | None = None) -> AnalysisResult:
    """The section on scored pairs, with what a model adds where there is one.

    Raises:
        InsufficientData: no genuine or no impostor pair has a score.
    """
    given = extra or Extra()
    pairs = ScoredPairs(evidence.scores, evidence.same, evidence.left, evidence.right)
    folds: tuple[FoldAccuracy, ...] = ()
    folds_missing = "" if evidence.fold is not None else "the scores come without folds"
    if evidence.fold is not None:
        try:
            exact = fold_accuracy(evidence.scores, evidence.same, evidence.fold)
            folds = (exact, *given.folds)
        except InsufficientData as error:
            folds_missing = error.message
    points = [pairs.tar_at_far(far) for far in params.fars]
    metrics = [
        *_fold_metrics(folds, pairs.clusters, folds_missing),
        *_curve_metrics(pairs),
        *_point_metrics(points),
        *[m for judged in given.judged for m in _judged_metrics(judged)],
        *given.metrics,
        *_missing_metrics(evidence),
    ]
    figures = draw(evidence, pairs, folds, given.judged, params)
    tables = words.tables(points, folds, given.judged)
    findings = words.findings(metrics, points, folds, given, pairs)
    return AnalysisResult(
        name="verification",
        title="Verification",
        headline=words.headline(metrics),
        findings=tuple(findings),
        metrics=tuple(metrics),
        tables=tuple(tables),
        figures=tuple(figures),
        caveats=tuple(words.caveats(evidence, points, figures)),
        method=words.method(folds, given.judged),
        faces=given.faces,
    )


def _fold_metrics(folds: tuple[FoldAccuracy, ...], clusters: PairClusters, missing: str) -> list[Metric]:
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
        n = int(one.counts.sum())
        found += [
            Metric(
                f"verification.accuracy{suffix}", one.mean, n=n, n_unit="pairs",
                interval=clusters.rate_interval(one.correct), better="higher",
                label=f"Accuracy, mean of {len(one.accuracy)} folds{how}",
            ),
            Metric(
                f"verification.accuracy_std{suffix}", one.std, n=len(one.accuracy), n_unit="folds", better="none",
                label=f"Accuracy, standard deviation of {len(one.accuracy)} folds{how}",
            ),
        ]  # fmt: skip
    return found


def _curve_metrics(pairs: ScoredPairs) -> list[Metric]:
    n = int(pairs.scored.sum())
    eer, eer_interval = pairs.eer()
    auc, auc_interval = pairs.auc()
    found = [
        Metric(
            "verification.eer", eer.value, n=n, n_unit="pairs", interval=eer_interval, better="lower",
            label="Equal error rate",
        ),
        Metric(
            "verification.eer_threshold", eer.threshold, n=n, n_unit="pairs", label="Threshold of the EER",
        ),
        Metric(
            "verification.auc", auc, n=n, n_unit="pairs", interval=auc_interval, better="higher",
            label="Area under the ROC",
        ),
    ]  # fmt: skip
    try:
        d_prime, interval = pairs.d_prime()
        found.append(
            Metric(
                "verification.d_prime", d_prime, n=n, n_unit="pairs", interval=interval, better="higher",
                label="d' of genuine and impostor scores",
            )
        )  # fmt: skip
    except InsufficientData as error:
        found.append(Metric("verification.d_prime", None, missing=error.message, better="higher", label="d'"))
    return found


def _point_metrics(points: list[tuple[v.OperatingPoint, Interval]]) -> list[Metric]:
    found = []
    for point, interval in points:
        name, label = f"verification.tar@far={words.rate(point.far)}", f"TAR at FAR {words.rate(point.far)}"
        if point.resolvable:
            found.append(
                Metric(
                    name, point.tar_all, n=point.n_genuine_all, n_unit="genuine pairs", interval=interval,
                    better="higher", label=label,
                )
            )  # fmt: skip
        else:
            missing = words.unresolved(point.far, point.n_impostor, "impostor pairs")
            found.append(Metric(name, None, missing=missing, better="higher", label=label))
    return found


def _judged_metrics(judged: Judged) -> list[Metric]:
    at = f"@fmr={words.rate(judged.target)}"
    label = f"at the threshold for FMR {words.rate(judged.target)}"
    found = []
    rates = judged.rates
    if rates is None or rates.fnmr is None:
        found.append(
            Metric(
                f"verification.fnmr{at}", None, missing=judged.missing, better="lower", label=f"FNMR {label}"
            )
        )
    else:
        found.append(
            Metric(
                f"verification.fnmr{at}", rates.fnmr, n=rates.n_genuine, n_unit="genuine pairs",
                interval=judged.fnmr_interval, better="lower", label=f"FNMR {label}",
            )
        )  # fmt: skip
        if rates.n_genuine_missing and rates.fnmr_scored is not None:
            found.append(
                Metric(
                    f"verification.fnmr_scored{at}", rates.fnmr_scored, better="lower",
                    n=rates.n_genuine - rates.n_genuine_missing, n_unit="genuine pairs with vectors",
                    label=f"FNMR {label}, faces without a vector left out",
                )
            )  # fmt: skip
    if judged.fmr is None:
        found.append(
            Metric(
                f"verification.fmr{at}", None, missing=judged.missing, better="lower", label=f"FMR {label}"
            )
        )
    else:
        found.append(
            Metric(
                f"verification.fmr{at}", judged.fmr, n=judged.n_impostor, n_unit="impostor pairs",
                interval=judged.fmr_interval, better="lower", label=f"FMR reached {label}",
            )
        )  # fmt: skip
    if judged.threshold is not None:
        found.append(
            Metric(
                f"verification.threshold{at}", judged.threshold,
                label=f"Threshold for FMR {words.rate(judged.target)} ({judged.provenance})",
            )
        )  # fmt: skip
    return found


def _missing_metrics(evidence: Evidence) -> list[Metric]:
    found = []
    for kind, part in (("genuine", evidence.same), ("impostor", ~evidence.same)):
        lost = np.isnan(evidence.scores[part])
        found.append(
            Metric(
                f"verification.unscored.{kind}", float(lost.mean()), n=len(lost), n_unit=f"{kind} pairs",
                interval=clustered_rate(lost, evidence.left[part], evidence.right[part]), better="lower",
                label=f"{kind.capitalize()} pairs without a score",
            )
        )  # fmt: skip
    return found
