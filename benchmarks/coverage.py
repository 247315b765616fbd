"""How often the intervals that a report prints hold, in worlds that are hard on them (`benchmarks/worlds.py`).

    python benchmarks/coverage.py [--people 20,60,250,500] [--kinds equal,mild,skew,lfw] [--worlds 200]
                                  [--only verification,bias] [--first 0] [--out FILE.json]

Every world is audited as a user's set would be, and every figure that carries an interval is kept. The truth of a
figure is its mean over all worlds of one kind and size; that of a rate at a threshold is the mean over all worlds of
the rate at the threshold that this world used. Beside the coverage: in how many worlds an interval was given (it is
withheld where too few people carry the figure), on which side it missed, and its median width over that of the
central 95 % of the figure's true sampling distribution.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.worlds import KINDS, World, make
from fraudit.errors import InsufficientData
from fraudit.stats.pairs import genuine_pairs, impostor_histogram, pair_cosines
from fraudit.types import AnalysisResult, Metric
from tests.fixtures.wilson import wilson

GRID = np.linspace(-1, 1, 2001)
# Groups are equal in these worlds: what their summaries are then. A mean over worlds would be that of noise.
FAIR = {"max_over_min": 1.0, "max_over_geomean": 1.0, "garbe": 0.0, "fdr": 1.0, "ir": 1.0, "worst_gap": 1.0}


def _verification(world: World, seed: int) -> AnalysisResult:
    from fraudit.analyses.verification import Params, run

    return run(world.context(seed=seed), Params(fars=(1e-1, 1e-2), fmrs=(1e-2,)))


def _bias(world: World, seed: int) -> AnalysisResult:
    from fraudit.analyses.bias import Params, run

    return run(world.context(seed=seed), Params(by=("group",), fmr=1e-2))


def _compression(world: World, seed: int) -> AnalysisResult:
    from fraudit.analyses.compression import Params, run

    return run(world.context({}, seed=seed), Params(far=1e-2, leak=("none",), by="none"))


def _nonlinear(world: World, seed: int) -> AnalysisResult:
    """A label that is readable along one axis, a bent one, and one that is not, with the nonlinear probe."""
    from fraudit.analyses.leakage import Params, run

    rng = np.random.default_rng([seed, 11])
    axis = world.unit[:, 0] / world.unit[:, 0].std()
    noise = rng.normal(size=(3, len(axis)))
    labels = {
        "yaw": axis + noise[0],
        "pitch": np.abs(axis) + 0.5 * noise[1],
        "smiling": (axis + noise[2] > 0).astype(float),
    }
    return run(world.context(labels, seed=seed), Params(measure=False, flips=99))


AUDITS: dict[str, Callable[[World, int], AnalysisResult]] = {
    "verification": _verification,
    "bias": _bias,
    "compression": _compression,
    "nonlinear": _nonlinear,
}


def _curves(world: World) -> dict[str, np.ndarray]:
    """Rates of one world at every threshold of `GRID`: over pairs, over people, by group."""
    left, right = genuine_pairs(world.subjects)
    scores = pair_cosines(world.unit, left, right)
    people = world.subjects[left]
    below = np.searchsorted(np.sort(scores), GRID, "left") / max(len(scores), 1)
    out = {"fnmr": below if len(scores) else np.full(len(GRID), np.nan)}
    each = [np.searchsorted(np.sort(scores[people == p]), GRID, "left") for p in np.unique(people)]
    sizes = np.unique(people, return_counts=True)[1]
    if len(sizes):
        out["fnmr_per_person"] = np.mean([e / n for e, n in zip(each, sizes, strict=True)], axis=0)
    for group in ("", "a", "b", "c"):
        part = world.groups == group if group else np.ones(len(world.groups), bool)
        name = f"[{group}]" if group else ""
        try:
            found = impostor_histogram(world.unit[part], world.subjects[part], bins=2000)
            counts = np.append(np.cumsum(found.counts[::-1])[::-1], 0)
            out["fmr" + name] = counts / found.n
        except InsufficientData:
            pass
        if group:
            mine = np.sort(scores[world.groups[left] == group])
            if len(mine):
                out["fnmr" + name] = np.searchsorted(mine, GRID, "left") / len(mine)
    return out


def _at_threshold(metric: Metric) -> str | None:
    """Which curve is the truth of a rate at a threshold that the world chose itself; None: the mean of the figure."""
    group = f"[{metric.group}]" if metric.group else ""
    for name in ("fnmr_per_person", "fnmr", "fmr"):
        if metric.name.startswith((f"verification.{name}@fmr=", f"bias.group.{name}")):
            return None if name == "fnmr_per_person" and group else name + group
    return None


def _threshold(world: World, seed: int) -> float | None:
    """The threshold that every section of this world's report uses."""
    try:
        return float(world.context(seed=seed).threshold(1e-2).value)
    except InsufficientData:
        return None


