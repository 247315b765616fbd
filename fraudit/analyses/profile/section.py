"""The section put together: measured, and put into words."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fraudit.analyses.profile.measure import measure_demands
from fraudit.analyses.profile.params import NAME, TITLE, Params
from fraudit.analyses.profile.report import METHOD, answer, caveats, findings, headline, metrics
from fraudit.analyses.profile.tables import tables
from fraudit.types import AnalysisResult

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def section(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Hold the model to a plan; see the package.

    Raises:
        InsufficientData: it is not known who is shown, or a half of the people has no pair of two. UsageError: an
            attribute that the set does not have.
    """
    found = measure_demands(context, params)
    return AnalysisResult(
        NAME,
        TITLE,
        headline=headline(found),
        answer=answer(found),
        findings=tuple(findings(found)),
        metrics=tuple(metrics(found, params)),
        tables=tuple(tables(found)),
        caveats=tuple(caveats(found)),
        method=METHOD,
        params=asdict(params),
        faces=len(context.faces),
    )
