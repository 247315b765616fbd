"""Worlds for directions: attributes that have nothing to do with the vectors, and ones that move them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.worlds import Kind, World, make
from fraudit.analyses.directions import Params, run
from fraudit.stats.contrasts import contrasts
from fraudit.stats.directions import study
from fraudit.types import Finding

STATED_SHARE = 0.05  # `directions.found`; low or worse: fraudit.stats.directions.FAMILY_LEVEL
Dealt = Literal["people", "pictures", "both"]


def labels(world: World, dealt: Dealt, rng: np.random.Generator) -> dict[str, Any]:
    """Attributes that know nothing of the vectors: of people, of pictures, or some of each person's own rate."""
    n = int(world.subjects.max()) + 1

    def spread(of_people: Any) -> Any:
        return of_people[world.subjects]

    if dealt == "people":
        return {
            "half": spread(rng.random(n) < 0.5).astype(float),
            "fifth": spread(rng.random(n) < 0.2).astype(float),
            "word": spread(rng.choice(["x", "y", "z"], n)),
            "age": spread(rng.normal(40, 12, n)),
        }
    count = len(world.subjects)
    if dealt == "pictures":
        return {
            "half": (rng.random(count) < 0.5).astype(float),
            "tenth": (rng.random(count) < 0.1).astype(float),
            "word": rng.choice(["x", "y", "z"], count),
            "yaw": rng.normal(0, 15, count),
        }
    habit = rng.beta(0.4, 0.4, (3, n))
    return {
        "half": (rng.random(count) < spread(habit[0])).astype(float),
        "noisy": (rng.random(count) < np.where(spread(habit[1] < 0.5), 0.03, 0.97)).astype(float),
        "rare": (rng.random(count) < 0.3 * spread(habit[2])).astype(float),
        "age": spread(rng.normal(40, 12, n)) + rng.normal(0, 3, count),
    }


def null_findings(seed: int, people: int, kind: Kind, dealt: Dealt) -> tuple[Finding, ...]:
    """Findings of the whole analysis where labels know nothing of the vectors."""
    world = make(people, kind, seed)
    rng = np.random.default_rng([seed, 60, people])
    return run(world.context(labels(world, dealt, rng), seed), Params(fmr=1e-2)).findings


def null_report(seed: int, people: int, kind: Kind) -> list[str]:
    """Severities of the findings; every third world deals labels to people, pictures, or by people's own rates."""
    dealt: Dealt = ("people", "pictures", "both")[seed % 3]  # type: ignore[assignment]
    return [f.severity for f in null_findings(seed, people, kind, dealt)]


def null_world(seed: int) -> bool:
    """Whether a direction is found where there is none."""
    dealt: Dealt = ("people", "pictures", "both")[seed % 3]  # type: ignore[assignment]
    kind: Kind = ("equal", "mild", "skew", "lfw")[seed // 3 % 4]  # type: ignore[assignment]
    return any(f.rule == "directions.found" for f in null_findings(seed, 120, kind, dealt))


def planted_world(seed: int, people: int = 80, each: int = 3, dim: int = 24) -> tuple[bool, bool]:
    """(the planted direction is found, its cosine to the truth is at least 0.9)."""
    rng = np.random.default_rng([seed, 61])
    subjects = np.repeat(np.arange(people), each)
    label = rng.integers(0, 2, len(subjects)).astype(np.float64)
    axis = np.eye(dim)[5]
    vectors = rng.normal(size=(people, dim))[subjects] + 0.5 * rng.normal(size=(len(subjects), dim))
    vectors += 3.0 * label[:, None] * axis
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    found, _ = contrasts({"planted": label}, subjects)
    result = study(unit, subjects, found, rng, axes=3)
    direction = result.directions[0]
    return direction.p_adjusted < 0.05, float(direction.unit @ axis) >= 0.9
