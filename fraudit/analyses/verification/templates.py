"""1:1 verification of templates, as IJB-B and IJB-C state it, where the set's own pairs are of templates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fraudit.analyses.verification.judged import metric, share
from fraudit.analyses.verification.measure import Evidence, Extra
from fraudit.audit.template_pairs import scored_templates

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

BASIS = (
    "Every figure compares templates of several pictures: the mean of the model's vectors of each medium, summed over "
    "media; pairs are those that the set lists."
)


def gather_templates(context: AnalysisContext) -> tuple[Evidence, Extra]:
    """Scored pairs of templates, and which pictures gave no vector."""
    templates = context.faces.templates
    assert templates is not None
    pairs = templates.pairs
    assert pairs is not None
    found = context.embeddings()
    at = templates.picture
    scores, people = scored_templates(context), templates.subjects
    shown = np.unique(at)
    label = "Faces without a vector (failure to acquire)"
    subjects = context.faces.subjects[shown]
    lost = share(~found.ok[shown], subjects, subjects)
    fta = metric("verification.fta", lost, "", len(shown), "faces", label, "lower")
    reasons: dict[str, int] = {}
    for row in shown:
        if not found.ok[row]:
            reasons[found.reasons[row]] = reasons.get(found.reasons[row], 0) + 1
    evidence = Evidence(
        context.scores.name, scores, pairs.same, people[pairs.left], people[pairs.right], None,
        context.faces.identified, basis=BASIS,
    )  # fmt: skip
    return evidence, Extra(metrics=(fta,), faces=len(shown), reasons=tuple(reasons.items()))
