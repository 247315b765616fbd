"""Who is measured: people with two pictures in each half; thresholds and attacks come from the other half's people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fraudit.analyses.protection.params import LEAST_PEOPLE, Params
from fraudit.errors import InsufficientData
from fraudit.stats.inversion import other_picture, spread_people
from fraudit.stats.pairs import rate_pairs
from fraudit.types import F32, I64, Bool, PairList

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


@dataclass(frozen=True, slots=True)
class Sample:
    """Faces that are protected.

    Attributes:
        rows: i64[N], faces of the set. unit: f32[N,D]. people: i64[N], subjects. held: bool[N], on whom thresholds are
            chosen and whose vectors attackers know.
        pairs: over the N faces. keys: i64[N], each face's person's own key.
        attacked: i64[M], judged faces, one a person, whose vectors are recovered. others: i64[M], another picture.
        known: f32[K,D], vectors that attackers know. length: usual length of raw vectors.
    """

    rows: I64
    unit: F32
    people: I64
    held: Bool
    pairs: PairList
    keys: I64
    attacked: I64
    others: I64
    known: F32
    length: float


def choose_sample(context: AnalysisContext, params: Params) -> Sample:
    """A seeded sample of people with two pictures or more.

    Raises:
        InsufficientData: fewer than `LEAST_PEOPLE` of them.
    """
    answer, subjects = context.embeddings(), np.asarray(context.faces.subjects, np.int64)
    unit, half = answer.unit(), context.calibration_mask()
    usable = np.flatnonzero(answer.ok)
    people, counts = np.unique(subjects[usable], return_counts=True)
    several = people[counts >= 2]
    if len(several) < LEAST_PEOPLE:
        raise InsufficientData(
            f"template protection needs {LEAST_PEOPLE} people with two pictures that have a vector; found "
            f"{len(several)}",
            "use a larger set, or a larger --limit",
        )
    rng, chosen = context.rng("protection/people"), []
    for held in (True, False):
        own = usable[(half[usable] == held) & np.isin(subjects[usable], several)]
        wanted = rng.permutation(np.unique(subjects[own]))[: params.people]
        own = own[np.isin(subjects[own], wanted)]
        chosen.append(spread_people(subjects, own, len(own), rng, params.most))
    rows = np.sort(np.concatenate(chosen))
    who, held_rows = subjects[rows], half[rows]
    numbers = np.unique(who, return_inverse=True)[1].ravel()
    keys = context.rng("protection/keys").integers(0, 2**62, int(numbers.max()) + 1)[numbers]
    judged = np.flatnonzero(~held_rows)
    attacked = spread_people(who, judged, params.attacked, context.rng("protection/attacked"), 1)
    others = other_picture(who, attacked, ~held_rows, context.rng("protection/others"))
    known = usable[half[usable]]
    if len(known) > params.learnt:
        known = np.sort(context.rng("protection/known").choice(known, params.learnt, replace=False))
    length = float(np.median(np.linalg.norm(answer.vectors[known], axis=1)))
    return Sample(
        rows,
        unit[rows],
        who,
        held_rows,
        rate_pairs(who, context.seed, max_impostor=params.pairs),
        keys,
        attacked,
        others,
        unit[known],
        length,
    )
