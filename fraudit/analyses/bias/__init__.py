"""Bias: do error rates at one global threshold differ between demographic groups?

The threshold is chosen on one half of the people and every rate is judged on the other half, so that no
group's rate is flattered by its own threshold. False matches are counted over all impostor pairs within a
group (and between groups), false non-matches over all genuine pairs; a face without a vector counts as a
false non-match and as failure to acquire, never as a false match.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fraudit.analyses.bias.params import Asked, Params
from fraudit.errors import InsufficientData, UsageError
from fraudit.types import Analysis, AnalysisResult, Asks, KeyFigure, Unshown, Work

if TYPE_CHECKING:
    from fraudit.audit.asking import Asking, Questions
    from fraudit.audit.context import AnalysisContext

__all__ = ["ANALYSIS", "Params", "run"]


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Audit every attribute; those whose groups are too small are named with the reason."""
    from fraudit.analyses.bias.measure import (
        Audit,
        attribute_groups,
        audit_attribute,
        pictures_asked,
        without_threshold,
    )
    from fraudit.analyses.bias.report import result
    from fraudit.analyses.bias.withheld import withheld
    from fraudit.audit.sweeps import save_groups

    if not 0 < params.fmr < 1:
        raise UsageError(f"bias.fmr: expected a fraction in (0, 1), found {params.fmr}")
    groups = attribute_groups(context, params)
    if not groups:
        known = ", ".join(sorted(context.faces.attributes))
        raise InsufficientData(
            f"the set '{context.faces.name}' has none of the usual demographic attributes; choose with --by or --param "
            f"bias.by=: {known or 'it has no attributes'}"
        )
    if context.declared is not None:
        raise InsufficientData(
            f"the set '{context.faces.name}' names no identities: which pairs within a group are of two people is only "
            "known of the pairs that it declares",
            "give a set that says who is shown",
        )
    if context.unknown_people:
        return withheld(context, params, *without_threshold(context, params, groups), context.unknown_people)
    scores = context.scores
    params = replace(params, fmr=scores.operating_points((params.fmr,))[0])
    threshold = scores.threshold(params.fmr)
    audits: list[Audit] = []
    skipped: list[str] = []
    for name, labels in groups.items():
        context.progress(f"bias by {name}")
        try:
            audits.append(audit_attribute(context, params, name, labels, threshold))
        except InsufficientData as error:
            skipped.append(error.message)
    save_groups(context, groups, params.min_people, params.min_genuine)
    inverted, why = pictures_asked(context, params)
    told = context.inverter is not None and not inverted
    notes = (f"What inversion loses of whom was not looked at: {why}.",) if told else ()
    params = replace(params, reconstructions=inverted)
    return result(context, params, threshold, audits, skipped, notes)


def questions(asking: Asking, asked: Asked) -> Questions:
    """Genuine and impostor pairs of every group."""
    from fraudit.analyses.bias.questions import questions as chosen

    return chosen(asking, asked)


def work(context: AnalysisContext, params: Params) -> Work:
    """Reconstructions of every group, where those are asked for."""
    import numpy as np

    from fraudit.analyses.bias.measure import attribute_groups, pictures_asked
    from fraudit.analyses.shared.reconstructions import default_scale

    each, _ = pictures_asked(context, params)
    if not each:
        return Work()
    most = context.max_faces(max(8, round(each * default_scale(context.inverter))))
    judged = len(context.faces) // 2
    made = 0
    for labels in attribute_groups(context, params).values():
        groups = np.unique(labels[labels != ""], return_counts=True)[1]
        made += int(np.minimum(np.minimum(groups, judged), most).sum())
    return Work(made, made)


ANALYSIS = Analysis(
    name="bias",
    title="Bias",
    summary="error rates per demographic group at one global threshold, with tests and fairness measures",
    question="Is it fair?",
    order=40,
    params=Params,
    run=run,
    headings=(
        "nist.groups",
        "iso.membership",
        "iso.uncertainty",
        "iso.thresholds",
        "iso.equitability",
        "iso.acquire",
        "ai.2g",
        "ai.3",
        "card.factors",
        "card.figures",
        "card.ethics",
    ),
    unshown=Unshown(
        "Whether it is fair: no groups were compared.",
        "Whether it is fair to groups the set has no label for; it labels {labels}.",
    ),
    needs=("attributes",),
    key_figures=(
        KeyFigure(
            "Worst group gap",
            ("bias.worst_gap", "bias.*max_over_min_fnmr", "bias.*max_over_min_fmr", "bias.*max_over_min*"),
            "largest",
            place=15,
        ),
    ),
    cosmetic=frozenset({"reconstructions", "level"}),
    from_vectors=True,
    work=work,
    comparison="fraudit.analyses.bias.comparison:COMPARISON",
    asks=Asks(Asked, questions),
)
