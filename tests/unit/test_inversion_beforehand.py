"""Inverting takes long: what it cannot give is said, and nothing is made in vain, before the first picture is made."""

from __future__ import annotations

import numpy as np
import pytest

from fraudit.analyses.inversion import run, work
from fraudit.audit.context import AnalysisContext
from fraudit.errors import InsufficientData
from tests.fixtures.boxes import identity_faces
from tests.fixtures.contexts import planted_context
from tests.fixtures.inverters import QUICK, Planted


class Counting(Planted):
    """Returns the source, and notes what had been said when it was first asked, and how much it was asked for."""

    def __init__(self) -> None:
        super().__init__(lambda i, seed: i)
        self.said: list[str] = []
        self.before: list[str] | None = None
        self.made = 0

    def invert(self, id_vectors: np.ndarray, seeds: np.ndarray, **options: float) -> np.ndarray:
        self.before = list(self.said) if self.before is None else self.before
        self.made += len(id_vectors)
        return super().invert(id_vectors, seeds, **options)


def told(people: int, each: int, identified: bool) -> tuple[AnalysisContext, Counting, list[tuple[int, int]]]:
    images, subjects = identity_faces(people, each)
    context = planted_context(list(images), subjects, identified=identified)
    inverter, parts = Counting(), []
    inverter.learn(context)
    context._say = inverter.said.append
    context._show = lambda label, done, total: parts.append((done, total)) if "inversion" in label else None
    return context, inverter, parts


def test_pictures_of_nobody_known_are_said_to_give_no_attack_success_before_they_are_inverted() -> None:
    context, inverter, parts = told(30, 1, identified=False)
    result = run(context, QUICK)
    assert inverter.before is not None
    (said,) = [line for line in inverter.before if line.startswith("inversion: ")]
    assert "attack success cannot be given: the set says neither who is shown" in said
    assert "--skip inversion" in said
    assert result.findings[0].text.startswith("Attack success cannot be given: the set says neither")
    count = int(said.split()[1])
    assert inverter.made == count  # no replaced pair is counted where there are none
    assert parts[-1] == (count, count)
    assert work(context, QUICK).pictures == count


def test_an_fmr_that_no_judge_resolves_is_said_before_anything_is_inverted() -> None:
    context, inverter, _ = told(8, 2, identified=True)
    run(context, QUICK)
    assert inverter.before is not None
    assert any("FMR 1e-2 needs 300 impostor pairs" in line for line in inverter.before)
    context, inverter, parts = told(40, 3, identified=True)
    run(context, QUICK)
    assert inverter.before is not None
    assert not any("cannot" in line for line in inverter.before)
    assert parts[-1][0] == parts[-1][1]


def test_without_a_pair_to_choose_a_threshold_on_nothing_is_inverted() -> None:
    context, inverter, _ = told(3, 3, identified=True)
    with pytest.raises(InsufficientData, match="no impostor pair"):
        run(context, QUICK)
    assert inverter.made == 0
