"""Evidence: is the data what it says? Wrong labels, copies, two names, and who makes the errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fraudit.analyses.evidence.params import NAME, TITLE, Params
from fraudit.types import Analysis, AnalysisResult

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Flag, count, list, and show error rates with and without; see the module.

    Raises:
        UsageError: a parameter out of range, or an attribute that the set does not have.
    """
    from fraudit.analyses.evidence.section import section

    return section(context, params)


ANALYSIS = Analysis(
    name=NAME,
    title=TITLE,
    summary="Is the data what it says: wrong labels, copies, people under two names, and who makes the errors",
    question="Is the data what it says?",
    order=12,
    params=Params,
    run=run,
    headings=("card.lost",),
    needs=("vectors",),
    cosmetic=frozenset({"listed", "shown"}),
)
