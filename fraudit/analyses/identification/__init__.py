"""Identification: 1:N search among enrolled people, closed and open set (ISO/IEC 19795-1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fraudit.analyses.identification.params import NAME, TITLE, Params
from fraudit.types import Analysis, AnalysisResult, KeyFigure

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Search people among enrolled ones; see the module.

    Raises:
        InsufficientData: fewer than 20 people to enrol on each half. UsageError: a parameter out of range.
    """
    from fraudit.analyses.identification.section import section

    return section(context, params)


ANALYSIS = Analysis(
    name=NAME,
    title=TITLE,
    summary="1:N search: FPIR and FNIR, growth with the gallery, how to enrol, who attracts false positives",
    question="Does it find people among many?",
    order=15,
    params=Params,
    run=run,
    headings=("nist.1-n", "ai.2g", "card.metrics", "card.figures"),
    needs=("identities", "vectors"),
    key_figures=(
        KeyFigure(
            "Missed at the resolvable FPIR", ("identification.fnir@fpir=*",), "lowest_fmr", as_percent=True
        ),
    ),
    from_vectors=True,
)
