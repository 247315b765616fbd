"""The section put together: measured, put into words, drawn."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from fraudit.analyses.leakage.figures import figures
from fraudit.analyses.leakage.measure import choose_rows, probe_targets
from fraudit.analyses.leakage.params import NAME, TITLE, Params
from fraudit.analyses.leakage.report import answer, caveats, findings, headline, method, metrics, table
from fraudit.analyses.leakage.targets import (
    MIN_FACES,
    MIN_PEOPLE,
    Target,
    label_targets,
    measured_targets,
    require_targets,
)
from fraudit.errors import InsufficientData, UsageError
from fraudit.stats.jackknife import LEAST_GROUPS
from fraudit.types import AnalysisResult

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def section(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Probe every target there is; those that cannot be judged are named with the reason."""
    if params.folds < LEAST_GROUPS:
        raise UsageError(f"leakage.folds: expected at least {LEAST_GROUPS}, found {params.folds}")
    if not 0 < params.level < 1:
        raise UsageError(f"leakage.level: expected a fraction in (0, 1), found {params.level}")
    require_targets(context, params.targets)
    rows = choose_rows(context, context.max_faces(params.max_faces))
    people = len(np.unique(context.faces.subjects[rows]))
    if len(rows) < MIN_FACES or people < MIN_PEOPLE:
        raise InsufficientData(
            f"probes need {MIN_FACES} faces of {MIN_PEOPLE} people with vectors; found {len(rows)} of {people}"
        )
    labels, left_out = label_targets(dict(context.faces.attributes), params.targets, params.identity_traits)
    measured: list[Target] = []
    no_pose = ""
    if params.measure:
        measured, no_pose = measured_targets(context, rows, params.targets, [t.name for t in labels])
    probes, skipped, control = probe_targets(context, params, [*measured, *labels], rows)
    ranked = sorted(probes, key=lambda p: p.selectivity.value, reverse=True)
    conclusions = findings(params, ranked)
    return AnalysisResult(
        NAME,
        TITLE,
        headline=headline(conclusions),
        answer=answer(params, ranked),
        findings=tuple(conclusions),
        metrics=tuple(metrics(ranked)),
        tables=(table(ranked),) if ranked else (),
        figures=tuple(figures(ranked)),
        caveats=tuple(caveats(context, probes, [*left_out, *skipped], no_pose)),
        method=method(params, control),
        params=asdict(params),
        faces=len(rows),
    )
