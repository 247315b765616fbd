"""What verification measures on scored pairs: with a model at hand, or on a foreign score file alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fraudit.analyses.verification import words
from fraudit.analyses.verification.figures import figures as draw
from fraudit.analyses.verification.judged import Judged, Shown, judge_at, metric, share
from fraudit.errors import DataError, InsufficientData
from fraudit.stats import verification as v
from fraudit.stats.folds import FoldAccuracy, fold_accuracy, ten_folds
from fraudit.stats.intervals import PairClusters, interval_or_reason
from fraudit.stats.operating import ScoredPairs
from fraudit.stats.pairs import count_impostor_pairs, genuine_pairs, most_genuine, pair_cosines
from fraudit.stats.thresholds import eer_threshold_interval
from fraudit.types import F64, I64, AnalysisResult, Bool, Interval, Metric, PairList

if TYPE_CHECKING:
    from fraudit.analyses.verification import Params
    from fraudit.audit.context import AnalysisContext

SPREAD = "spread of the folds, not an estimate"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Scored pairs: f64[P] scores (NaN: no vector), bool[P] same, i64[P] people of both sides, i64[P] folds.

    Attributes:
        fold: -1 in no fold; None without folds.
        people_known: False where people were inferred from genuine pairs.
        protocol: the pairs of the fold protocol, where accuracy is judged on others than these.
        declared: whether the set itself declares that protocol.
        basis: which pairs these are, a sentence. notes: what a reader must know of their choice.
    """

    name: str
    scores: F64
    same: Bool
    left: I64
    right: I64
    fold: I64 | None
    people_known: bool = True
    protocol: Evidence | None = None
    declared: bool = False
    basis: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Extra:
    """What only a model can give: further fold modes, judged thresholds, failures to acquire over faces."""

    folds: tuple[FoldAccuracy, ...] = ()
    judged: tuple[Judged, ...] = ()
    metrics: tuple[Metric, ...] = ()
    faces: int | None = None
    reasons: tuple[tuple[str, int], ...] = field(default_factory=tuple)


def gather(context: AnalysisContext) -> Evidence:
    """The scored pairs of rates and of the fold protocol.

    Raises:
        InsufficientData: the set gives no genuine or no impostor pair.
    """
    embeddings, people = context.embeddings(), context.people()
    name, known = context.embedder.spec.name, context.faces.identified

    def scored(pairs: PairList, **more: object) -> Evidence:
        scores = pair_cosines(embeddings.unit(), pairs.left, pairs.right, embeddings.ok)
        return Evidence(
            name, scores, pairs.same, people[pairs.left], people[pairs.right], pairs.fold, known, **more,  # type: ignore[arg-type]
        )  # fmt: skip

    if context.declared is not None:
        return scored(context.declared, basis="Every figure uses the pairs that the set declares.")
    rated = context.rate_pairs()
    note = context.protocol_note
    return scored(
        rated,
        protocol=scored(context.pairs()),
        declared=context.faces.pairs is not None and not note,
        basis=_basis(rated, context.faces.subjects),
        notes=(note,) if note else (),
    )


def _basis(rated: PairList, subjects: I64) -> str:
    parts = []
    most = most_genuine(np.unique(subjects, return_counts=True)[1])
    for kind, n, there in (
        ("genuine", int(rated.same.sum()), len(genuine_pairs(subjects)[0])),
        ("impostor", int((~rated.same).sum()), count_impostor_pairs(subjects)),
    ):
        part = f"all {n:,}" if n == there else f"{n:,} of {there:,}"
        if n < there:
            part += f" (at most {most:,} a person)" if kind == "genuine" else " (a seeded sample)"
        parts.append(f"{part} {kind}")
    return f"Rates, DET, EER, AUC and d' use {' and '.join(parts)} pairs, accuracy those of its folds."


