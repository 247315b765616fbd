"""Inversion: a perfect inverter is found to be one, a blind one is not, and missing figures say why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fraudit.analyses.inversion import ANALYSIS, Params, run
from fraudit.analyses.inversion.memorised import memory_excess
from fraudit.analyses.inversion.perceptual import pose_metrics
from fraudit.analyses.inversion.rates import Success
from fraudit.analyses.inversion.report import severity_of
from fraudit.audit.context import AnalysisContext
from fraudit.errors import InsufficientData
from fraudit.report.record import normalise
from fraudit.stats.estimates import Estimate
from fraudit.stats.inversion import (
    angular,
    excess,
    group_gap,
    other_pairs,
    other_picture,
    pairwise_distance,
    sample_spread,
    spread_people,
    success,
    tally,
    tally_at,
)
from fraudit.stats.strangers import LEAST_STRANGERS, Trials
from fraudit.types import Interval
from tests.fixtures.boxes import identity_faces, luma_pattern
from tests.fixtures.contexts import planted_context, saved_pictures
from tests.fixtures.inverters import QUICK, SIDE, Planted


def blurred(images: np.ndarray) -> np.ndarray:
    """An independent judge: the pattern of the colour channels, not of luma."""
    return np.concatenate([luma_pattern(images[..., [c] * 3])[:, :32] for c in (0, 2)], axis=1)


def world(
    choose: Callable[[int, int], int], people: int = 40, each: int = 3, seed: int = 0, **options: Any
) -> AnalysisContext:
    """People with patterns, an inverter that shows what `choose` says, and one independent judge."""
    noise = options.pop("noise", 0.0)
    judges = options.pop("judges", (blurred,))
    images, subjects = identity_faces(people, each, seed=seed)
    context = planted_context(list(images), subjects, judges=judges, seed=seed, **options)
    return Planted(choose, noise).learn(context)


def values(result: Any) -> dict[str, Any]:
    return {m.name: m for m in result.metrics if not m.group}


def test_an_inverter_that_returns_the_source_succeeds_always() -> None:
    result = normalise(run(world(lambda i, seed: i), QUICK))
    assert result.answer.startswith("Yes: another model (judge0) takes ")
    found = values(result)
    assert found["inversion.attack_success"].value == 1
    assert found["inversion.judge0.type1@fmr=1e-2"].value == 1
    assert found["inversion.self.type1@fmr=1e-2"].value == 1
    # type II is then exactly what the real source reaches, and replacement costs nothing
    assert found["inversion.self.type2@fmr=1e-2"].value == found["inversion.self.type2_real@fmr=1e-2"].value
    assert found["inversion.self.replacement"].value == pytest.approx(
        found["inversion.self.replacement_real"].value, abs=0.02
    )
    assert found["inversion.self.frechet"].value == pytest.approx(0, abs=0.01)
    first = result.findings[0]
    assert (first.severity, first.rule) == ("high", "inversion.attack_success")
    assert "independent judge (judge0)" in first.text
    assert "reconstructions of other people match it in" in first.text
    assert "personal data" in first.text


def test_an_inverter_that_returns_a_strangers_face_succeeds_as_often_as_strangers_do() -> None:
    each = 3
    context = world(lambda i, seed: (i + 7 * each) % (60 * each), people=60, each=each)
    result = normalise(run(context, QUICK))
    found = values(result)
    for judge in ("self", "judge0"):
        one = found[f"inversion.{judge}.type1@fmr=1e-2"]
        assert one.interval.low <= 0.01 * 3
        assert one.value < 0.15
    assert result.findings[0].severity not in ("high", "medium")
    assert found["inversion.self.replacement"].value < found["inversion.self.replacement_real"].value


@pytest.mark.parametrize("kind", ["mild", "skew", "lfw"])
def test_strangers_faces_raise_no_finding_in_skewed_sets(kind: Any) -> None:
    """At most 0.8 % of reports may; of 40, three would be met in 1 of 250 such tests."""
    from benchmarks.worlds_inversion import null_report

    raised = sum(bool({"low", "medium", "high"} & set(null_report(seed, 60, kind))) for seed in range(40))
    assert raised <= 2


def test_what_strangers_get_is_no_success() -> None:
    """FMR 1e-2: 4 % of 300 people's own reconstructions match, and 4 % of other people's do."""
    rng = np.random.default_rng(0)
    people = np.arange(300)
    i, j = other_pairs(people, people, np.ones(300, bool), 10_000, rng)
    own = Trials(np.arange(300) < 12, people, people)
    alike = Trials(rng.random(len(i)) < 0.04, people[i], people[j])
    assert tally(own.events, people, people).interval.low > 0.02  # alone it looks like twice the FMR
    over = excess(own, alike)
    assert over.value == pytest.approx(0.04 - alike.events.mean())
    assert over.interval.low < 0 < over.interval.high
    rare = excess(own, Trials(np.zeros(len(i), bool), people[i], people[j]))
    assert rare.interval.low > 0.01


def test_excess_over_chance_covers_the_planted_difference() -> None:
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        people = np.repeat(np.arange(60), 2)
        own = Trials(rng.random(120) < 0.3, people, people)
        i, j = other_pairs(people, people, np.ones(120, bool), 3000, rng)
        found = excess(own, Trials(rng.random(len(i)) < 0.1, people[i], people[j])).interval
        covered += found.low <= 0.2 <= found.high
    assert covered >= 88


def test_other_peoples_reconstructions_are_sampled_evenly_over_pictures() -> None:
    people = np.repeat(np.arange(50), 4)
    i, j = other_pairs(people, people, np.arange(200) % 2 == 0, 1000, np.random.default_rng(0))
    assert (people[i] != people[j]).all()
    assert (j % 2 == 0).all()
    assert np.bincount(j)[::2].tolist() == [10] * 100
    again = other_pairs(people, people, np.arange(200) % 2 == 0, 1000, np.random.default_rng(0))
    np.testing.assert_array_equal(i, again[0])


def _figure(value: float, low: float, high: float) -> Estimate:
    return Estimate(value, Interval(low, high), 100, 50)


def test_severity_looks_at_success_beyond_chance_and_good_needs_a_judge_that_sees() -> None:
    def at(low: float, high: float = 1.0, ceiling: float = 0.9) -> tuple[str, str]:
        over, chance = _figure(0.5, low, high), _figure(0.01, 0.0, 0.02)
        return severity_of(Success(_figure(0.5, 0.4, 0.6), _figure(0.95, ceiling, 1.0), chance, over, over))

    assert at(0.10)[0] == "high"
    assert at(0.01)[0] == "medium"
    assert at(0.001)[0] == "low"
    assert at(0.0) == ("info", "unresolved")
    assert at(-0.01, 0.02) == ("good", "safe")
    assert at(-0.01, 0.02, ceiling=0.4) == ("info", "blind")
    few = Estimate(1.0, None, 4, 2, "too few people")
    assert severity_of(Success(few, few, few, few, few)) == ("info", "few")


def test_too_few_people_get_a_value_and_a_reason_but_no_interval() -> None:
    found = tally(np.ones(4, bool), np.arange(4), np.arange(4))
    assert (found.value, found.interval) == (1.0, None)
    assert "too few people" in found.reason
    with pytest.raises(InsufficientData, match="too few people"):
        success(np.ones(4), 0.5, np.arange(4), np.arange(4))
    assert group_gap(found, _figure(0.2, 0.1, 0.3)).reason == found.reason
    few = np.arange(LEAST_STRANGERS - 1)
    pairs = Trials(np.ones(len(few), bool), few, np.roll(few, 1))
    assert f"at least {LEAST_STRANGERS} are needed" in tally_at(pairs, pairs).reason


def test_chance_carries_the_error_of_its_threshold() -> None:
    rng = np.random.default_rng(1)
    people = np.repeat(np.arange(60), 3)
    i, j = np.nonzero(people[:, None] != people[None])
    lamb = rng.gamma(0.5, 0.02, 60)
    real = Trials(rng.random(len(i)) < lamb[people[i]], people[i], people[j])
    made = Trials(rng.random(len(i)) < 0.01, people[i], people[j])
    fixed, chosen = tally(made.events, made.made, made.shown).interval, tally_at(made, real).interval
    assert chosen.low < fixed.low
    assert chosen.high > fixed.high
    assert tally_at(made, Trials(np.zeros(len(i), bool), people[i], people[j])).interval is None


def test_a_generic_face_is_called_generic() -> None:
    """A master face: its vector lies so near the mean of all people that strangers match it too."""

    def drawn_together(images: np.ndarray) -> np.ndarray:
        pattern = luma_pattern(images)
        generic = images.reshape(len(images), -1).std(axis=1) < 1
        pattern[generic] = 0
        common = np.zeros(64, np.float32)
        common[1] = 1.5 * np.linalg.norm(pattern, axis=1).max() if not generic.all() else 1000.0
        return (pattern + common).astype(np.float32)

    images, subjects = identity_faces(40, 3)
    context = planted_context(list(images), subjects, embed=drawn_together, judges=())
    inverter = Planted(lambda i, seed: i)
    inverter.learn(context)
    inverter.pictures = [np.full((SIDE, SIDE, 3), 128, np.uint8)] * len(images)
    result = run(context, QUICK)
    numbers = values(result)
    strangers = numbers["inversion.self.strangers@fmr=1e-2"]
    # one face for all: the source is no likelier to match than a stranger
    assert numbers["inversion.self.type1@fmr=1e-2"].value == pytest.approx(strangers.value, abs=0.1)
    assert strangers.interval.low >= 0.03
    assert any(f.rule == "inversion.generic" for f in result.findings)


def test_more_guidance_is_nearer_to_the_source_and_less_diverse() -> None:
    result = run(world(lambda i, seed: i, noise=60.0), QUICK)
    found = values(result)
    assert (
        found["inversion.self.sample_similarity@guidance=1"].value
        < found["inversion.self.sample_similarity"].value
        < found["inversion.self.sample_similarity@guidance=3"].value
    )
    for name in ("self.diversity", "pixel_diversity"):
        assert (
            found[f"inversion.{name}@guidance=1"].value
            > found[f"inversion.{name}"].value
            > found[f"inversion.{name}@guidance=3"].value
        )
    assert any(f.name == "inversion_guidance" for f in result.figures)


def test_an_inverter_is_asked_at_the_guidance_it_states() -> None:
    context = world(lambda i, seed: i, noise=60.0)
    context.inverter.guidance = 1.0
    result = run(context, QUICK)
    found = values(result)
    assert result.params["guidance"] == 1.0
    assert "inversion.self.sample_similarity@guidance=1" not in found
    assert (
        found["inversion.self.sample_similarity"].value
        < found["inversion.self.sample_similarity@guidance=3"].value
    )
    assert run(context, replace(QUICK, guidance=3.0)).params["guidance"] == 3.0


def test_without_a_judge_the_report_says_that_the_model_judges_itself() -> None:
    result = run(world(lambda i, seed: i, judges=()), QUICK)
    assert "the model itself" in result.findings[0].text
    assert "no independent judge was given" in result.findings[0].text
    assert any("judges itself" in c for c in result.caveats)


def test_refinement_is_done_where_it_is_asked_for_and_said() -> None:
    results, asked = [], []
    for rounds in (0, 2):
        context = world(lambda i, seed: i, noise=60.0)
        results.append(run(context, replace(QUICK, refine=rounds)))
        asked.append(context.embedder.queries)
    plain, refined = results
    name = "inversion.self.similarity"
    # Three questions more for each of these pictures, and for those of the replacement protocol.
    assert asked[1] >= asked[0] + 3 * values(plain)[name].n
    assert values(refined)[name].value >= values(plain)[name].value
    assert any("corrected 2 times" in c for c in refined.caveats)
    assert not any("corrected" in c for c in plain.caveats)
    with pytest.raises(ValueError, match="refine: expected at least 0"):
        replace(QUICK, refine=-1)


def test_a_judge_that_the_inverter_was_first_trained_for_is_not_called_independent() -> None:
    context = world(lambda i, seed: i, judges=(blurred, luma_pattern))
    related, free = (judge.spec.name for judge in context.judges)
    first = {"embedder_fingerprint": context.judges[0].fingerprint}
    context.inverter.card = {"init": {"embedder_fingerprint": "another", "adapted_from": first}}
    result = run(context, QUICK)
    assert f"an independent judge ({free})" in result.findings[0].text
    assert any(f"{related} is no independent judge" in c for c in result.caveats)
    assert not any(f"{free} is no" in c for c in result.caveats)
    context.judges = context.judges[:1]
    assert f"a related model ({related})" in run(context, QUICK).findings[0].text


def test_without_identities_type_two_and_replacement_are_missing_with_the_reason() -> None:
    images, _ = identity_faces(80, 1)
    context = planted_context(list(images), np.arange(80), identified=False, judges=(), distinct=True)
    result = normalise(run(Planted(lambda i, seed: i).learn(context), QUICK))
    found = values(result)
    assert "no other" in str(found["inversion.self.type2@fmr=1e-2"].missing) or "nobody" in str(
        found["inversion.self.type2@fmr=1e-2"].missing
    )
    assert found["inversion.self.replacement"].missing
    assert found["inversion.attack_success"].value == 1


def test_an_fmr_that_cannot_be_resolved_has_no_figure() -> None:
    result = run(world(lambda i, seed: i), Params(fmrs=(1e-2, 1e-5), pairs=20, guidances=(), scale=1.0))
    found = values(result)
    assert found["inversion.self.type1@fmr=1e-5"].value is None
    assert "300,000 impostor pairs" in str(found["inversion.self.type1@fmr=1e-5"].missing)
    assert "FMR 1e-2" in str(found["inversion.attack_success"].label)


def test_a_reconstruction_without_a_vector_is_no_match() -> None:
    def picky(images: np.ndarray) -> np.ndarray:
        vectors = luma_pattern(images)
        vectors[images.reshape(len(images), -1).max(axis=1) == 0] = 0
        return vectors

    images, subjects = identity_faces(40, 3)
    context = planted_context(list(images), subjects, embed=picky, judges=())
    inverter = Planted(lambda i, seed: i)
    inverter.learn(context)
    inverter.pictures = [p * (i % 2) for i, p in enumerate(inverter.pictures)]
    result = run(context, QUICK)
    rate = values(result)["inversion.attack_success"].value
    assert 0.3 < rate < 0.7
    assert any("count as no match" in c for c in result.caveats)


def test_success_is_told_by_group_and_small_groups_are_not_judged() -> None:
    images, subjects = identity_faces(90, 2)
    group = np.where(subjects < 6, "few", np.where(subjects % 2 == 0, "even", "odd"))
    context = planted_context(list(images), subjects, attributes={"group": group}, judges=())
    strange = Planted(lambda i, seed: i if (i // 2) % 2 == 0 else (i + 60) % 180)
    result = run(
        strange.learn(context), Params(fmrs=(1e-2,), by=("group",), guidances=(), pairs=20, scale=1.0)
    )
    rates = {m.group: m for m in result.metrics if m.name == "inversion.group.group.type1@fmr=1e-2"}
    assert rates["even"].value == 1
    assert rates["odd"].value < 0.3
    assert "fewer than the floor" in str(rates["few"].missing)
    assert [f.severity for f in result.findings if f.rule == "inversion.group_gap"] == ["medium"]
    gap = next(f for f in result.findings if f.rule == "inversion.group_gap")
    assert "of 'even' match their source beyond chance more often than those of 'odd'" in gap.text


def test_galleries_only_where_pictures_may_be_shown() -> None:
    assert not run(world(lambda i, seed: i, pictures="none"), QUICK).galleries
    context = world(lambda i, seed: i)
    shown = run(context, QUICK).galleries
    assert {g.name for g in shown} == {"inversion_sources", "inversion_guidance"}
    saved = saved_pictures(context)
    assert all(item.artifact in saved for g in shown for row in g.rows for item in row.items)


@pytest.mark.parametrize("people", [40, 6])
def test_every_metric_has_n_and_interval_or_a_reason(people: int) -> None:
    for metric in normalise(run(world(lambda i, seed: i, people=people), QUICK)).metrics:
        if metric.value is None:
            assert metric.missing
            continue
        assert metric.n
        assert (metric.interval is None) == bool(metric.interval_missing), metric.name
        if metric.interval is not None:
            assert metric.interval.low - 1e-9 <= metric.value <= metric.interval.high + 1e-9


def test_memory_is_seen_and_nearness_to_everybody_is_not() -> None:
    rng = np.random.default_rng(0)

    def unit(rows: np.ndarray) -> np.ndarray:
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    training, strangers, real = (unit(rng.normal(size=(n, 32))) for n in (300, 300, 200))
    pools = ((training, np.arange(300)), (strangers, np.arange(300)))
    copies = unit(training[:200] + 0.05 * rng.normal(size=(200, 32)))
    excess, size, variance = memory_excess(copies, real, np.arange(200), *pools, np.random.default_rng(1))
    assert size == 300
    assert excess.mean() > 0.3
    assert 0 <= variance < 0.01
    # generic faces: between everybody and the mean of both pools, yet no copies
    generic = unit(real + 2 * (training.mean(0) + strangers.mean(0)))
    excess, _, _ = memory_excess(generic, real, np.arange(200), *pools, np.random.default_rng(1))
    assert abs(excess.mean()) < 0.03


def test_the_interval_of_memory_holds_the_chance_of_both_pools() -> None:
    from benchmarks.worlds_memory import estimate

    found = [estimate(seed, 60, "mild").interval for seed in range(40)]
    assert sum(i is not None and i.low <= 0 <= i.high for i in found) >= 35  # 80 % without the pools' part


def test_sampling_takes_as_many_people_as_it_can_and_those_with_another_picture_first() -> None:
    subjects = np.array([0, 0, 0, 1, 2, 2, 3, 4])
    rng = np.random.default_rng(0)
    chosen = spread_people(subjects, np.arange(8), 2, rng)
    assert sorted(subjects[chosen]) == [0, 2]
    assert sorted(subjects[spread_people(subjects, np.arange(8), 5, rng)]) == [0, 1, 2, 3, 4]
    others = other_picture(subjects, np.arange(8), np.ones(8, bool), rng)
    assert [i for i in range(8) if others[i] < 0] == [3, 6, 7]
    assert all(subjects[others[i]] == subjects[i] and others[i] != i for i in (0, 1, 2, 4, 5))


def test_nobody_has_more_than_the_most_faces_of_a_sample() -> None:
    subjects = np.repeat(np.arange(10), [30, 30, 2, 2, 2, 2, 1, 1, 1, 1])
    chosen = spread_people(subjects, np.arange(len(subjects)), 50, np.random.default_rng(0), most=5)
    assert np.bincount(subjects[chosen]).tolist() == [5, 5, 2, 2, 2, 2, 1, 1, 1, 1]


def test_angles_and_spread_by_hand() -> None:
    assert angular([1.0, 0.0, -1.0]).tolist() == pytest.approx([0, 0.5, 1])
    rows = np.array([[1.0, 0], [0, 1], [1, 0], [1, 0], [1, 0], [0, 1]])
    ok = np.array([True, True, True, True, True, False])
    assert sample_spread(rows, 2, ok).tolist() == pytest.approx([0.5, 0.0, np.nan], nan_ok=True)


def test_the_analysis_needs_an_inverter_alone_and_refuses_wrong_options() -> None:
    assert ANALYSIS.needs == ("inverter",)
    with pytest.raises(ValueError, match="samples"):
        Params(samples=1)
    with pytest.raises(ValueError, match="fmrs"):
        Params(fmrs=(0.0,))


def test_pose_and_expression_diversity_are_measured_or_say_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    from fraudit.faces import pose3d

    monkeypatch.setattr(pose3d, "missing", lambda: "no weights")
    shown = np.zeros((6, 64, 64, 3), np.uint8)
    found = pose_metrics(shown, 3, np.arange(2))
    assert [m.missing for m in found] == ["no weights", "no weights"]

    class Turning:
        def parameters(self, pictures: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
            assert landmarks.shape == (6, 5, 2)
            return np.arange(6, dtype=np.float32)[:, None].repeat(62, axis=1)

    monkeypatch.setattr(pose3d, "missing", lambda: "")
    monkeypatch.setattr(pose3d, "open_pose3d", Turning)
    monkeypatch.setattr(pose3d, "angles", lambda p: p[:, :3].astype(float) * [1, 0, 0])
    found = pose_metrics(shown, 3, np.arange(2))
    # angles 0, 1, 2 and 3, 4, 5: pairwise 1, 2, 1
    assert found[0].value == pytest.approx(4 / 3)
    assert found[0].unit == "deg"


def test_pairwise_distance_by_hand() -> None:
    rows = np.array([[0.0, 0], [3, 4], [1, 1], [1, 1]])
    assert pairwise_distance(rows, 2).tolist() == [5, 0]
