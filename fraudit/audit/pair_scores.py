"""Pairs with a score: what verification, robustness and bias are written over, once for every kind of black box.

Vectors answer for all pairs there are (`VectorScores`); a box that only compares is asked about a sample of them
(`AskedScores`). A pair without a score is NaN and never matches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fraudit.audit.thresholds import Threshold
from fraudit.perturb.base import Corruption
from fraudit.stats.fairness import CrossGroup
from fraudit.stats.groups import OwnThreshold
from fraudit.stats.probe_pairs import ProbePairs, ProbeScores, ProbeVectors
from fraudit.stats.rates import GroupRate
from fraudit.types import F64, I64, Bool, Interval, PairList

NEEDS_VECTORS = "needs vectors; this black box returns only scores"
Cells = tuple[str, int]  # a corruption's name and a severity


@dataclass(frozen=True, slots=True)
class Scored:
    """P pairs: their faces, labels and folds, f64[P] scores (NaN: none), i64[P] people of both sides."""

    pairs: PairList
    scores: F64
    left: I64
    right: I64


@dataclass(frozen=True, slots=True)
class CalibrationScores:
    """What a threshold was chosen on.

    Attributes:
        impostor: f64[C] scores. fmr: interval of their FMR at the threshold, or why there is none.
        unsure: why the threshold itself has no interval, or ''.
    """

    impostor: F64
    fmr: Interval | str
    unsure: str = ""


@dataclass(frozen=True, slots=True)
class AllPairsRate:
    """FMR over all pairs there are, with its interval or why it has none, and how many pairs these are."""

    value: float
    n: int
    interval: Interval | None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Acquired:
    """Faces without a vector: bool[N] lost, i64[N] people, and how often each reason was given."""

    lost: Bool
    people: I64
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class GroupErrors:
    """Error rates of the groups of one attribute at one threshold.

    Attributes:
        people: judged people of every group. groups: those with enough of them. faces: judged faces of these.
        fmr: within each group. cross: between all of them. thresholds: what each group would need, where known.
        fnmr, fnmr_acquired: over genuine pairs, and over those with a score alone; None: `fnmr_missing` says why.
        fnmr_all: over all people, each half at the threshold that the other half chose (twice the people); None where
            only one half is known.
        lost: group -> (bool[M] faces that were not acquired, i64[M] their people).
    """

    people: dict[str, int]
    groups: tuple[str, ...]
    faces: dict[str, int]
    fmr: tuple[GroupRate, ...]
    cross: CrossGroup
    thresholds: tuple[OwnThreshold, ...]
    fnmr: tuple[GroupRate, ...] | None
    fnmr_acquired: tuple[GroupRate, ...] | None
    fnmr_missing: str
    lost: Mapping[str, tuple[Bool, I64]]
    fnmr_all: tuple[GroupRate, ...] | None = None


@dataclass(frozen=True, slots=True)
class Corrupted:
    """What the box says of corrupted probes, and their vectors where it gives any."""

    answer: ProbeScores
    embedded: ProbeVectors | None = None


class PairScores(Protocol):
    """Scores of pairs of faces by the audited black box.

    Attributes:
        name: of the box. queries: what it was asked so far. remembered: what answers from before settled.
        asked: what a query is, in words (`faces shown`).
        sampled: whether only a sample of the pairs has scores. vectors: whether the box gives vectors.
        whole: whether the box is shown whole pictures, in which it finds the face itself.
        broken: the error of the box that ends the run, or None.
        skipped: analysis -> why it asks nothing. stated: parameters as the record states them, None: as they are.
    """

    name: str
    sampled: bool
    vectors: bool
    whole: bool
    asked: str

    @property
    def queries(self) -> int: ...

    @property
    def remembered(self) -> int: ...

    @property
    def broken(self) -> Exception | None: ...

    @property
    def skipped(self) -> Mapping[str, str]: ...

    @property
    def stated(self) -> Mapping[str, Any] | None: ...

    def of(self, analysis: str) -> PairScores:
        """The scores as one analysis is given them: those of its own questions."""
        ...

    def begin(self) -> None:
        """Ask what every run needs. Raises DataError where nothing has an answer."""
        ...

    # -- verification

    def rated(self) -> Scored:
        """The pairs that rates are measured on. Raises InsufficientData."""
        ...

    def folded(self) -> Scored | None:
        """The pairs of the fold protocol; None where `rated` are these."""
        ...

    def listed(self) -> Scored:
        """The pairs that the run leaves behind. Raises InsufficientData."""
        ...

    def judged(self) -> Scored:
        """Rated pairs whose two people both lie outside the calibration half."""
        ...

    def all_pairs_fmr(self, at: float) -> AllPairsRate | None:
        """FMR at a threshold over all pairs of judged people; None where only `judged` are known."""
        ...

    def acquired(self) -> Acquired | None:
        """Failures to acquire over all faces; None where the box does not say whose they are."""
        ...

    # -- thresholds

    def operating_points(self, fmrs: Sequence[float]) -> tuple[float, ...]:
        """FMR targets whose thresholds are judged: those wanted, or the one that a sample resolves."""
        ...

    def strict_point(self) -> float:
        """The strictest usual FMR that the calibration half resolves."""
        ...

    def threshold(self, fmr: float) -> Threshold:
        """For one of the operating points. Raises InsufficientData."""
        ...

    def calibration(self, threshold: Threshold) -> CalibrationScores:
        """What `threshold` was chosen on. Raises InsufficientData."""
        ...

    # -- groups

    def group_errors(
        self,
        attribute: str,
        groups: NDArray[np.str_],
        threshold: Threshold,
        min_people: int,
        min_genuine: int,
    ) -> GroupErrors:
        """Rates of the groups str[N] ('': unknown) of an attribute.

        Raises:
            InsufficientData: fewer than two groups have `min_people` judged people.
        """
        ...

    # -- corrupted probes

    def probes(self, limit: int, label: str) -> ProbePairs:
        """Probes and what each is compared with, outside the calibration half. Raises InsufficientData."""
        ...

    def clean(self, pairs: ProbePairs) -> F64:
        """f64[P] scores of the clean probes."""
        ...

    def corrupted(
        self,
        pairs: ProbePairs,
        corruptions: Sequence[Corruption],
        severities: Sequence[int],
        where: str,
        label: str,
    ) -> Mapping[Cells, Corrupted]:
        """What the box says of the probes under every corruption and severity.

        Args:
            where: corrupt the `picture`, or the `aligned` face where it is at hand. label: of randomness and words.
        """
        ...


def too_few_groups(attribute: str, people: Mapping[str, int], least: int) -> str:
    """Why an attribute is not judged."""
    counts = ", ".join(f"{g}: {n}" for g, n in people.items()) or "no group at all"
    return f"{attribute}: fewer than two groups have {least} judged people ({counts})"
