"""Worlds in which an inverter shows strangers' faces, to measure how often success is called there."""

from __future__ import annotations

import numpy as np

from fraudit.analyses.inversion_words import severity_of
from fraudit.stats.inversion import success
from fraudit.stats.verification import fmr_threshold


def null_findings(
    seed: int, *, people: int = 120, each: int = 3, dim: int = 24, fmr: float = 1e-2
) -> dict[str, bool]:
    """Rule -> whether it calls success (severity low or worse); at most 5 % of such worlds may.

    Half of the people fix the threshold; each of the others' faces is "reconstructed" as a new picture of
    somebody else.
    """
    rng = np.random.default_rng([seed, 70])
    subjects = np.repeat(np.arange(people), each)
    identity = rng.normal(size=(people, dim))
    vectors = identity[subjects] + 0.5 * rng.normal(size=(len(subjects), dim))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    held = subjects < people // 2
    scores = unit[held] @ unit[held].T
    at = fmr_threshold(scores[np.triu(subjects[held][:, None] != subjects[held][None], 1)], fmr)
    own = subjects[~held]
    other = people // 2 + (own - people // 2 + rng.integers(1, people - people // 2, len(own))) % (
        people - people // 2
    )
    made = identity[other] + 0.5 * rng.normal(size=(len(own), dim))
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    found = success((made * unit[~held]).sum(axis=1), at.value, own, own)
    return {"inversion.attack_success": severity_of(found, fmr)[0] in ("high", "medium", "low")}
