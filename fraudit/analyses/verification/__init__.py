"""Verification: does the model tell people apart, and at what error rates?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fraudit.analyses.verification.params import Asked, Params
from fraudit.types import Analysis, AnalysisResult, Asks, KeyFigure, Unshown, Work

if TYPE_CHECKING:
    from fraudit.audit.asking import Asking, Questions
    from fraudit.audit.context import AnalysisContext

__all__ = ["ANALYSIS", "Params", "run"]


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Folds, ROC figures, error rates at thresholds of other people, and failures to acquire."""
    from fraudit.analyses.verification.measure import gather, judge
    from fraudit.analyses.verification.report import result_of
    from fraudit.analyses.verification.templates import gather_templates
    from fraudit.audit.sweeps import save_pairs
    from fraudit.audit.template_pairs import compares_templates

    if compares_templates(context):
        evidence, extra = gather_templates(context)
        save_pairs(context)
        return result_of(evidence, params, extra)
    result = result_of(gather(context), params, judge(context, params))
    save_pairs(context)
    return result


def questions(asking: Asking, params: Asked) -> Questions:
    """The pairs of the protocol, which every run asks about; what is made of them is as by default."""
    from fraudit.audit.asking import Questions

    return Questions(Params(), protocol=True)


def work(context: AnalysisContext, params: Params) -> Work:
    """Faces shown mirrored too, for the protocols that ask for that."""
    mirrored = bool(set(params.modes) - {"exact"})
    return Work(2 * len(context.faces) if mirrored else 0)


ATTACKS = "Whether it can be fooled by photographs, screens or masks: no presentation attack was tried."
ANALYSIS = Analysis(
    name="verification",
    title="Verification",
    summary="Accuracy over folds, DET, EER, TAR at FAR, error rates at thresholds of other people.",
    question="Is it accurate?",
    order=10,
    params=Params,
    run=run,
    headings=(
        "nist.1-1",
        "iso.uncertainty",
        "iso.thresholds",
        "iso.acquire",
        "ai.2g",
        "ai.3",
        "ai.4",
        "card.metrics",
        "card.figures",
    ),
    unshown=Unshown(ATTACKS, ATTACKS),
    needs=("pairs",),
    key_figures=(
        KeyFigure(
            "Accuracy over folds",
            ("verification.accuracy", "verification.accuracy.*", "verification.accuracy*"),
            as_percent=True,
        ),
        KeyFigure(
            "FNMR at the resolvable FMR",
            (
                "verification.fnmr_target@fmr=*",
                "verification.fnmr@fmr=*",
            ),  # as the finding: its choice included
            "lowest_fmr",
            as_percent=True,
        ),
    ),
    columns=(("accuracy", "verification.accuracy"), ("eer", "verification.eer")),
    # which operating points are printed: others follow from what a run stored
    cosmetic=frozenset({"bins", "points", "fmrs", "fars"}),
    from_vectors=True,
    work=work,
    comparison="fraudit.analyses.verification.comparison:COMPARISON",
    asks=Asks(Asked, questions),
)
