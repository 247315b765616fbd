"""Worlds for the gate: equally good models, the same model again, and damage of the size a plan promises to find.

    python benchmarks/worlds_gate.py alarm --kind skew --people 300 --worlds 200
    python benchmarks/worlds_gate.py same --kind skew --people 300 --worlds 100
    python benchmarks/worlds_gate.py plan --kind mild --people 600 --worlds 100 --rule fnmr@fmr=1e-2 --rows F.jsonl

Every world has people and pictures of its own (`benchmarks/worlds.py`). Both models see the same pictures and each
adds noise of its own, so that they share some of their errors. The size of planted damage is its mean over other
worlds of the same kind, not what happens in the world that is judged.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.interpolate import PchipInterpolator

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.worlds import KINDS, World, make
from fraudit.analyses.verification.printed import key_of
from fraudit.compare.evidence import evidence_of
from fraudit.compare.gate.judging import run_gate
from fraudit.compare.gate.plan import plan_rules
from fraudit.compare.gate.rules import Rule
from fraudit.compare.points import point_of, with_points
from fraudit.compare.values import Evidence, Side
from fraudit.errors import InsufficientData
from fraudit.files.vectors import Vectors
from fraudit.scores import ScoreSet
from fraudit.stats import verification as v
from fraudit.stats.calibration import calibration_half
from fraudit.stats.folds import fold_accuracy
from fraudit.stats.intervals import PairClusters, interval_or_reason
from fraudit.stats.operating import ScoredPairs
from fraudit.stats.pairs import make_pairs, pair_cosines
from fraudit.types import Interval, Metric, PairList
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
    vectors: np.ndarray,
    subjects: np.ndarray,
    label: str,
    names: tuple[str, ...],
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> Side:
    """What a gate reads of a run of these vectors: f32[N,D] of people i64[N], with the figures that rules name.

    With str[N] `groups` these are rates of groups at the threshold for FMR 1e-2.
    """
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    ids = np.array([f"{i:06d}" for i in range(len(subjects))])
    stored = Vectors(ids, unit, np.ones(len(ids), bool), subjects.astype(np.int64), {})
    if groups is not None:
        return _side_of_groups(stored, groups, label, seed)
    if all(re.match("fn?mr@", name) for name in names):  # rates of vectors alone
        return with_points(
            _bare(label, seed, "verification", {}, {}, evidence_of(stored, None, {}, seed, {})), names
        )
    made = _pairs(subjects.astype(np.int64).tobytes(), seed)
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
    if {"eer", "auc", "d_prime"} & set(names):
        scored = ScoredPairs(scores, made.same, left, right)
        if "d_prime" in names:
            add("d_prime", v.d_prime(scored.genuine, scored.impostor), lambda: scored.d_prime()[1], "higher")
        add("eer", v.eer(scored.genuine, scored.impostor).value, lambda: scored.eer()[1], "lower")
        add("auc", v.auc(scored.genuine, scored.impostor), lambda: scored.auc()[1], "higher")
    bare = _bare(label, seed, "verification", {}, metrics, evidence_of(stored, pairs, metrics, seed, {}))
    return with_points(bare, names)


@lru_cache(maxsize=4)
def _pairs(subjects: bytes, seed: int) -> PairList:
    return make_pairs(np.frombuffer(subjects, np.int64), 3000, 3000, seed)


def _bare(
    label: str,
    seed: int,
    section: str,
    params: dict[str, float],
    metrics: dict[tuple[str, str], Metric],
    evidence: Evidence,
) -> Side:
    data = {"name": "world", "digest": "d", "n_faces": 0}
    return Side(
        label,
        label,
        Path(label),
        {"dataset": data, "embedder": {"name": label}},
        {"seed": seed, "limit": None},
        {section: params},
        {section: ("done", "")},
        metrics,
        evidence,
    )


def _side_of_groups(stored: Vectors, groups: np.ndarray, label: str, seed: int) -> Side:
    from fraudit.analyses.bias.comparison import evidence
    from fraudit.compare.hooks import Stored

    params = {"fmr": 1e-2}
    vectors = replace(stored, attributes={"group": groups})
    keys = [(f"bias.group.{rate}", str(g)) for rate in ("fmr", "fnmr") for g in np.unique(groups)]
    asked = {key: Metric(key[0], 0.0, group=key[1], better="lower") for key in keys}
    events, sums = evidence(Stored(vectors, None, asked, seed, params))
    values = {key: (float(e.events.mean()), len(e.events)) for key, e in events.items()}
    values |= {key: (found.rate, found.n) for key, found in sums.items()}
    metrics = {
        key: Metric(key[0], value, n=n, group=key[1], better="lower") for key, (value, n) in values.items()
    }
    return _bare(
        label, seed, "bias", params, metrics, evidence_of(vectors, None, metrics, seed, {"bias": params})
    )


def noisy(world: World, seed: list[int], extra: float = 0.0, damage: str = "all") -> np.ndarray:
    """A model's vectors f64[N,D]: those of the world with noise of its own, more of it where it is damaged."""
    rng = np.random.default_rng(seed)
    people = int(world.subjects.max()) + 1
    hit = np.ones(people, bool) if damage == "all" else rng.random(people) < 0.1
    size = np.hypot(OWN, np.where(hit, extra, 0.0))[world.subjects] * world.quality
    noise = rng.normal(size=world.unit.shape) / np.sqrt(world.unit.shape[1])
    return world.unit + size[:, None] * noise