def judge(context: AnalysisContext, params: Params) -> Extra:
    """Everything of `Extra`, from the context's embeddings."""
    embeddings = context.embeddings()
    lost, people = ~embeddings.ok, context.people()
    label = "Faces without a vector (failure to acquire)"
    fta = metric("verification.fta", share(lost, people, people), "", len(lost), "faces", label, "lower")
    counts: dict[str, int] = {}
    for reason in embeddings.reasons:
        if reason:
            counts[reason] = counts.get(reason, 0) + 1
    return Extra(
        tuple(_mirrored_folds(context, mode) for mode in params.modes if mode != "exact"),
        tuple(judge_at(context, fmr) for fmr in params.fmrs),
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


def result_of(evidence: Evidence, params: Params, extra: Extra | None = None) -> AnalysisResult:
    """The section on scored pairs, with what a model adds where there is one.

    Raises:
        InsufficientData: no genuine or no impostor pair has a score.
    """
    given = extra or Extra()
    pairs = ScoredPairs(evidence.scores, evidence.same, evidence.left, evidence.right)
    folded = evidence.protocol or evidence
    folds: tuple[FoldAccuracy, ...] = ()
    folds_missing = "" if folded.fold is not None else "the scores come without folds"
    if folded.fold is not None:
        try:
            exact = fold_accuracy(folded.scores, folded.same, folded.fold)
            folds = (exact, *given.folds)
        except InsufficientData as error:
            folds_missing = error.message
    points = [tar(pairs, far) for far in params.fars]
    accuracy = _fold_metrics(folds, PairClusters(folded.left, folded.right), folds_missing)
    metrics = [
        *accuracy,
        *_curve_metrics(pairs),
        *_point_metrics(points),
        *[m for judged in given.judged for m in judged.metrics()],
        *given.metrics,
        *_missing_metrics(folded),
    ]
    figures = draw(evidence, pairs, folds, given.judged, params)
    tables = words.tables(points, folds, given.judged)
    if evidence.declared and evidence.protocol is not None:
        tables.insert(1, _protocol_table(evidence.protocol, accuracy[0], params))
    findings = words.findings(metrics, points, folds, given, pairs, folded)
    return AnalysisResult(
        name="verification",
        title="Verification",
        headline=words.headline(metrics),
        findings=tuple(findings),
        metrics=tuple(metrics),
        tables=tuple(tables),
        figures=tuple(figures),
        caveats=tuple(words.caveats(evidence, points, figures)),
        method=words.method(evidence, folds, given.judged),
        faces=given.faces,
    )


def tar(pairs: ScoredPairs, far: float) -> tuple[v.OperatingPoint, Interval | None, str]:
    """TAR@FAR, its interval or why it has none."""
    point = v.tar_at_far(pairs.genuine, pairs.impostor, far)
    if not point.resolvable:
        return point, None, words.unresolved(far, point.n_impostor, "impostor pairs")
    return (point, *interval_or_reason(lambda: pairs.tar_at_far(far)[1]))


def _protocol_table(protocol: Evidence, accuracy: Metric, params: Params) -> words.Table:
    """The same figures on the pairs that the set declares alone."""
    pairs = ScoredPairs(protocol.scores, protocol.same, protocol.left, protocol.right)
    found = [accuracy, *_curve_metrics(pairs), *_point_metrics([tar(pairs, far) for far in params.fars])]
    return words.protocol_table([m for m in found if m.value is not None], len(protocol.scores))


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
        n, k = int(one.counts.sum()), len(one.accuracy)
        interval, why = interval_or_reason(lambda one=one: clusters.rate_interval(one.correct))  # type: ignore[misc]
        found += [
            Metric(
                f"verification.accuracy{suffix}", one.mean, n=n, n_unit="pairs", interval=interval,
                interval_missing=why, better="higher", label=f"Accuracy over {k} folds{how}",
            ),
            Metric(
                f"verification.accuracy_std{suffix}", one.std, n=k, n_unit="folds", better="none",
                interval_missing=SPREAD, label=f"Accuracy, standard deviation of {k} folds{how}",
            ),
        ]  # fmt: skip
    return found


def _curve_metrics(pairs: ScoredPairs) -> list[Metric]:
    n = int(pairs.scored.sum())
    eer = v.eer(pairs.genuine, pairs.impostor)

    def shown(value: float, make: Callable[[], Interval]) -> Shown:
        return Shown(value, *interval_or_reason(make))

    rows = [
        ("eer", shown(eer.value, lambda: pairs.eer()[1]), "lower", "Equal error rate"),
        (
            "eer_threshold", shown(eer.threshold, lambda: eer_threshold_interval(pairs, eer)), "none",
            "Threshold of the EER",
        ),
        (
            "auc", shown(v.auc(pairs.genuine, pairs.impostor), lambda: pairs.auc()[1]), "higher",
            "Area under the ROC",
        ),
    ]  # fmt: skip
    found = [
        metric(f"verification.{name}", s, "", n, "pairs", text, better) for name, s, better, text in rows
    ]
    text = "d' of genuine and impostor scores"
    try:
        d_prime: Shown | None = shown(v.d_prime(pairs.genuine, pairs.impostor), lambda: pairs.d_prime()[1])
        missing = ""
    except InsufficientData as error:
        d_prime, missing = None, error.message
    return [*found, metric("verification.d_prime", d_prime, missing, n, "pairs", text, "higher")]


def _point_metrics(points: words.Points) -> list[Metric]:
    found = []
    for point, interval, why in points:
        shown = Shown(point.tar_all, interval, why) if point.resolvable else None
        name, label = f"verification.tar@far={words.rate(point.far)}", f"TAR at FAR {words.rate(point.far)}"
        found.append(metric(name, shown, why, point.n_genuine_all, "genuine pairs", label, "higher"))
    return found


def _missing_metrics(evidence: Evidence) -> list[Metric]:
    found = []
    for kind, part in (("genuine", evidence.same), ("impostor", ~evidence.same)):
        lost = np.isnan(evidence.scores[part])
        shown = share(lost, evidence.left[part], evidence.right[part])
        name, label = f"verification.unscored.{kind}", f"{kind.capitalize()} pairs without a score"
        found.append(metric(name, shown, "", len(lost), f"{kind} pairs", label, "lower"))
    return found
