"""Whether reconstructions are faces that the inverter was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fraudit.analyses.inversion.measure import Sources, Verdict
from fraudit.analyses.inversion.params import Params
from fraudit.analyses.inversion.rates import OTHER_LEVEL
from fraudit.analyses.shared.reconstructions import judging_models
from fraudit.analyses.shared.words import judge_name
from fraudit.faces.detect import Locator
from fraudit.faces.sources import open_faces
from fraudit.stats.inversion import mean_of
from fraudit.types import F32, F64, Finding, Metric, Severity

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

MEMORY_MEDIUM = 0.05  # rule `inversion.memory`, in cosine


def _nearest(points: F32, pool: F32) -> F64:
    """f64[N]: highest cosine of each unit row to the unit rows of `pool`."""
    return np.concatenate(
        [(points[i : i + 256] @ pool.T).max(axis=1) for i in range(0, len(points), 256)]
    ).astype(np.float64)


def memory_excess(
    made: F32, real: F32, training: F32, strangers: F32, rng: np.random.Generator
) -> tuple[F64, int]:
    """(f64[N], faces in either pool): how much nearer reconstructions lie to training faces than chance.

    (T_made - P_made) - (T_real - P_real), where T is the highest cosine to a training face and P that to as
    many faces of people who were not trained on: that a set is nearer to another one, and that
    reconstructions are nearer to everybody, cancels out.
    """
    size = min(len(training), len(strangers))
    t = training[rng.choice(len(training), size, replace=False)]
    p = strangers[rng.choice(len(strangers), size, replace=False)]
    return (_nearest(made, t) - _nearest(made, p)) - (_nearest(real, t) - _nearest(real, p)), size


def memory(
    context: AnalysisContext, params: Params, sources: Sources, verdict: Verdict
) -> tuple[Finding | None, list[Metric]]:
    """Whether reconstructions are faces the inverter was trained on, judged by one model."""
    name, label = "inversion.memory", "Nearness of reconstructions to training faces beyond chance, in cosine"

    def missing(reason: str) -> tuple[None, list[Metric]]:
        return None, [Metric(name, None, missing=reason, better="lower", label=label)]

    if not params.training:
        return missing("the training sets were not named: --param inversion.training=celeba,utkface")
    box = next(b for b in judging_models(context) if b.spec.name == verdict.name)
    pools = []
    for dataset in params.training:
        faces = open_faces(dataset)
        if faces.digest == context.faces.digest:
            return missing(f"'{faces.name}' is the audited set itself: its people were trained on")
        rng = context.rng(f"inversion/memory/{faces.name}")
        count = min(len(faces), params.training_faces)
        rows = np.sort(rng.choice(len(faces), count, replace=False))
        context.progress(f"searching {count:,} training faces of {faces.name}")
        locate = None if faces.landmarks is not None else Locator()
        known = box.embed_faces(faces, indices=rows, locate=locate)
        pools.append(known.unit()[known.ok])
    training = np.concatenate(pools)
    everyone = context.embeddings(box)
    others = everyone.ok & ~np.isin(context.faces.subjects, sources.people)
    use = verdict.ok_made & verdict.ok_real
    if min(len(training), int(others.sum())) < 10 or not use.any():
        return missing("fewer than ten training faces or ten faces of other people")
    excess, size = memory_excess(
        verdict.unit_made[use],
        verdict.unit_real[use],
        training,
        everyone.unit()[others],
        context.rng("inversion/memory"),
    )
    found = mean_of(excess, sources.people[use])
    metric = Metric(
        name,
        found.value,
        n=found.n,
        interval=found.interval,
        interval_missing=found.reason,
        better="lower",
        n_unit="reconstructions",
        label=f"{label}, by {judge_name(verdict.name, verdict.own)}; pools of {size:,} faces",
    )
    sure = mean_of(excess, sources.people[use], OTHER_LEVEL).interval
    if sure is None or sure.low <= 0:
        return None, [metric]
    text = (
        f"Reconstructions lie {found.value:.3f} in cosine nearer to training faces than chance (at least "
        f"{sure.low:.3f}, at a level for all findings of this section; {found.n:,} reconstructions, {size:,} training "
        "faces): the inverter remembers some."
    )
    severity: Severity = "medium" if sure.low >= MEMORY_MEDIUM else "low"
    return Finding(severity, text, (name,), "inversion.memory"), [metric]
