"""Template protection: accuracy kept, unlinkability and irreversibility of schemes, up to the picture.

The three properties are those of ISO/IEC 24745; unlinkability by Gomez-Barrero et al., IEEE TIFS 13, 2018; success of
type I and II after Mai et al., IEEE TPAMI 41(5), 2019.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fraudit.analyses.protection.params import NAME, TITLE, Params
from fraudit.types import Analysis, AnalysisResult, KeyFigure, Work

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Protect, compare, attack.

    Raises:
        InsufficientData: fewer than 50 people with two pictures. PluginError: an unknown scheme.
    """
    from fraudit.analyses.protection.section import section

    return section(context, params)


def work(context: AnalysisContext, params: Params) -> Work:
    """What it asks beyond one vector a face, at most."""
    from fraudit.analyses.protection.measure import work as counted

    return counted(context, params)


ANALYSIS = Analysis(
    name=NAME,
    title=TITLE,
    summary="template protection schemes: accuracy kept, linkable across keys, recovered with and without the key",
    question="Do protected templates protect?",
    order=85,
    params=Params,
    run=run,
    headings=("ai.2h",),
    needs=("identities", "vectors"),
    key_figures=(
        KeyFigure(
            "Recovered without the key, above chance",
            ("protection.*.vector_attack2_excess_without_key",),
            "largest",
            as_points=True,
        ),
    ),
    work=work,
    on_request=True,
)
