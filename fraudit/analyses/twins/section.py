"""The section put together: measured, put into words, drawn."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fraudit.analyses.twins.figures import figures
from fraudit.analyses.twins.measure import measure_twins
from fraudit.analyses.twins.params import NAME, TITLE, Params
from fraudit.analyses.twins.report import METHOD, answer, caveats, findings, metrics
from fraudit.analyses.twins.tables import tables
from fraudit.types import AnalysisResult

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def section(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Compare two models; see the package.

    Raises:
        InsufficientData: fewer than 50 people, or no FMR target is resolved. UsageError: no such attribute.
    """
    found = measure_twins(context, params)
    told = findings(found)
    return AnalysisResult(
        NAME,
        TITLE,
        headline=told[0].text,
        answer=answer(found),
        findings=told,
        metrics=metrics(found),
        tables=tables(found, params.worst),
        figures=figures(found),
        caveats=caveats(found),
        method=METHOD,
        params=asdict(params),
        faces=len(context.faces),
    )
