"""Rivals: every inversion method of the literature on one protocol, for one model (ID3PM, Tables 1 and 2)."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fraudit.analyses.rivals.params import NAME, QUESTIONS, TITLE, Params
from fraudit.types import Analysis, AnalysisResult, KeyFigure, Unshown, Work

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Invert the same vectors by every method, show the pictures to every judge, count."""
    from fraudit.analyses.rivals import report
    from fraudit.analyses.rivals.figures import figures, galleries
    from fraudit.analyses.rivals.measure import compare_methods
    from fraudit.analyses.rivals.metrics import metrics

    found = compare_methods(context, params)
    told = report.findings(found)
    return AnalysisResult(
        NAME,
        TITLE,
        headline=told[0].text,
        answer=report.answer(found),
        findings=told,
        metrics=tuple(metrics(found)),
        tables=report.tables(found),
        figures=figures(found),
        galleries=galleries(context, params, found),
        caveats=report.caveats(found),
        method=report.METHOD,
        params=asdict(params),
    )


def work(context: AnalysisContext, params: Params) -> Work:
    """What it asks the audited model beyond one vector a face, at most."""
    from fraudit.analyses.rivals.methods import chosen_methods

    pictures = params.people * params.samples
    attacks = [p for p in chosen_methods(params).values() if p.attack is not None]
    asked = (
        len(attacks) * (pictures * (params.questions or QUESTIONS) + params.pool)
        + len(chosen_methods(params)) * pictures
    )
    return Work(asked, pictures)


ANALYSIS = Analysis(
    name=NAME,
    title=TITLE,
    summary="every inversion method of the literature on the same faces, judges, thresholds and questions",
    order=71,
    question="Which inversion method gets furthest?",
    params=Params,
    run=run,
    unshown=Unshown(
        ran="That templates are safe: an attack that fails is no proof, a better one may succeed."
    ),
    needs=("identities", "vectors", "pictures"),
    key_figures=(KeyFigure("Best inversion method", (f"{NAME}.best@*",), "lowest_fmr", as_percent=True),),
    work=work,
    on_request=True,
)
