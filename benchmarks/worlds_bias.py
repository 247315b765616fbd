"""Worlds for the bias analysis: equal groups, or one with more false matches or non-matches by a known ratio.

    python benchmarks/worlds_bias.py [--worlds 200] [--people 120,500] [--only fnmr --noise 0.55 --more 0.11]

prints coverage of the rates' intervals, of max/min and of the summaries' reach to fairness, and null findings; with
`--only fnmr` how often a higher FNMR of one of two equal groups is found.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import worlds as hard
from fraudit.analyses.bias import Params, run
from fraudit.audit.context import AnalysisContext
from fraudit.audit.vector_scores import genuine_rates
from fraudit.stats.fairness import worst_over_best
from fraudit.stats.family import BIAS_LEVEL
from fraudit.stats.groups import impostor_rates
from fraudit.stats.pairs import genuine_pairs, pair_cosines
from fraudit.stats.rates import GroupRate
from fraudit.stats.summaries import summary_intervals
from tests.fixtures.contexts import vectors_context
from tests.fixtures.wilson import wilson

STATED_SHARE = BIAS_LEVEL  # Holm, over all attributes, groups and rates of a run
THRESHOLD = 0.2902  # of the hard worlds at FMR 1e-2, over 8 worlds of 300 people with 4 pictures each
PARAMS = Params(by=("group",), fmr=2e-2)
DIM, COMMON = 24, 0.75


def world(
    people: int, each: int, seed: int, common: float = 0.0, noise_b: float = 0.5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors of two equal groups; members of b share a direction (more false matches) or are noisier."""
    rng = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(people), each)
    is_b = subjects % 2 == 1
    identity = rng.standard_normal((people, DIM))
    shared = np.zeros(DIM)
    shared[0] = common * np.sqrt(DIM)
    identity[1::2] += shared
    noise = np.where(is_b, noise_b, 0.5)[:, None]
    vectors = identity[subjects] + noise * rng.standard_normal((len(subjects), DIM))
    return vectors.astype(np.float32), subjects, np.where(is_b, "b", "a")


def context_of(
    vectors: np.ndarray, subjects: np.ndarray, group: np.ndarray, **more: np.ndarray
) -> AnalysisContext:
    """The context of an analysis over such a world, and of more attributes."""
    return vectors_context(vectors, subjects, attributes={"group": group, **more})


def true_fmr(group: str, threshold: float, common: float, pairs: int = 400_000) -> float:
    """FMR of a group at `threshold` from independent draws of the planted distribution."""
    vectors, _, _ = world(2 * pairs, 1, seed=99, common=common)
    rows = vectors[(1 if group == "b" else 0) :: 2]
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    half = len(unit) // 2
    return float(np.mean(np.einsum("pd,pd->p", unit[:half], unit[half : 2 * half]) >= threshold))


def _raised(context: AnalysisContext) -> bool:
    return any(f.severity in ("high", "medium", "low") for f in run(context, PARAMS).findings)


def null_world(seed: int) -> bool:
    """Whether equal groups raise a finding."""
    return _raised(context_of(*world(80, 3, seed=1000 + seed)))


def planted_world(seed: int) -> tuple[bool, bool]:
    """(found, the ratio's interval covers the truth) where one group has more false matches."""
    context = context_of(*world(200, 3, seed=5000 + seed, common=COMMON))
    result = run(context, PARAMS)
    found = any(f.rule == "bias.ratio" and "fmr" in f.evidence[0] for f in result.findings)
    ratio = next(m for m in result.metrics if m.name == "bias.group.max_over_min_fmr")
    tau = context.threshold(PARAMS.fmr).value
    truth = true_fmr("b", tau, COMMON, 100_000) / true_fmr("a", tau, COMMON, 100_000)
    covered = ratio.interval is not None and ratio.interval.low <= truth <= ratio.interval.high
    return found, bool(covered and np.isfinite(truth))


