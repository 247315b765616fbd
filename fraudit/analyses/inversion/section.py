"""The section put together: measured, put into words, drawn."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from fraudit.analyses.inversion.distribution import cloud_metrics
from fraudit.analyses.inversion.figures import figures
from fraudit.analyses.inversion.galleries import galleries
from fraudit.analyses.inversion.measure import (
    choose_pairs,
    choose_sizes,
    invert_sources,
    judge,
    related_judges,
    replace_pairs,
    sweep,
)
from fraudit.analyses.inversion.memorised import memory
from fraudit.analyses.inversion.metrics import (
    attack_metrics,
    group_metrics,
    replacement_metrics,
    sweep_metrics,
)
from fraudit.analyses.inversion.params import NAME, TITLE, Params
from fraudit.analyses.inversion.perceptual import perceptual_metrics
from fraudit.analyses.inversion.rates import attack, by_group, headline_attack
from fraudit.analyses.inversion.report import METHOD, answer, caveats, findings, tables
from fraudit.analyses.inversion.varied import variety_figure, variety_metrics, variety_table, vary
from fraudit.analyses.shared.reconstructions import judging_models, require_inverter, usable_rows
from fraudit.errors import InsufficientData
from fraudit.inverters.inverting import guidance_of
from fraudit.types import AnalysisResult

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def section(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Invert, re-embed, count.

    Raises:
        InsufficientData: fewer than two judged people with a vector.
    """
    guidance = guidance_of(require_inverter(context)) if params.guidance is None else params.guidance
    params = replace(params, guidance=guidance)
    usable = usable_rows(context)
    sizes = choose_sizes(context, params, usable)
    count = sizes.pictures(params.refine)
    context.progress(f"inversion: {count:,} pictures")
    told = context.part("inversion: pictures", count).add
    sources = invert_sources(context, params, sizes, usable, told)
    verdicts = [judge(context, params, sources, box) for box in judging_models(context)]
    attacks = [attack(verdict, sources, params, context.seed) for verdict in verdicts]
    kin = related_judges(context)
    chosen = headline_attack(attacks, kin)
    groups = by_group(context, params, sources, verdicts, chosen)
    replaced, reason = [], ""
    try:
        replaced = replace_pairs(context, params, choose_pairs(context, sizes.pairs), told)
    except InsufficientData as error:
        reason = error.message
    replacements = replacement_metrics(replaced, context.faces.subjects, reason)
    swept, shown = sweep(context, params, sizes, sources, told)
    varied = vary(context, params, sizes, sources, told) if params.varieties else []
    first = verdicts[attacks.index(chosen)]
    remembered, nearness = memory(context, params, sources, first)
    metrics = [
        *attack_metrics(attacks, chosen, kin),
        *group_metrics(groups, chosen),
        *replacements,
        *sweep_metrics(swept, guidance),
        *variety_metrics(varied),
        *cloud_metrics(params, sources, verdicts),
        *perceptual_metrics(sources, shown[guidance], sizes.samples, swept[0].people),
        *nearness,
    ]
    conclusions = findings(attacks, chosen, groups, replacements, remembered, kin)
    return AnalysisResult(
        NAME,
        TITLE,
        headline=conclusions[0].text,
        answer=answer(chosen),
        findings=tuple(conclusions),
        metrics=tuple(metrics),
        tables=tuple(t for t in (*tables(attacks, metrics), variety_table(varied)) if t is not None),
        figures=tuple(
            f
            for f in (*figures(verdicts, attacks, chosen, groups, swept), variety_figure(varied))
            if f is not None
        ),
        galleries=galleries(context, params, sources, verdicts, swept, shown),
        caveats=tuple(caveats(context, params, sizes, attacks, chosen, kin)),
        method=METHOD,
        params={**asdict(params), "scale": sizes.scale},
        faces=len(sources.rows),
    )
