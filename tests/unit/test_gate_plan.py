"""What a gate's plan refuses to promise, since no promise of it held in worlds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fraudit.compare.gate.plan import Counts, measured, plan_rules
from fraudit.compare.gate.rules import Rule
from fraudit.errors import InsufficientData
from fraudit.scores import ScoreSet
from fraudit.types import Metric
from tests.fixtures.planted import planted_side


def test_no_plan_is_made_of_an_auc_with_a_run_or_without_one() -> None:
    rng = np.random.default_rng(2)
    subjects = np.repeat(np.arange(40), 4)
    side = planted_side(rng.normal(size=(160, 8)), subjects, label="base")
    ids, people = np.array([f"{i}" for i in range(160)]), subjects.astype(str)
    left, right = np.arange(0, 159, 2), np.roll(np.arange(1, 160, 2), 1)
    left, right = np.concatenate([left, left]), np.concatenate([np.arange(1, 160, 2), right])
    same = subjects[left] == subjects[right]
    pairs = ScoreSet(
        ids[left],
        ids[right],
        same,
        rng.normal(2.0 * same),
        people[left],
        people[right],
        np.arange(len(same)) % 5,
    )
    keys = ("verification.auc", ""), ("verification.eer", "")
    named = {key: Metric(key[0], 0.1, n=len(same), better="lower") for key in keys}
    base = replace(side, metrics=named, evidence=replace(side.evidence, pairs=pairs))
    with pytest.raises(InsufficientData, match="plan eer"):
        measured(keys[0], base, 0.95)
    assert measured(keys[1], base, 0.95).n == len(same)
    rules = [Rule("auc", {"max_decrease": 0.1}), Rule("eer", {"max_increase": 0.1})]
    auc, eer = plan_rules(rules, counts=Counts(300, 300, 100))
    assert "plan eer" in auc["missing"]
    assert "missing" not in eer
