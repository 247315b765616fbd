"""Worlds for the gate: equally good models, the same model again, and damage of the size a plan promises to find.

    python benchmarks/worlds_gate.py alarm --kind skew --people 300 --worlds 200
    python benchmarks/worlds_gate.py same --kind skew --people 300 --worlds 100
    python benchmarks/worlds_gate.py plan --kind mild --people 600 --worlds 100 --rule fnmr@fmr=1e-2

Every world has people and pictures of its own (`benchmarks/worlds.py`). Both models see the same pictures and each
adds noise of its own, so that they share some of their errors. The size of planted damage is its mean over other
worlds of the same kind, not what happens in the world that is judged.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.worlds import KINDS, World, make
from fraudit.analyses.verification.printed import key_of
from fraudit.compare.evidence import evidence_of
from fraudit.compare.gate.judging import run_gate
from fraudit.compare.gate.plan import plan_rules
from fraudit.compare.gate.rules import Rule
from fraudit.compare.points import point_of, with_points
from fraudit.compare.values import Side
from fraudit.errors import InsufficientData
from fraudit.files.vectors import Vectors
from fraudit.scores import ScoreSet
from fraudit.stats import verification as v
from fraudit.stats.folds import fold_accuracy
from fraudit.stats.intervals import PairClusters, interval_or_reason
from fraudit.stats.operating import ScoredPairs
from fraudit.stats.pairs import make_pairs, pair_cosines
from fraudit.types import Interval, Metric
from tests.fixtures.wilson import wilson

STATED_SHARE = 0.05
OWN = 0.25  # norm of each model's own noise, relative to the person's direction
SEVEN = (
    Rule("fnmr@fmr=1e-2", {"max_increase": 0.0}),
    Rule("fmr@fmr=1e-2", {"max_increase": 0.0}),
    Rule("fnmr@fmr=1e-1", {"max_increase": 0.0}),
    Rule("tar@far=1e-2", {"max_decrease": 0.0}),
    Rule("eer", {"max_increase": 0.0}),
    Rule("auc", {"max_decrease": 0.0}),
    Rule("accuracy", {"max_decrease": 0.0}),
)


def side_of(
    vectors: np.ndarray, subjects: np.ndarray, label: str, names: tuple[str, ...], seed: int = 0
) -> Side:
    """What a gate reads of a run of these vectors: f32[N,D] of people i64[N], with the figures that rules name."""
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    ids = np.array([f"{i:06d}" for i in range(len(subjects))])
    stored = Vectors(ids, unit, np.ones(len(ids), bool), subjects.astype(np.int64), {})
    made = make_pairs(subjects, 3000, 3000, seed)
    scores = pair_cosines(unit, made.left, made.right)
    people = subjects.astype(str)
    pairs = ScoreSet(
        ids[made.left], ids[made.right], made.same, scores, people[made.left], people[made.right], made.fold
    )
    left, right, _ = pairs.people()
    metrics: dict[tuple[str, str], Metric] = {}

    def add(name: str, value: float, make_interval: Callable[[], Interval], better: str) -> None:
        interval, why = interval_or_reason(make_interval)
        metrics[f"verification.{name}", ""] = Metric(
            f"verification.{name}",
            value,
            n=len(scores),
            interval=interval,
            interval_missing=why,
            better=better,  # type: ignore[arg-type]
        )

    if "accuracy" in names:
        folds = fold_accuracy(scores, made.same, made.fold)
        add("accuracy", folds.mean, lambda: PairClusters(left, right).rate_interval(folds.correct), "higher")
    if {"eer", "auc"} & set(names):
        scored = ScoredPairs(scores, made.same, left, right)
        add("eer", v.eer(scored.genuine, scored.impostor).value, lambda: scored.eer()[1], "lower")
        add("auc", v.auc(scored.genuine, scored.impostor), lambda: scored.auc()[1], "higher")
    evidence = evidence_of(stored, pairs, metrics, seed, {})
    data = {"name": "world", "digest": "d", "n_faces": len(ids)}
    bare = Side(
        label,
        label,
        Path(label),
        {"dataset": data, "embedder": {"name": label}},
        {"seed": seed, "limit": None},
        {"verification": {}},
        {"verification": ("done", "")},
        metrics,
        evidence,
    )
    return with_points(bare, names)


def noisy(world: World, seed: list[int], extra: float = 0.0, damage: str = "all") -> np.ndarray:
    """A model's vectors f64[N,D]: those of the world with noise of its own, more of it where it is damaged."""
    rng = np.random.default_rng(seed)
    people = int(world.subjects.max()) + 1
    hit = np.ones(people, bool) if damage == "all" else rng.random(people) < 0.1
    size = np.hypot(OWN, np.where(hit, extra, 0.0))[world.subjects] * world.quality
    noise = rng.normal(size=world.unit.shape) / np.sqrt(world.unit.shape[1])
    return world.unit + size[:, None] * noise


