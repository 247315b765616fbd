"""Inverting takes long: only an audit with the inversion section inverts, and whoever asks by a parameter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fraudit.audit.plan import AuditPlan
from fraudit.plugins import ANALYSES
from fraudit.types import AnalysisResult
from tests.fixtures.boxes import identity_faces
from tests.fixtures.contexts import planted_context

ASKED_BY = {
    "bias": "reconstructions",
    "compression": "reconstructions",
    "directions": "pictured",
    "robustness": "reconstructions",
}
QUICK: dict[str, dict[str, Any]] = {
    "bias": {"by": ("group",), "fmr": 1e-2},
    "compression": {},
    "directions": {"fmr": 1e-2, "walkers": 4, "paths": 4},
    "robustness": {"corruptions": ("grey",), "severities": (1,), "probes": 8},
}


class Blank:
    """An inverter that counts what it is asked for and paints noise."""

    name, embedder_fingerprint, size_px = "blank", "", 64

    def __init__(self) -> None:
        self.asked = 0

    def invert(self, id_vectors: np.ndarray, seeds: np.ndarray, **_: Any) -> np.ndarray:
        self.asked += len(id_vectors)
        return np.random.default_rng(0).integers(0, 255, (len(id_vectors), 64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def crowd() -> tuple[np.ndarray, np.ndarray]:
    return identity_faces(60, 3, seed=3)


def ran(crowd: Any, name: str, planned: bool, **more: Any) -> tuple[AnalysisResult, Blank]:
    images, subjects = crowd
    inverter = Blank()
    context = planted_context(
        images,
        subjects,
        attributes={"group": np.where(subjects % 2, "a", "b")},
        inverter=inverter,
        skip=() if planned else ("inversion",),
    )
    analysis = ANALYSES.get(name)
    return analysis.run(context, analysis.params(**QUICK[name], **more)), inverter


@pytest.mark.parametrize("name", sorted(ASKED_BY))
def test_without_the_inversion_section_nothing_is_inverted_and_the_section_says_how_to_ask(
    crowd: Any, name: str
) -> None:
    result, inverter = ran(crowd, name, planned=False)
    assert inverter.asked == 0
    assert any(f"--param {name}.{ASKED_BY[name]}=" in caveat for caveat in result.caveats)
    assert not result.params[ASKED_BY[name]]


@pytest.mark.parametrize("name", sorted(ASKED_BY))
def test_a_parameter_asks_for_it_and_zero_refuses_it(crowd: Any, name: str) -> None:
    result, inverter = ran(crowd, name, planned=False, **{ASKED_BY[name]: 1})
    assert inverter.asked > 0
    assert result.params[ASKED_BY[name]] == 1
    assert ran(crowd, name, planned=True, **{ASKED_BY[name]: 0})[1].asked == 0


@pytest.mark.parametrize("name", sorted(ASKED_BY))
def test_with_the_inversion_section_all_of_them_invert(crowd: Any, name: str) -> None:
    assert ran(crowd, name, planned=True)[1].asked > 0


def test_what_an_inverter_loses_is_never_the_headline_of_bias() -> None:
    """Reconstructions of one group only are perfect: a finding, but not what is said of the error rates."""
    images, subjects = identity_faces(60, 3, seed=4)
    group = np.where(subjects % 2, "a", "b")
    context = planted_context(images, subjects, attributes={"group": group})

    class OneSided(Blank):
        def invert(self, id_vectors: np.ndarray, seeds: np.ndarray, **_: Any) -> np.ndarray:
            known = context.embeddings().vectors
            nearest = ((id_vectors[:, None] - known[None]) ** 2).sum(-1).argmin(1)
            made = super().invert(id_vectors, seeds)
            for k, face in enumerate(nearest):
                if group[face] == "a":
                    made[k] = np.pad(images[face][::2, ::2], ((4, 4), (4, 4), (0, 0)))
            return made

    context.inverter = OneSided()
    analysis = ANALYSES.get("bias")
    result = analysis.run(context, analysis.params(**QUICK["bias"]))
    assert any(f.rule == "bias.reconstruction" for f in result.findings)
    assert "reconstruct" not in result.headline


@pytest.mark.parametrize(
    ("only", "skip", "planned"),
    [((), (), True), (("bias",), (), False), (("bias", "inversion"), (), True), ((), ("inversion",), False)],
)
def test_a_plan_knows_what_it_includes(only: tuple[str, ...], skip: tuple[str, ...], planned: bool) -> None:
    assert AuditPlan("dlib", only=only, skip=skip).includes("inversion") is planned
