"""Directions: a planted one is found with its angle, unrelated labels find none, closed forms hold."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest

from fraudit.analyses.directions import Params, run
from fraudit.analyses.directions_null import null_findings
from fraudit.errors import InsufficientData, UsageError
from fraudit.record import normalise
from fraudit.stats.directions import (
    amount_until,
    contrasts,
    deal,
    difference_weights,
    morph_limit,
    moved_cosine,
    study,
)
from tests.fixtures_context import FakeContext, identity_faces

DIM = 32


def planted(
    people: int = 120, each: int = 4, strength: float = 1.5, seed: int = 0, angle: float = 90.0
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """(vectors, subjects, attributes, true directions [2,D]): `a` varies within people, `b` between them."""
    rng = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(people), each)
    axes = np.linalg.qr(rng.normal(size=(DIM, 2)))[0].T
    turn = np.deg2rad(angle)
    axes[1] = np.cos(turn) * axes[0] + np.sin(turn) * axes[1]
    a = rng.integers(0, 2, len(subjects))
    b = rng.integers(0, 2, people)[subjects]
    vectors = rng.normal(size=(people, DIM))[subjects] + 0.5 * rng.normal(size=(len(subjects), DIM))
    vectors += strength * ((a[:, None] - 0.5) * axes[0] + (b[:, None] - 0.5) * axes[1])
    noise = rng.integers(0, 2, len(subjects))
    attributes = {"a": a.astype(float), "b": np.where(b == 1, "yes", "no"), "noise": noise.astype(float)}
    return vectors.astype(np.float32), subjects, attributes, axes


def context_of(*parts: Any, **options: Any) -> FakeContext:
    vectors, subjects, attributes = parts[:3]
    return FakeContext.of_vectors(vectors, subjects, attributes=attributes, **options)


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_planted_directions_are_found_with_cosine_near_one_and_noise_is_not() -> None:
    vectors, subjects, attributes, axes = planted(people=300, strength=2.5)
    found, _ = contrasts(attributes, subjects)
    result = study(unit_rows(vectors), subjects, found, np.random.default_rng(0))
    by_name = {d.contrast.attribute: d for d in result.directions}
    assert by_name["a"].unit @ axes[0] > 0.97
    # 300 people in two groups in 32 dimensions: the mean difference has noise sqrt(4 D / 300) against 2.5
    assert by_name["b"].unit @ axes[1] > 0.95
    assert by_name["a"].p_adjusted < 0.05
    assert by_name["b"].p_adjusted < 0.05
    assert by_name["noise"].p_adjusted > 0.05
    assert by_name["a"].stability > 0.9
    assert abs(by_name["noise"].stability) < 0.3


@pytest.mark.parametrize("angle", [30.0, 60.0])
def test_the_angle_between_two_planted_directions_lies_in_its_interval(angle: float) -> None:
    vectors, subjects, attributes, _ = planted(people=400, strength=3.0, angle=angle, seed=3)
    found, _ = contrasts(attributes, subjects)
    result = study(unit_rows(vectors), subjects, found, np.random.default_rng(0))
    names = [d.contrast.attribute for d in result.directions]
    a, b = names.index("a"), names.index("b")
    truth = np.cos(np.deg2rad(angle))
    assert result.low[a, b] - 0.03 <= truth <= result.high[a, b] + 0.03
    assert result.p[a, b] < 0.05
    assert abs(result.cosines[a, names.index("noise")]) < result.null


def test_a_person_counts_once_however_many_faces() -> None:
    subjects = np.array([0, 0, 0, 0, 1, 2, 3])
    found, _ = contrasts({"x": np.array([1, 1, 1, 1, 1, 0, 0.0])}, subjects, least=2)
    weights = difference_weights(found[0], subjects, np.ones(4))
    assert weights.tolist() == pytest.approx([0.125] * 4 + [0.5, -0.5, -0.5])


def test_dealing_keeps_the_labels_of_a_person_together() -> None:
    subjects = np.repeat(np.arange(20), 3)
    dealt = deal(subjects, 50, np.random.default_rng(0))
    owners = subjects[dealt]
    assert (np.sort(dealt, axis=1) == np.arange(60)).all()
    assert (owners.reshape(50, 20, 3) == owners.reshape(50, 20, 3)[:, :, :1]).all()
    assert len({tuple(row) for row in owners}) == 50


def test_null_worlds_raise_each_finding_in_at_most_the_stated_share() -> None:
    """5 % a rule: 10 of 200 expected at most; 99.9 % binomial bound 21. Identities cluster the faces."""
    raised = {"directions.found": 0, "directions.entangled": 0, "directions.axis": 0}
    for seed in range(200):
        for rule, hit in null_findings(seed).items():
            raised[rule] += hit
    assert all(count <= 20 for count in raised.values()), raised


def test_moving_and_its_limit_agree_with_the_vectors_themselves() -> None:
    rng = np.random.default_rng(1)
    u = unit_rows(rng.normal(size=(50, 8)))
    d = unit_rows(rng.normal(size=(1, 8)))[0]
    along = u @ d
    for amount in (0.3, 1.0, 5.0):
        moved = unit_rows(u + amount * d)
        assert moved_cosine(along, amount) == pytest.approx((moved * u).sum(1))
    limits = amount_until(along, 0.6)
    for row, limit, c in zip(u, limits, along, strict=True):
        if np.isinf(limit):
            assert c >= 0.6  # however far: the cosine never falls below u d
        else:
            moved = row + limit * d
            assert moved @ row / np.linalg.norm(moved) == pytest.approx(0.6)
    assert np.isinf(limits).any()
    assert np.isfinite(limits).any()


def test_the_morph_limit_is_where_the_middle_of_two_people_matches_both() -> None:
    rng = np.random.default_rng(2)
    a, b = (unit_rows(rng.normal(size=(4000, 4))) for _ in range(2))
    middle = unit_rows(a + b)
    both = np.minimum((middle * a).sum(1), (middle * b).sum(1)) >= 0.7
    assert (((a * b).sum(1) >= morph_limit(0.7)) == both).all()
    assert 0.1 < both.mean() < 0.9
    assert morph_limit(-0.2) == -1


def test_contrasts_of_words_numbers_and_what_is_left_out() -> None:
    subjects = np.arange(60)
    rng = np.random.default_rng(0)
    found, skipped = contrasts(
        {
            "age": np.arange(60.0), "race": np.tile(["x", "y", "z"], 20), "same": np.ones(60),
            "name": np.array([str(i) for i in range(60)]), "rare": (np.arange(60) < 2).astype(float),
            "part": np.where(np.arange(60) < 20, np.nan, rng.integers(0, 2, 60)),
        },
        subjects,
    )  # fmt: skip
    names = [c.name for c in found]
    assert names == ["age", "race: x", "race: y", "race: z", "part"]
    age = found[0]
    assert age.high.sum() == 6
    assert age.low.sum() == 6
    assert not (found[-1].high | found[-1].low)[:20].any()
    assert len(skipped) == 3
    assert any("fewer than 5" in text for text in skipped)


def test_the_report_has_the_planted_facts_and_every_metric_its_interval() -> None:
    result = normalise(run(context_of(*planted(strength=2.5)), Params(fmr=1e-2)))
    rules = [f.rule for f in result.findings]
    assert rules[0] == "directions.found"
    assert "'a'" in result.findings[0].text
    for metric in result.metrics:
        if metric.value is None:
            assert metric.missing
        else:
            assert metric.n
            assert metric.interval is not None
            assert metric.interval.low - 1e-9 <= metric.value <= metric.interval.high + 1e-9
    assert any("Nothing was inverted" in c for c in result.caveats)
    assert not result.galleries


class Painter:
    """An inverter of an embedder that reads 8 x 8 luma: it paints the vector back."""

    name = "painter"
    size_px = 144
    embedder_fingerprint = ""

    def invert(
        self, id_vectors: np.ndarray, seeds: np.ndarray, *, guidance: float = 2.0, steps: int = 10
    ) -> np.ndarray:
        made = []
        for vector in id_vectors:
            cells = (128 + 38 * vector.reshape(8, 8) / max(vector.std(), 1e-6)).astype(np.float32)
            inner = cv2.resize(cells, (112, 112), interpolation=cv2.INTER_NEAREST)
            picture = np.full((144, 144), 128, np.float32)
            picture[16:128, 16:128] = inner
            made.append(np.clip(np.rint(picture), 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2))
        return np.stack(made)


def test_pictures_along_directions_and_paths_follow_their_vectors() -> None:
    images, subjects = identity_faces(60, 3, seed=1)
    rng = np.random.default_rng(0)
    glow = rng.integers(0, 2, len(images))
    images = [np.clip(p.astype(int) + 40 * g * (np.arange(112) > 56)[:, None, None], 0, 255).astype(np.uint8)
              for p, g in zip(images, glow, strict=True)]  # fmt: skip
    context = FakeContext(images, subjects, attributes={"glow": glow.astype(float)}, inverter=Painter())
    result = normalise(run(context, Params(fmr=1e-2, walkers=8, paths=8, frames=5)))
    series = next(f for f in result.figures if f.name == "directions_paths").data["series"]
    first, second = series[0]["y"], series[1]["y"]
    assert first[0] > 0.9
    assert second[-1] > 0.9
    assert all(a > b for a, b in pairwise(first))
    assert all(a < b for a, b in pairwise(second))
    walk = next(f for f in result.figures if f.name == "directions_walks").data["series"][0]
    assert walk["x"] == [0, 0.5, 1, 2, 4]
    assert walk["y"][0] > walk["y"][-1]
    assert {g.name for g in result.galleries} == {"directions_paths", "directions_walks"}
    kept = {m.name: m for m in result.metrics if "pictures_kept" in m.name}
    assert kept["directions.glow.self.pictures_kept@gaps=0"].value == 1
    context.show_pictures = False
    assert not run(context, Params(fmr=1e-2, walkers=4, paths=4)).galleries


def test_wrong_input_gets_a_clear_error() -> None:
    context = context_of(*planted(people=30))
    with pytest.raises(UsageError) as caught:
        run(context, Params(by=("nois",)))
    assert "did you mean 'noise'?" in caught.value.hint
    vectors, subjects, _, _ = planted(people=30)
    lonely = context_of(vectors, subjects, {"one": np.ones(len(vectors))})
    with pytest.raises(InsufficientData, match="no attribute has two groups"):
        run(lonely, Params())
    with pytest.raises(ValueError, match="frames"):
        Params(frames=2)