def alarms(kind: str, people: int, worlds: int, first: int = 0) -> dict[str, object]:
    """How often a gate of seven rules, and each alone, accuses an equally good model at limit 0."""
    names = tuple(rule.name for rule in SEVEN)
    together, alone = 0, np.zeros(len(SEVEN), int)
    done = 0
    for seed in range(first, first + worlds):
        world = make(people, kind, seed)  # type: ignore[arg-type]
        base, new = (side_of(noisy(world, [seed, k]), world.subjects, str(k), names) for k in (1, 2))
        rules = [
            rule for rule in SEVEN if (point := point_of(rule.name)) is None or key_of(*point) in new.metrics
        ]
        together += run_gate(rules, base, new).exit_code == 1
        for at, rule in enumerate(SEVEN):
            alone[at] += rule in rules and run_gate([rule], base, new).exit_code == 1
        done += 1
    return {
        "worlds": done,
        "exit 1": together / done,
        "interval": _span(together, done),
        "alone": dict(zip(names, (alone / done).round(4).tolist(), strict=True)),
    }


def same(kind: str, people: int, worlds: int, first: int = 0) -> dict[str, object]:
    """How often the same model again is accused, or left open: other rounding, and its components renumbered."""
    names = tuple(rule.name for rule in SEVEN)
    codes = {"rounded": [0, 0, 0, 0], "reseeded": [0, 0, 0, 0], "renumbered": [0, 0, 0, 0]}
    rules = [Rule(rule.name, dict.fromkeys(rule.limits, 0.0)) for rule in SEVEN]
    for seed in range(first, first + worlds):
        world = make(people, kind, seed)  # type: ignore[arg-type]
        rng = np.random.default_rng([seed, 3])
        vectors = noisy(world, [seed, 1])
        base = side_of(vectors, world.subjects, "base", names)
        again = {
            "rounded": vectors + 1e-6 * rng.normal(size=vectors.shape),
            "reseeded": vectors + 1e-3 * rng.normal(size=vectors.shape),
            "renumbered": vectors[:, rng.permutation(vectors.shape[1])]
            + 1e-6 * rng.normal(size=vectors.shape),
        }
        known = [r for r in rules if (point := point_of(r.name)) is None or key_of(*point) in base.metrics]
        for name, changed in again.items():
            codes[name][run_gate(known, base, side_of(changed, world.subjects, name, names)).exit_code] += 1
    return {
        "worlds": worlds,
        "exit 0, 1, 3": {k: [v[0], v[1], v[3]] for k, v in codes.items()},
        "exit 1": {k: _span(v[1], worlds) for k, v in codes.items()},
    }


def _span(events: int, n: int) -> list[float]:
    found = wilson(events / n, n)
    return [round(found.low, 4), round(found.high, 4)]


GRID = (0.15, 0.3, 0.5, 0.8, 1.3, 2.2, 4.0)


