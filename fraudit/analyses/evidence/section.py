"""The section put together: measured, put into words, drawn."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fraudit.analyses.evidence.figures import figures
from fraudit.analyses.evidence.findings import answer, caveats, findings
from fraudit.analyses.evidence.flags import find_flags
from fraudit.analyses.evidence.galleries import galleries
from fraudit.analyses.evidence.metrics import metrics
from fraudit.analyses.evidence.names import person_names
from fraudit.analyses.evidence.params import NAME, TITLE, Params
from fraudit.analyses.evidence.rates import measure_rates
from fraudit.analyses.evidence.tables import tables
from fraudit.types import AnalysisResult

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

METHOD = (
    "A picture's label is likely wrong where the picture fits its own person no better than pictures fit strangers "
    "and another person as pictures fit their own. Two people are likely one where they are as alike as two random "
    "parts of one person's pictures. Near copies have all but the same vector; equal files the same sha256. Each is "
    "counted beside what a set without any would flag, and nothing is left out of other figures. Error rates are of "
    "people whose impostor pairs did not choose the threshold; lists name the worst pairs of all people. The hardest "
    "strangers are the nearest 1 % of each picture by the first judge, of the same group where groups are known."
)


def section(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Flag, count, list, and show error rates with and without; see the module.

    Raises:
        UsageError: a parameter out of range, or an attribute that the set does not have.
    """
    flags = find_flags(context, params)
    rates = measure_rates(context, params, flags)
    people = person_names(context.faces)
    told = tuple(findings(flags, rates, people))
    return AnalysisResult(
        NAME, TITLE,
        headline=told[0].text,
        answer=answer(told, int(flags.labels.judged.sum()) if flags.labels else 0),
        findings=told,
        metrics=tuple(metrics(flags, rates)),
        tables=tuple(tables(flags, rates, context.faces, people, params)),
        figures=tuple(figures(flags, rates, context.seed)),
        galleries=tuple(galleries(context, params, flags, rates, people)),
        caveats=tuple(caveats(flags, rates)),
        method=METHOD,
        params=asdict(params),
        faces=len(context.faces),
    )  # fmt: skip
