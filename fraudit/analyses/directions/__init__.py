"""Directions and interpolation: what lies along which direction of the ID vectors, and how far one can go.

ID3PM, sec. 3.2, 4.3, 5.2.2 and Figs. 13, 14, 16, 17. People are the unit: faces of one person count once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fraudit.errors import InsufficientData, UsageError, suggest
from fraudit.types import Analysis, AnalysisResult

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


PICTURED = 3  # directions, where inverting is asked for


@dataclass(frozen=True, slots=True)
class Params:
    """Options of the direction analysis.

    Attributes:
        by: attributes; all of the set by default. most: directions at most (the first of the set's order).
        faces: faces the directions are found on. least: people a group must have.
        axes: principal axes to relate to attributes.
        fmr: operating point at which somebody is another person; the next looser where not resolvable.
        pictured: directions that are inverted where an inverter exists, the surest first; by default 3 in an audit
            with the inversion section, else none, and no paths either.
        walkers: faces moved along each. gaps: how far, in gaps between the two groups.
        paths, frames: slerp paths between people. guidance, steps: of the inverter; its own guidance by default.
        scale: share of walkers and paths; by default 1, or what an inverter asks for that takes long (`share`).
    """

    by: tuple[str, ...] = ()
    most: int = 20
    faces: int = 4000
    least: int = 5
    axes: int = 5
    fmr: float = 1e-3
    pictured: int | None = None
    walkers: int = 16
    gaps: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    paths: int = 16
    frames: int = 7
    guidance: float | None = None
    steps: int = 10
    scale: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.fmr < 1:
            raise ValueError(f"fmr: expected a rate in (0, 1), found {self.fmr}")
        if self.frames < 3 or self.most < 1:
            raise ValueError(f"expected frames >= 3 and most >= 1, found {self.frames} and {self.most}")
        if min(self.gaps, default=0) < 0:
            raise ValueError(f"gaps: expected >= 0, found {self.gaps}")


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Find directions, relate them, walk along them.

    Raises:
        InsufficientData: no attribute has two groups of enough people.
        UsageError: an unknown attribute.
    """
    from fraudit.analyses.directions import measure, words
    from fraudit.analyses.directions.figures import figures
    from fraudit.inverters.inverting import guidance_of
    from fraudit.stats.contrasts import contrasts
    from fraudit.stats.directions import study
    from fraudit.stats.inversion import spread_people

    known = list(context.faces.attributes)
    for name in params.by:
        if name not in known:
            raise UsageError(
                f"the set '{context.faces.name}' has no attribute '{name}'",
                f"{suggest(name, known)}known: {', '.join(sorted(known))}",
            )
    embeddings, subjects = context.embeddings(), context.faces.subjects
    there = np.flatnonzero(embeddings.ok)
    use = spread_people(subjects, there, context.max_faces(params.faces), context.rng("directions/faces"))
    chosen = {name: np.asarray(context.faces.attributes[name])[use] for name in params.by or known}
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
        found_reaches = (measure.reach(d, local, subjects[use], rows, threshold.value) for d in result.directions)
        reaches = [r for r in found_reaches if r is not None]
        draws = context.rng("directions/morph")
        morph = measure.vector_morphs(local, subjects[use], rows, threshold.value, draws)
    pictured = None
    inverted, reason = context.pictures_asked(params.pictured, PICTURED, "directions.pictured")
    params = replace(params, pictured=inverted)
    if inverted:
        if params.guidance is None:
            params = replace(params, guidance=guidance_of(context.inverter))
        ranked = sorted(result.directions, key=lambda d: (not d.exists, -d.stability))
        full = [measure.widen(d, use, len(subjects)) for d in ranked[:inverted]]
        ready = np.array([not r for r in context.landmarks()[1]], bool)
        pictured = measure.picture(context, params, full, use[judged & ready[use]])
    findings = words.findings(result, reaches, pictured, threshold)
    return AnalysisResult(
        "directions",
        "Directions and interpolation",
        headline=findings[0].text,
        findings=tuple(findings),
        metrics=tuple(words.metrics(result, reaches, morph, pictured, reason, params, threshold.missing)),
        tables=tuple(words.tables(result, reaches)),
        figures=tuple(figures(result, reaches, pictured)),
        galleries=tuple(words.galleries(context, params, pictured)),
        caveats=tuple(words.caveats(context, skipped, threshold, pictured, reason, params)),
        method=words.METHOD,
        params={k: getattr(params, k) for k in params.__dataclass_fields__},
        faces=len(use),
    )


ANALYSIS = Analysis(
    name="directions",
    title="Directions and interpolation",
    summary="directions of attributes, their angles, how far one can move before it is another person",
    order=60,
    params=Params,
    run=run,
    needs=("attributes",),
)
