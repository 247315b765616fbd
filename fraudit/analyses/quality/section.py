"""The section put together: measured, put into words, drawn."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fraudit.analyses.quality.figures import figures
from fraudit.analyses.quality.measure import measure_quality
from fraudit.analyses.quality.params import NAME, TITLE, Params
from fraudit.analyses.quality.report import METHOD, answer, caveats, findings, metrics, tables
from fraudit.types import AnalysisResult

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def section(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Discard pictures by every quality there is; see the module.

    Raises:
        InsufficientData: no threshold, no genuine pair or no quality. UsageError: a parameter out of range.
        DataError: OFIQ's table.
    """
    found = measure_quality(context, params)
    told = findings(found)
    return AnalysisResult(
        NAME, TITLE,
        headline=told[0].text,
        answer=answer(found),
        findings=tuple(told),
        metrics=tuple(metrics(found)),
        tables=tuple(tables(found)),
        figures=tuple(figures(found)),
        caveats=tuple(caveats(found)),
        method=METHOD,
        params=asdict(params),
        faces=found.measured,
    )  # fmt: skip
