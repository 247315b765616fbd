"""FMR and FNMR of scored pairs at a threshold that somebody names, as the report's explorer shows them.

On request with the percentiles of an identity bootstrap beside the closed interval: some papers state them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from fraudit.analyses.verification.measure import Evidence
from fraudit.errors import UsageError
from fraudit.stats.bootstrap import bootstrap_interval
from fraudit.stats.intervals import interval_or_reason
from fraudit.stats.sweeps import SweptPairs
from fraudit.types import AnalysisResult, Metric

UNITS = {"fmr": "impostor pairs", "fnmr": "genuine pairs"}


def with_thresholds(
    result: AnalysisResult,
    evidence: Evidence,
    thresholds: Sequence[float],
    distance: bool = False,
    draws: int = 0,
) -> AnalysisResult:
    """The section with both rates at every threshold, taken as it is.

    Args:
        distance: thresholds are distances; `evidence` holds them negated.
        draws: of people for a bootstrap beside each interval; 0: none.
    Raises:
        UsageError: a threshold that is no finite number, or too few draws.
    """
    swept = SweptPairs(evidence.scores, evidence.same, evidence.left, evidence.right)
    found = []
    for threshold in thresholds:
        if not math.isfinite(threshold):
            raise UsageError(f"--threshold: expected a finite number, found {threshold}")
        for kind, unit in UNITS.items():
            at = -threshold if distance else threshold
            rate = swept.rate(kind, at)
            found.append(
                Metric(
                    f"verification.{kind}@threshold={threshold!r}",
                    rate.value,
                    n=rate.n,
                    n_unit=unit,
                    interval=rate.interval,
                    interval_missing=rate.reason,
                    better="lower",
                    label=f"{kind.upper()} at the threshold {threshold!r}",
                )
            )
            if draws:
                found.append(_drawn(evidence, kind, at, draws, found[-1]))
    return replace(result, metrics=(*result.metrics, *found))


def _drawn(evidence: Evidence, kind: str, threshold: float, draws: int, closed: Metric) -> Metric:
    """The same rate with the percentiles of draws of people."""
    part = evidence.same if kind == "fnmr" else ~evidence.same
    accepted = evidence.scores[part] >= threshold  # a missing score never matches
    events = ~accepted if kind == "fnmr" else accepted
    interval, reason = interval_or_reason(
        lambda: bootstrap_interval(events, evidence.left[part], evidence.right[part], draws)
    )
    return replace(
        closed,
        name=f"{closed.name}.bootstrap",
        interval=interval,
        interval_missing=reason,
        label=f"{closed.label}, identity bootstrap",
    )
