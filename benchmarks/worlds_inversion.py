"""Worlds for the attack verdict: an inverter that shows strangers, and one that succeeds in a known share."""

from __future__ import annotations

import numpy as np

from fraudit.analyses.inversion_null import null_findings
from fraudit.stats.inversion import success

STATED_SHARE = 0.05
SUCCEEDS = 0.6  # share of people whose reconstructions match, in every picture of theirs


def null_world(seed: int) -> bool:
    """Whether success is called although every reconstruction shows somebody else."""
    return any(null_findings(seed).values())


def planted_world(seed: int, people: int = 120, each: int = 3) -> tuple[bool, bool]:
    """(the lower bound is above chance by far, the interval covers the planted share).

    Success depends on the person, so that pictures of one person are not independent.
    """
    rng = np.random.default_rng([seed, 71])
    person = np.repeat(np.arange(people), each)
    lucky = rng.random(people) < SUCCEEDS
    scores = np.where(lucky[person], 0.9, 0.1) + 0.01 * rng.standard_normal(len(person))
    found = success(scores, 0.5, person, person)
    return found.interval.low > 0.3, found.interval.low <= SUCCEEDS <= found.interval.high
