"""Worlds for the verification section: a model so good that no finding of low or worse is true.

Pictures differ little, so that FNMR at FMR 1e-3 is far below 0.5 %, and thresholds carry over to other people by
construction: what is raised all the same is a false alarm.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.worlds import Kind, make
from fraudit.analyses.verification import Params, run
from fraudit.errors import InsufficientData
from fraudit.stats.family import FAMILY_LEVEL

STATED_SHARE = FAMILY_LEVEL
NOISE = 0.15


def null_report(seed: int, people: int = 120, kind: Kind = "equal") -> list[str]:
    """Severities of the findings in a world without trouble; empty where the section cannot run."""
    world = make(people, kind, seed, noise=NOISE)
    try:
        return [f.severity for f in run(world.context(seed=seed), Params()).findings]
    except InsufficientData:
        return []


def null_world(seed: int) -> bool:
    """Whether a finding of low or worse is raised."""
    return any(s in ("high", "medium", "low") for s in null_report(seed))


def planted_world(seed: int) -> tuple[bool, bool]:
    """(poor recognition is found, the interval of accuracy holds a value of the world's kind)."""
    result = run(make(200, "mild", seed, noise=1.0).context(seed=seed), Params(fmrs=(1e-2,)))
    found = any(f.rule == "verification.fnmr" and f.severity in ("high", "medium") for f in result.findings)
    metric = next(m for m in result.metrics if m.name == "verification.auc")
    return found, metric.interval is not None and metric.interval.low <= AUC <= metric.interval.high


AUC = 0.9718  # of 200 mild people at noise 1.0: mean of 200 worlds of other seeds, standard error 0.0004
