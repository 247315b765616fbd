"""Whether reconstructions are faces that the inverter was trained on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fraudit.analyses.inversion.measure import Sources, Verdict
from fraudit.analyses.inversion.params import Params
from fraudit.analyses.inversion.rates import OTHER_LEVEL
from fraudit.analyses.shared.reconstructions import judging_models
from fraudit.analyses.shared.words import judge_name
from fraudit.faces.detect import Locator
from fraudit.faces.sources import open_faces
from fraudit.stats.estimates import Estimate
from fraudit.stats.intervals import Difference
from fraudit.stats.inversion import mean_of
from fraudit.stats.paired import widened
from fraudit.types import F32, F64, I64, Finding, Metric, Severity

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

MEMORY_MEDIUM = 0.05  # rule `inversion.memory`, in cosine
PARTS = 20  # of a pool, left out one after the other


def _nearest(points: F32, pool: F32, part: I64) -> tuple[F64, F64]:
    """(f64[N] highest cosine of each unit row to the unit rows of `pool`, f64[N,PARTS] without each part of it)."""
    best = np.full((len(points), PARTS), -1.0)
    for start in range(0, len(points), 256):
        cosines = points[start : start + 256] @ pool.T
        for at in np.unique(part):
            best[start : start + 256, at] = cosines[:, part == at].max(axis=1)
    order = np.sort(best, axis=1)
    top, second = order[:, -1:], order[:, -2:-1]
    return top[:, 0], np.where(best == top, second, top)


def memory_excess(
    made: F32,
    real: F32,
    people: I64,
    training: tuple[F32, I64],
    strangers: tuple[F32, I64],
    rng: np.random.Generator,
) -> tuple[F64, int, float]:
    """(f64[N], faces in either pool, variance): how much nearer reconstructions lie to training faces than chance.

    (T_made - P_made) - (T_real - P_real), where T is the highest cosine to a training face and P that to as
    many faces of people who were not trained on: that a set is nearer to another one, and that
    reconstructions are nearer to everybody, cancels out.

    Args:
        people: i64[N], whose faces are made. training, strangers: f32[M,D] unit vectors and i64[M] people.

    The variance is what the draw of both pools, which all reconstructions share, adds to that of the mean by people:
    delete-a-group jackknife over the people of a pool (Kott, J. Official Statistics 17, 2001), less what it counts
    of single people, as in two-way clustering (Cameron, Gelbach and Miller, J. Bus. Econ. Stat. 29, 2011).
    """
    size = min(len(training[0]), len(strangers[0]))
    excess, variance = np.zeros(len(made)), 0.0
    mine = np.unique(people, return_inverse=True)[1].ravel()
    for sign, (faces, owners) in ((1.0, training), (-1.0, strangers)):
        chosen = rng.choice(len(faces), size, replace=False)
        known, codes = np.unique(owners[chosen], return_inverse=True)
        part = (rng.permutation(len(known)) % PARTS)[codes]
        (own, without), (theirs, theirs_without) = (
            _nearest(points, faces[chosen], part) for points in (made, real)
        )
        excess += sign * (own - theirs)
        moved = (without - theirs_without) / len(made)
        by_person = np.zeros((mine.max() + 1, PARTS))
        np.add.at(by_person, mine, moved - moved.mean(axis=1, keepdims=True))
        shared = np.square(by_person.sum(axis=0)).sum() - np.square(by_person).sum()
        variance += (PARTS - 1) / PARTS * max(float(shared), 0.0)
    return excess, size, variance


def memory_estimate(excess: F64, people: I64, variance: float, level: float = 0.95) -> Estimate:
    """Mean of f64[N] with an interval by i64[N] people and by the pools (`variance` of `memory_excess`)."""
    found = mean_of(excess, people, level)
    if found.interval is None:
        return found
    wide = widened(Difference(found.value, found.interval), variance, "pools of faces included", PARTS - 1)
    return replace(found, interval=wide.interval)


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
    pools: list[F32] = []
    people: list[I64] = []
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
        who = faces.subjects[rows] if faces.identified else np.arange(count)
        people.append(np.stack([np.full(count, len(people)), who], axis=1)[known.ok])
    training = np.concatenate(pools)
    trained = np.unique(np.concatenate(people), axis=0, return_inverse=True)[1].ravel()
    everyone = context.embeddings(box)
    others = everyone.ok & ~np.isin(context.faces.subjects, sources.people)
    use = verdict.ok_made & verdict.ok_real
    if min(len(training), int(others.sum())) < 10 or not use.any():
        return missing("fewer than ten training faces or ten faces of other people")
    excess, size, variance = memory_excess(
        verdict.unit_made[use],
        verdict.unit_real[use],
        sources.people[use],
        (training, trained),
        (everyone.unit()[others], context.faces.subjects[others]),
        context.rng("inversion/memory"),
    )
    found = memory_estimate(excess, sources.people[use], variance)
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
    sure = memory_estimate(excess, sources.people[use], variance, OTHER_LEVEL).interval
    if sure is None or sure.low <= 0:
        return None, [metric]
    text = (
        f"Reconstructions lie {found.value:.3f} in cosine nearer to training faces than chance (at least "
        f"{sure.low:.3f}, at a level for all findings of this section; {found.n:,} reconstructions, {size:,} training "
        "faces): the inverter remembers some."
    )
    severity: Severity = "medium" if sure.low >= MEMORY_MEDIUM else "low"
    return Finding(severity, text, (name,), "inversion.memory"), [metric]
