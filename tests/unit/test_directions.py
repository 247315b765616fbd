"""Directions: a planted one is found with its angle, unrelated labels find none, closed forms hold."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from benchmarks.worlds import make
from benchmarks.worlds_directions import labels, null_report
from fraudit.analyses.directions import Params, run
from fraudit.audit.context import AnalysisContext
from fraudit.errors import InsufficientData, UsageError
from fraudit.report.record import normalise
from fraudit.stats.contrasts import (
    Contrast,
    contrasts,
    fewest_both,
    null_weights,
    person_rows,
    tail_share,
    variation,
)
from fraudit.stats.directions import amount_until, freedom, morph_limit, moved_cosine, study
from tests.fixtures.boxes import identity_faces
from tests.fixtures.contexts import planted_context, vectors_context
from tests.fixtures.inverters import Painter
from tests.fixtures.planted import unit_rows

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


def context_of(*parts: Any, **options: Any) -> AnalysisContext:
    vectors, subjects, attributes = parts[:3]
    return vectors_context(vectors, subjects, attributes=attributes, **options)


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
    # A direction that is not there has no angle.
    assert np.isnan(result.cosines[a, names.index("noise")])


def contrast(high: Any, within: bool = False) -> Contrast:
    mask = np.asarray(high, bool)
    return Contrast("x", "x", "1 minus 0", mask, ~mask, within)


def test_a_person_counts_once_however_many_faces() -> None:
    subjects = np.array([0, 0, 0, 0, 1, 2, 3])
    rows = person_rows(contrast([1, 1, 1, 1, 1, 0, 0]), subjects)
    faces = rows.weights @ rows.pick.toarray()
    assert faces.tolist() == pytest.approx([0.125] * 4 + [0.5, -0.5, -0.5])
    assert rows.groups == (2, 2)


def test_a_person_of_both_groups_stands_where_most_faces_are_or_is_compared_with_himself() -> None:
    subjects = np.array([0, 0, 0, 1, 1, 2, 2])
    high = [1, 1, 0, 1, 0, 0, 0]
    between = person_rows(contrast(high), subjects)
    assert (between.weights @ between.pick.toarray()).tolist() == [0.5, 0.5, 0, 0, 0, -0.5, -0.5]
    inside = person_rows(contrast(high, within=True), subjects)
    assert inside.people.tolist() == [0, 1]
    assert (inside.weights @ inside.pick.toarray()).tolist() == [0.25, 0.25, -0.5, 0.5, -0.5, 0, 0]
    assert inside.groups == (2, 2)
    assert inside.faces == (3, 2)


def test_labels_change_places_among_whole_people_with_about_as_many_pictures() -> None:
    counts = np.array([1] * 8 + [2] * 6 + [3, 4, 4, 3] + [9])
    subjects = np.repeat(np.arange(len(counts)), counts)
    side = np.arange(len(counts)) % 3 == 0
    rows = person_rows(contrast(side[subjects]), subjects)
    weights, everything = null_weights(rows, 400, np.random.default_rng(0))
    assert not everything
    assert weights.sum(axis=1) == pytest.approx(0)
    high = weights > 0
    for stratum in (slice(0, 8), slice(8, 14), slice(14, 18), slice(18, 19)):
        assert (high[:, stratum].sum(axis=1) == side[stratum].sum()).all()
    assert len(np.unique(high, axis=0)) > 300


def test_few_people_are_flipped_in_every_pattern_and_p_is_a_count_of_them() -> None:
    subjects = np.repeat(np.arange(7), 2)
    rows = person_rows(contrast(np.tile([1, 0], 7), within=True), subjects)
    weights, everything = null_weights(rows, 2000, np.random.default_rng(0))
    assert everything
    assert len(np.unique(np.sign(weights), axis=0)) == len(weights) == 64
    # All seven differ by the same: only the pattern that changes none is as long, 1 of 64.
    null = np.abs(weights.sum(axis=1))
    assert tail_share(null, 1.0, everything) == 1 / 64
    assert fewest_both(1) == 6  # 2 / 2^6 < 5 %
    assert 2 ** (1 - fewest_both(9)) * 9 <= 0.05 < 2 ** (2 - fewest_both(9)) * 9


def test_how_a_label_is_compared_follows_from_where_it_varies() -> None:
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(100), 6)
    of_person = (rng.random(100) < 0.5)[subjects]
    wrong = of_person ^ (rng.random(600) < 0.03)
    of_picture = rng.random(600) < 0.2
    assert variation(contrast(of_person), subjects) == 0
    assert variation(contrast(wrong), subjects) < 0.2
    assert variation(contrast(of_picture), subjects) == pytest.approx(1, abs=0.1)
    named = {"male": of_person, "male?": wrong, "smiling": of_picture, "yaw": rng.normal(size=600)}
    found, skipped = contrasts({k: np.asarray(v, float) for k, v in named.items()}, subjects)
    assert [c.within for c in found] == [False, False, True, True]
    assert not skipped


def test_conditions_of_fifteen_people_are_found_within_them_and_each_counts_once() -> None:
    """As in Yale: 15 people under 11 conditions; between people such labels cannot be seen at all."""
    rng = np.random.default_rng(4)
    subjects, condition = np.repeat(np.arange(15), 11), np.tile(np.arange(11), 15)
    effects = rng.normal(size=(11, DIM)) * 0.5
    vectors = rng.normal(size=(15, DIM))[subjects] + effects[condition] + 0.4 * rng.normal(size=(165, DIM))
    names = {f"condition {i}": (condition == i).astype(float) for i in range(9)}
    result = run(context_of(vectors.astype(np.float32), subjects, names), Params(fmr=1e-2))
    rows = next(t for t in result.tables if t.name == "directions").rows
    assert all(row["p"] <= 9 / 2000 for row in rows)
    assert {row["people"] for row in rows} == {"15 with both"}
    assert "15 people with both" in result.findings[0].text
    assert "30" not in result.findings[0].text
    assert {m.n for m in result.metrics if m.name.endswith(".stability")} == {15}


@pytest.mark.parametrize("kind", ["equal", "skew"])
@pytest.mark.parametrize("dealt", ["people", "pictures", "both"])
def test_labels_that_know_nothing_find_a_direction_in_five_percent_of_worlds(kind: Any, dealt: Any) -> None:
    """Expected 2 to 3 of 50; 99.9 % binomial bound 9. Dealing across people's borders found 49 with `skew`."""
    hits = 0
    for seed in range(50):
        world = make(60, kind, seed, dim=32)
        found, _ = contrasts(labels(world, dealt, np.random.default_rng([seed, 7])), world.subjects)
        result = study(world.unit, world.subjects, found, np.random.default_rng(seed))
        hits += any(d.exists for d in result.directions)
        there = {d.contrast.name for d in result.directions if d.exists}
        assert all(c.contrast in there for c in result.axes if c.p_adjusted < 0.05)
    assert hits <= 9


