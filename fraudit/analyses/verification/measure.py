"""What verification measures on scored pairs: with a model at hand, or on a foreign score file alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.analyses.verification.judged import Judged, judge_at, metric, share, unresolved
from fraudit.analyses.verification.params import Params
from fraudit.errors import DataError
from fraudit.stats import verification as v
from fraudit.stats.folds import FoldAccuracy, ten_folds
from fraudit.stats.intervals import interval_or_reason
from fraudit.stats.operating import ScoredPairs
from fraudit.stats.pairs import count_impostor_pairs, genuine_pairs, most_genuine
from fraudit.types import F64, I64, Bool, Interval, Metric

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext
    from fraudit.audit.pair_scores import Scored

Points = Sequence[tuple[v.OperatingPoint, Interval | None, str]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Scored pairs: f64[P] scores (NaN: no vector), bool[P] same, i64[P] people of both sides, i64[P] folds.

    Attributes:
        fold: -1 in no fold; None without folds.
        people_known: False where people were inferred from genuine pairs.
        pictures_named: False where pairs do not name what they compare, so that nothing links them.
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
    pictures_named: bool = True


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
    scores, note = context.scores, context.protocol_note

    def evidence(found: Scored, **more: Any) -> Evidence:
        pairs = found.pairs
        known = context.faces.identified
        return Evidence(
            scores.name, found.scores, pairs.same, found.left, found.right, pairs.fold, known, **more
        )

    folded = scores.folded()
    return evidence(
        scores.rated(),
        protocol=evidence(folded) if folded is not None else None,
        declared=not scores.sampled and context.faces.pairs is not None and not note,
        basis=_basis(context),
        notes=(note,) if note else (),
    )


def _basis(context: AnalysisContext) -> str:
    """Which pairs the rates use."""
    if context.scores.sampled:
        return "Rates use all pairs that were asked, accuracy those of its folds."
    if context.declared is not None:
        return "Every figure uses the pairs that the set declares."
    rated, subjects, parts = context.rate_pairs(), context.faces.subjects, []
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
    """Everything of `Extra`: rates at thresholds of other people, and failures to acquire where they are known."""
    scores = context.scores
    judged = tuple(judge_at(scores, fmr) for fmr in scores.operating_points(params.fmrs))
    acquired = scores.acquired()
    if acquired is None:
        shown = scores.rated().pairs
        return Extra(judged=judged, faces=len(np.unique([shown.left, shown.right])))
    lost, people = acquired.lost, acquired.people
    label = "Faces without a vector (failure to acquire)"
    fta = metric("verification.fta", share(lost, people, people), "", len(lost), "faces", label, "lower")
    mirrored = tuple(_mirrored_folds(context, mode) for mode in params.modes if mode != "exact")
    return Extra(mirrored, judged, (fta,), len(lost), acquired.reasons)


def _mirrored_folds(context: AnalysisContext, mode: str) -> FoldAccuracy:
    both = context.embeddings(flip="concat")
    dim = context.embedder.spec.dim
    if both.vectors.shape[1] != 2 * dim:
        raise DataError(f"mirrored vectors: expected {2 * dim} numbers a face, found {both.vectors.shape[1]}")
    return ten_folds(mode, both.vectors[:, :dim], context.pairs(), both.vectors[:, dim:], both.ok)  # type: ignore[arg-type]


def tar(pairs: ScoredPairs, far: float) -> tuple[v.OperatingPoint, Interval | None, str]:
    """TAR@FAR, its interval or why it has none."""
    point = v.tar_at_far(pairs.genuine, pairs.impostor, far)
    if not point.resolvable:
        return point, None, unresolved(far, point.n_impostor, "impostor pairs")
    return (point, *interval_or_reason(lambda: pairs.tar_at_far(far)[1]))