def damaged(world: World, seed: list[int], rule: Rule, extra: float, damage: str) -> np.ndarray:
    """`noisy`, where noise harms the rule's figure; for an FMR judged people come nearer to one direction instead.

    Noise moves the threshold that a model chooses for itself, so that its FMR stays; what an FMR rule is there to find
    is that other people than those who chose it look alike.
    """
    if ".fmr" not in rule.name and not rule.name.startswith("fmr"):
        return noisy(world, seed, extra, damage)
    rng = np.random.default_rng([*seed, 9])
    hit = ~calibration_half(world.subjects, 0)
    if damage == "tenth":
        hit &= (rng.random(int(world.subjects.max()) + 1) < 0.1)[world.subjects]
    common = rng.normal(size=world.unit.shape[1])
    common /= np.linalg.norm(common)  # one size of damage in all worlds
    return noisy(world, seed) + np.where(hit, extra, 0.0)[:, None] * common


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


GRID = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.65, 0.8, 1.3, 2.2, 4.0)
DAMAGES = ("all", "tenth")


def rule_of(name: str, limit: float = 0.0) -> Rule:
    """A limit on the change of `name`; `bias.group.fnmr[b]` is of the group b."""
    bare, _, group = name.partition("[")
    worse = (
        "max_decrease" if bare in ("auc", "d_prime", "accuracy") or bare.startswith("tar") else "max_increase"
    )
    return Rule(bare, {worse: limit}, group=group.removesuffix("]") or None)


def _side(world: World, vectors: np.ndarray, label: str, rule: Rule) -> Side:
    groups = world.groups if rule.group else None
    return side_of(vectors, world.subjects, label, (rule.name,), groups=groups)


def _key(rule: Rule) -> tuple[str, str]:
    if rule.group:
        return rule.name, rule.group
    return key_of(*point) if (point := point_of(rule.name)) else (f"verification.{rule.name}", "")


def true_change(kind: str, people: int, rule: Rule, damage: str, worlds: int = 12) -> np.ndarray:
    """f64[len(GRID)]: mean change of a figure by the size of the damage, over worlds that are not judged."""
    found = np.zeros(len(GRID))
    for seed in range(worlds):
        world = make(people, kind, 100_000 + seed)  # type: ignore[arg-type]

        def value(extra: float, world: World = world, seed: int = seed) -> float:
            side = _side(world, damaged(world, [seed, 2], rule, extra, damage), "x", rule)
            return float(side.metrics[_key(rule)].value or 0.0)

        start = value(0.0)
        found += [abs(value(extra) - start) / worlds for extra in GRID]
    return np.maximum.accumulate(found)


def suggested(rule: Rule, base: Side) -> float:
    """The limit that `gate --suggest` would give: the smallest that an equally good model keeps as planned."""
    from fraudit.compare.gate.plan import equal_quality, measured
    from fraudit.compare.gate.suggest import PLANNED, rounded_up

    return rounded_up(max(equal_quality(measured(_key(rule), base, 0.95)).clears(PLANNED), 0.0))


