"""Worlds for 1:N search: those of `benchmarks.worlds` with people whose vectors resemble everybody's (hubs).

world = make(people=500, kind="skew", seed=3, hubs=True)
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import worlds
from fraudit.stats.gallery import SearchPlan, enrol, plan_searches
from fraudit.stats.identification import Search, search
from fraudit.types import F64, I64

HUB, HUB_SPREAD = 0.30, 0.7  # median loading on the direction that all share; spread of its logarithm


def faces(people: int, kind: worlds.Kind, seed: int, hubs: bool, dim: int = 64) -> tuple[F64, I64]:
    """(f64[M,D] unit rows, i64[M] people). With hubs, people load unequally on one common direction."""
    world = worlds.make(people, kind, seed, dim=dim)
    rows = world.unit.astype(np.float64)
    if hubs:
        rng = np.random.default_rng([seed, 77, people])
        load = HUB * np.exp(rng.normal(0, HUB_SPREAD, people))
        common = np.zeros(dim)
        common[0] = 1.0
        rows = rows + load[world.subjects][:, None] * common
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows, world.subjects


def sides(
    rows: F64, people: I64, seed: int, above: float = np.inf, pictures: int = 1, depth: int = 1
) -> tuple[SearchPlan, Search, Search]:
    """(plan, search of the calibration side, search of the judged side)."""
    plan = plan_searches(people, seed, most_enrolled=pictures)
    found = []
    for judged in (False, True):
        keep = plan.gallery(judged, pictures)
        gallery = enrol(rows[keep], people[keep])
        ask = np.concatenate([plan.searches(judged, True), plan.searches(judged, False)])
        found.append(search(gallery, rows[ask], people[ask], above=above, depth=depth, seed=seed))
    return plan, found[0], found[1]
