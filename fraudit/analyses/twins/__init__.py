"""Twins: whether a second model is still the first one, and what of thresholds and galleries may stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fraudit.analyses.twins.params import NAME, TITLE, Params
from fraudit.types import Analysis, AnalysisResult, KeyFigure

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Compare two models on the same faces; see the module.

    Raises:
        InsufficientData: fewer than 50 people, or no FMR target is resolved. UsageError: no such attribute.
    """
    from fraudit.analyses.twins.section import section

    return section(context, params)


ANALYSIS = Analysis(
    name=NAME,
    title=TITLE,
    summary="is a second model still the same: cosines, decisions that flip, whether old templates may be searched",
    question="Are the two models the same?",
    order=96,
    params=Params,
    run=run,
    headings=("ai.6",),
    needs=("identities", "vectors", "other"),
    key_figures=(KeyFigure("Cosine of the same face, 1st percentile", ("twins.cosine.p1",)),),
    cosmetic=frozenset({"worst"}),
    on_request=True,
)
