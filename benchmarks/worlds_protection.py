"""How often the protection analysis finds what is not there, and what was planted.

    python benchmarks/worlds_protection.py [--people 60,150] [--kinds equal,skew] [--worlds 100]

Worlds are those of `benchmarks.worlds`. Without the key a rotation, BioHashing and IoM give nothing away by
construction (their axes are spread evenly over all directions, so that only what all vectors share can be learnt), and
templates of two keys are independent: whatever is found there is false. With the key a rotation is undone; `identity`,
declared as one that is meant to protect, is linked and reversed. Both must be found. `-` is a share of no worlds.

Then the coverage of every metric: its truth is 0 where it is so by construction (above), else its mean over the
worlds; the width is relative to that of an interval of 1.96 standard deviations over the worlds.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import worlds
from fraudit.analyses.protection.attacks import WITH, WITHOUT
from fraudit.analyses.protection.measure import Attack, Measured, measure_schemes
from fraudit.analyses.protection.metrics import metrics
from fraudit.analyses.protection.params import Params
from fraudit.analyses.protection.report import _attack_finding, _link_finding
from fraudit.errors import InsufficientData
from fraudit.stats.intervals import clopper_pearson

HIDING = ("projection", "biohashing", "iom:m=60:q=4")
GRAVE = ("high", "medium", "low")


def counted(m: Measured, attack: Attack | None, kind: str, tally: Counter[tuple[str, str]]) -> None:
    """Add what was said of one attack (or, with none, of the link) to the tally."""
    if attack is None:
        finding, found = _link_finding(m), m.linked
        low = found.interval.low if found and found.interval else None
    else:
        finding = _attack_finding(m, attack, 1e-2)
        over = attack.two.over.interval if attack.two else None
        low = over.low if over else None
    if low is None:
        tally[kind, "no interval"] += 1
        return
    tally[kind, "worlds"] += 1
    tally[kind, "95 %"] += low > 0
    tally[kind, "finding"] += finding is not None and finding.severity in GRAVE


Records = dict[str, list[tuple[float, float, float]]]  # metric -> (value, low, high) of every world


def one(people: int, kind: worlds.Kind, seed: int, tally: Counter[tuple[str, str]], records: Records) -> None:
    """One world."""
    context = worlds.make(people, kind, seed).context(seed=seed)
    params = Params(schemes=("identity", *HIDING), learnt=400, mlp=False, people=150, pairs=20_000)
    found = measure_schemes(context, params)
    for metric in metrics(found):
        if metric.value is not None and metric.interval is not None:
            ends = metric.interval.low, metric.interval.high
            records[metric.name.removeprefix("protection.")].append((float(metric.value), *ends))
    for m in found.done:
        if m.name == "identity":
            claimed = replace(m, scheme=replace(m.scheme, claims=True))
            counted(claimed, None, "identity is linked", tally)
            counted(claimed, m.attack(WITH), "identity is reversed", tally)
            continue
        counted(m, None, f"null: {m.name} linked", tally)
        counted(m, m.attack(WITHOUT), f"null: {m.name} reversed without the key", tally)
        if m.name == "projection":
            counted(m, m.attack(WITH), "a rotation is reversed with the key", tally)


def is_null(name: str) -> bool:
    """Whether the metric's truth is 0 by construction."""
    scheme, _, figure = name.partition(".")
    return scheme != "identity" and (
        figure == "d_sys" or figure.endswith("_excess_without_key") or figure == "cosine_over_without_key"
    )


def covered(records: Records) -> None:
    """Print one row a metric."""
    print("| metric | worlds | truth | covered | truth below | above | width |")
    print("|---|---|---|---|---|---|---|")
    for name, rows in sorted(records.items()):
        values, low, high = np.array(rows).T
        truth = 0.0 if is_null(name) else float(values.mean())
        spread = float(values.std()) if len(values) > 1 else 0.0
        below, above = (truth < low - 1e-9).mean(), (truth > high + 1e-9).mean()
        width = f"{(high - low).mean() / (2 * 1.96 * spread):.2f}" if spread > 1e-6 else "-"
        print(
            f"| {name} | {len(rows)} | {truth:.3f} | {1 - below - above:.1%} | {below:.1%} | {above:.1%} | {width} |",
            flush=True,
        )


def main() -> None:
    """Print one row a claim, and one a metric."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--people", default="80,200")
    parser.add_argument("--kinds", default="equal,skew")
    parser.add_argument("--worlds", type=int, default=50)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    print(
        "| people | kind | claim | worlds | 95 % interval above 0 | finding of low or worse | Clopper-Pearson 95 % |"
    )
    print("|---|---|---|---|---|---|---|")
    for people in map(int, given.people.split(",")):
        for kind in given.kinds.split(","):
            tally: Counter[tuple[str, str]] = Counter()
            refused: Counter[str] = Counter()
            records: Records = defaultdict(list)
            for seed in range(given.first, given.first + given.worlds):
                try:
                    one(people, kind, seed, tally, records)  # type: ignore[arg-type]
                except InsufficientData as error:
                    refused[error.message.split(";")[0]] += 1
            for claim in dict.fromkeys(name for name, _ in tally):
                n = tally[claim, "worlds"]
                if not n:
                    print(f"| {people} | {kind} | {claim} | 0 | - | - | - |", flush=True)
                    continue
                share = tally[claim, "finding"] / n
                ends = clopper_pearson(share * n, n)
                print(
                    f"| {people} | {kind} | {claim} | {n} | {tally[claim, '95 %'] / n:.1%} | {share:.1%} | "
                    f"{ends.low:.1%} to {ends.high:.1%} |",
                    flush=True,
                )
            for why, count in refused.items():
                print(f"| {people} | {kind} | not run: {why} | {count} | | | |", flush=True)
            covered(records)


if __name__ == "__main__":
    main()
