"""Profile: what a named plan demands of error rates, and whether the evidence meets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fraudit.analyses.profile.params import NAME, TITLE, Params
from fraudit.types import Analysis, AnalysisResult, Unshown

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Hold the model to a plan; see the module.

    Raises:
        InsufficientData: it is not known who is shown, or a half of the people has no pair of two. UsageError: an
            attribute that the set does not have.
    """
    from fraudit.analyses.profile.section import section

    return section(context, params)


ANALYSIS = Analysis(
    name=NAME,
    title=TITLE,
    summary="named plans (NIST SP 800-63A-4, ISO/IEC 19795-10): pass, fail or not enough evidence for each demand",
    question="Does it meet the named plan?",
    order=16,
    params=Params,
    run=run,
    headings=("nist.demands",),
    unshown=Unshown("Whether it meets a standard or a law: no demand of one was tested (`--profile`)."),
    needs=("vectors",),
    from_vectors=True,
    on_request=True,
)
