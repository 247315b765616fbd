"""Pairs scored by a black box that only compares: what it was asked, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fraudit.audit.asked_pictures import AskedPictures
from fraudit.audit.asking import AskingPlan, GroupPairs, Questions
from fraudit.audit.pair_scores import (
    NEEDS_VECTORS,
    AllPairsRate,
    CalibrationScores,
    Cells,
    Corrupted,
    GroupErrors,
    Scored,
    too_few_groups,
)
from fraudit.audit.thresholds import Threshold
from fraudit.errors import FrauditError, InsufficientData
from fraudit.formatting import fmr_words
from fraudit.perturb.base import Corruption
from fraudit.progress import Progress
from fraudit.scorers.loading import ScorerRuntime
from fraudit.stats import verification as v
from fraudit.stats.fairness import cross_group_fmr
from fraudit.stats.intervals import clustered_rate, interval_or_reason
from fraudit.stats.probe_pairs import ProbePairs, ProbeScores
from fraudit.stats.rates import rates_by_group
from fraudit.types import F64, I64, Bool, PairList

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

TARGETS = (1e-3, 1e-2, 1e-1)  # FMR of the threshold: the smallest that the calibration pairs resolve
GOES_ON = "what was answered is kept: the same command goes on from there"


class Asker:
    """Asks the box about faces by index, shows how far it is, and remembers the error that ends the run."""

    def __init__(
        self,
        context: AnalysisContext,
        runtime: ScorerRuntime,
        pictures: AskedPictures,
        plan: AskingPlan,
        new: int,
    ) -> None:
        self.context, self.runtime, self.pictures, self.plan = context, runtime, pictures, plan
        self.broken: Exception | None = None
        self._usable, self._new = pictures.usable, new
        self._told: Progress | None = None
        self._protocol: F64 | None = None

    def score(self, pairs: Sequence[tuple[str, str]]) -> F64:
        """f64[N] of pairs of digests.

        Raises:
            FrauditError: the box failed or the budget is spent; `broken` is then that error.
        """
        if self._told is None:  # the clock runs from the first question on
            self._told = self.context.part(f"asking {self.runtime.spec.name}", self._new)
        told, before = self._told, self._told.done
        try:
            return self.runtime.score(pairs, self.pictures, lambda done, _: told(before + done, told.total))
        except Exception as error:  # whatever a box's own code raises: kept, for the run to end with it
            if isinstance(error, FrauditError) and "goes on" not in error.hint:
                error.hint = f"{error.hint}; {GOES_ON}".removeprefix("; ")
            self.broken = error
            raise

    def clean(self, left: I64, right: I64) -> F64:
        """f64[P] of faces as they are; NaN where one cannot be shown or the box found none."""
        found = np.full(len(left), np.nan)
        rows = np.flatnonzero(self._usable[left] & self._usable[right])
        show = self.pictures.clean
        found[rows] = self.score([(show(int(left[i])), show(int(right[i]))) for i in rows])
        return found

    def protocol(self) -> F64:
        """f64[P] of the pairs of the protocol, asked once."""
        if self._protocol is None:
            self._protocol = self.clean(self.plan.pairs.left, self.plan.pairs.right)
        return self._protocol


class AskedScores:
    """`PairScores` of a box that only compares.

    Args:
        questions: what the analysis asked; None outside of one.
    """

    sampled, vectors, asked = True, False, "pairs asked"

    def __init__(self, asker: Asker, questions: Questions | None = None) -> None:
        self.asker, self.context, self.plan, self.questions = asker, asker.context, asker.plan, questions
        self.name = asker.runtime.spec.name
        self.whole = asker.runtime.spec.preprocess is None

    @property
    def broken(self) -> Exception | None:
        return self.asker.broken

    @property
    def queries(self) -> int:
        return self.asker.runtime.queries

    @property
    def remembered(self) -> int:
        return self.asker.runtime.remembered

    @property
    def stated(self) -> Mapping[str, Any] | None:
        return None if self.questions is None else self.questions.stated

    @property
    def skipped(self) -> Mapping[str, str]:
        return self.plan.skipped

    def of(self, analysis: str) -> AskedScores:
        return AskedScores(self.asker, self.plan.questions.get(analysis))

    def begin(self) -> None:
        self.asker.protocol()

    # -- verification

    def _scored(self, use: Bool) -> Scored:
        pairs, people = self.plan.pairs, self.context.people()
        part = PairList(pairs.left[use], pairs.right[use], pairs.same[use], pairs.fold[use])
        return Scored(part, self.asker.protocol()[use], people[part.left], people[part.right])

    def rated(self) -> Scored:
        return self._scored(np.ones(len(self.plan.pairs), bool))

    def folded(self) -> Scored | None:
        inside = self.plan.pairs.fold >= 0
        return self._scored(inside) if inside.any() and not inside.all() else None

    def listed(self) -> Scored:
        return self.rated()

    def judged(self) -> Scored:
        held, pairs = self.context.calibration_mask(), self.plan.pairs
        return self._scored(~(held[pairs.left] | held[pairs.right]))

    def all_pairs_fmr(self, at: float) -> AllPairsRate | None:
        return None

    def acquired(self) -> None:
        return None

    # -- thresholds

    def _impostor(self) -> tuple[F64, I64, I64]:
        """Impostor scores of the calibration half f64[C] and the people of both sides i64[C].

        Raises:
            InsufficientData: none has a score.
        """
        held, people, pairs = self.context.calibration_mask(), self.context.people(), self.plan.pairs
        own, scores = self.asker.clean(*self.plan.calibration), self.asker.protocol()
        within = ~pairs.same & held[pairs.left] & held[pairs.right]
        impostor = np.concatenate([own, scores[within]])
        left, right = (
            people[np.concatenate([one, other[within]])]
            for one, other in zip(self.plan.calibration, (pairs.left, pairs.right), strict=True)
        )
        known = ~np.isnan(impostor)
        if not known.any():
            raise InsufficientData(
                "no impostor pair of the calibration half has a score", "raise --max-queries"
            )
        return impostor[known], left[known], right[known]

    def strict_point(self) -> float:
        try:
            n = len(self._impostor()[0])
        except InsufficientData:
            return TARGETS[-1]
        return next((t for t in TARGETS if n >= 3 / t), TARGETS[-1])

    def operating_points(self, fmrs: Sequence[float]) -> tuple[float, ...]:
        return (self.strict_point(),)

    def threshold(self, fmr: float) -> Threshold:
        impostor, *_ = self._impostor()
        value, n = float(v.fmr_threshold(impostor, fmr)), len(impostor)
        achieved = float(np.mean(impostor >= value))
        whose = "that the set declares and that" if self.context.declared is not None else "of people that"
        return Threshold(
            value,
            fmr,
            achieved,
            n,
            n >= 3 / fmr,
            f"chosen for FMR {fmr_words(fmr)} on {n:,} impostor pairs {whose} are not judged (achieved {achieved:.2g})",
        )

    def calibration(self, threshold: Threshold) -> CalibrationScores:
        impostor, one, other = self._impostor()
        interval, why = interval_or_reason(lambda: clustered_rate(impostor >= threshold.value, one, other))
        return CalibrationScores(impostor, interval or why)

    # -- groups

    def group_errors(
        self,
        attribute: str,
        groups: NDArray[np.str_],
        threshold: Threshold,
        min_people: int,
        min_genuine: int,
    ) -> GroupErrors:
        asked = self._questions().groups.get(attribute)
        if asked is None:
            raise InsufficientData(
                f"{attribute}: fewer than two groups have pairs outside the calibration half"
            )
        scores, subjects, label = (
            self.asker.clean(asked.left, asked.right),
            self.context.faces.subjects,
            asked.group,
        )
        left, right = subjects[asked.left], subjects[asked.right]
        labels = [str(g) for g in np.unique(label)]
        people = {g: len(np.unique(np.concatenate([left[label == g], right[label == g]]))) for g in labels}
        names = tuple(g for g in labels if people[g] >= min_people)
        if len(names) < 2:
            raise InsufficientData(too_few_groups(attribute, people, min_people))
        kept, known, matched = np.isin(label, names), ~np.isnan(scores), scores >= threshold.value
        impostor, genuine = kept & known & ~asked.same, kept & asked.same
        enough = [g for g in names if np.sum(genuine & (label == g)) >= min_genuine]
        own = genuine & np.isin(label, enough)
        both = own & known
        fnmr = acquired = None
        if len(enough) >= 2:
            fnmr = rates_by_group(~matched[own], label[own], left[own], right[own])
            acquired = rates_by_group(~matched[both], label[both], left[both], right[both])
        cross = cross_group_fmr(
            matched[impostor], label[impostor], label[impostor], left[impostor], right[impostor]
        )
        faces = {
            g: len(np.unique(np.concatenate([asked.left[label == g], asked.right[label == g]])))
            for g in names
        }
        return GroupErrors(
            people,
            names,
            faces,
            rates_by_group(matched[impostor], label[impostor], left[impostor], right[impostor]),
            cross,
            (),
            fnmr,
            acquired,
            "" if fnmr else f"fewer than two groups have {min_genuine} judged genuine pairs",
            {g: _lost(asked, g, known, subjects) for g in names},
        )

    # -- corrupted probes

    def _questions(self) -> Questions:
        if self.questions is None:
            raise InsufficientData(NEEDS_VECTORS)
        return self.questions

    def probes(self, limit: int, label: str) -> ProbePairs:
        found = self._questions().probes
        if found is None:
            raise InsufficientData("no probe was chosen")
        return found

    def clean(self, pairs: ProbePairs) -> F64:
        return self.asker.clean(pairs.probes[pairs.row], pairs.enrolled)

    def corrupted(
        self,
        pairs: ProbePairs,
        corruptions: Sequence[Corruption],
        severities: Sequence[int],
        where: str,
        label: str,
    ) -> Mapping[Cells, Corrupted]:
        show, found = self.asker.pictures, {}
        for corruption in corruptions:
            for severity in severities:
                asked = [
                    (show.corrupted(int(pairs.probes[row]), corruption, severity), show.clean(int(face)))
                    for row, face in zip(pairs.row, pairs.enrolled, strict=True)
                ]
                found[corruption.name, severity] = Corrupted(ProbeScores(self.asker.score(asked)))
        return found


def _lost(asked: GroupPairs, group: str, known: Bool, subjects: I64) -> tuple[Bool, I64]:
    """Which of a group's faces have no score in any pair, and whose they are."""
    part = asked.group == group
    faces, codes = np.unique(np.concatenate([asked.left[part], asked.right[part]]), return_inverse=True)
    scored = np.bincount(codes.ravel(), np.tile(known[part], 2), len(faces))
    return scored == 0, subjects[faces]