def measure(
    people: int, kind: str, worlds: int, only: list[str], first: int = 0
) -> dict[str, dict[str, Any]]:
    """Coverage of every figure with an interval; name -> its record."""
    rows: dict[str, list[tuple[float, float, float, float | None, str | None]]] = defaultdict(list)
    curves: dict[str, list[np.ndarray]] = defaultdict(list)
    for seed in range(first, first + worlds):
        world = make(people, kind, seed)  # type: ignore[arg-type]
        for name, curve in _curves(world).items():
            curves[name].append(curve)
        tau = _threshold(world, seed)
        for analysis in only:
            try:
                result = AUDITS[analysis](world, seed)
            except InsufficientData:
                continue
            for m in result.metrics:
                if m.name.endswith("_if_equal"):  # the range of what equal groups show, no estimate
                    continue
                if m.value is None or (m.interval is None and not m.interval_missing):
                    continue
                low, high = (m.interval.low, m.interval.high) if m.interval else (np.nan, np.nan)
                name = f"{m.name} [{m.group}]" if m.group else m.name
                rows[name].append((m.value, low, high, tau, _at_threshold(m)))
    means = {name: np.mean(found, axis=0) for name, found in curves.items()}
    return {
        name: _row(found, means, worlds, _fair(name))
        for name, found in rows.items()
        if len(found) >= worlds / 4
    }


def _fair(name: str) -> float | None:
    """What a fairness summary is where groups are equal; None for other figures."""
    if not name.startswith("bias.") or name.endswith("_if_equal"):
        return None
    last = name.split(".")[-1].removesuffix("_corrected").removesuffix("_fmr").removesuffix("_fnmr")
    return FAIR.get(last)


def _row(
    found: list[tuple[float, float, float, float | None, str | None]],
    means: dict[str, np.ndarray],
    worlds: int,
    fair: float | None = None,
) -> dict[str, Any]:
    value, low, high = np.array([f[:3] for f in found], float).T
    tau, curve = found[0][3], found[0][4]
    truth = np.full(len(value), value.mean() if fair is None else fair)
    if tau is not None and curve in means:
        truth = np.array([np.interp(f[3], GRID, means[curve]) for f in found])
    given = np.isfinite(low)
    spread = np.quantile(value - truth + truth.mean(), [0.025, 0.975])
    out: dict[str, Any] = {
        "truth": float(truth.mean()),
        "worlds": len(found),
        "given": float(given.sum() / worlds),
    }
    if given.sum() >= 20:
        inside = (low <= truth) & (truth <= high)
        share = float(inside[given].mean())
        at = wilson(share, int(given.sum()))
        width = float(spread[1] - spread[0])
        out |= {
            "coverage": share,
            "coverage_interval": [at.low, at.high],
            "truth_below": float((low > truth)[given].mean()),
            "truth_above": float((high < truth)[given].mean()),
            "width_ratio": float(np.median((high - low)[given]) / width) if width > 0 else None,
        }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", default="20,60,250,500")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--only", default="verification,bias")
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    table: dict[str, dict[str, dict[str, Any]]] = {}
    for people in map(int, given.people.split(",")):
        for kind in given.kinds.split(","):
            started = time.monotonic()
            found = measure(people, kind, given.worlds, given.only.split(","), given.first)
            table[f"{people} {kind}"] = found
            print(f"{people} people, {kind} ({time.monotonic() - started:.0f} s)", flush=True)
            for name, row in found.items():
                if "coverage" in row:
                    print(
                        f"  {name}: truth {row['truth']:.4g}, given in {row['given']:.0%}, "
                        f"covered {row['coverage']:.1%} (misses {row['truth_below']:.1%} below, "
                        f"{row['truth_above']:.1%} above), width {row['width_ratio'] or 0:.2f}",
                        flush=True,
                    )
                else:
                    print(f"  {name}: truth {row['truth']:.4g}, given in {row['given']:.0%}", flush=True)
            if given.out:
                given.out.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
