"""Intervals that count people: the identity bootstrap beside its plain form, clustered variances beside cimat."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.bench_frame import Bench, Row, more_memory
from fraudit.stats.bootstrap import bootstrap_rates
from fraudit.stats.intervals import PairClusters

PAIRS, PEOPLE, DRAWS = 1_000_000, 5749, 1000
MANY = 250  # people of the variances: cimat takes the cube of it
SOME = 10  # draws of the plain form that are timed


def identity_bootstrap(bench: Bench) -> Row:
    """1,000 draws of people over a million pairs; the plain form's draws are compared with ours one by one."""
    rng = np.random.default_rng(23)
    left = rng.integers(0, PEOPLE, PAIRS)
    right = np.where(rng.random(PAIRS) < 0.2, left, rng.integers(0, PEOPLE, PAIRS))
    events = rng.random(PAIRS) < 0.01
    found = bootstrap_rates(events, left, right, DRAWS)

    def plain() -> np.ndarray:
        known, codes = np.unique(np.concatenate([left, right]), return_inverse=True)
        a, b = codes.reshape(2, -1)
        draw = np.random.default_rng([0, 21])
        rates = []
        for _ in range(SOME):
            counts = draw.multinomial(len(known), np.full(len(known), 1 / len(known))).astype(np.float64)
            weights = np.where(a == b, counts[a], counts[a] * counts[b])
            rates.append(weights @ events / weights.sum())
        return np.array(rates)

    if np.abs(plain() - found[:SOME]).max() > 1e-9:
        raise SystemExit("the draws differ from those of the plain form")
    seconds = bench.best({"ours": lambda: bootstrap_rates(events, left, right, DRAWS), "plain": plain})
    usual = seconds["plain"] / SOME * DRAWS
    return Row(
        f"identity bootstrap, {DRAWS:,} draws of {PEOPLE:,} people over {PAIRS:,} pairs",
        f"the plain form, one draw at a time ({SOME} draws timed)",
        seconds["ours"],
        usual,
        usual / seconds["ours"],
        usual / 3,
        memory_mb=more_memory(lambda: bootstrap_rates(events, left, right, DRAWS)),
        note="asked are at most 3 s and 500 MB, which the column *asked* states as a ratio to the plain form's time",
    )


def clustered_variance(bench: Bench) -> Row:
    """FNMR's and FMR's variances over the same pairs; equal to 1e-9."""
    rng = np.random.default_rng(23)
    pictures = np.repeat(np.arange(MANY), 3)
    a, b = np.triu_indices(len(pictures), 1)
    left, right = pictures[a], pictures[b]
    effect = rng.normal(0, 0.1, MANY)
    same = left == right
    scores = np.where(same, 0.6, 0.3) + effect[left] + effect[right] + rng.normal(0, 0.15, len(left))
    threshold = 0.5

    def ours() -> tuple[float, float]:
        miss, false = scores < threshold, scores > threshold
        return tuple(
            PairClusters(left[part], right[part]).mean_variance(event[part], corrected=False)
            for part, event in ((same, miss), (~same, false))
        )

    best, rounds = float("inf"), 10
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.npz"
        np.savez(path, left=left, right=right, scores=scores, threshold=threshold)
        their, theirs = float("inf"), {}
        for _ in range(2):
            theirs = bench.peer("cimat_variance.py", path, "1")
            their = min(their, theirs["seconds"])
            for _ in range(rounds):
                started = time.perf_counter()
                found = ours()
                best = min(best, time.perf_counter() - started)
    for mine, other in zip(found, (theirs["fnmr"], theirs["fmr"]), strict=True):
        if abs(mine - other) > 1e-9 * max(mine, other):
            raise SystemExit(f"the variances differ from cimat's: {mine} and {other}")
    return Row(
        f"clustered variances of FNMR and FMR, {len(left):,} pairs of {MANY} people",
        "cimat 0.1.2, plug-in estimator",
        best,
        their,
        their / best,
        50,
        note="equal to cimat's to 1e-9; ours then go on to small-sample corrections that cimat has not",
    )


ROWS = (identity_bootstrap, clustered_variance)
