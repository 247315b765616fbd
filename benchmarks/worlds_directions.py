"""Worlds for directions: attributes that have nothing to do with the vectors, and one that moves them."""

from __future__ import annotations

import numpy as np

from fraudit.analyses.directions_null import null_findings
from fraudit.stats.directions import contrasts, study

STATED_SHARE = 0.15  # three rules at 5 % each


def null_world(seed: int) -> bool:
    """Whether any rule raises a finding."""
    return any(null_findings(seed).values())


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
    result = study(unit, subjects, found, rng, axes=3, splits=8, draws=16)
    direction = result.directions[0]
    return direction.p_adjusted < 0.05, float(direction.unit @ axis) >= 0.9
