"""Leakage: what can be read from ID vectors that is no part of identity?

Every target (pose, expression, smiling, glasses, picture quality; and age or gender, which arguably are
identity) is read by a linear and a small nonlinear probe from the vectors of people the probe has never seen,
and compared with a control task in which every identity has one random label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fraudit.analyses.leakage.params import NAME, TITLE, Params
from fraudit.types import Analysis, AnalysisResult, KeyFigure

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Probe every target there is; those that cannot be judged are named with the reason."""
    from fraudit.analyses.leakage.section import section

    return section(context, params)


ANALYSIS = Analysis(
    name=NAME,
    title=TITLE,
    summary="what can be read from ID vectors that is no part of identity: pose, expression, glasses, quality",
    question="Does it give away more than who it is?",
    order=50,
    params=Params,
    run=run,
    headings=("ai.2h", "card.ethics"),
    needs=("vectors",),
    key_figures=(
        KeyFigure(
            "Strongest leak",
            ("leakage.strongest", "leakage.*.selectivity", "leakage.*.r2", "leakage.*.auc"),
            "largest",
        ),
    ),
    from_vectors=True,
    comparison="fraudit.analyses.leakage.comparison:COMPARISON",
)
