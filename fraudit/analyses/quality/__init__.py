"""Quality: does throwing out bad pictures help, by which measure, and who loses pictures?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fraudit.analyses.quality.params import NAME, TITLE, Params
from fraudit.types import Analysis, AnalysisResult, KeyFigure, Work

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Discard pictures by every quality there is; see the module.

    Raises:
        InsufficientData: no threshold, no genuine pair or no quality. UsageError: a parameter out of range.
        DataError: OFIQ's table.
    """
    from fraudit.analyses.quality.section import section

    return section(context, params)


def work(context: AnalysisContext, params: Params) -> Work:
    """Copies that the model sees; the detector's scores are remembered with the landmarks."""
    from fraudit.analyses.quality.measures import COPIES

    faces = len(context.faces)
    shown = min(context.max_faces(max(params.stability, 0)) if params.stability > 0 else 0, faces)
    return Work(questions=len(COPIES) * shown)


ANALYSIS = Analysis(
    name=NAME,
    title=TITLE,
    summary="does discarding bad pictures lower FNMR, by which quality, and who loses pictures",
    question="Do bad pictures cost accuracy?",
    order=25,
    params=Params,
    run=run,
    needs=("identities", "vectors"),
    key_figures=(KeyFigure("FNMR change at the quality cut", ("quality.cut.change",), as_points=True),),
    work=work,
)
