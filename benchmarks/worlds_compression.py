"""Simulated worlds for the compression verdict, of vectors alone; about 0.2 s a world.

Identity lies in RANK dimensions of DIM with equal variance. Projection onto fewer axes loses TAR; the truth is
measured once on a large population with known axes. A claim "d dimensions are enough" is false where the true
loss at d exceeds the margin.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from benchmarks.worlds import Kind, make
from fraudit.analyses.compression import Params, run
from fraudit.stats.pairs import make_pairs
from fraudit.stats.pca import sweep, sweep_dims
from fraudit.stats.template_loss import loss_of, smallest_safe
from fraudit.types import PairList
from tests.fixtures.contexts import vectors_context

DIM, RANK = 32, 12
MARGIN, FAR = 0.02, 1e-2
STATED_SHARE = 0.05
WITHIN, FLOOR = 0.75, 0.02


def people_vectors(people: int, each: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(f32[N,DIM] unit vectors, i64[N] subjects): identity and its noise in the first RANK dimensions."""
    subjects = np.repeat(np.arange(people), each)
    own = rng.normal(size=(people, RANK))[subjects]
    vectors = FLOOR * rng.normal(size=(len(subjects), DIM))
    vectors[:, :RANK] += own + WITHIN * rng.normal(size=own.shape)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), subjects


@lru_cache(maxsize=1)
def true_losses() -> dict[int, float]:
    """Loss of TAR at every d over 6,000 people, two pictures each."""
    rng = np.random.default_rng(99)
    unit, subjects = people_vectors(6000, 2, rng)
    pairs = make_pairs(subjects, 6000, 40_000, 0)
    ok = np.ones(len(unit), bool)
    variants = sweep(unit, ok, subjects, pairs, FAR, again=False)
    full = variants["float32"].point.tar
    return {d: full - variants[f"pca-{d}"].point.tar for d in sweep_dims(DIM)}


def claimed(seed: int, people: int = 300, each: int = 3) -> tuple[int | None, dict[int, tuple[float, float]]]:
    """(the smallest d that the rule claims, d -> interval of its loss) in one world."""
    unit, subjects = people_vectors(people, each, np.random.default_rng(seed))
    pairs: PairList = make_pairs(subjects, 900, 4000, seed)
    variants = sweep(unit, np.ones(len(unit), bool), subjects, pairs, FAR)
    losses = {
        d: loss_of(variants[f"pca-{d}"], variants["float32"], pairs, subjects, FAR).tar_loss
        for d in sweep_dims(DIM)
    }
    intervals = {d: (loss.interval.low, loss.interval.high) for d, loss in losses.items()}
    return smallest_safe(losses, MARGIN), intervals


def null_report(seed: int, people: int, kind: Kind) -> list[str]:
    """Severities of the findings where half of the axes hold all of identity, in a world of `benchmarks.worlds`."""
    world = make(people, kind, seed, dim=DIM // 2)
    rng = np.random.default_rng([seed, 9])
    vectors = np.zeros((len(world.subjects), 2 * DIM))
    vectors[:, : DIM // 2] = world.unit
    vectors = (vectors @ np.linalg.qr(rng.normal(size=(2 * DIM, 2 * DIM)))[0]).astype(np.float32)
    smiling = (rng.random(len(vectors)) < 0.4).astype(float)
    context = vectors_context(
        vectors, world.subjects, attributes={"group": world.groups, "smiling": smiling}, seed=seed
    )
    found = run(context, Params(margin=0.02)).findings
    # Binary codes of these short vectors do cost: no null.
    return [f.severity for f in found if "binary" not in f.text.lower()]


def null_world(seed: int) -> bool:
    """Whether a d is claimed whose true loss exceeds the margin. Stated share: 5 %."""
    d, _ = claimed(seed)
    return d is not None and true_losses()[d] > MARGIN


def planted_world(seed: int) -> tuple[bool, bool]:
    """(the claim is the smallest d of the sweep that holds RANK, the interval at half of it covers the truth)."""
    d, intervals = claimed(seed)
    at = 8
    return d == 16, intervals[at][0] <= true_losses()[at] <= intervals[at][1]