def test_null_reports_have_no_finding_of_low_or_worse() -> None:
    """At most 0.7 %: of 24 reports none is expected, and more than two come in 1 of 1,000,000 trials."""
    reports = [null_report(seed, 60, ("equal", "mild", "skew", "lfw")[seed % 4]) for seed in range(24)]  # type: ignore[arg-type]
    assert sum(bool({"low", "medium", "high"} & set(r)) for r in reports) <= 2


def test_stability_is_the_mean_cosine_of_directions_of_two_halves_of_the_people() -> None:
    vectors, subjects, attributes, _ = planted(people=200, strength=1.2, seed=8)
    unit = unit_rows(vectors)
    found, _ = contrasts(attributes, subjects)
    rng = np.random.default_rng(0)
    for d in study(unit, subjects, found, rng).directions:
        rows = person_rows(d.contrast, subjects)
        faces, cosines = rows.pick @ unit, []
        for _ in range(60):
            first = np.zeros(len(faces), bool)
            for side in (-1, 1):
                at = rng.permutation(np.flatnonzero(rows.sides == side))
                first[at[: len(at) // 2]] = True
            one, two = (
                sum(side * faces[half & (rows.sides == side)].mean(axis=0) for side in np.unique(rows.sides))
                for half in (first, ~first)
            )
            cosines.append(one @ two / np.linalg.norm(one) / np.linalg.norm(two))
        assert d.stability == pytest.approx(np.mean(cosines), abs=0.03 if d.exists else 0.1)
        assert d.stability_interval is not None
        assert d.stability_interval.low < np.mean(cosines) < d.stability_interval.high


def test_intervals_cover_the_truth_of_skewed_worlds() -> None:
    """60 people with 1 to 50 pictures, two directions at 60 degrees; 95 % of 60 worlds is 57, 99.9 % bound 50."""
    axes = np.eye(DIM)[:2].copy()
    axes[1] = 0.5 * axes[0] + np.sqrt(0.75) * axes[1]

    def world(people: int, seed: int) -> tuple[Any, Any, Any]:
        faces, rng = make(people, "skew", seed, dim=DIM), np.random.default_rng([seed, 9])
        a = (rng.random(len(faces.subjects)) < 0.4).astype(float)
        b = (rng.random(people) < 0.5)[faces.subjects].astype(float)
        rows = unit_rows(faces.unit + 0.6 * (np.outer(a, axes[0]) + np.outer(b, axes[1])))
        found, _ = contrasts({"a": a, "b": b}, faces.subjects)
        return rows, faces.subjects, found

    unit, subjects, found = world(3000, 999)
    truth = study(unit, subjects, found, np.random.default_rng(0), axes=1).cosines[0, 1]
    people = [person_rows(c, subjects) for c in found]
    inside = correlations = total = 0
    for seed in range(60):
        few, own, those = world(60, seed)
        result = study(few, own, those, np.random.default_rng(seed), axes=1)
        inside += bool(result.low[0, 1] <= truth <= result.high[0, 1])
        axis = np.linalg.svd(few - few.mean(axis=0), full_matrices=False)[2][0]
        for c, rows in zip(result.axes, people, strict=True):
            place = rows.pick @ unit @ axis
            r = (
                place.mean() / np.sqrt((place**2).mean())
                if rows.within
                else np.corrcoef(place, rows.sides)[0, 1]
            )
            assert c.interval is not None
            value = c.r * np.sign(r) * np.sign(c.r)  # an axis has no sense of its own
            low, high = sorted(
                (c.interval.low * np.sign(value * c.r), c.interval.high * np.sign(value * c.r))
            )
            correlations += low <= r <= high
            total += 1
    assert inside >= 50
    assert correlations >= 0.88 * total


def test_an_interval_that_too_few_people_carry_is_withheld_with_the_reason() -> None:
    vectors, subjects, attributes, _ = planted(people=7, each=8, strength=4.0)
    found, _ = contrasts({"a": attributes["a"]}, subjects)
    result = study(unit_rows(vectors), subjects, found, np.random.default_rng(0), axes=1)
    for figure in (result.directions[0], result.axes[0]):
        assert "7.0 effective people" in figure.interval_missing
    assert result.directions[0].exists
    assert result.directions[0].stability_interval is None
    assert result.axes[0].interval is None


def test_degrees_of_freedom_are_few_where_few_people_make_up_the_variance() -> None:
    even, one = np.random.default_rng(0).normal(size=2000), np.r_[10.0, np.full(1999, 0.01)]
    assert freedom(even) > 1500
    assert freedom(one) < 3


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
            "age": np.arange(60.0),
            "race": np.tile(["x", "y", "z"], 20),
            "same": np.ones(60),
            "name": np.array([str(i) for i in range(60)]),
            "rare": (np.arange(60) < 2).astype(float),
            "part": np.where(np.arange(60) < 20, np.nan, rng.integers(0, 2, 60)),
        },
        subjects,
    )
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
            assert metric.interval is not None, metric.interval_missing
            assert metric.interval.low - 1e-9 <= metric.value <= metric.interval.high + 1e-9
    assert any("Nothing was inverted" in c for c in result.caveats)
    assert not result.galleries


def test_pictures_along_directions_and_paths_follow_their_vectors() -> None:
    images, subjects = identity_faces(60, 3, seed=1)
    rng = np.random.default_rng(0)
    glow = rng.integers(0, 2, len(images))
    images = [
        np.clip(p.astype(int) + 40 * g * (np.arange(112) > 56)[:, None, None], 0, 255).astype(np.uint8)
        for p, g in zip(images, glow, strict=True)
    ]
    context = planted_context(images, subjects, attributes={"glow": glow.astype(float)}, inverter=Painter())
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
