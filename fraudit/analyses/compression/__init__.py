"""Compression: how few numbers of an ID vector verification needs, and what smaller templates still carry.

ID3PM, sec. 5.4 and supplementary Figs. 14 and 15.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fraudit.analyses.compression.params import NAME, TITLE, Params
from fraudit.types import Analysis, AnalysisResult, KeyFigure, Work

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Spectrum, sweep and what follows from it.

    Raises:
        InsufficientData: fewer than three people have a vector.
    """
    from fraudit.analyses.compression.section import section

    return section(context, params)


def work(context: AnalysisContext, params: Params) -> Work:
    """What it asks beyond one vector a face, at most."""
    from fraudit.analyses.compression.measure import work as counted

    return counted(context, params)


ANALYSIS = Analysis(
    name=NAME,
    title=TITLE,
    summary="how few PCA axes or bits keep verification, and what smaller templates cost and carry",
    question="Can templates be smaller?",
    order=30,
    params=Params,
    run=run,
    needs=("vectors",),
    key_figures=(KeyFigure("Smallest safe dimension", ("compression.safe_dim",)),),
    cosmetic=frozenset({"reconstructions"}),
    from_vectors=True,
    work=work,
    comparison="fraudit.analyses.compression.comparison:COMPARISON",
)
