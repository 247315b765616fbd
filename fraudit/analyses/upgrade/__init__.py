"""Upgrade: a new model with the old model's enrolments, translated instead of enrolled again."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fraudit.analyses.upgrade.params import NAME, TITLE, Params
from fraudit.types import Analysis, AnalysisResult, KeyFigure

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Translate old enrolments (the audited model's) into the space of the second model, and judge them."""
    from fraudit.analyses.shared.transfer import left_out_words
    from fraudit.analyses.upgrade import report
    from fraudit.analyses.upgrade.figures import figures
    from fraudit.analyses.upgrade.measure import measure_upgrade

    found = measure_upgrade(context, params)
    told = report.findings(found, params)
    left = left_out_words(found.missing, found.faces)
    return AnalysisResult(
        NAME,
        TITLE,
        headline=told[0].text,
        answer=report.answer(found, params),
        findings=tuple(told),
        metrics=tuple(report.metrics(found)),
        tables=(report.table(found),),
        figures=figures(found),
        caveats=(left,) if left else (),
        method=report.METHOD,
        params=asdict(params),
    )


ANALYSIS = Analysis(
    name=NAME,
    title=TITLE,
    summary="a new model with the old gallery: what translated enrolments lose against enrolling again",
    question="Can old enrolments be kept?",
    order=96,
    params=Params,
    run=run,
    headings=("ai.6",),
    needs=("identities", "vectors", "other"),
    key_figures=(KeyFigure("Pictures to translate by", (f"{NAME}.pictures_needed",)),),
    from_vectors=True,
    on_request=True,
)
