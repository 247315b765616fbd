"""The section put together: measured, put into words, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from fraudit.analyses.inversion.distribution import cloud_metrics
from fraudit.analyses.inversion.figures import figures
from fraudit.analyses.inversion.galleries import galleries
from fraudit.analyses.inversion.measure import (
    choose_sizes,
    fitted,
    invert_sources,
    judge,
    pairs_or_reason,
    related_judges,
    replace_pairs,
    sweep,
    thresholds_of,
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
from fraudit.analyses.inversion.rates import attack, by_group, headline_attack, unresolved
from fraudit.analyses.inversion.report import METHOD, answer, caveats, findings, tables
from fraudit.analyses.inversion.varied import variety_figure, variety_metrics, variety_table, vary
from fraudit.analyses.shared.reconstructions import judging_models, require_inverter, usable_rows
from fraudit.inverters.inverting import guidance_of
from fraudit.types import AnalysisResult

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext
    from fraudit.audit.thresholds import Threshold


def without_success(thresholds: Sequence[Mapping[float, Threshold]]) -> str:
    """What is said before any picture is made where no judge has a threshold to count success at, or ''."""
    if any(at.resolvable for found in thresholds for at in found.values()):
        return ""
    loosest = max(thresholds[0])
    return (
        f"; attack success cannot be given: {unresolved(loosest, thresholds[0][loosest])}. Likeness and variety are "
        "measured all the same; --skip inversion leaves them out"
    )


def section(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Invert, re-embed, count.

    Raises:
        InsufficientData: fewer than two judged people with a vector, or no impostor pair to choose thresholds on;
            before any picture is made.
    """
    guidance = guidance_of(require_inverter(context)) if params.guidance is None else params.guidance
    params = replace(params, guidance=guidance)
    usable = usable_rows(context)
    boxes = judging_models(context)
    thresholds = [thresholds_of(context, params, box) for box in boxes]
    pairs, reason = pairs_or_reason(context, choose_sizes(context, params, usable).pairs)
    sizes = fitted(choose_sizes(context, params, usable), pairs)
    count = sizes.pictures(params.refine)
    context.progress(f"inversion: {count:,} pictures{without_success(thresholds)}")
    told = context.part("inversion: pictures", count).add
    sources = invert_sources(context, params, sizes, usable, told)
    verdicts = [judge(context, sources, box, at) for box, at in zip(boxes, thresholds, strict=True)]
    attacks = [attack(verdict, sources, params, context.seed) for verdict in verdicts]
    kin = related_judges(context)
    chosen = headline_attack(attacks, kin)
    groups = by_group(context, params, sources, verdicts, chosen)
    replaced = replace_pairs(context, params, pairs, told) if pairs is not None else []
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
