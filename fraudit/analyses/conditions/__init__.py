"""Conditions: enrolled like this, seen like that (glasses, light, expression, mask, camera)."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fraudit.analyses.conditions.figures import figures
from fraudit.analyses.conditions.measure import measure_conditions
from fraudit.analyses.conditions.params import Params
from fraudit.analyses.conditions.report import METHOD, NAME, caveats, findings, metrics, tables
from fraudit.types import Analysis, AnalysisResult

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

TITLE = "Conditions"


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Compare every two conditions of labels that vary within people; see the module.

    Raises:
        InsufficientData: no such label, no threshold or no genuine pair. UsageError: a parameter out of range.
    """
    found = measure_conditions(context, params)
    told = findings(found)
    return AnalysisResult(
        NAME, TITLE,
        headline=told[0].text,
        findings=tuple(told),
        metrics=tuple(metrics(found)),
        tables=tuple(tables(found)),
        figures=tuple(figures(found)),
        caveats=tuple(caveats(found)),
        method=METHOD,
        params=asdict(params),
        faces=len(context.faces),
    )  # fmt: skip


ANALYSIS = Analysis(
    name=NAME,
    title=TITLE,
    summary="FNMR, similarity and FMR between pictures of different conditions: glasses, light, expression, camera",
    order=45,
    params=Params,
    run=run,
    needs=("identities", "attributes", "vectors"),
    from_vectors=True,
)
