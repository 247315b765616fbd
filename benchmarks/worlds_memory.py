"""Worlds for `inversion.memory`: how much nearer reconstructions lie to training faces than to faces of strangers.

    python benchmarks/worlds_memory.py [--people 20,60,300] [--kinds mild,skew] [--worlds 200]

Vectors alone (`benchmarks/worlds.py`): people whose pictures are reconstructed, people the inverter was trained on, and
strangers. A reconstruction is its source plus noise and a common direction, as if all were drawn to one mean face; one
that remembers is moved to the training face that is nearest to it. Truth: 0 where nothing is remembered, else the mean
over the worlds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.worlds import Kind, make
from fraudit.analyses.inversion.memorised import memory_estimate, memory_excess
from fraudit.stats.estimates import Estimate
from tests.fixtures.planted import unit_rows
from tests.fixtures.wilson import wilson

NOISE, COMMON = 0.8, 0.5
EACH = 5  # pictures of one person at most that are reconstructed
STRANGERS = 400  # and as many people who were trained on


def estimate(seed: int, people: int, kind: Kind, pull: float = 0.0) -> Estimate:
    """The figure of one world; `pull`: share of the way to the nearest training face."""
    rng = np.random.default_rng([seed, 21])
    world = make(people, kind, seed)
    order = rng.permutation(len(world.subjects))
    seen = np.zeros(people, int)
    rows = []
    for row in order:  # as an audit: a few pictures a person
        seen[world.subjects[row]] += 1
        if seen[world.subjects[row]] <= EACH:
            rows.append(row)
    real = world.unit[rows]
    others = [make(STRANGERS, kind, 1_000_000 + 2 * seed + k) for k in (0, 1)]
    pools = [(other.unit, other.subjects) for other in others]
    training = pools[0][0]
    common = rng.normal(size=real.shape[1])
    common /= np.linalg.norm(common)
    noise = rng.normal(size=real.shape) / np.sqrt(real.shape[1])
    made = unit_rows(real + NOISE * noise + COMMON * common)
    if pull:
        made = unit_rows((1 - pull) * made + pull * training[(made @ training.T).argmax(axis=1)])
    excess, _, variance = memory_excess(
        made.astype(np.float32), real, world.subjects[rows], pools[0], pools[1], rng
    )
    return memory_estimate(excess, world.subjects[rows], variance)


def line(people: int, kind: Kind, worlds: int, pull: float, first: int) -> str:
    """Coverage, width and how often a null interval lies above 0."""
    found = [estimate(seed, people, kind, pull) for seed in range(first, first + worlds)]
    value = np.array([e.value for e in found])
    ends = np.array([(e.interval.low, e.interval.high) for e in found if e.interval])
    if len(ends) < 20:
        return f"{people} {kind}, pull {pull:g}: given in {len(ends)} of {worlds}"
    truth = value.mean() if pull else 0.0
    inside = float(((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean())
    span, width = wilson(inside, len(ends)), np.diff(np.quantile(value, [0.025, 0.975]))[0]
    return (
        f"{people} {kind}, pull {pull:g}: truth {truth:.4f}, mean {value.mean():.4f}, covered {inside:.1%} "
        f"({span.low:.1%} to {span.high:.1%}) of {len(ends)}, above 0 in {(ends[:, 0] > 0).mean():.1%}, "
        f"width {np.median(ends[:, 1] - ends[:, 0]) / width:.2f}"
    )


def main() -> None:
    """Print one line a cell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", default="20,60,300")
    parser.add_argument("--kinds", default="mild,skew")
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--pulls", default="0,0.2")
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    given = parser.parse_args()
    for people in map(int, given.people.split(",")):
        for kind in given.kinds.split(","):
            for pull in map(float, given.pulls.split(",")):
                print(line(people, kind, given.worlds, pull, given.first), flush=True)


if __name__ == "__main__":
    main()
