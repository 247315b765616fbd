"""Doctor: is the model wired right, before any of its figures is believed?"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fraudit.analyses.doctor.measure import measure_sanity, work
from fraudit.analyses.doctor.params import NAME, TITLE, Params
from fraudit.types import Analysis, AnalysisResult

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Sanity always, wiring where it is asked for."""
    from fraudit.analyses.doctor import report
    from fraudit.analyses.doctor.figures import figures

    found = measure_sanity(context, params)
    metrics, tables = report.metrics(found), (report.table(found),)
    findings, drawn = report.findings(found), figures(found)
    if params.wiring:
        from fraudit.analyses.doctor.wiring_run import wiring_of

        more = wiring_of(context, params)
        metrics, tables = (*metrics, *more[0]), (*tables, *more[1])
        findings, drawn = (*findings, *more[2]), (*drawn, *more[3])
    return AnalysisResult(
        NAME,
        TITLE,
        headline=report.headline(found, findings),
        findings=findings,
        metrics=metrics,
        tables=tables,
        figures=drawn,
        caveats=report.caveats(found),
        method=report.METHOD,
        params=asdict(params),
    )


ANALYSIS = Analysis(
    name=NAME,
    title=TITLE,
    summary="is the model wired right: the same face twice, alone and in a batch; dead dimensions; NaN",
    order=2,
    params=Params,
    run=run,
    needs=("vectors", "pictures"),
    cosmetic=frozenset({"wiring", "wiring_faces", "fix", "faces"}),
    work=work,
)
