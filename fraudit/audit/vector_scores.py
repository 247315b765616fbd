"""Pairs scored by the cosines of ID vectors: all there are, streamed where they are too many for a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fraudit.audit.corrupted import show_corrupted
from fraudit.audit.pair_scores import (
    Acquired,
    AllPairsRate,
    CalibrationScores,
    Cells,
    Corrupted,
    GroupErrors,
    Scored,
    too_few_groups,
)
from fraudit.embedding.runtime import what_to_check
from fraudit.errors import DataError, InsufficientData
from fraudit.perturb.base import Corruption
from fraudit.stats.calibration import calibrate, fmr_sums
from fraudit.stats.groups import impostor_rates, own_threshold
from fraudit.stats.operating import all_pairs_fmr
from fraudit.stats.pairs import genuine_pairs, pair_cosines
from fraudit.stats.probe_pairs import ProbeCosines, ProbePairs, probe_pairs, protocol_pairs
from fraudit.stats.rates import GroupRate, genuine_sums, group_rates
from fraudit.stats.thresholds import calibration_fmr, enough_for_threshold
from fraudit.types import F64, I64, Bool, Interval, PairList

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext
    from fraudit.audit.thresholds import Threshold
    from fraudit.embedding.runtime import EmbedderRuntime

MAX_GENUINE = 200_000  # genuine pairs of groups; beyond, a seeded sample
ENOUGH_COUPLES = 3000  # of calibration people, for FMR 1e-3 by the rule of three
STRICT, LOOSE = 1e-3, 1e-2


class VectorScores:
    """`PairScores` of a model that gives vectors, asked now or in an earlier run."""

    sampled, vectors, asked = False, True, "faces shown"
    broken: Exception | None = None
    skipped: Mapping[str, str] = MappingProxyType({})
    stated: Mapping[str, Any] | None = None

    def __init__(self, context: AnalysisContext) -> None:
        self.context = context
        self.name = context.embedder.spec.name
        self.whole = context.embedder.spec.preprocess.whole

    @property
    def queries(self) -> int:
        return sum(box.queries for box in self._boxes())

    @property
    def remembered(self) -> int:
        return sum(box.remembered for box in self._boxes())

    def _boxes(self) -> tuple[EmbedderRuntime, ...]:
        second = () if self.context.other is None else (self.context.other,)
        return (self.context.embedder, *self.context.judges, *second)

    def of(self, analysis: str) -> VectorScores:
        return self

    def begin(self) -> None:
        found = self.context.embeddings()
        if not found.ok.any():
            common = Counter(found.reasons).most_common(1)[0][0]
            raise DataError(
                f"none of the {len(found)} faces gave a vector; most common reason: {common}",
                what_to_check(common),
            )

    def _scored(self, pairs: PairList) -> Scored:
        embeddings, people = self.context.embeddings(), self.context.people()
        scores = pair_cosines(embeddings.unit(), pairs.left, pairs.right, embeddings.ok)
        return Scored(pairs, scores, people[pairs.left], people[pairs.right])

    # -- verification

    def rated(self) -> Scored:
        return self._scored(self.context.rate_pairs())

    def folded(self) -> Scored | None:
        return None if self.context.declared is not None else self._scored(self.context.pairs())

    def listed(self) -> Scored:
        return self._scored(self.context.pairs())

    def judged(self) -> Scored:
        return self._scored(self.context.judged_pairs())

    def all_pairs_fmr(self, at: float) -> AllPairsRate | None:
        if self.context.declared is not None:
            return None
        others = ~self.context.calibration_mask()
        embeddings, subjects = self.context.embeddings(), self.context.faces.subjects[others]
        unit, ok = embeddings.unit()[others], embeddings.ok[others]
        try:
            value, n, interval = all_pairs_fmr(unit, subjects, at, ok)
            return AllPairsRate(value, n, interval)
        except InsufficientData as error:
            why = error.message
        try:
            value, n, _, _ = fmr_sums(unit, subjects, at, ok, np.unique(subjects))
        except InsufficientData:
            return None
        return AllPairsRate(value, n, None, why)

    def acquired(self) -> Acquired:
        found = self.context.embeddings()
        counts = Counter(reason for reason in found.reasons if reason)
        reasons = sorted(counts.items(), key=lambda item: -item[1])
        return Acquired(~found.ok, self.context.people(), tuple(reasons))

    # -- thresholds

    def operating_points(self, fmrs: Sequence[float]) -> tuple[float, ...]:
        return tuple(fmrs)

    def strict_point(self) -> float:
        context = self.context
        if context.declared is not None:
            return STRICT if context.threshold(STRICT).resolvable else LOOSE
        people = len(np.unique(context.faces.subjects[context.calibration_mask()]))
        # Pairs of pictures of the same two people say little new: the rule of three is asked of pairs of people.
        return STRICT if people * (people - 1) / 2 >= ENOUGH_COUPLES else LOOSE

    def threshold(self, fmr: float) -> Threshold:
        return self.context.threshold(fmr)

    def calibration(self, threshold: Threshold) -> CalibrationScores:
        found = self.context.calibration()
        try:
            fmr: Interval | str = calibration_fmr(found, threshold.value)
        except InsufficientData as error:
            fmr = error.message
        sure, unsure = enough_for_threshold(found.people)
        return CalibrationScores(found.impostor, fmr, "" if sure else unsure)

    # -- groups

    def group_errors(
        self,
        attribute: str,
        groups: NDArray[np.str_],
        threshold: Threshold,
        min_people: int,
        min_genuine: int,
    ) -> GroupErrors:
        context = self.context
        embeddings, subjects = context.embeddings(), context.faces.subjects
        judged, unit, ok = ~context.calibration_mask(), embeddings.unit(), embeddings.ok
        labels = [str(g) for g in np.unique(groups) if g != ""]
        people = {g: len(np.unique(subjects[(groups == g) & judged & ok])) for g in labels}
        names = tuple(g for g in labels if people[g] >= min_people)
        if len(names) < 2:
            raise InsufficientData(too_few_groups(attribute, people, min_people))
        kept = np.where(np.isin(groups, names) & judged, groups, "").astype(np.str_)
        fmr, cross = impostor_rates(unit, subjects, kept, threshold.value, ok & judged)
        thresholds = []
        for g in names:
            rows = np.flatnonzero(kept == g)
            thresholds.append(own_threshold(g, unit[rows], subjects[rows], threshold.fmr_target, ok[rows]))
        fnmr = acquired = crossed = None
        missing = (
            "" if context.faces.identified else "the set names no identities, so it has no genuine pairs"
        )
        if not missing:
            fnmr, acquired, crossed, missing = self._fnmr(kept, groups, names, threshold, min_genuine)
        return GroupErrors(
            people, names, {g: int(np.sum(kept == g)) for g in names}, fmr, cross, tuple(thresholds), fnmr, acquired,
            missing, {g: (~ok[groups == g], subjects[groups == g]) for g in names}, crossed,
        )  # fmt: skip

    def _fnmr(
        self,
        judged: NDArray[np.str_],
        groups: NDArray[np.str_],
        names: Sequence[str],
        threshold: Threshold,
        least: int,
    ) -> tuple[tuple[GroupRate, ...] | None, tuple[GroupRate, ...] | None, tuple[GroupRate, ...] | None, str]:
        """FNMR of every group: of all genuine pairs, of those with two vectors, of all people; why there is none.

        Args:
            judged: str[N] groups, '' outside the judged half. groups: of everybody.
        """
        context = self.context
        embeddings, subjects = context.embeddings(), context.faces.subjects
        held = context.calibration_mask()
        left, right, both, errors = self._genuine(~held, threshold.value, "bias-genuine")
        enough = [g for g in names if np.sum((judged[left] == g) & (judged[right] == g)) >= least]
        fnmr = genuine_rates(judged, subjects, left, right, errors, enough)
        acquired = genuine_rates(judged, subjects, left[both], right[both], errors[both], enough)
        if len(fnmr) < 2:
            return None, acquired, None, f"fewer than two groups have {least} judged genuine pairs"
        # Nobody is judged by a threshold that was chosen on them. The two thresholds differ by chance, which both
        # halves of every group share, and which the variance between people holds.
        other = calibrate(embeddings.unit(), subjects, embeddings.ok, context.seed, other=True)
        more = self._genuine(held, other.threshold(threshold.fmr_target), "bias-genuine-other")
        both_halves = zip((left, right, errors), (more[0], more[1], more[3]), strict=True)
        one, two, rejected = (np.concatenate(pair) for pair in both_halves)
        return fnmr, acquired, genuine_rates(groups, subjects, one, two, rejected, enough), ""

    def _genuine(self, half: Bool, at: float, label: str) -> tuple[I64, I64, Bool, Bool]:
        """Genuine pairs of one half bool[N] of the people: faces of both sides, both with a vector, rejected."""
        embeddings, subjects = self.context.embeddings(), self.context.faces.subjects
        left, right = genuine_pairs(subjects)
        left, right = left[half[left]], right[half[left]]  # a pair is of one person, so of one half
        if len(left) > MAX_GENUINE:
            part = np.sort(self.context.rng(label).choice(len(left), MAX_GENUINE, replace=False))
            left, right = left[part], right[part]
        both, unit = embeddings.ok[left] & embeddings.ok[right], embeddings.unit()
        return left, right, both, ~both | (np.einsum("pd,pd->p", unit[left], unit[right]) < at)

    # -- corrupted probes

    def probes(self, limit: int, label: str) -> ProbePairs:
        context = self.context
        rng, usable = context.rng(f"{label}/probes"), context.embeddings().ok & ~context.calibration_mask()
        if context.declared is not None:
            return protocol_pairs(context.declared, context.people(), usable, limit, rng)
        return probe_pairs(context.faces.subjects, usable, limit, rng)

    def clean(self, pairs: ProbePairs) -> F64:
        return ProbeCosines(pairs, self.context.embeddings().unit()).clean()

    def corrupted(
        self,
        pairs: ProbePairs,
        corruptions: Sequence[Corruption],
        severities: Sequence[int],
        where: str,
        label: str,
    ) -> Mapping[Cells, Corrupted]:
        cosines = ProbeCosines(pairs, self.context.embeddings().unit())
        show = self.context.engine.corrupted if self.context.engine else show_corrupted
        answers = show(self.context, pairs.probes, corruptions, severities, where, label)
        return {key: Corrupted(cosines.corrupted(a.vectors, a.ok), a) for key, a in answers.items()}


def genuine_rates(
    groups: NDArray[np.str_], subjects: I64, left: I64, right: I64, errors: Bool, names: Sequence[str]
) -> tuple[GroupRate, ...]:
    """FNMR of genuine pairs (faces `left`, `right` i64[P]) whose two faces belong to one group."""
    found = []
    for name in names:
        part = (groups[left] == name) & (groups[right] == name)
        if part.any():
            found.append(genuine_sums(name, errors[part], subjects[left[part]]))
    return group_rates(found)
