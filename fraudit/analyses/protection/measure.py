"""Every scheme measured: accuracy, unlinkability, irreversibility. Numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fraudit.analyses.protection.accuracy import Accuracy, accuracy, linkability, score_pairs, templates
from fraudit.analyses.protection.attacks import (
    Attacker,
    Likeness,
    Recovered,
    Success,
    likeness,
    recover,
    vector_success,
)
from fraudit.analyses.protection.params import FACES, Params
from fraudit.analyses.protection.pictures import Pictures, judge_pictures
from fraudit.analyses.protection.sample import Sample, choose_sample
from fraudit.errors import DataError, InsufficientData
from fraudit.protections.choosing import choose_scheme
from fraudit.protections.plain import IDENTITY
from fraudit.stats.family import LATER_LEVEL
from fraudit.stats.linkability import Linkability
from fraudit.stats.template_recovery import Prior
from fraudit.types import ProtectionPlugin, Work

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


@dataclass(frozen=True, slots=True)
class Attack:
    """One attacker's recovered vectors, what they are like, whom they match, and pictures of them."""

    recovered: Recovered
    likeness: Likeness
    one: Success | None
    two: Success | None
    pictures: Pictures | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """One scheme.

    Attributes:
        same: one key for all. own: a key a person; None where the scheme has no key.
        linked: D_sys, each template under a key of its own; linked_sure: at the level of findings; None: `unlinked`.
        knowing, knowing_sure: the same of someone who knows the scheme; None where no better score is known.
        attacks: with the key, then without. missing: why the scheme could not be measured.
    """

    scheme: ProtectionPlugin
    same: Accuracy | None = None
    own: Accuracy | None = None
    linked: Linkability | None = None
    linked_sure: Linkability | None = None
    unlinked: str = ""
    knowing: Linkability | None = None
    knowing_sure: Linkability | None = None
    attacks: tuple[Attack, ...] = ()
    missing: str = ""

    @property
    def name(self) -> str:
        """With the parameters that were chosen."""
        return self.scheme.name

    def attack(self, attacker: Attacker) -> Attack | None:
        """Of that attacker, if there is one."""
        return next((a for a in self.attacks if a.recovered.attacker == attacker), None)


@dataclass(frozen=True, slots=True)
class Found:
    """All schemes on one sample. `threshold`: of plain vectors. `no_pictures`: why nothing was inverted, or ''."""

    schemes: tuple[Measured, ...]
    sample: Sample
    fmr: float
    threshold: float
    level: float
    faces: int
    no_pictures: str

    @property
    def done(self) -> tuple[Measured, ...]:
        """Those that could be measured."""
        return tuple(m for m in self.schemes if not m.missing)


def finding_level(schemes: Sequence[ProtectionPlugin]) -> float:
    """Of intervals that findings look at: two attackers and D_sys, once or twice, of each scheme meant to protect."""
    tests = max(3, sum(3 + (s.link is not None) for s in schemes if s.claims))
    return 1 - 2 * LATER_LEVEL / tests


def chosen_schemes(params: Params) -> tuple[ProtectionPlugin, ...]:
    """The schemes asked for, each once. Raises PluginError or UsageError on a name or parameter that is unknown."""
    return tuple({s.name: s for s in map(choose_scheme, params.schemes)}.values())


def measure_schemes(context: AnalysisContext, params: Params) -> Found:
    """Measure every scheme.

    Raises:
        InsufficientData: too few people, or no scheme can be measured. PluginError, UsageError: an unknown scheme.
    """
    schemes = chosen_schemes(params)
    sample = choose_sample(context, params)
    prior = Prior.of(sample.known)
    at = context.threshold(params.fmr)
    if not at.resolvable:
        raise InsufficientData(
            f"FMR {params.fmr:g} needs {3 / params.fmr:,.0f} impostor pairs to choose a threshold on, there are "
            f"{at.n_impostor:,}",
            "use more people, or a larger --param protection.fmr",
        )
    faces, why = context.pictures_asked(params.faces, FACES, "protection.faces")
    faces = min(context.max_faces(faces), len(sample.attacked)) if faces else 0
    plain = score_pairs(IDENTITY, sample, sample.unit, params.fmr)
    level, found = finding_level(schemes), []
    told = context.part("protection: schemes", len(schemes)).add
    for scheme in schemes:
        rng = context.rng(f"protection/{scheme.name}")
        try:
            fitted = scheme.learn(sample.known) if scheme.learn else scheme
            score = score_pairs(fitted, sample, templates(fitted, sample, params.key), params.fmr)
            own = None
            if scheme.keyed:
                apart = score_pairs(fitted, sample, templates(fitted, sample, None), params.fmr)
                own = accuracy(apart, plain, sample.people)
            same = accuracy(score, plain, sample.people)
            links, unlinked = _linked(context, fitted, sample, rng, level)
            attacks = tuple(
                _attack(context, params, r, sample, at.value, level, faces)
                for r in recover(fitted, sample, params, prior, rng)
            )
            (linked, sure), (knowing, knowing_sure) = links
            found.append(Measured(fitted, same, own, linked, sure, unlinked, knowing, knowing_sure, attacks))
        except DataError as error:
            found.append(Measured(scheme, missing=error.message))
        told(1)
    if all(m.missing for m in found):
        raise InsufficientData("; ".join(dict.fromkeys(m.missing for m in found)))
    return Found(tuple(found), sample, params.fmr, at.value, level, faces, why)


_Link = tuple[Linkability | None, Linkability | None]


def _linked(
    context: AnalysisContext, scheme: ProtectionPlugin, sample: Sample, rng: np.random.Generator, level: float
) -> tuple[tuple[_Link, _Link], str]:
    try:
        found = linkability(scheme, sample, rng, level, context.seed)
    except InsufficientData as error:
        return ((None, None), (None, None)), error.message
    return (found[0], found[1] if len(found) > 1 else (None, None)), ""


def _attack(
    context: AnalysisContext,
    params: Params,
    found: Recovered,
    sample: Sample,
    at: float,
    level: float,
    faces: int,
) -> Attack:
    one, two = vector_success(found, sample, at, level, context.seed)
    made = None
    if faces:
        made = judge_pictures(context, found, sample, faces, params.fmr, params.steps, level)
    return Attack(found, likeness(found, sample), one, two, made)


def work(context: AnalysisContext, params: Params) -> Work:
    """What inverting recovered vectors asks, at most."""
    faces, _ = context.pictures_asked(params.faces, FACES, "protection.faces")
    made = context.max_faces(faces) if faces else 0
    count = sum(1 + scheme.keyed for scheme in chosen_schemes(params)) * made
    return Work(count, count)
