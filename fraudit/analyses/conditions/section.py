"""The section put together: measured, put into words, drawn."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fraudit.analyses.conditions.figures import figures
from fraudit.analyses.conditions.measure import measure_conditions
from fraudit.analyses.conditions.params import NAME, TITLE, Params
from fraudit.analyses.conditions.report import METHOD, answer, caveats, findings, metrics, tables
from fraudit.types import AnalysisResult

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def section(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Compare every two conditions of labels that vary within people; see the module.

    Raises:
        InsufficientData: no such label, no threshold or no genuine pair. UsageError: a parameter out of range.
    """
    found = measure_conditions(context, params)
    told = findings(found)
    return AnalysisResult(
        NAME, TITLE,
        headline=told[0].text,
        answer=answer(told),
        findings=tuple(told),
        metrics=tuple(metrics(found)),
        tables=tuple(tables(found)),
        figures=tuple(figures(found)),
        caveats=tuple(caveats(found)),
        method=METHOD,
        params=asdict(params),
        faces=len(context.faces),
    )  # fmt: skip
