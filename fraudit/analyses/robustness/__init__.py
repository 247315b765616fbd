"""Robustness: what corruptions of the picture do to a model whose threshold was fixed on clean pictures.

ID3PM, sec. 5.2 and Fig. 11; corruption error after Hendrycks and Dietterich, ICLR 2019.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from fraudit.analyses.robustness.params import NAME, RECONSTRUCTIONS, TITLE, Asked, Params
from fraudit.errors import InsufficientData
from fraudit.types import Analysis, AnalysisResult, Asks, KeyFigure, Work

if TYPE_CHECKING:
    from fraudit.audit.asking import Asking, Questions
    from fraudit.audit.context import AnalysisContext

__all__ = ["ANALYSIS", "RECONSTRUCTIONS", "Params", "run"]


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """The grid, its findings and pictures.

    Raises:
        InsufficientData: fewer than two people outside the calibration half.
        UsageError: an unknown corruption.
    """
    from fraudit.analyses.robustness import report
    from fraudit.analyses.robustness.conditions import condition_figure, condition_metrics, conditions
    from fraudit.analyses.robustness.figures import figures
    from fraudit.analyses.robustness.findings import findings, gap_findings
    from fraudit.analyses.robustness.groups import group_parts
    from fraudit.analyses.robustness.measure import build_grid, cells_level, clean_threshold, group_cells
    from fraudit.analyses.robustness.metrics import cell_metrics, corruption_error, mean_metrics
    from fraudit.analyses.robustness.ood import out_of_distribution
    from fraudit.analyses.robustness.pictures import Parts, reconstructions, strip
    from fraudit.analyses.robustness.tables import table
    from fraudit.perturb.catalogue import resolve
    from fraudit.stats.robustness import Comparisons

    corruptions, whole = resolve(params.corruptions), tuple[str, ...]()
    scores = context.scores
    if scores.whole and scores.vectors:
        corruptions = tuple(c for c in corruptions if c.domain == "picture")
        params, whole = replace(params, where="picture"), (report.WHOLE,)
        if not corruptions:
            raise InsufficientData(
                "the black box finds the face itself: there is no alignment of ours to disturb"
            )
    severities = tuple(sorted(params.severities))
    n_cells = len(corruptions) * len(severities)
    threshold = clean_threshold(scores, params.fmr)
    redetect = params.where == "picture" and (context.has_detector or scores.whole or scores.sampled)
    pairs = scores.probes(context.max_faces(params.probes), NAME)
    n_probes = len(pairs.probes)
    context.progress(f"robustness: {n_cells} cells x {n_probes} probes = {n_cells * n_probes:,} faces")
    similar = "" if scores.vectors else report.NO_SIMILARITY
    clean = scores.clean(pairs)
    comparisons = Comparisons(pairs, clean, threshold.value, cells_level(n_cells), no_similarity=similar)
    shown = scores.corrupted(pairs, corruptions, severities, params.where, NAME)
    answers = {key: found.answer for key, found in shown.items()}
    embedded = {key: found.embedded for key, found in shown.items() if found.embedded is not None}
    grid = build_grid(comparisons, answers, corruptions, severities)
    metrics = cell_metrics(grid, comparisons, redetect and scores.vectors) + mean_metrics(grid)
    in_use = conditions(grid)
    metrics += condition_metrics(grid, in_use)
    lead = condition_figure(grid, comparisons, in_use)
    if scores.vectors or params.reference:
        metrics += corruption_error(params, grid, context.faces.digest)
    groups, group_note = group_cells(context, params, comparisons, answers)
    group_metrics, group_tables, group_figures, increase, large = group_parts(
        grid, comparisons, groups, params.group_floor
    )
    said = findings(grid, comparisons, threshold.fmr_target)
    said += gap_findings(grid, increase, large)
    small = report.small_groups(
        {label: people for label, (_, _, people) in groups.items()}, params.group_floor
    )
    parts = Parts()
    inverted, why = context.pictures_asked(
        params.reconstructions, RECONSTRUCTIONS, "robustness.reconstructions"
    )
    if inverted:
        parts += reconstructions(context, inverted, severities[-1], corruptions, embedded, pairs, threshold)
    elif context.inverter is not None:
        parts += Parts(caveats=(f"Corrupted vectors were not inverted: {why}.",))
    if context.show_pictures and embedded:
        parts += strip(context, corruptions, severities, pairs, embedded)
    if params.ood:
        parts += out_of_distribution(context, params.ood, threshold)
    return AnalysisResult(
        NAME,
        TITLE,
        headline=report.headline(grid, comparisons, said),
        answer=report.answer(grid, comparisons, said),
        findings=(*said, *parts.findings),
        metrics=(*metrics, *group_metrics, *parts.metrics),
        tables=(table(grid), *group_tables, *parts.tables),
        figures=(
            *filter(None, [lead]),
            *figures(grid, comparisons, lead is None),
            *group_figures,
            *parts.figures,
        ),
        galleries=parts.galleries,
        caveats=(
            *report.caveats(grid, comparisons, threshold, redetect, params),
            *group_note,
            *small,
            *parts.caveats,
            *whole,
            *filter(None, [context.repeat_note()]),
        ),
        method=report.method(comparisons, threshold, redetect, params, scores),
        params={**asdict(params), "severities": severities, "probes": n_probes, "reconstructions": inverted},
        faces=n_probes * n_cells,
    )


def questions(asking: Asking, asked: Asked) -> Questions:
    """Probes with one mate and one stranger each, in every cell."""
    from fraudit.analyses.robustness.questions import questions as chosen

    return chosen(asking, asked)


def work(context: AnalysisContext, params: Params) -> Work:
    """Every probe under every corruption and severity, and reconstructions where those are asked for."""
    from fraudit.perturb.catalogue import resolve

    corruptions = resolve(params.corruptions)
    shown = (
        min(context.max_faces(params.probes), len(context.faces)) * len(corruptions) * len(params.severities)
    )
    people, _ = context.pictures_asked(params.reconstructions, RECONSTRUCTIONS, "robustness.reconstructions")
    made = people * (1 + len(corruptions))
    return Work(shown + made, made, shown if params.where == "picture" and context.has_detector else 0)


ANALYSIS = Analysis(
    name=NAME,
    title=TITLE,
    summary="FNMR and FMR at the clean threshold under many corruptions in five severities each",
    question="Is it robust?",
    order=20,
    params=Params,
    run=run,
    headings=("iso.acquire", "ai.2g", "card.factors"),
    factor="Conditions of the picture (noise, blur, light, compression, resolution, pose, occlusion) were simulated",
    needs=("pictures",),
    key_figures=(
        KeyFigure(
            "Worst corruption, FNMR",
            ("robustness.worst_fnmr", "robustness.worst*", "robustness.fnmr.*"),
            "largest",
            as_percent=True,
        ),
    ),
    columns=(("worst corruption", "robustness.worst_fnmr"),),
    cosmetic=frozenset({"reconstructions"}),
    work=work,
    comparison="fraudit.analyses.robustness.comparison:COMPARISON",
    asks=Asks(Asked, questions),
)
