"""Worlds for promised thresholds: how often is the true FMR above the target, and does the interval of Cllr hold?

    python -m benchmarks.worlds_threshold [worlds]

The truth of a threshold is the mean FMR at it over many other worlds of the same kind and size.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from numpy.typing import NDArray

from benchmarks.worlds import GROUPS, KINDS, Kind, World, make
from fraudit.stats.halves import Half
from fraudit.stats.likelihood import calibrate, cllr
from fraudit.stats.operating import ScoredPairs
from fraudit.stats.pairs import impostor_histogram, pair_cosines, rate_pairs
from fraudit.stats.promises import Promise, promised_threshold

Curves = dict[str, NDArray[np.float64]]
TRUTH_SEED, BINS = 500_000, 20_000
COMMON = (
    0.0,
    0.25,
    0.4,
)  # what people of a group share, where groups differ: the smallest group is the worst


def world(people: int, kind: Kind, seed: int, apart: bool) -> World:
    """A world; `apart`: groups differ in their FMR."""
    return make(people, kind, seed, group_common=COMMON if apart else (0.0, 0.0, 0.0))


def truth(people: int, kind: Kind, worlds: int, apart: bool = False) -> Curves:
    """f64[BINS + 1] mean FMR at each edge of a grid over [-1, 1], of all pairs ('') and within each group."""
    above: dict[str, list[NDArray[np.float64]]] = {}
    for seed in range(TRUTH_SEED, TRUTH_SEED + worlds):
        w = world(people, kind, seed, apart)
        for name in ("", *(GROUPS if apart else ())):
            rows = np.ones(len(w.subjects), bool) if not name else w.groups == name
            if len(np.unique(w.subjects[rows])) < 2:
                continue
            h = impostor_histogram(w.unit[rows], w.subjects[rows], bins=BINS)
            curve = np.append(np.cumsum(h.counts[::-1])[::-1], 0) / h.n
            above.setdefault(name, []).append(curve)
    return {name: np.mean(curves, axis=0) for name, curves in above.items()}


def true_rate(curve: NDArray[np.float64], threshold: float) -> float:
    """Between the edges of the grid by a straight line."""
    return float(np.interp(threshold, np.linspace(-1, 1, BINS + 1), curve))


def promises(people: int, kind: Kind, seed: int, targets: Sequence[float], apart: bool) -> list[Promise]:
    """Thresholds chosen on half of a world's people and judged on the other, one a target."""
    w = world(people, kind, seed, apart)
    first = np.isin(w.subjects, np.random.default_rng([seed, 7]).permutation(people)[: people // 2])
    halves = [
        Half.of_vectors(w.unit[rows], w.subjects[rows], max(targets), None, w.groups[rows] if apart else None)
        for rows in (first, ~first)
    ]
    return [promised_threshold(halves[0], halves[1], target, every_group=apart) for target in targets]


def row(people: int, kind: str, found: list[Promise], curves: Curves) -> str:
    """One line of the table, for one target."""
    target, given = found[0].target, [f for f in found if f.threshold is not None]
    start = f"| {people:,} | {kind} | {target:g} | {len(given)}/{len(found)} "
    if not given:
        return start + "| | | | | |"
    rates = np.array([[true_rate(curve, f.threshold or 0.0) for curve in curves.values()] for f in given])
    broken = rates.max(axis=1) > target
    error = 2 * np.sqrt(0.05 * 0.95 / len(given))
    judged = [
        f.rate.interval.low <= rate <= f.rate.interval.high
        for f, rate in zip(given, rates[:, 0], strict=True)
        if f.rate and f.rate.interval
    ]
    costs = [f.cost.value for f in given if f.cost]
    refuted = sum(f.verdict == "broken" for f in given)
    return (
        f"{start}| {100 * broken.mean():.1f} % (5 + {100 * error:.1f}) | {rates.max(axis=1).mean() / target:.2f} "
        f"| {100 * np.mean(judged):.1f} % | {100 * np.mean(costs):.1f} % | {refuted} |"
    )


def table(people: int, kind: Kind, worlds: int, targets: Sequence[float], apart: bool = False) -> list[str]:
    """Lines of one kind and size."""
    curves = truth(people, kind, max(60, min(3000, 180_000 // people)), apart)
    found = [promises(people, kind, seed, targets, apart) for seed in range(worlds)]
    name = f"{kind}, every group" if apart else kind
    return [row(people, name, [each[i] for each in found], curves) for i in range(len(targets))]


def scored(people: int, kind: Kind, seed: int, part: int | None = None) -> ScoredPairs:
    """Pairs of a world, or of the half 0 or 1 of its people."""
    w = make(people, kind, seed)
    first = np.isin(w.subjects, np.random.default_rng([seed, 7]).permutation(people)[: people // 2])
    rows = np.arange(len(first)) if part is None else np.flatnonzero(first == (part == 0))
    pairs = rate_pairs(w.subjects[rows], seed, max_impostor=20_000)
    left, right = rows[pairs.left], rows[pairs.right]
    return ScoredPairs(pair_cosines(w.unit, left, right), pairs.same, w.subjects[left], w.subjects[right])


def calibration_row(people: int, kind: Kind, worlds: int) -> str:
    """How often the interval of Cllr holds that of the same calibration on all people, and what is chosen."""
    others = [scored(people, kind, seed) for seed in range(TRUTH_SEED, TRUTH_SEED + 150)]
    hits, given, kinds, lost = 0, 0, [], []
    for seed in range(worlds):
        found = calibrate(scored(people, kind, seed, 0), scored(people, kind, seed, 1), seed)
        real = float(np.mean([cllr(found.odds.llr(p.scores), p.same) for p in others]))
        kinds.append(found.odds.kind)
        lost.append(found.cllr.value - found.min_cllr.value)
        if found.cllr.interval:
            given += 1
            hits += found.cllr.interval.low <= real <= found.cllr.interval.high
    held = f"{100 * hits / given:.1f} %" if given else "-"
    return f"| {people:,} | {kind} | {given}/{worlds} | {held} | {kinds.count('logistic')} | {np.mean(lost):.4f} |"


def main(worlds: int, sizes: Sequence[int]) -> None:
    """Print the table."""
    print(
        "| People | Pictures | Target | Given | Promise broken | True FMR / target | Judged holds | FNMR | Refuted |"
    )
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for people in sizes:
        targets = [t for t in (0.1, 1e-2, 3e-3, 1e-3, 1e-4) if t * people**2 >= 10]
        for kind in KINDS:
            print(*table(people, kind, worlds, targets), sep="\n", flush=True)
    for people in [p for p in sizes if p >= 500]:
        print(*table(people, "equal", worlds, (0.1, 3e-2, 1e-2), True), sep="\n", flush=True)
    print("\n| People | Pictures | Cllr has an interval | It holds | Logistic chosen | Cllr - minCllr |")
    print("|---|---|---|---|---|---|", flush=True)
    for people in sizes:
        for kind in KINDS:
            print(calibration_row(people, kind, worlds), flush=True)


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 200, [int(a) for a in sys.argv[2:]] or [60, 200, 500, 1000]
    )
