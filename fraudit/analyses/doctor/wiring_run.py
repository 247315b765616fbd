"""The wirings' part of the doctor: measure, say, and write the better card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraudit.analyses.doctor.params import Params
from fraudit.errors import UsageError

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def wiring_of(context: AnalysisContext, params: Params) -> tuple[Any, Any, Any, Any]:
    """(metrics, tables, findings, figures) of the wirings; writes `params.fix`.

    Raises:
        UsageError: a card is to be written for a model that has none.
    """
    from fraudit.analyses.doctor.wiring import measure_wiring
    from fraudit.analyses.doctor.wiring_report import wiring_parts

    card = Path(context.plan.embedder)
    if params.fix and card.suffix.lower() != ".toml":
        raise UsageError(f"{context.plan.embedder} is no card: there is nothing to change", "leave out --fix")
    found = measure_wiring(context, faces=params.wiring_faces)
    metrics, tables, findings, figures = wiring_parts(found)
    if params.fix and found.best is not None:
        from fraudit.analyses.doctor.wiring import fixed_card

        fixed_card(found, card, Path(params.fix))
    return tuple(metrics), tuple(tables), tuple(findings), tuple(figures)
