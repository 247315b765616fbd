"""A world in which no attribute has to do with the vectors, to measure how often a finding is raised there."""

from __future__ import annotations

import numpy as np

from fraudit.stats.directions import contrasts, study


def null_findings(
    seed: int, *, people: int = 60, each: int = 3, dim: int = 24, attributes: int = 4
) -> dict[str, bool]:
    """Rule -> whether it is raised. Faces cluster by person; half the labels are a person's, half a picture's.

    Each rule may be raised in at most 5 % of such worlds.
    """
    rng = np.random.default_rng([seed, 60])
    subjects = np.repeat(np.arange(people), each)
    vectors = rng.normal(size=(people, dim))[subjects] + 0.5 * rng.normal(size=(len(subjects), dim))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = {}
    for i in range(attributes):
        drawn = rng.integers(0, 2, people)[subjects] if i % 2 else rng.integers(0, 2, len(subjects))
        labels[f"attribute {i}"] = drawn.astype(np.float64)
    found, _ = contrasts(labels, subjects)
    result = study(unit, subjects, found, rng, axes=3, splits=4, draws=8)
    m = len(result.directions)
    return {
        "directions.found": any(d.p_adjusted < 0.05 for d in result.directions),
        "directions.entangled": any(result.p[a, b] < 0.05 for a in range(m) for b in range(a + 1, m)),
        "directions.axis": any(c.p_adjusted < 0.05 for c in result.axes),
    }
