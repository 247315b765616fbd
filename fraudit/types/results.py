"""What an analysis found.

Figures are data, never plot objects: `fraudit.report.charts` draws them from the JSON alone. The schema of
`Figure.data` for each kind is in docs/figures.md."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["high", "medium", "low", "info", "good"]
Better = Literal["higher", "lower", "none"]
SEVERITIES: tuple[Severity, ...] = ("high", "medium", "low", "info", "good")
AT_LEAST = (
    "at least this certain"  # in the method of an interval that is known to hold more often than it says
)
UNCERTAIN = "at least this uncertain"  # in that of an interval that is known to hold less often than it says
Status = Literal["done", "not_run", "failed"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval; `method` in words a report can print."""

    low: float
    high: float
    level: float = 0.95
    method: str = ""

    @property
    def wide(self) -> bool:
        """Whether the method says that the truth is in it more often than `level` states."""
        return AT_LEAST in self.method

    @property
    def reservation(self) -> str:
        """What the method says of the interval's width, in words to print beside it; or ''."""
        return next((words for words in (UNCERTAIN, AT_LEAST) if words in self.method), "")


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure, or the reason it is missing: exactly one of `value` and `missing` is set.

    Attributes:
        name: dotted, stable, what `fraudit gate` rules name, such as `verification.fnmr@fmr=1e-3`.
        value: the figure; never NaN.
        unit: '' for a plain ratio, or `%`, `deg`, `px`, `s`, `bytes`, ...
        n: how many pairs, faces or people it rests on; `n_unit` says of what.
        interval: its confidence interval where one is defined.
        interval_missing: why a value has no interval.
        group: demographic group, '' for all.
        missing: why there is no value.
        better: direction that is better, for comparison and gates.
        label: plain words for a report.
    """

    name: str
    value: float | None
    unit: str = ""
    n: int | None = None
    interval: Interval | None = None
    group: str = ""
    missing: str | None = None
    better: Better = "none"
    label: str = ""
    n_unit: str = ""
    interval_missing: str = ""

    def __post_init__(self) -> None:
        if (self.value is None) == (self.missing is None):
            raise ValueError(f"metric {self.name}: exactly one of value and missing must be set")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"metric {self.name}: {self.value} is not finite; state why it is missing")


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column: `kind` decides alignment and format; `points` is a difference of two shares."""

    key: str
    label: str
    kind: Literal["text", "number", "percent", "points", "integer", "interval", "bytes"] = "text"
    digits: int = 3


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of plain values; None is drawn as an em dash with `missing[key]` where a reason is known."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Any], ...]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """Data of one chart. `kind` and the schema of `data` are described in docs/figures.md."""

    name: str
    kind: Literal["lines", "dots", "heatmap", "histogram", "bars", "scatter"]
    title: str
    caption: str
    alt: str
    data: Mapping[str, Any]
    main: bool = False


@dataclass(frozen=True, slots=True)
class GalleryItem:
    """One picture: an artifact's name in the run's folder, and the lines under it."""

    artifact: str
    alt: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GalleryRow:
    """One row of a contact sheet."""

    label: str
    items: tuple[GalleryItem, ...]


@dataclass(frozen=True, slots=True)
class Gallery:
    """A labelled contact sheet or film strip."""

    name: str
    title: str
    caption: str
    rows: tuple[GalleryRow, ...]
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One plain, falsifiable sentence with its evidence.

    Attributes:
        severity: by documented rule (docs/severity.md), never by taste.
        text: the sentence, with interval and n in it.
        evidence: names of the metrics it rests on.
        rule: name of the severity rule that fired.
        advice: what to do next, one plain sentence that follows from what was measured; '' where there is none.
    """

    severity: Severity
    text: str
    evidence: tuple[str, ...] = ()
    rule: str = ""
    advice: str = ""


def gravity(finding: Finding) -> int:
    """Rank of a finding's severity, the gravest 0: a key to sort by."""
    return SEVERITIES.index(finding.severity)


@dataclass(frozen=True, slots=True)
class AnalysisResult:
    """What one analysis found. `status` is `not_run` with a `reason` where its needs are not met.

    `answer` answers the analysis' `question` in plain words for a reader who knows none of the field's; '' lets the
    headline stand for it.
    """

    name: str
    title: str
    status: Status = "done"
    reason: str = ""
    headline: str = ""
    findings: tuple[Finding, ...] = ()
    metrics: tuple[Metric, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    galleries: tuple[Gallery, ...] = ()
    caveats: tuple[str, ...] = ()
    method: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    faces: int | None = None
    seconds: float | None = None
    queries: int | None = None
    answer: str = ""
