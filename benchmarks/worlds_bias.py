"""Worlds for the bias analysis: two equal groups, or one with more false matches by a known ratio."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fraudit.analyses.bias import Params, run
from tests.fixtures_context import FakeContext
from tests.unit.test_bias import COMMON, context_of, true_fmr, world

STATED_SHARE = 0.05  # Holm, family-wise, within the one attribute
PARAMS = Params(by=("group",), fmr=2e-2)


def _raised(context: FakeContext) -> bool:
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
