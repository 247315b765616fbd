"""Doctor: is the model wired right, before any of its figures is believed?"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from fraudit.analyses.doctor.params import NAME, TITLE, Params
from fraudit.types import Analysis, AnalysisResult, Work

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Sanity always, wiring where it is asked for."""
    from fraudit.analyses.doctor import report
    from fraudit.analyses.doctor.figures import figures
    from fraudit.analyses.doctor.measure import measure_sanity

    found = measure_sanity(context, params)
    findings = (*report.findings(found), *report.card_findings(context.embedder.loaded.card_notes))
    result = AnalysisResult(
        NAME,
        TITLE,
        findings=findings,
        metrics=report.metrics(found),
        tables=(report.table(found),),
        figures=figures(found),
        caveats=report.caveats(found),
        method=report.METHOD,
        params=asdict(params),
    )
    if params.wiring:
        from fraudit.analyses.doctor.wiring_run import with_wiring

        result = with_wiring(context, params, result)
    told = result.findings
    return replace(
        result,
        headline=report.headline(found, told, result.headline),
        answer=report.answer(told, params.wiring, result.headline),
    )


def work(context: AnalysisContext, params: Params) -> Work:
    """What the checks and the wirings ask at most."""
    from fraudit.analyses.doctor.measure import most_work

    return most_work(context, params)


ANALYSIS = Analysis(
    name=NAME,
    title=TITLE,
    summary="is the model wired right: the same face twice, alone and in a batch; dead dimensions; NaN",
    question="Is it wired right?",
    order=2,
    params=Params,
    run=run,
    needs=("vectors", "pictures"),
    cosmetic=frozenset({"wiring", "wiring_faces", "wiring_axes", "fix", "faces"}),
    work=work,
)