def true_change(kind: str, people: int, name: str, damage: str, worlds: int = 12) -> np.ndarray:
    """f64[len(GRID)]: mean change of a figure by the size of the damage, over worlds that are not judged."""
    found = np.zeros(len(GRID))
    for seed in range(worlds):
        world = make(people, kind, 100_000 + seed)  # type: ignore[arg-type]
        key = key_of(*point) if (point := point_of(name)) else (f"verification.{name}", "")

        def value(extra: float, world: World = world, seed: int = seed, key: tuple[str, str] = key) -> float:
            side = side_of(noisy(world, [seed, 2], extra, damage), world.subjects, "x", (name,))
            return float(side.metrics[key].value or 0.0)

        start = value(0.0)
        found += [abs(value(extra) - start) / worlds for extra in GRID]
    return np.maximum.accumulate(found)


def planned(kind: str, people: int, worlds: int, name: str, first: int = 0) -> dict[str, object]:
    """How often damage of the promised size is found, by kind of damage, with the limit that would be suggested."""
    from fraudit.compare.gate.plan import equal_quality, measured
    from fraudit.compare.gate.suggest import PLANNED, rounded_up

    found: dict[str, object] = {"rule": name}
    curves = {damage: true_change(kind, people, name, damage) for damage in ("all", "tenth")}
    tally = {damage: [0, 0, 0] for damage in curves}  # detected, promised, nothing promised or out of reach
    passed = [0.0, 0, 0]
    sizes: dict[str, list[float]] = {damage: [] for damage in curves}
    kind_of = "max_increase" if name.startswith(("fnmr", "fmr", "eer")) else "max_decrease"
    for seed in range(first, first + worlds):
        world = make(people, kind, seed)  # type: ignore[arg-type]
        base = side_of(noisy(world, [seed, 1]), world.subjects, "base", (name,))
        key = key_of(*point) if (point := point_of(name)) else (f"verification.{name}", "")
        try:
            limit = rounded_up(max(equal_quality(measured(key, base, 0.95)).clears(PLANNED), 0.0))
        except InsufficientData:
            continue
        rule = Rule(name, {kind_of: limit})
        row = plan_rules([rule], base)[0]
        equal = run_gate([rule], base, side_of(noisy(world, [seed, 2]), world.subjects, "n", (name,)))
        passed[0] += row.get("can_pass", 0.0)
        passed[1] += equal.exit_code == 0
        passed[2] += 1
        for damage, curve in curves.items():
            size = row.get(f"detects_{damage}")
            if size is None or size > curve[-1]:
                tally[damage][2] += 1
                continue
            extra = float(np.interp(size, np.concatenate([[0], curve]), np.concatenate([[0], GRID])))
            new = side_of(noisy(world, [seed, 2], extra, damage), world.subjects, "n", (name,))
            tally[damage][0] += run_gate([rule], base, new).exit_code == 1
            tally[damage][1] += 1
            sizes[damage].append(size)
        print(
            seed,
            {damage: counted[:2] for damage, counted in tally.items()},
            passed,
            file=sys.stderr,
            flush=True,
        )
    n = max(passed[2], 1)
    found["equal model passes, promised and kept"] = [round(passed[0] / n, 3), passed[1] / n]
    for damage, (hit, promised, none) in tally.items():
        found[damage] = {
            "found": hit / promised if promised else None,
            "interval": _span(hit, promised) if promised else None,
            "promised": promised,
            "nothing promised": none,
            "median size": float(np.median(sizes[damage])) if sizes[damage] else None,
        }
    return found


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("alarm", "same", "plan"))
    parser.add_argument("--kind", choices=KINDS, default="skew")
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--worlds", type=int, default=100)
    parser.add_argument("--rule", default="fnmr@fmr=1e-2")
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    options = parser.parse_args()
    if options.what == "alarm":
        found = alarms(options.kind, options.people, options.worlds, options.first)
    elif options.what == "same":
        found = same(options.kind, options.people, options.worlds, options.first)
    else:
        found = planned(options.kind, options.people, options.worlds, options.rule, options.first)
    print(json.dumps({"what": options.what, "kind": options.kind, "people": options.people, **found}))


if __name__ == "__main__":
    main()
