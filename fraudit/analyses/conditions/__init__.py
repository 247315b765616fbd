"""Conditions: enrolled like this, seen like that (glasses, light, expression, mask, camera)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fraudit.analyses.conditions.params import NAME, TITLE, Params
from fraudit.types import Analysis, AnalysisResult

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Compare every two conditions of labels that vary within people; see the module.

    Raises:
        InsufficientData: no such label, no threshold or no genuine pair. UsageError: a parameter out of range.
    """
    from fraudit.analyses.conditions.section import section

    return section(context, params)


ANALYSIS = Analysis(
    name=NAME,
    title=TITLE,
    summary="FNMR, similarity and FMR between pictures of different conditions: glasses, light, expression, camera",
    question="Do glasses, light or expression matter?",
    order=45,
    params=Params,
    run=run,
    headings=("iso.phenotype", "card.factors"),
    needs=("identities", "attributes", "vectors"),
    from_vectors=True,
)
