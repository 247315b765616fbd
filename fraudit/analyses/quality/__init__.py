"""Quality: does throwing out bad pictures help, by which measure, and who loses pictures?"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fraudit.analyses.quality.figures import figures
from fraudit.analyses.quality.measure import measure_quality
from fraudit.analyses.quality.measures import COPIES
from fraudit.analyses.quality.params import Params
from fraudit.analyses.quality.report import METHOD, NAME, caveats, findings, metrics, tables
from fraudit.types import Analysis, AnalysisResult, KeyFigure, Work

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

TITLE = "Quality"


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Discard pictures by every quality there is; see the module.

    Raises:
        InsufficientData: no threshold, no genuine pair or no quality. UsageError: a parameter out of range.
        DataError: OFIQ's table.
    """
    found = measure_quality(context, params)
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
        faces=found.measured,
    )  # fmt: skip


def work(context: AnalysisContext, params: Params) -> Work:
    """Copies that the model sees, and pictures that the detector is asked about again."""
    faces = len(context.faces)
    shown = min(context.max_faces(max(params.stability, 0)) if params.stability > 0 else 0, faces)
    asked = context.has_detector and params.measure
    located = min(context.max_faces(max(params.faces, 1)), faces) if asked else 0
    return Work(questions=len(COPIES) * shown, located=located)


ANALYSIS = Analysis(
    name=NAME,
    title=TITLE,
    summary="does discarding bad pictures lower FNMR, by which quality, and who loses pictures",
    order=25,
    params=Params,
    run=run,
    needs=("identities", "vectors"),
    key_figures=(KeyFigure("FNMR change at the quality cut", ("quality.cut.change",), as_percent=True),),
    work=work,
)
