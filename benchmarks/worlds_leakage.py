"""Simulated worlds for the leakage verdict, of vectors alone; about 0.2 s a world.

    python benchmarks/worlds_leakage.py [--people 300] [--worlds 100] [--r2 0.05]

prints how often a weak leak is found in hard worlds, and how often intervals of weak and strong ones hold.

Vectors are a person's own point plus noise. In a null world labels say nothing of vectors, though some of them
stick to people (as gender does) and others partly (as expression habits do): a probe whose folds share people
would read them. In a planted world one number is added along one direction.
"""

from __future__ import annotations

import argparse
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.worlds import KINDS, Kind, make
from fraudit.analyses.leakage import Params, run
from fraudit.stats.family import FAMILY_LEVEL
from fraudit.types import AnalysisResult, Interval
from tests.fixtures.contexts import vectors_context

DIM, WITHIN = 12, 0.5
STATED_SHARE = FAMILY_LEVEL  # Holm over all targets of a world
PARAMS = Params(measure=False, mlp=False)


def people_vectors(people: int, each: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(f64[N,DIM], i64[N] subjects): identity of variance 1 and noise of variance WITHIN^2 an axis."""
    subjects = np.repeat(np.arange(people), each)
    vectors = rng.normal(size=(people, DIM))[subjects] + WITHIN * rng.normal(size=(len(subjects), DIM))
    return vectors, subjects


def half_own(subjects: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """f64[N] of variance 1, half of it the person's own."""
    own = rng.normal(size=subjects.max() + 1)[subjects]
    return np.sqrt(0.5) * (own + rng.normal(size=len(subjects)))


def null_result(seed: int, people: int = 100, each: int = 3) -> AnalysisResult:
    """The analysis on labels that say nothing of the vectors."""
    rng = np.random.default_rng([seed, 7])
    vectors, subjects = people_vectors(people, each, rng)
    labels = {
        "yaw": half_own(subjects, rng),
        "pitch": rng.normal(size=people)[subjects],  # one value a person
        "smiling": (rng.random(len(subjects)) < 0.4).astype(float),
        "eyeglasses": (rng.random(people) < 0.4).astype(float)[subjects],
    }
    return run(vectors_context(vectors, subjects, attributes=labels, seed=seed), PARAMS)


def null_world(seed: int) -> bool:
    """Whether anything is called readable although nothing is."""
    return any(f.rule == "leakage.readable" for f in null_result(seed).findings)


def null_report(seed: int, people: int, kind: Kind) -> list[str]:
    """Severities of the findings on labels that say nothing, in a world of `benchmarks.worlds`."""
    world = make(people, kind, seed)
    rng = np.random.default_rng([seed, 9])
    labels = {
        "yaw": half_own(world.subjects, rng),
        "pitch": rng.standard_t(5, people)[world.subjects],
        "smiling": (rng.random(len(world.subjects)) < 0.4).astype(float),
        "eyeglasses": (rng.random(people) < 0.3).astype(float)[world.subjects],
    }
    context = world.context(labels, seed)
    return [finding.severity for finding in run(context, PARAMS).findings]


def planted_world(seed: int, people: int = 300, each: int = 3, r2: float = 0.5) -> tuple[bool, bool]:
    """(the leak is found, the interval of its R2 covers the score expected of a probe of this size).

    v = identity + noise + g a along one axis, with a of variance 1: the best linear reading of a has
    R2 = g^2 / (g^2 + 1 + WITHIN^2). What is expected of a probe is the mean over 40 worlds: `expected_r2`.
    """
    named, value, interval = planted_r2(seed, people, each, r2)
    del value
    return named, interval.low <= expected_r2(people, each, r2) <= interval.high


@lru_cache(maxsize=4)
def expected_r2(people: int, each: int, r2: float) -> float:
    """Mean score of the probe over 40 other worlds."""
    return float(np.mean([planted_r2(10_000 + seed, people, each, r2)[1] for seed in range(40)]))


def planted_r2(seed: int, people: int, each: int, r2: float) -> tuple[bool, float, Interval]:
    """(found, R2 of the probe, its interval)."""
    rng = np.random.default_rng([seed, 8])
    vectors, subjects = people_vectors(people, each, rng)
    yaw = half_own(subjects, rng)
    vectors[:, 0] += np.sqrt((1 + WITHIN**2) * r2 / (1 - r2)) * yaw
    result = run(vectors_context(vectors, subjects, attributes={"yaw": yaw}, seed=seed), PARAMS)
    found = next(m for m in result.metrics if m.name == "leakage.yaw.r2")
    named = any(f.rule == "leakage.readable" and "yaw" in f.text for f in result.findings)
    return named, found.value, found.interval


def weak_world(seed: int, people: int, kind: Kind, r2: float = 0.05) -> AnalysisResult:
    """A hard world of 64 axes with R2 `r2` of yaw on the first, R2 0.5 of pitch on the second, and two null labels."""
    world = make(people, kind, seed)
    rng = np.random.default_rng([seed, 10])
    yaw, pitch = half_own(world.subjects, rng), half_own(world.subjects, rng)
    vectors = world.unit.astype(np.float64)
    usual = vectors[:, 0].std()
    vectors[:, 0] += np.sqrt(r2 / (1 - r2)) * usual * yaw
    vectors[:, 1] += usual * pitch
    labels = {
        "yaw": yaw,
        "pitch": pitch,
        "smiling": (rng.random(len(yaw)) < 0.4).astype(float),
        "eyeglasses": (rng.random(people) < 0.3).astype(float)[world.subjects],
    }
    return run(vectors_context(vectors, world.subjects, attributes=labels, seed=seed), PARAMS)


def weak_lines(people: int, kind: Kind, worlds: int, r2: float, first: int) -> list[str]:
    """Lines: in how many worlds yaw is found, and coverage and width of both R2."""
    results = [weak_world(seed, people, kind, r2) for seed in range(first, first + worlds)]
    found = sum(
        any("leakage.yaw.selectivity" in f.evidence for f in r.findings if f.rule == "leakage.readable")
        for r in results
    )
    lines = [f"{people} {kind}: R2 {r2:g} found in {found} of {worlds}"]
    for name in ("yaw", "pitch"):
        metrics = [m for r in results for m in r.metrics if m.name == f"leakage.{name}.r2"]
        value = np.array([m.value for m in metrics])
        low, high = np.array([(m.interval.low, m.interval.high) for m in metrics if m.interval]).T
        inside = ((low <= value.mean()) & (value.mean() <= high)).mean()
        ends = np.quantile(value, [0.025, 0.975])
        lines.append(
            f"  {name}: mean {value.mean():.3f}, covered {inside:.1%}, "
            f"width {np.median(high - low) / (ends[1] - ends[0]):.2f}"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", default="300")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--worlds", type=int, default=100)
    parser.add_argument("--r2", type=float, default=0.05)
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    given = parser.parse_args()
    for people in map(int, given.people.split(",")):
        for kind in given.kinds.split(","):
            lines = weak_lines(people, kind, given.worlds, given.r2, given.first)
            print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
