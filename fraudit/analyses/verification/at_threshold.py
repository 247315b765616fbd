"""FMR and FNMR of scored pairs at a threshold that somebody names, as the report's explorer shows them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from fraudit.analyses.verification.measure import Evidence
from fraudit.errors import UsageError
from fraudit.stats.sweeps import SweptPairs
from fraudit.types import AnalysisResult, Metric

UNITS = {"fmr": "impostor pairs", "fnmr": "genuine pairs"}


def with_thresholds(
    result: AnalysisResult, evidence: Evidence, thresholds: Sequence[float], distance: bool = False
) -> AnalysisResult:
    """The section with both rates at every threshold, taken as it is.

    Args:
        distance: thresholds are distances; `evidence` holds them negated.
    Raises:
        UsageError: a threshold that is no finite number.
    """
    swept = SweptPairs(evidence.scores, evidence.same, evidence.left, evidence.right)
    found = []
    for threshold in thresholds:
        if not math.isfinite(threshold):
            raise UsageError(f"--threshold: expected a finite number, found {threshold}")
        for kind, unit in UNITS.items():
            rate = swept.rate(kind, -threshold if distance else threshold)
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
    return replace(result, metrics=(*result.metrics, *found))
