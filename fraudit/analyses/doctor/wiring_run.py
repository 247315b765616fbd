"""The wirings' part of the doctor: measure, say, and write the better card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraudit.analyses.doctor.params import Params
from fraudit.errors import InsufficientData, UsageError

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext
    from fraudit.types import AnalysisResult


def with_wiring(context: AnalysisContext, params: Params, result: AnalysisResult) -> AnalysisResult:
    """The result with the wirings' part, and what may be better for its headline; writes `params.fix`.

    Raises:
        UsageError: a card is to be written for a model whose card does not state how its input is made.
    """
    from fraudit.analyses.doctor.wiring import measure_wiring
    from fraudit.analyses.doctor.wiring_report import (
        METHOD,
        maybe_better,
        weighed,
        wiring_caveats,
        wiring_parts,
    )

    card = Path(context.plan.embedder)
    if params.fix and (card.suffix.lower() != ".toml" or context.embedder.loaded.network is None):
        raise UsageError(
            f"{context.plan.embedder}: no card states how this model's input is made, so there is none to change",
            "leave out --fix",
        )
    try:
        found = measure_wiring(context, faces=params.wiring_faces, only=params.axes)
    except InsufficientData as error:
        return _more(result, caveats=(f"Other wirings were not tried: {error.message}.",))
    metrics, tables, findings, figures = wiring_parts(found)
    caveats = wiring_caveats(found)
    if params.fix and found.best is not None:
        from fraudit.analyses.doctor.card_lines import fixed_card

        if found.best.lines:
            fixed_card(found.best.lines, card, Path(params.fix))
        else:
            told = f"No card can say '{found.best.hypothesis.words}', so none was written; wrap the model"
            caveats = (*caveats, f"{told}: python:module:callable.")
    return _more(
        replace(result, findings=weighed(result.findings, found)),
        headline=maybe_better(found),
        metrics=metrics,
        tables=tables,
        findings=findings,
        figures=figures,
        caveats=caveats,
        method=f" {METHOD}",
    )


def _more(result: AnalysisResult, **parts: Any) -> AnalysisResult:
    return replace(result, **{key: getattr(result, key) + value for key, value in parts.items()})
