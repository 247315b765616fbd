"""Worlds for thresholds of galleries larger than the set: how often is the true FPIR above the target?

    python -m benchmarks.worlds_grown [worlds]

One population of 6,000 people, with and without people who attract most false positives. 800 of them are the set: half
choose, of whom half are enrolled. The truth is the mean over all galleries of that size among 4,500 people.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from scipy import special

from benchmarks.worlds_identification import faces
from fraudit.stats.gallery import enrol, plan_searches
from fraudit.stats.grown_thresholds import grown_threshold, lowest_kept
from fraudit.stats.identification import search
from fraudit.types import F64

POPULATION, ENROLLED, PEOPLE, TARGET = 6_000, 4_500, 800, 0.3


def true_rate(scores: F64, threshold: float, people: int) -> float:
    """FPIR over all galleries of `people` among the columns of f64[S,M], each row rising."""
    total = scores.shape[1]
    count = total - np.array([np.searchsorted(row, threshold) for row in scores])
    room = total - count - people >= 0
    c, log = np.where(room, count, 0), special.gammaln
    none = log(total - c + 1) - log(total - c - people + 1) - log(total + 1) + log(total - people + 1)
    return float(np.where(room, 1 - np.exp(none), 1.0).mean())


def main(worlds: int) -> None:
    """Print a line for each kind of population and factor."""
    for hubs in (False, True):
        rows, who = faces(POPULATION, "mild", 9, hubs)
        start = np.searchsorted(who, np.arange(POPULATION))
        everybody = enrol(rows[start[:ENROLLED]], who[start[:ENROLLED]])
        scores = np.sort(rows[start[ENROLLED:]] @ everybody.vectors.T, axis=1)
        for times in (4, 10):
            rates = []
            for seed in range(worlds):
                chosen = np.random.default_rng([seed, 5]).choice(POPULATION, PEOPLE, replace=False)
                unit, people = (part[np.isin(who, chosen)] for part in (rows, who))
                plan = plan_searches(people, seed, enrolled_share=0.5)
                keep, ask = plan.gallery(False), plan.searches(False, False)
                gallery = enrol(unit[keep], people[keep])
                lowest = lowest_kept(search(gallery, unit[ask], people[ask], seed=seed), TARGET)
                found = search(gallery, unit[ask], people[ask], above=lowest, seed=seed)
                grown = grown_threshold(found, TARGET, times * len(gallery))
                if grown.threshold is not None:
                    rates.append(true_rate(scores, grown.threshold, times * len(gallery)))
            given = np.array(rates)
            print(
                f"{'hubs' if hubs else 'no hubs'}, times {times}: given {len(given)} of {worlds}, broken "
                f"{int((given > TARGET).sum())}, true FPIR over target {given.mean() / TARGET:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
