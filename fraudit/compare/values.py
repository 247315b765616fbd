"""What a comparison is made of: a run's side of it, the evidence behind its figures, and a difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fraudit.files.vectors import Vectors
from fraudit.report.record import RunRecord
from fraudit.scores import ScoreSet
from fraudit.types import F64, I64, Bool, Interval, Metric

Key = tuple[str, str]  # metric, group
How = Literal["paired", "independent", "same model", "none"]
Verdict = Literal["better", "worse", "changed", "unclear", "unknown"]


@dataclass(frozen=True, slots=True)
class Events:
    """Errors on pairs: bool[P] events of people i64[P] left and right.

    `tail`: f64[S], what each calibration person adds to the rate's error through the threshold; None: no threshold.
    """

    events: Bool
    left: I64
    right: I64
    tail: F64 | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """A rate over all pairs of some people: its residual sums f64[S] by person over `n` pairs; `tail` as above.

    `pairs`: f64[S], pairs that involve each person; None in a baseline, where the new run knows them.
    """

    rate: float
    n: int
    sums: F64
    tail: F64 | None = None
    pairs: F64 | None = None


@dataclass(frozen=True, slots=True)
class Sketch:
    """A few numbers of some faces on random axes (`fraudit.stats.same_face`), of vectors with `dim` components.

    `rows`: i64[K] faces. `values`: f64[K,AXES]. `lost`: sha256 of which faces have no vector.
    """

    dim: int
    rows: I64
    values: F64
    lost: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Pair-level evidence of a run.

    Attributes:
        pairs: the scored pairs, or None.
        pairs_digest, people_digest: sha256 of which pairs and which faces of whom they are, '' without any.
        events, sums: by (metric, group). notes: what could not be used and why.
        vectors: all of them, None in a baseline. sketch: what a baseline keeps of them.
        templates: whether the pairs, and with them all figures of verification, are of templates of several pictures.
    """

    pairs: ScoreSet | None = None
    pairs_digest: str = ""
    people_digest: str = ""
    events: Mapping[Key, Events] = field(default_factory=dict)
    sums: Mapping[Key, Sums] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    vectors: Vectors | None = None
    sketch: Sketch | None = None
    templates: bool = False


@dataclass(frozen=True, slots=True)
class Side:
    """One run of a comparison, from its folder or from a baseline.

    Attributes:
        label: short name in tables. title: model on data. path: where it was read.
        inputs, plan: as in the record. params: analysis -> its parameters.
        status: analysis -> (status, reason). metrics: by (name, group). evidence: at the level of pairs.
        record: the whole record, None for a baseline.
    """

    label: str
    title: str
    path: Path
    inputs: Mapping[str, Any]
    plan: Mapping[str, Any]
    params: Mapping[str, Mapping[str, Any]]
    status: Mapping[str, tuple[str, str]]
    metrics: Mapping[Key, Metric]
    evidence: Evidence
    record: RunRecord | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """One metric of two runs.

    Attributes:
        base, new: the metric in each run; either may lack a value.
        value: new minus base, None where one is missing. interval: of it, or None with `reason`.
        how: `paired` on the same pairs or people, `independent` from both intervals, `same model` (numerically:
            `fraudit.compare.sameness`), or `none`.
        verdict: what the interval says of the difference: `better`, `worse`, `changed` (no direction is better),
            `unclear` (0 lies inside) or `unknown` (no interval). In a comparison of many figures an interval of a
            higher level than the one shown decides (`judged_together`).
    """

    name: str
    group: str
    base: Metric
    new: Metric
    value: float | None
    interval: Interval | None
    how: How
    verdict: Verdict
    reason: str = ""

    @property
    def key(self) -> Key:
        """(metric, group)."""
        return self.name, self.group

    @property
    def analysis(self) -> str:
        """Which analysis the metric belongs to."""
        return self.name.partition(".")[0]

    @property
    def label(self) -> str:
        """Plain words for the metric."""
        words = (self.new.label or self.base.label or self.name).split(" (chosen")[0]
        return f"{words} [{self.group}]" if self.group and self.group not in words else words
