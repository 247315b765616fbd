"""The section put together: measured, put into words, drawn."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fraudit.analyses.identification.figures import figures
from fraudit.analyses.identification.measure import leave_sweep, measure_searches
from fraudit.analyses.identification.params import NAME, TITLE, Params
from fraudit.analyses.identification.report import METHOD, answer, caveats, findings, metrics
from fraudit.analyses.identification.tables import tables
from fraudit.types import AnalysisResult

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def section(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Search people among enrolled ones; see the module.

    Raises:
        InsufficientData: fewer than 20 people to enrol on each half. UsageError: a parameter out of range.
    """
    found = measure_searches(context, params)
    leave_sweep(context, found)
    told = findings(found, params)
    return AnalysisResult(
        NAME,
        TITLE,
        headline=told[0].text,
        answer=answer(found),
        findings=tuple(told),
        metrics=tuple(metrics(found, params)),
        tables=tuple(tables(found)),
        figures=tuple(figures(found)),
        caveats=tuple(caveats(found, context.faces.templates is not None)),
        method=METHOD,
        params=asdict(params),
        faces=len(context.faces),
    )
