"""The section put together: measured, put into words, drawn."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np

from fraudit.analyses.directions.figures import figures
from fraudit.analyses.directions.galleries import galleries
from fraudit.analyses.directions.measure import picture, reach, vector_morphs, widen
from fraudit.analyses.directions.params import NAME, PICTURED, TITLE, Params
from fraudit.analyses.directions.report import METHOD, answer, caveats, findings, metrics, tables
from fraudit.analyses.shared.reconstructions import require_inverter
from fraudit.errors import InsufficientData
from fraudit.faces.attributes import require_attributes
from fraudit.inverters.inverting import guidance_of
from fraudit.stats.contrasts import contrasts
from fraudit.stats.directions import study
from fraudit.stats.inversion import spread_people
from fraudit.types import AnalysisResult

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def section(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Find directions, relate them, walk along them.

    Raises:
        InsufficientData: no attribute has two groups of enough people.
        UsageError: an unknown attribute.
    """
    require_attributes(context.faces, params.by)
    embeddings, subjects = context.embeddings(), context.faces.subjects
    there = np.flatnonzero(embeddings.ok)
    use = spread_people(subjects, there, context.max_faces(params.faces), context.rng("directions/faces"))
    chosen = {
        name: np.asarray(context.faces.attributes[name])[use]
        for name in params.by or context.faces.attributes
    }
    found, skipped = contrasts(chosen, subjects[use], params.least)
    skipped += [f"{c.name}: only the first {params.most} are looked at" for c in found[params.most :]]
    if not found:
        raise InsufficientData(
            f"no attribute has two groups of {params.least} people: {'; '.join(skipped)}",
            "lower --param directions.least, or use a larger set",
        )
    unit = embeddings.unit()
    context.progress(f"directions of {min(len(found), params.most)} attributes on {len(use):,} faces")
    result = study(
        unit[use], subjects[use], found[: params.most], context.rng("directions"), axes=params.axes
    )
    threshold = context.threshold_or_reason(params.fmr)
    if not (threshold.resolvable or threshold.missing):
        params = replace(params, fmr=1e-2)
        threshold = context.threshold(params.fmr)
    judged = ~context.calibration_mask()[use]
    rows = np.flatnonzero(judged)
    local = unit[use]
    reaches, morph = [], None
    if not threshold.missing:
        along = (reach(d, local, subjects[use], rows, threshold.value) for d in result.directions)
        reaches = [r for r in along if r is not None]
        draws = context.rng("directions/morph")
        morph = vector_morphs(local, subjects[use], rows, threshold.value, draws)
    pictured = None
    inverted, reason = context.pictures_asked(params.pictured, PICTURED, "directions.pictured")
    params = replace(params, pictured=inverted)
    if inverted:
        if params.guidance is None:
            params = replace(params, guidance=guidance_of(require_inverter(context)))
        ranked = sorted(result.directions, key=lambda d: (not d.exists, -d.stability))
        full = [widen(d, use, len(subjects)) for d in ranked[:inverted]]
        ready = np.array([not r for r in context.landmarks()[1]], bool)
        pictured = picture(context, params, full, use[judged & ready[use]])
    conclusions = findings(result, reaches, pictured, threshold)
    return AnalysisResult(
        NAME,
        TITLE,
        headline=conclusions[0].text,
        answer=answer(result),
        findings=tuple(conclusions),
        metrics=tuple(metrics(result, reaches, morph, pictured, reason, params, threshold.missing)),
        tables=tuple(tables(result, reaches)),
        figures=tuple(figures(result, reaches, pictured)),
        galleries=tuple(galleries(context, params, pictured)),
        caveats=tuple(caveats(context, skipped, threshold, pictured, reason, params)),
        method=METHOD,
        params=asdict(params),
        faces=len(use),
    )
