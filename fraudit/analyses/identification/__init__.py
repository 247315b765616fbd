"""Identification: 1:N search among enrolled people, closed and open set (ISO/IEC 19795-1)."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fraudit.analyses.identification.figures import figures
from fraudit.analyses.identification.measure import measure_searches
from fraudit.analyses.identification.params import Params
from fraudit.analyses.identification.report import METHOD, NAME, caveats, findings, metrics, tables
from fraudit.types import Analysis, AnalysisResult, KeyFigure

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

TITLE = "Identification"


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Search people among enrolled ones; see the module.

    Raises:
        InsufficientData: fewer than 20 people to enrol on each half. UsageError: a parameter out of range.
    """
    found = measure_searches(context, params)
    told = findings(found, params)
    return AnalysisResult(
        NAME, TITLE,
        headline=told[0].text,
        findings=tuple(told),
        metrics=tuple(metrics(found, params)),
        tables=tuple(tables(found)),
        figures=tuple(figures(found)),
        caveats=tuple(caveats(found, context.faces.templates is not None)),
        method=METHOD,
        params=asdict(params),
        faces=len(context.faces),
    )  # fmt: skip


ANALYSIS = Analysis(
    name=NAME,
    title=TITLE,
    summary="1:N search: FPIR and FNIR, growth with the gallery, how to enrol, who attracts false positives",
    order=15,
    params=Params,
    run=run,
    needs=("identities", "vectors"),
    key_figures=(
        KeyFigure(
            "Missed at the resolvable FPIR", ("identification.fnir@fpir=*",), "lowest_fmr", as_percent=True
        ),
    ),
    from_vectors=True,
)
