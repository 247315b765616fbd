"""Worlds for the attack verdict: an inverter that shows strangers, and one that succeeds in a known share.

Reconstructions are vectors: pictures of strangers from another world (a new one each time, or one for each
person), or for a share of each person's pictures one more picture of the person. `null_report` runs all rules of
the section; `figures` gives what it prints, for coverage.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.worlds import Kind, World, make
from fraudit.analyses.inversion import Params
from fraudit.analyses.inversion.distribution import cloud
from fraudit.analyses.inversion.measure import MOST_FACES, Sources, verdict_of
from fraudit.analyses.inversion.rates import Attack, Groups, attack, by_group
from fraudit.analyses.inversion.report import findings
from fraudit.errors import InsufficientData
from fraudit.stats.estimates import Estimate
from fraudit.stats.family import FAMILY_LEVEL
from fraudit.stats.inversion import other_picture, spread_people, success
from fraudit.types import Embeddings, Interval

STATED_SHARE = FAMILY_LEVEL
SUCCEEDS = 0.6  # share of people whose reconstructions match, in every picture of theirs
FACES, FMR = 300, 1e-2
PARAMS = Params(fmrs=(FMR,), by=("group",))


def null_world(seed: int) -> bool:
    """Whether any finding of low or worse is raised although every reconstruction shows somebody else."""
    return bool({"low", "medium", "high"} & set(null_report(seed, 120, "equal")))


def planted_world(seed: int, people: int = 120, each: int = 3) -> tuple[bool, bool]:
    """(the lower bound is above chance by far, the interval covers the planted share).

    Success depends on the person, so that pictures of one person are not independent.
    """
    rng = np.random.default_rng([seed, 71])
    person = np.repeat(np.arange(people), each)
    lucky = rng.random(people) < SUCCEEDS
    scores = np.where(lucky[person], 0.9, 0.1) + 0.01 * rng.standard_normal(len(person))
    found = success(scores, 0.5, person, person)
    interval = found.interval or Interval(0.0, 1.0)
    return interval.low > 0.3, interval.low <= SUCCEEDS <= interval.high


def _answers(rows: np.ndarray) -> Embeddings:
    return Embeddings(rows, np.ones(len(rows), bool), ("",) * len(rows), "")


def _audit(
    seed: int, people: int, kind: Kind, lucky: tuple[float, float] | None
) -> tuple[Attack, list[Groups], Sources, object]:
    """One report's counts; `lucky`: parameters of the Beta distribution of each person's success, None for none."""
    world, rng = make(people, kind, seed), np.random.default_rng([seed, 72])
    context = world.context(seed=seed)
    usable = ~context.calibration_mask()
    rows = spread_people(world.subjects, np.flatnonzero(usable), FACES, rng, MOST_FACES)
    others = other_picture(world.subjects, rows, usable, rng)
    who = world.subjects[rows]
    made = _strangers(seed, people, kind, who, rng)
    if lucky is not None:
        own = rng.random(len(who)) < rng.beta(*lucky, people)[who]
        made[own] = world.another(who[own], rng)
    blank = np.zeros((len(rows), 1, 1, 3), np.uint8)
    sources = Sources(rows, who, others, blank, blank)
    at = context.threshold(FMR)
    verdict = verdict_of(
        sources, _answers(world.unit), _answers(made), _answers(world.unit[rows]), {FMR: at}, "judge", False
    )
    counted = attack(verdict, sources, PARAMS, seed)
    groups = by_group(context, PARAMS, sources, [verdict], counted)
    return counted, groups, sources, verdict


def _strangers(seed: int, people: int, kind: Kind, who: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """f32[M,D] pictures of people of another world: a new one each time, or in odd worlds one for each person."""
    elsewhere: World = make(people, kind, 100_000 + seed)
    shown = rng.integers(people, size=people)[who] if seed % 2 else rng.integers(people, size=len(who))
    return elsewhere.another(shown, rng)


def null_report(seed: int, people: int, kind: Kind) -> list[str]:
    """Severities of all findings of one report in a world of `kind` whose inverter shows strangers."""
    try:
        counted, groups, _, _ = _audit(seed, people, kind, None)
    except InsufficientData:
        return []
    return [f.severity for f in findings([counted], counted, groups, [], None)]


def figures(seed: int, people: int, kind: Kind) -> dict[str, tuple[float, Interval | None]]:
    """Name -> (value, interval) of what a report prints where people's success is Beta(2, 2), half on average."""
    counted, groups, sources, verdict = _audit(seed, people, kind, (2.0, 2.0))
    point = counted.points[0]
    found: dict[str, Estimate | None] = {"similarity": counted.similarity}
    for name, one in (("type1", point.one), ("type2", point.two)):
        if one is not None:
            found |= {name: one.own, f"{name}_excess": one.excess, f"{name}_chance": one.chance}
    for group in groups:
        found |= {f"type1_{r.group}": r.own for r in group.rates}
    told = {name: (f.value, f.interval) for name, f in found.items() if f is not None}
    try:
        c = cloud(PARAMS, sources, verdict)  # type: ignore[arg-type]
    except InsufficientData:
        return told
    told |= {
        "frechet": (c.made, c.made_interval),
        "precision": (c.coverage.precision, c.coverage.precision_interval),
        "recall": (c.coverage.recall, c.coverage.recall_interval),
    }
    return told
