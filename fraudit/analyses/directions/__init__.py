"""Directions and interpolation: what lies along which direction of the ID vectors, and how far one can go.

ID3PM, sec. 3.2, 4.3, 5.2.2 and Figs. 13, 14, 16, 17. People are the unit: faces of one person count once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fraudit.analyses.directions.params import NAME, TITLE, Params
from fraudit.types import Analysis, AnalysisResult, Work

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Find directions, relate them, walk along them.

    Raises:
        InsufficientData: no attribute has two groups of enough people.
        UsageError: an unknown attribute.
    """
    from fraudit.analyses.directions.section import section

    return section(context, params)


def work(context: AnalysisContext, params: Params) -> Work:
    """What it asks beyond one vector a face, at most."""
    from fraudit.analyses.directions.measure import work as counted

    return counted(context, params)


ANALYSIS = Analysis(
    name=NAME,
    title=TITLE,
    summary="directions of attributes, their angles, how far one can move before it is another person",
    question="Which attributes are in the vector?",
    order=60,
    params=Params,
    run=run,
    needs=("attributes", "vectors"),
    cosmetic=frozenset({"pictured"}),
    from_vectors=True,
    work=work,
)
