"""Recovered vectors turned into pictures by the model's inverter, and judged by every model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fraudit.analyses.protection.attacks import WITHOUT, Recovered, Success, success
from fraudit.analyses.protection.sample import Sample
from fraudit.analyses.shared.reconstructions import judging_models, make_pictures, require_inverter, shown_to
from fraudit.inverters.inverting import guidance_of
from fraudit.types import U8

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


@dataclass(frozen=True, slots=True)
class Judged:
    """What one judge says of the pictures of one attacker; `missing`: why nothing."""

    judge: str
    own: bool
    one: Success | None
    two: Success | None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Pictures:
    """u8[F,S,S,3] pictures of the first F attacked vectors, and each judge's verdict."""

    made: U8
    judged: tuple[Judged, ...]


def judge_pictures(
    context: AnalysisContext,
    found: Recovered,
    sample: Sample,
    faces: int,
    fmr: float,
    steps: int | None,
    level: float,
) -> Pictures:
    """Invert the first `faces` recovered vectors, at the usual length of vectors, and show them to every judge."""
    rows = sample.attacked[:faces]
    others = sample.others[:faces]
    vectors = (found.unit[:faces] * sample.length).astype(np.float32)
    seeds = context.seed + np.arange(len(rows))
    guidance = guidance_of(require_inverter(context))
    told = context.part(f"protection: pictures {found.attacker}", len(rows)).add
    made = make_pictures(context, vectors, seeds, told=told, guidance=guidance, steps=steps)
    people, said, alike = sample.people[rows], [], found.attacker == WITHOUT
    for box in judging_models(context):
        at = context.threshold_or_reason(fmr, runtime=box)
        own = box is context.embedder
        if not at.resolvable:
            why = at.missing or f"{at.n_impostor:,} impostor pairs do not resolve this FMR"
            said.append(Judged(box.spec.name, own, None, None, why))
            continue
        known, shown = context.embeddings(box), shown_to(context, box, made)
        unit = known.unit()
        source, other = sample.rows[rows], sample.rows[np.maximum(others, 0)]
        one, two = (
            success(
                shown.unit(), shown.ok, unit[target], usable, people, at.value, level, context.seed, alike
            )
            for target, usable in (
                (source, known.ok[source]),
                (other, known.ok[other] & known.ok[source] & (others >= 0)),
            )
        )
        said.append(Judged(box.spec.name, own, one, two))
    return Pictures(made, tuple(said))


def independent(judged: Sequence[Judged]) -> Judged | None:
    """The first independent judge that says something, else the audited model."""
    told = [j for j in judged if j.one is not None]
    return next((j for j in told if not j.own), told[0] if told else None)
