"""Inversion: what is lost when a template leaks? Reconstructions are judged by the model and by others.

ID3PM, sec. 5.1 to 5.3, Tables 2 to 4 and Fig. 4; success of type I and II after Mai et al., TPAMI 41(5), 2019.
Thresholds are fixed on real pictures of people who are not judged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fraudit.errors import InsufficientData
from fraudit.types import Analysis, AnalysisResult

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


@dataclass(frozen=True, slots=True)
class Params:
    """Options of the inversion audit.

    Attributes:
        faces: faces to invert once each. pairs: genuine pairs of the replacement protocol.
        people, samples: pictures of one vector, for diversity and guidance: `samples` for each of `people`.
        fmrs: operating points, loosest first; success is told at the strictest that can be resolved.
        guidance: of all reconstructions, by default what the inverter states.
        guidances: of the sweep; empty for none. steps: of the sampler.
        refine: rounds in which every reconstruction but the sweep's is shown to the audited model and its vector
            corrected, as an attacker could who may ask it; 0 for none.
        by: attributes for success per group; by default the usual demographic ones of the set.
        min_people: groups with fewer people are named and not judged.
        training: sets the inverter was trained on, to look for memorised faces.
        training_faces: faces of each training set that are searched at most.
        neighbours: k of precision and recall.
        scale: share of the sizes above; by default 1, or what an inverter asks for that takes long (`share`).
        shown: sources in the gallery.
    """

    faces: int = 300
    pairs: int = 200
    people: int = 20
    samples: int = 8
    fmrs: tuple[float, ...] = (1e-2, 1e-3)
    guidance: float | None = None
    guidances: tuple[float, ...] = (1.0, 1.5, 2.0, 2.5, 3.0)
    steps: int = 10
    refine: int = 0
    by: tuple[str, ...] = ()
    min_people: int = 10
    training: tuple[str, ...] = ()
    training_faces: int = 20_000
    neighbours: int = 3
    scale: float | None = None
    shown: int = 7

    def __post_init__(self) -> None:
        if not self.fmrs or not all(0 < f < 1 for f in self.fmrs):
            raise ValueError(f"fmrs: expected rates in (0, 1), found {self.fmrs}")
        if self.refine < 0:
            raise ValueError(f"refine: expected at least 0 rounds, found {self.refine}")
        if self.samples < 2:
            raise ValueError(f"samples: expected at least 2, found {self.samples}")
        if min((self.guidance or 0.0, *self.guidances)) < 0:
            raise ValueError(f"guidances: expected >= 0, found {self.guidance} and {self.guidances}")
        if self.scale is not None and not 0 < self.scale <= 1:
            raise ValueError(f"scale: expected a share in (0, 1], found {self.scale}")


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Invert, re-embed, count.

    Raises:
        InsufficientData: fewer than two judged people with a vector.
    """
    from fraudit.analyses.inversion import extra, measure, rates, words
    from fraudit.analyses.inversion.figures import figures
    from fraudit.analyses.inversion.pictures import galleries
    from fraudit.inverters.inverting import guidance_of

    guidance = guidance_of(context.inverter) if params.guidance is None else params.guidance
    params = replace(params, guidance=guidance)
    usable = measure.rows_of(context)
    sizes = measure.choose_sizes(context, params, usable)
    count = sizes.pictures(params.refine)
    context.progress(f"inversion: {count:,} pictures")
    told = context.part("inversion: pictures", count).add
    sources = measure.invert_sources(context, params, sizes, usable, told)
    verdicts = [measure.judge(context, params, sources, box) for box in measure.boxes(context)]
    attacks = [rates.attack(verdict, sources, params, context.seed) for verdict in verdicts]
    kin = measure.kin(context)
    chosen = rates.headline_attack(attacks, kin)
    groups = rates.by_group(context, params, sources, verdicts, chosen)
    replaced, reason = [], ""
    try:
        replaced = measure.replace_pairs(context, params, measure.choose_pairs(context, sizes.pairs), told)
    except InsufficientData as error:
        reason = error.message
    replacements = words.replacement_metrics(replaced, context.faces.subjects, reason)
    swept, shown = measure.sweep(context, params, sizes, sources, told)
    first = verdicts[attacks.index(chosen)]
    remembered, memory = extra.memory(context, params, sources, first)
    metrics = [
        *words.attack_metrics(attacks, chosen, kin),
        *words.group_metrics(groups, chosen),
        *replacements,
        *words.sweep_metrics(swept, guidance),
        *extra.cloud_metrics(params, sources, verdicts),
        *extra.outside_metrics(sources, shown[guidance], sizes.samples, swept[0].people),
        *memory,
    ]
    findings = words.findings(attacks, chosen, groups, replacements, remembered, kin)
    return AnalysisResult(
        "inversion",
        "Inversion risk",
        headline=findings[0].text,
        findings=tuple(findings),
        metrics=tuple(metrics),
        tables=tuple(words.tables(attacks, metrics)),
        figures=tuple(figures(verdicts, attacks, chosen, groups, swept)),
        galleries=galleries(context, params, sources, verdicts, swept, shown),
        caveats=tuple(words.caveats(context, params, sizes, attacks, chosen, kin)),
        method=words.METHOD,
        params={**{k: getattr(params, k) for k in params.__dataclass_fields__}, "scale": sizes.scale},
        faces=len(sources.rows),
    )


ANALYSIS = Analysis(
    name="inversion",
    title="Inversion risk",
    summary="reconstructions from templates: who still recognises the person, at which false-match rate",
    order=70,
    params=Params,
    run=run,
    needs=("inverter",),
)
