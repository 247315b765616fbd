"""Conditions: which labels vary within people, cells against brute force, planted and null effects."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.worlds import make
from benchmarks.worlds_quality import (
    condition_matrix_of,
    condition_world,
    null_conditions,
    planted_conditions,
)
from fraudit.errors import InsufficientData, UsageError
from fraudit.stats.conditions import (
    condition_matrix,
    most_common,
    sign_flip_p,
    value_variation,
    varying_labels,
)
from fraudit.stats.contrasts import Contrast, variation
from fraudit.stats.pairs import genuine_pairs, impostor_pairs, pair_cosines


def test_labels_of_pictures_vary_and_labels_of_people_do_not() -> None:
    world = make(80, "mild", 0)
    rng = np.random.default_rng(0)
    n = len(world.subjects)
    light = np.array(["left", "right", "both"])[rng.integers(0, 3, n)]
    one = np.where(np.arange(n) < 2, "yes", "no")
    attributes = {
        "group": world.groups,
        "light": light,
        "camera": np.full(n, "a"),
        "odd": one,
        "pose": rng.normal(size=n),
    }
    found, skipped = varying_labels(attributes, world.subjects)
    assert set(found) == {"light", "pose"}
    assert set(skipped) == {"group", "camera", "odd"}
    assert "1 values" in skipped["camera"]
    assert value_variation(light, world.subjects)[0] == pytest.approx(1, abs=0.1)
    assert value_variation(world.groups, world.subjects)[0] == 0


def test_two_values_vary_as_everywhere_else() -> None:
    rng = np.random.default_rng(1)
    subjects = np.repeat(np.arange(50), rng.integers(1, 8, 50))
    high = rng.random(len(subjects)) < rng.random(50)[subjects]
    known = rng.random(len(subjects)) < 0.8
    words = np.where(~known, "", np.where(high, "yes", "no"))
    expected = variation(Contrast("x", "x", "", high & known, ~high & known), subjects)
    assert value_variation(words, subjects)[0] == pytest.approx(expected)


def test_the_most_common_condition_is_that_of_most_people() -> None:
    labels = np.array(["dark"] * 5 + ["plain", "plain", ""])
    assert most_common(labels, np.array([0, 0, 0, 0, 0, 1, 2, 3])) == "plain"
    with pytest.raises(InsufficientData):
        most_common(np.array(["", ""]), np.array([0, 1]))


@pytest.mark.parametrize("ordered", [False, True])
def test_cells_are_the_rates_of_their_pairs(ordered: bool) -> None:
    rng = np.random.default_rng(2)
    world = make(40, "equal", 2)
    labels = np.array(["a", "b", "c", ""])[rng.integers(0, 4, 160)]
    left, right = genuine_pairs(world.subjects)
    swap = rng.random(len(left)) < 0.5
    left, right = np.where(swap, right, left), np.where(swap, left, right)
    scores = pair_cosines(world.unit, left, right)
    scores[::17] = np.nan  # no vector: an error without a similarity
    a, b = impostor_pairs(world.subjects, 3000, rng)
    other = pair_cosines(world.unit, a, b)
    found = condition_matrix(
        labels,
        world.subjects,
        left,
        right,
        scores,
        0.45,
        impostors=(a, b, other),
        reference="b",
        ordered=ordered,
    )
    assert found.conditions == ("b", "a", "c")
    assert found.unknown == ((labels[left] == "") | (labels[right] == "")).sum()
    for one in "abc":
        for two in "abc":
            for cells, x, y, s, genuine in (
                (found.genuine, left, right, scores, True),
                (found.impostor, a, b, other, False),
            ):
                part = (labels[x] == one) & (labels[y] == two)
                if not ordered:
                    part |= (labels[x] == two) & (labels[y] == one)
                cell = cells[one, two]
                hits = ~(s[part] >= 0.45) if genuine else s[part] >= 0.45
                assert (cell.pairs, cell.errors) == (part.sum(), hits.sum())
                assert cell.rate == pytest.approx(hits.mean())
                if genuine:
                    assert cell.similarity == pytest.approx(np.nanmean(s[part]))


def test_a_difference_is_the_mean_over_people_with_both() -> None:
    subjects = np.repeat(np.arange(10), 4)
    labels = np.tile(["plain", "plain", "mask", "mask"], 10)
    labels[:4] = "plain"  # person 0 has no mask
    left, right = genuine_pairs(subjects)
    rng = np.random.default_rng(0)
    scores = rng.random(len(left))
    found = condition_matrix(labels, subjects, left, right, scores, 0.5, reference="plain")
    change = found.genuine["plain", "mask"].similarity_change
    away = []
    for person in range(1, 10):
        mine = subjects[left] == person
        mixed = labels[left] != labels[right]
        plain = (labels[left] == "plain") & (labels[right] == "plain")
        away.append(scores[mine & mixed].mean() - scores[mine & plain].mean())
    assert change is not None
    assert change.people == 9
    assert change.value == pytest.approx(np.mean(away))
    assert found.genuine["plain", "plain"].similarity_change is None
    assert found.genuine["plain", "mask"] is found.genuine["mask", "plain"]


def test_sign_flips_give_p_values_that_hold_and_find() -> None:
    rng = np.random.default_rng(3)
    p = np.array([sign_flip_p(rng.normal(size=12), 1) for _ in range(300)])
    assert (p <= 0.05).mean() == pytest.approx(0.05, abs=0.035)
    assert sign_flip_p(np.full(10, 0.3), 1) == pytest.approx(2**-9)
    assert sign_flip_p(np.full(5, 0.3), 1) == 1
    assert sign_flip_p(rng.normal(1, 1, 100), 1) < 1e-3


def test_labels_without_effect_are_seldom_found() -> None:
    assert np.mean([null_conditions(seed, 50) for seed in range(40)]) <= 0.13
    assert np.mean([null_conditions(seed, 50, threshold=0.25) for seed in range(15)]) <= 0.14


def test_glasses_that_lower_similarity_are_found() -> None:
    assert np.mean([planted_conditions(seed, 80) for seed in range(10)]) >= 0.9


def test_strangers_who_share_a_condition_match_more_and_it_is_said() -> None:
    found = condition_matrix_of(*condition_world(1, 120, "mild", 0.7), 0.40)
    both = found.impostor["glasses", "glasses"]
    assert both.fmr_change is not None
    assert both.fmr_change.value > 0
    assert both.fmr_p_holm < 0.05 / 3
    assert both in found.found()


def test_an_unknown_reference_and_a_set_without_pairs_are_refused() -> None:
    world = make(20, "equal", 1)
    left, right = genuine_pairs(world.subjects)
    scores = pair_cosines(world.unit, left, right)
    labels = np.tile(["plain", "mask"], 40)
    with pytest.raises(UsageError, match="no picture has the condition 'plian'; did you mean 'plain'"):
        condition_matrix(labels, world.subjects, left, right, scores, 0.4, reference="plian")
    labels = np.where(np.arange(80) % 4 == 0, "plain", "")  # one known picture a person
    with pytest.raises(InsufficientData, match="known condition at both"):
        condition_matrix(labels, world.subjects, left, right, scores, 0.4)
