"""The section put together: measured, put into words, drawn."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fraudit.analyses.compression.figures import figures
from fraudit.analyses.compression.measure import measure
from fraudit.analyses.compression.params import NAME, RECONSTRUCTIONS, TITLE, Params
from fraudit.analyses.compression.reconstructions import reconstructions
from fraudit.analyses.compression.report import answer, caveats, findings, headline, method, metrics, tables
from fraudit.types import AnalysisResult, Gallery

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def section(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Spectrum, sweep and what follows from it.

    Raises:
        InsufficientData: fewer than three people have a vector.
    """
    found = measure(context, params)
    measured = metrics(found)
    galleries: tuple[Gallery, ...] = ()
    inverted, why = context.pictures_asked(params.reconstructions, RECONSTRUCTIONS, f"{NAME}.reconstructions")
    if inverted:
        more, galleries = reconstructions(context, inverted, found.dims)
        measured += list(more)
    return AnalysisResult(
        NAME,
        TITLE,
        headline=headline(found),
        answer=answer(found),
        findings=tuple(findings(found)),
        metrics=tuple(measured),
        tables=tables(found),
        figures=figures(found),
        galleries=galleries,
        caveats=caveats(found, why),
        method=method(found),
        params={**asdict(params), "far": found.far, "reconstructions": inverted},
        faces=found.spectrum.n,
    )