def null_report(seed: int, people: int, kind: hard.Kind) -> list[str]:
    """Severities of the findings of a world whose groups of 70, 25 and 5 % are equal, in any order."""
    context = hard.make(people, kind, seed).context(seed=seed)
    return [f.severity for f in run(context, Params(by=("group",), fmr=1e-2)).findings]


def several_attributes(seed: int, people: int, kind: hard.Kind) -> list[str]:
    """As `null_report`, with two further attributes dealt to people at random: halves and fifths."""
    found = hard.make(people, kind, seed)
    rng = np.random.default_rng([seed, 7])
    dealt = {
        "half": np.array(["x", "y"])[rng.integers(0, 2, people)][found.subjects],
        "fifth": np.array(list("pqrst"))[rng.integers(0, 5, people)][found.subjects],
    }
    context = found.context({"group": found.groups, **dealt}, seed=seed)
    params = Params(by=("group", "half", "fifth"), fmr=1e-2)
    return [f.severity for f in run(context, params).findings]


def fnmr_world(
    seed: int, people: int, kind: hard.Kind, noise: float, more: float
) -> tuple[bool, float, float]:
    """(found, FNMR of both groups) of two halves, one of whose pictures deviate by `more` of their deviation more.

    At FMR 1e-3 with four pictures each, noise 0.447, 0.551, 0.652 and more 0.10, 0.11, 0.135 give a base of 2, 5, 10 %
    and a ratio of about 1.5.
    """
    found = hard.make(people, kind, seed, noise=noise)
    second = (np.random.default_rng([seed, 5]).permutation(people) < people // 2)[found.subjects]
    own = found.directions[found.subjects]
    along = (found.unit * own).sum(axis=1, keepdims=True)
    rows = own + np.where(second, 1 + more, 1.0)[:, None] * (found.unit / along - own)
    unit = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    context = vectors_context(
        unit, found.subjects, attributes={"group": np.where(second, "b", "a")}, seed=seed
    )
    result = run(context, Params(by=("group",)))
    raised = any(f.rule == "bias.ratio" and f.evidence[0].endswith("_fnmr") for f in result.findings)
    rates = {m.group: float(m.value or 0) for m in result.metrics if m.name == "bias.group.fnmr"}
    return raised, rates.get("a", np.nan), rates.get("b", np.nan)


def measured(seed: int, people: int, kind: hard.Kind) -> dict[str, tuple[GroupRate, ...]]:
    """FMR and FNMR of all people of a world at the threshold for FMR 1e-2 of other worlds."""
    found = hard.make(people, kind, seed)
    ok = np.ones(len(found.unit), bool)
    fmr, _ = impostor_rates(found.unit, found.subjects, found.groups, THRESHOLD, ok)
    left, right = genuine_pairs(found.subjects)
    errors = pair_cosines(found.unit, left, right) < THRESHOLD
    names = [str(g) for g in np.unique(found.groups[left])]
    return {"FMR": fmr, "FNMR": genuine_rates(found.groups, found.subjects, left, right, errors, names)}


def coverage(people: int, kind: hard.Kind, count: int, first_seed: int = 10_000) -> list[str]:
    """Lines of a table: each group's interval, max/min, and how often the summaries reach equal groups."""
    found = [measured(first_seed + s, people, kind) for s in range(count)]
    lines = []
    for side in ("FNMR", "FMR"):
        rates = {g: [r for one in found for r in one[side] if r.group == g] for g in hard.GROUPS}
        pooled = np.mean([sum(r.errors for r in w[side]) / max(sum(r.n for r in w[side]), 1) for w in found])
        # FNMR does not depend on the group; FMR does, since relatives weigh more in a small group.
        truth = {g: pooled if side == "FNMR" else np.mean([r.rate for r in rates[g]]) for g in rates}
        for g, of_group in rates.items():
            shown = [r.interval for r in of_group if r.interval is not None]
            if not shown:
                lines.append(f"{people} {kind} {side} {g}: withheld in all {len(of_group)}")
                continue
            inside = sum(i.low <= truth[g] <= i.high for i in shown)
            spread = 3.92 * np.std([r.rate for r in of_group])
            width = np.median([i.high - i.low for i in shown]) / spread
            lines.append(
                f"{people} {kind} {side} {g}: covers {_share(inside, len(shown))}; shown in {len(shown)} of "
                f"{len(of_group)}; median width {width:.2f} of one that knows the truth's spread"
            )
        lines.append(f"{people} {kind} {side} max/min: {_ratio_line([w[side] for w in found], truth)}")
    return lines + _summary_lines(f"{people} {kind}", found)


def _ratio_line(found: list[tuple[GroupRate, ...]], truth: dict[str, float]) -> str:
    two, one, bounded = 0, 0, 0
    for rates in found:
        used = [truth[r.group] for r in rates if not r.missing]
        if len(used) < 2 or not any(r.errors for r in rates):
            continue
        ratio, true = worst_over_best(rates), max(used) / min(used)
        one += ratio.at_least <= true + 1e-9
        bounded += 1
        two += ratio.interval is None or ratio.interval.low - 1e-9 <= true <= ratio.interval.high + 1e-9
    return (
        f"at least {_share(one, bounded)}, both ends {_share(two, bounded)}" if bounded else "withheld in all"
    )


def _summary_lines(name: str, found: list[dict[str, tuple[GroupRate, ...]]]) -> list[str]:
    fair = {"garbe": 0.0}
    reached: dict[str, list[bool]] = {}
    for seed, one in enumerate(found):
        x, y = one["FMR"], one["FNMR"]
        shared = y if [g.group for g in y] == [g.group for g in x] else None
        for figure, got in summary_intervals(x, shared, 0.5, np.random.default_rng(seed)).items():
            if got.interval is not None:
                at = fair.get(figure, 1.0)
                reached.setdefault(figure, []).append(got.interval.low <= at <= got.interval.high)
    return [
        f"{name} {f}: interval holds the fair value in {_share(sum(r), len(r))}" for f, r in reached.items()
    ]


def _share(hits: int, n: int) -> str:
    interval = wilson(hits / n, n)
    return f"{hits / n:.1%} ({interval.low:.1%} to {interval.high:.1%}, {n})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--people", default="120,500")
    parser.add_argument("--kinds", default=",".join(hard.KINDS))
    parser.add_argument("--only", choices=("coverage", "nulls", "both", "fnmr"), default="both")
    parser.add_argument("--noise", type=float, default=0.551, help="of `--only fnmr`")
    parser.add_argument("--more", type=float, default=0.111, help="of `--only fnmr`; 0: a null world")
    given = parser.parse_args()
    for people in map(int, given.people.split(",")):
        for kind in given.kinds.split(","):
            if given.only == "fnmr":
                each = [
                    fnmr_world(70_000 + s, people, kind, given.noise, given.more) for s in range(given.worlds)
                ]
                a, b = (np.mean([one[at] for one in each]) for at in (1, 2))
                said = f"{people} {kind}: FNMR {a:.2%} and {b:.2%}, found in"
                print(f"{said} {_share(sum(one[0] for one in each), given.worlds)}", flush=True)
                continue
            if given.only != "nulls":
                print("\n".join(coverage(people, kind, given.worlds)), flush=True)
            for world_of in (null_report, several_attributes) if given.only != "coverage" else ():
                raised = [world_of(40_000 + s, people, kind) for s in range(given.worlds)]
                for least in (("low", "medium", "high"), ("high",)):
                    hits = sum(any(s in least for s in severities) for severities in raised)
                    said = f"{people} {kind} {world_of.__name__}: any of {'/'.join(least)} in"
                    print(f"{said} {_share(hits, given.worlds)}", flush=True)


if __name__ == "__main__":
    main()
