"""How often D_sys' interval holds, and how often what is not linked is called linked.

Run: python benchmarks/worlds_transfer.py [WORLDS]
"""

from __future__ import annotations

import sys

import numpy as np
from scipy import integrate, stats

from fraudit.stats.linkability import local_linkability, system_linkability

WORLDS = int(sys.argv[1]) if len(sys.argv) > 1 else 300


def truth(shift: float) -> float:
    """D_sys of N(shift, 1) against N(0, 1)."""

    def part(s: float) -> float:
        return float(stats.norm.pdf(s, shift) * local_linkability(np.exp(shift * s - shift**2 / 2)))

    return float(integrate.quad(part, shift / 2, shift + 12)[0])


def world(seed: int, shift: float, people: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores with a part of each person's own, three mated ones a person."""
    rng = np.random.default_rng([seed, people, int(shift * 10)])
    own = np.repeat(np.arange(people), 3)
    mated = shift + 0.3**0.5 * rng.normal(size=people)[own] + 0.7**0.5 * rng.normal(size=len(own))
    left, right = np.triu_indices(people, 1)
    pick = rng.permutation(len(left))[:5000]
    left, right = left[pick], right[pick]
    part = 0.05**0.5 * rng.normal(size=people)
    other = part[left] + part[right] + 0.9**0.5 * rng.normal(size=len(left))
    return np.append(mated, other), np.append(own, left), np.append(own, right)


def main() -> None:
    """One row a world."""
    print("| people | shift | D_sys | mean | holds | too high | too low | above 0 | above 0 at 99.9 % |")
    print("|---|---|---|---|---|---|---|---|---|")
    for people in (50, 100, 300):
        for shift in (0.0, 0.3, 1.0, 2.0, 3.0, 5.0):
            true, values, counts = truth(shift) if shift else 0.0, [], np.zeros(4)
            for seed in range(WORLDS):
                given = world(seed, shift, people)
                found = system_linkability(*given, seed=seed)
                low, high = found.interval.low, found.interval.high
                strict = system_linkability(*given, seed=seed, level=0.999).interval.low > 0
                values.append(found.value)
                counts += [low > true + 1e-9, high < true - 1e-9, low > 0, strict]
            above, below, linked, strictly = counts / WORLDS
            print(
                f"| {people} | {shift:g} | {true:.3f} | {np.mean(values):.3f} | {1 - above - below:.3f} | {above:.3f} "
                f"| {below:.3f} | {linked:.3f} | {strictly:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