def planned_world(
    kind: str, people: int, rule: Rule, seed: int, curves: dict[str, list[float]]
) -> dict[str, object]:
    """One world: whether an equally good model passes, and whether damage of the promised size is found."""
    world = make(people, kind, seed)  # type: ignore[arg-type]
    base = _side(world, noisy(world, [seed, 1]), "base", rule)
    try:
        limited = rule_of(f"{rule.name}[{rule.group}]" if rule.group else rule.name, suggested(rule, base))
        row = plan_rules([limited], base)[0]
    except (InsufficientData, KeyError):
        return {"seed": seed, "planned": False}
    equal = run_gate([limited], base, _side(world, noisy(world, [seed, 2]), "n", rule)).exit_code
    out: dict[str, object] = {"seed": seed, "planned": True, "can_pass": row.get("can_pass"), "equal": equal}
    for damage, curve in curves.items():
        size = row.get(f"detects_{damage}")
        if size is None or size > curve[-1]:
            continue
        fine = np.linspace(0, GRID[-1], 4000)
        extra = float(np.interp(size, PchipInterpolator([0, *GRID], [0, *curve])(fine), fine))
        new = _side(world, damaged(world, [seed, 2], rule, extra, damage), "n", rule)
        out[damage] = {"size": size, "code": run_gate([limited], base, new).exit_code}
    return out


def planned(
    kind: str, people: int, worlds: int, name: str, first: int, seconds: float, rows: Path | None
) -> dict[str, object]:
    """How often damage of the promised size is found, by kind of damage, with the limit that would be suggested.

    Worlds are appended to the file `rows`, one line each, and those that are in it are not made again.
    """
    started, rule = time.monotonic(), rule_of(name)
    cell = f"{kind} {people} {name}"
    kept = [json.loads(line) for line in rows.read_text().splitlines()] if rows and rows.exists() else []
    done = [row for row in kept if row["cell"] == cell]

    def keep(row: dict[str, object]) -> None:
        done.append({"cell": cell} | row)
        if rows:
            with rows.open("a", encoding="utf-8") as file:
                file.write(json.dumps(done[-1]) + "\n")

    for damage in DAMAGES:
        if not any(row.get("curve") == damage for row in done):
            keep({"curve": damage, "change": true_change(kind, people, rule, damage).tolist()})
    curves = {row["curve"]: row["change"] for row in done if "curve" in row}
    known = {row.get("seed") for row in done}
    for seed in (s for s in range(first, first + worlds) if s not in known):
        if time.monotonic() - started > seconds:
            break
        keep(planned_world(kind, people, rule, seed, curves))
    judged = [row for row in done if row.get("planned")]
    codes = [row["equal"] for row in judged]
    out: dict[str, object] = {
        "rule": name,
        "worlds": len(judged),
        "equally good: promised to pass, passed, exit 1": [
            round(float(np.mean([row["can_pass"] for row in judged])), 3) if judged else None,
            _counted(sum(c == 0 for c in codes), len(codes)),
            _counted(sum(c == 1 for c in codes), len(codes)),
        ],
    }
    for damage in DAMAGES:
        tried = [row[damage] for row in judged if damage in row]
        out[damage] = {
            "found": _counted(sum(one["code"] == 1 for one in tried), len(tried)),
            "median size": float(np.median([one["size"] for one in tried])) if tried else None,
        }
    return out


def _counted(events: int, n: int) -> str:
    return f"{events} of {n} ({', '.join(f'{end:.1%}' for end in _span(events, n))})" if n else "none"


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("alarm", "same", "plan"))
    parser.add_argument("--kind", choices=KINDS, default="skew")
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--worlds", type=int, default=100)
    parser.add_argument("--rule", default="fnmr@fmr=1e-2")
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    parser.add_argument("--seconds", type=float, default=300, help="of `plan`: start no world after that")
    parser.add_argument(
        "--rows", type=Path, help="of `plan`: a file of JSON lines to append to and go on from"
    )
    options = parser.parse_args()
    if options.what == "alarm":
        found = alarms(options.kind, options.people, options.worlds, options.first)
    elif options.what == "same":
        found = same(options.kind, options.people, options.worlds, options.first)
    else:
        found = planned(
            options.kind,
            options.people,
            options.worlds,
            options.rule,
            options.first,
            options.seconds,
            options.rows,
        )
    print(json.dumps({"what": options.what, "kind": options.kind, "people": options.people, **found}))


if __name__ == "__main__":
    main()
