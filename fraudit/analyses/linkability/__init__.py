"""Linkability: two databases of different models leak; who is in both?"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fraudit.analyses.linkability.params import NAME, TITLE, Params
from fraudit.types import Analysis, AnalysisResult, KeyFigure

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Link the audited model's database with the second model's."""
    from fraudit.analyses.linkability import report
    from fraudit.analyses.linkability.figures import figures
    from fraudit.analyses.linkability.measure import measure_links
    from fraudit.analyses.shared.transfer import SAME, left_out_words

    found = measure_links(context, params)
    told = report.findings(found)
    caveats = []
    left_out = left_out_words(found.missing, found.faces)
    if left_out:
        caveats.append(left_out)
    if found.same:
        caveats.append(f"{SAME}: these are two databases of one model, linked without a translator.")
    if 0 in params.pairs and found.dims[0] != found.dims[1]:
        caveats.append(
            f"Vectors cannot be compared as they are: {found.dims[0]} and {found.dims[1]} numbers."
        )
    return AnalysisResult(
        NAME,
        TITLE,
        headline=told[0].text,
        answer=report.answer(found),
        findings=tuple(told),
        metrics=tuple(report.metrics(found)),
        tables=(report.table(found),),
        figures=figures(found),
        caveats=tuple(caveats),
        method=report.METHOD,
        params=asdict(params),
    )


ANALYSIS = Analysis(
    name=NAME,
    title=TITLE,
    summary="two leaked databases of different models: D_sys and rank 1 of an attacker who translates",
    question="Can two leaked databases be linked?",
    order=97,
    params=Params,
    run=run,
    headings=("ai.2h",),
    needs=("identities", "vectors", "other"),
    key_figures=(KeyFigure("D_sys of two models' databases", (f"{NAME}.d_sys.n=*",), "largest"),),
    from_vectors=True,
    on_request=True,
)
