"""Inversion: what is lost when a template leaks? Reconstructions are judged by the model and by others.

ID3PM, sec. 5.1 to 5.3, Tables 2 to 4 and Fig. 4; success of type I and II after Mai et al., TPAMI 41(5), 2019.
Thresholds are fixed on real pictures of people who are not judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fraudit.analyses.inversion.params import NAME, TITLE, Params
from fraudit.types import Analysis, AnalysisResult, KeyFigure, Unshown, Work

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Invert, re-embed, count.

    Raises:
        InsufficientData: fewer than two judged people with a vector.
    """
    from fraudit.analyses.inversion.section import section

    return section(context, params)


def work(context: AnalysisContext, params: Params) -> Work:
    """What it asks beyond one vector a face, at most."""
    from fraudit.analyses.inversion.measure import work as counted

    return counted(context, params)


ANALYSIS = Analysis(
    name=NAME,
    title=TITLE,
    summary="reconstructions from templates: who still recognises the person, at which false-match rate",
    question="Can a face be rebuilt from a template?",
    order=70,
    params=Params,
    run=run,
    headings=("ai.2h", "card.ethics"),
    unshown=Unshown(
        "Whether a face can be rebuilt from a template: no inverter was tried.",
        "That templates are safe: an attack that fails is no proof, a better one may succeed.",
        instead=("rivals",),
    ),
    needs=("inverter",),
    key_figures=(
        KeyFigure(
            "Attack success", ("inversion.attack_success*", "inversion.*sar*"), "largest", as_percent=True
        ),
    ),
    columns=(("attack success", "inversion.attack_success"),),
    work=work,
    comparison="fraudit.analyses.inversion.comparison:COMPARISON",
)
