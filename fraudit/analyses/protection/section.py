"""The section put together: measured, put into words, drawn."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fraudit.analyses.protection.figures import figures, galleries
from fraudit.analyses.protection.measure import measure_schemes
from fraudit.analyses.protection.metrics import metrics
from fraudit.analyses.protection.params import NAME, TITLE, Params
from fraudit.analyses.protection.report import METHOD, answer, caveats, findings, headline
from fraudit.analyses.protection.tables import tables
from fraudit.types import AnalysisResult

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def section(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Protect, compare, attack; see the package."""
    found = measure_schemes(context, params)
    return AnalysisResult(
        NAME,
        TITLE,
        headline=headline(found),
        answer=answer(found),
        findings=tuple(findings(found)),
        metrics=tuple(metrics(found)),
        tables=tuple(tables(found)),
        figures=tuple(figures(found)),
        galleries=galleries(context, found),
        caveats=tuple(caveats(found)),
        method=METHOD,
        params=asdict(params),
        faces=len(found.sample.rows),
    )
