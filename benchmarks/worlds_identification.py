"""Worlds for 1:N search, and how often its intervals hold in them.

    python benchmarks/worlds_identification.py rates  [--people 60,250,1000] [--kinds equal,skew,lfw] [--worlds 400]
    python benchmarks/worlds_identification.py growth [--people 400,1000] [--worlds 40]
    python benchmarks/worlds_identification.py blocked [--people 300] [--worlds 2000]

Worlds are those of `benchmarks.worlds` (heavy tails, families, skewed pictures, pictures that are there twice), with
`hubs` also people whose vectors resemble everybody's: each loads on one common direction, lognormally. The truth of a
rate is its mean over all worlds of one kind at the threshold that the world used; that of a rate at a target FPIR is
its mean where the mean FPIR is the target. Growth is judged on samples of one population of 24,000 people, whose rates
with up to 20,000 enrolled are counted.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import worlds
from fraudit.errors import InsufficientData
from fraudit.stats.gallery import Rule, SearchPlan, enrol, plan_searches
from fraudit.stats.growth import Counts, back_test, expected, extrapolate, fnir_counts, fpir_counts, measured
from fraudit.stats.identification import Search, fpir_threshold, search
from fraudit.stats.search_rates import Causes, fnir_rate, fpir_rate, rate
from fraudit.stats.search_thresholds import choose, compare_rules, fnir_at_target, fpir_at_target
from fraudit.types import F64, I64, Interval
from tests.fixtures.wilson import wilson

HUB, HUB_SPREAD = 0.30, 0.7  # median loading on the direction that all share; spread of its logarithm
GRID = np.linspace(-0.5, 1, 1501)
TARGETS = (0.1, 0.03)
POPULATION, ENROLLED, MATED = 24_000, 20_000, 12_000


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
    rows: F64,
    people: I64,
    seed: int,
    above: float = np.inf,
    pictures: int = 1,
    rule: Rule = "mean",
    most: int = 0,
) -> tuple[SearchPlan, Search, Search]:
    """(plan, search of the calibration side, search of the judged side); `most` pictures are kept for enrolment."""
    plan = plan_searches(people, seed, most_enrolled=max(most, pictures))
    found = []
    for judged in (False, True):
        keep = plan.gallery(judged, pictures)
        gallery = enrol(rows[keep], people[keep], rule)
        ask = np.concatenate([plan.searches(judged, True), plan.searches(judged, False)])
        found.append(search(gallery, rows[ask], people[ask], above=above, seed=seed))
    return plan, found[0], found[1]


def _curves(found: Search) -> dict[str, F64]:
    """Rates of one world at every threshold of `GRID`."""
    best, mate = np.sort(found.top[~found.mated]), found.mate_score[found.mated]
    first = np.sort(np.where(found.rank[found.mated] == 1, mate, -np.inf))
    return {
        "fpir": 1 - np.searchsorted(best, GRID, "left") / len(best),
        "fnir rank 1": np.searchsorted(first, GRID, "left") / len(first),
        "fnir any rank": np.searchsorted(np.sort(mate), GRID, "left") / len(mate),
    }


def _say(words: str, bounds: list[tuple[Interval | None, float]], tried: int) -> None:
    known = [(i, t) for i, t in bounds if i]
    if not known:
        print(f"{words}: no interval in {tried} worlds", flush=True)
        return
    low = np.mean([t < i.low for i, t in known])
    high = np.mean([t > i.high for i, t in known])
    held = float(1 - low - high)
    chance = wilson(held, len(known))
    width = np.median([i.high - i.low for i, _ in known])
    print(
        f"{words}: {100 * held:.1f} % ({100 * chance.low:.1f} to {100 * chance.high:.1f}) cover; truth below "
        f"{100 * low:.1f}, above {100 * high:.1f}; given {len(known)}/{tried}; truth "
        f"{np.median([t for _, t in known]):.4f}; median width {width:.3f}",
        flush=True,
    )


def rates(people: list[int], kinds: list[worlds.Kind], count: int) -> None:
    """Coverage of rates at a threshold as it is, at a target, and of differences of two rules."""
    for size, kind, hubs in ((p, k, h) for p in people for k in kinds for h in (False, True)):
        words = f"{size} people, {kind}{', hubs' if hubs else ''}"
        kept: dict[str, list[tuple[Interval | None, float]]] = defaultdict(list)
        late: list[tuple[str, str, float, Interval | None]] = []
        sums: list[dict[str, F64]] = []
        for seed in range(count):
            try:
                _, calibration, judged = sides(*faces(size, kind, seed, hubs), seed)
            except InsufficientData:
                continue
            sums.append(_curves(judged))
            late.append(("fnir rank 1", "CMC", -0.5, fnir_rate(judged).interval))
            for target in TARGETS:
                value = fpir_threshold(calibration, target)
                if not np.isfinite(value):
                    continue
                at = f"at the threshold for {target}"
                late.append(("fpir", at, value, fpir_rate(judged, value).interval))
                late.append(("fnir rank 1", at, value, fnir_rate(judged, value).interval))
                late.append(("fnir any rank", at, value, fnir_rate(judged, value, None).interval))
                chosen = choose(calibration, target)
                kept[f"fpir, target {target}"].append((fpir_at_target(judged, chosen).interval, target))
                kept[f"fnir rank 1, target {target}"].append(
                    (fnir_at_target(judged, chosen).interval, np.nan)
                )
        truth = {name: np.mean([s[name] for s in sums], axis=0) for name in sums[0]}
        for name, at, value, interval in late:
            kept[f"{name} {at}"].append((interval, float(np.interp(value, GRID, truth[name]))))
        for name, bounds in sorted(kept.items()):
            if name.startswith("fnir rank 1, target"):
                place = np.interp(-float(name.split()[-1]), -truth["fpir"], GRID)
                bounds = [(i, float(np.interp(place, GRID, truth["fnir rank 1"]))) for i, _ in bounds]
            _say(f"{words}; {name}", bounds, count)
        _rules(words, size, kind, hubs, count)


def _rules(words: str, size: int, kind: worlds.Kind, hubs: bool, count: int) -> None:
    """Best score against mean of three pictures, each at its own threshold."""
    curves: list[list[dict[str, F64]]] = [[], []]
    kept: dict[tuple[str, float], list[Interval]] = defaultdict(list)
    for seed in range(count):
        try:
            rows, who = faces(size, kind, seed, hubs)
            both = [sides(rows, who, seed, pictures=3, rule=rule)[1:] for rule in ("mean", "best")]
        except InsufficientData:
            continue
        for of, (_, judged) in zip(curves, both, strict=True):
            of.append(_curves(judged))
        for target in TARGETS:
            try:
                found = compare_rules(both[0], both[1], target)
            except InsufficientData:
                continue
            kept["fnir", target].append(found.fnir.interval)
            kept["fpir", target].append(found.fpir.interval)
    for (name, target), intervals in sorted(kept.items()):
        truth = 0.0
        if name == "fnir":
            ends = []
            for of in curves:
                mean = {key: np.mean([c[key] for c in of], axis=0) for key in of[0]}
                place = np.interp(-target, -mean["fpir"], GRID)
                ends.append(float(np.interp(place, GRID, mean["fnir rank 1"])))
            truth = ends[1] - ends[0]
        _say(
            f"{words}; difference of {name}, best less mean, {target}", [(i, truth) for i in intervals], count
        )


def _population(hubs: bool, above: float) -> tuple[F64, I64, I64, Search]:
    """(rows, people, first row of each, search among ENROLLED people that gives the truth)."""
    rows, people = faces(POPULATION, "mild", 9, hubs)
    start = np.searchsorted(people, np.arange(POPULATION + 1))
    mixed = np.random.default_rng(0).permutation(POPULATION)
    keep = np.sort(start[mixed[:ENROLLED]])
    number = np.arange(len(people)) - start[people]
    ask = np.concatenate(
        [
            np.flatnonzero(np.isin(people, mixed[:MATED]) & (number == 1)),
            np.flatnonzero(np.isin(people, mixed[ENROLLED:]) & (number < 3)),
        ]
    )
    found = search(enrol(rows[keep], people[keep]), rows[ask], people[ask], above=above)
    return rows, people, start, found


def growth(people: list[int], count: int) -> None:
    """Coverage of smaller galleries, back-tests and extrapolations."""
    for hubs, above in ((False, 0.30), (True, 0.42)):
        rows, who, _, whole = _population(hubs, above)
        for size in people:
            words = f"{size} people{', hubs' if hubs else ''}"
            kept: dict[str, list[tuple[Interval | None, float]]] = defaultdict(list)
            refused: dict[str, int] = defaultdict(int)
            for seed in range(count):
                chosen = np.random.default_rng([seed, size, 5]).choice(POPULATION, size, replace=False)
                use = np.isin(who, chosen)
                _, calibration, judged = sides(rows[use], who[use], seed, above=above)
                for name, seen, all_of_them in _asked(calibration, judged, whole, above):
                    quarter = seen.enrolled // 4
                    point = measured(seen, [quarter])[0]
                    kept[f"{name}, a quarter"].append(
                        (point.interval, float(expected(all_of_them, [quarter])[0]))
                    )
                    try:
                        test = back_test(seen)
                    except InsufficientData:
                        refused[f"{name}, too little"] += 1
                        continue
                    kept[f"{name}, back-test"].append((test.interval, test.measured))
                    refused[f"{name}, back-test failed"] += not test.passed
                    for times in (4, 20, 80):
                        if test.passed and times * seen.enrolled <= ENROLLED:
                            found = extrapolate(seen, times * seen.enrolled)
                            truth = float(expected(all_of_them, [found.people])[0])
                            kept[f"{name}, times {times}"].append((found.interval, truth))
            for name, bounds in kept.items():
                _say(f"{words}; {name}", bounds, count)
            print(words, dict(refused), flush=True)


def _asked(
    calibration: Search, judged: Search, whole: Search, above: float
) -> Iterator[tuple[str, Counts, Counts]]:
    """(what, counts of the sample, of the population) for FPIR at two thresholds and the miss at rank 1."""
    yield "miss at rank 1", fnir_counts(judged), fnir_counts(whole)
    for target in (0.3, 0.1):
        value = fpir_threshold(calibration, target)
        if above <= value < np.inf:
            yield f"fpir at the threshold for {target}", fpir_counts(judged, value), fpir_counts(whole, value)


def blocked(seed: int, searches: int, there: int, first: float) -> Causes:
    """Misses at rank 1: the share `first` of mates would be first, but `there` enrolled people are ahead of all."""
    rng = np.random.default_rng([seed, searches])
    right = np.flatnonzero(rng.random(searches) < first)
    events = np.ones(searches)
    if not there:
        events[right] = 0.0
    row = right if there == 1 else right[:0]  # with two of them nobody alone is the cause
    people = np.arange(searches + there)
    return Causes(events, np.arange(searches), row, np.full(len(row), searches), np.ones(len(row)), people)


def nobody(searches: int, count: int) -> None:
    """Of the worlds where nobody was found first: how often the interval of rank 1 holds, and its upper end."""
    for hubs in (0.05, 0.3):
        for first in (0.003, 0.02, 0.1, 0.5):
            truth = first * np.exp(-hubs)
            there = np.random.default_rng(searches).poisson(hubs, count)
            made = [rate(blocked(seed, searches, int(k), first)) for seed, k in enumerate(there)]
            ends = [1 - f.interval.low for f in made if f.interval and f.errors == f.n]
            print(
                f"{searches} searches, {hubs:g} such people, truth {100 * truth:.2f} %: nobody first in {len(ends)} of "
                f"{count}, {100 * np.mean([truth <= e for e in ends]):.1f} % of them hold it; upper end median "
                f"{np.median(ends):.3f}, largest {max(ends):.3f}",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="coverage of 1:N intervals")
    parser.add_argument("what", choices=("rates", "growth", "blocked"))
    parser.add_argument("--people", default="")
    parser.add_argument("--kinds", default="equal,skew,lfw")
    parser.add_argument("--worlds", type=int, default=0)
    args = parser.parse_args()
    sizes = [
        int(p)
        for p in (
            args.people or {"rates": "60,250,1000", "growth": "400,1000", "blocked": "300"}[args.what]
        ).split(",")
    ]
    if args.what == "blocked":
        for size in sizes:
            nobody(size, args.worlds or 2000)
    elif args.what == "rates":
        rates(sizes, args.kinds.split(","), args.worlds or 400)
    else:
        growth(sizes, args.worlds or 40)
