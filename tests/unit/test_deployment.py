"""Thresholds for a deployment over planted people: promises, groups, galleries, other sets, demands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.worlds import make
from fraudit.deployment import demands, words
from fraudit.deployment.asked import Asked
from fraudit.deployment.elsewhere import check_elsewhere
from fraudit.deployment.galleries import FOUND, LIMIT, galleries
from fraudit.deployment.measure import measure_thresholds
from fraudit.deployment.record import entropy_chart, limits, policy_of
from fraudit.errors import ArtifactError, DataError, InsufficientData, UsageError
from fraudit.policy.profiles import Evidence, judge, profile
from fraudit.report.charts import svg
from fraudit.stats.pairs import impostor_histogram
from fraudit.types import Interval, PairList
from tests.fixtures.run_stored import shown_of


def people(
    count: int, seed: int, common: float = 0.0, pictures: int = 4, hubs: int = 0, dim: int = 48
) -> tuple[np.ndarray, np.ndarray]:
    """(f64[N,D], i64[N]): people around their own mean; `common` is shared by all, `hubs` of them are near anybody."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(count, dim))
    centres[:hubs] *= 0.2
    centres[:, 0] += common
    subjects = np.repeat(np.arange(count), pictures)
    noise = np.where(subjects < hubs, 0.15, 0.7)[:, None]
    return centres[subjects] + noise * rng.normal(size=(len(subjects), dim)), subjects


@pytest.mark.parametrize(
    "bad",
    [
        {"fmr": (1.0,)},
        {"fmr": (0.0,)},
        {"fmr": (1e-7,)},
        {"fpir": (-0.1,)},
        {"fmr": (float("nan"),)},
        {},
        {"fmr": (0.01,), "people": 500},
        {"fmr": (0.01,), "confidence": 1.0},
        {"fmr": (0.01,), "prior": 0.0},
        {"fmr": (0.01,), "seed": -1},
        {"fpir": (0.01,), "people": 1},
        {"profile": "nist-800-63"},
        {"profile": "iso-19795-10"},
    ],
)
def test_what_cannot_be_asked_is_one_line(bad: dict) -> None:
    with pytest.raises(UsageError) as error:
        Asked(**bad)
    assert "\n" not in error.value.message


def test_a_profile_names_its_own_targets() -> None:
    asked = Asked(profile="nist-800-63a-4").completed()
    assert asked.fmr == (5e-5, 1e-4)
    assert asked.fpir == (5e-4, 1e-3)
    assert Asked(fmr=(1e-3, 1e-3), profile="nist-800-63a-4").completed().fmr == (1e-3,)


def test_the_promise_holds_on_people_of_the_same_kind_and_breaks_where_strangers_are_nearer() -> None:
    found = measure_thresholds(shown_of(*people(200, 0)), Asked(fmr=(0.01, 0.1)))
    assert found.resolvable
    same = check_elsewhere(found, shown_of(*people(200, 1), "same"))
    near = check_elsewhere(found, shown_of(*people(200, 2, common=3.0), "near"))
    assert {row.verdict for row in same.rows} <= {"holds", "not contradicted"}
    assert [row.verdict for row in near.rows] == ["broken", "broken"]
    rate = near.rows[0].rate
    assert rate is not None
    assert rate.lower > 0.01
    text = "\n".join(words.lines_of(found, near))
    assert "BROKEN" in text
    assert "near, 200 people" in text


def test_no_promise_is_broken_more_often_than_the_confidence_says() -> None:
    true = impostor_histogram(*(lambda s: (s.unit, s.people))(shown_of(*people(2500, 99, pictures=1))))
    broken = 0
    for seed in range(40):
        found = measure_thresholds(shown_of(*people(60, seed, pictures=3)), Asked(fmr=(0.05,)))
        threshold = found.points[0].threshold
        assert threshold is not None
        broken += true.fmr(threshold) > 0.05
    assert broken <= 6  # 2 expected of 40 at most; more than 6 in 0.3 % of cases


def test_a_group_that_the_promise_breaks_for_elsewhere_is_named() -> None:
    vectors, subjects = people(240, 3)
    kind = np.where(subjects % 2 == 0, "even", "odd")
    asked = Asked(fmr=(0.05,), every_group=("kind",))
    found = measure_thresholds(shown_of(vectors, subjects, attributes={"kind": kind}), asked)
    there, who = people(240, 4)
    there[who % 2 == 0, 0] += 4.0
    kind = np.where(who % 2 == 0, "even", "odd")
    row = check_elsewhere(found, shown_of(there, who, "there", {"kind": kind})).rows[0]
    assert row.verdict == "broken"
    assert row.groups["even"].lower > 0.05
    assert row.groups["odd"].upper <= 0.1


def test_a_check_of_the_set_itself_or_of_another_model_is_refused() -> None:
    shown = shown_of(*people(60, 0))
    found = measure_thresholds(shown, Asked(fmr=(0.1,)))
    with pytest.raises(UsageError, match="the set that the threshold is made on"):
        check_elsewhere(found, shown)
    other = replace(shown_of(*people(60, 1), "other"), fingerprint="0" * 64)
    with pytest.raises(ArtifactError, match="another model"):
        check_elsewhere(found, other)


def test_every_group_is_promised_and_the_worst_one_decides() -> None:
    w = make(240, "equal", 5, group_common=(0.0, 1.5, 0.0))
    shown = shown_of(w.unit, w.subjects, attributes={"kind": np.where(w.groups == "b", "near", "far")})
    plain = measure_thresholds(shown, Asked(fmr=(0.05,))).points[0]
    point = measure_thresholds(shown, Asked(fmr=(0.05,), every_group=("kind",))).points[0]
    assert point.threshold is not None
    assert plain.threshold is not None
    assert point.threshold > plain.threshold
    assert point.group == "near"
    assert {g.group for g in point.groups} == {"near", "far"}
    assert all(g.bound is not None and g.bound <= 0.05 for g in point.groups)
    checked = check_elsewhere(
        measure_thresholds(shown, Asked(fmr=(0.05,), every_group=("kind",))), shown_of(*people(60, 1), "bare")
    )
    assert any("has no kind" in note for note in checked.notes)


def test_a_group_that_the_set_lacks_gets_the_nearest_name() -> None:
    shown = shown_of(*people(40, 0), attributes={"male": np.repeat(np.arange(40) % 2, 4)})
    with pytest.raises(UsageError) as error:
        measure_thresholds(shown, Asked(fmr=(0.1,), every_group=("mael",)))
    assert "did you mean 'male'" in error.value.hint


def test_a_target_beyond_the_people_says_what_can_be_promised() -> None:
    found = measure_thresholds(shown_of(*people(60, 0)), Asked(fmr=(1e-6,)))
    assert not found.resolvable
    point = found.points[0]
    assert "1e-6 needs" in point.reason
    again = measure_thresholds(shown_of(*people(60, 0)), Asked(fmr=(point.smallest * 1.001,)))
    assert again.resolvable
    assert policy_of(again).points == again.points
    with pytest.raises(DataError, match=r"none of its targets has one: not resolvable: 1e-6 needs"):
        policy_of(found)


def test_a_cllr_that_is_too_wide_to_use_says_so_beside_it() -> None:
    found = measure_thresholds(shown_of(*people(60, 0)), Asked(fmr=(0.1,)))
    made = found.calibrated
    assert made is not None
    assert made.cllr.interval is not None
    wide = replace(made.cllr, interval=Interval(0.05, 0.31))
    text = "\n".join(words.odds_lines(replace(found, calibrated=replace(made, cllr=wide))))
    assert "(0.05 to 0.31, ends 6.2 times apart: too wide to use)" in text
    assert "only more people narrow it" in text
    close = replace(made.cllr, interval=Interval(0.1, 0.2))
    plain = replace(made, cllr=close, min_cllr=close)
    assert "too wide" not in "\n".join(words.odds_lines(replace(found, calibrated=plain)))


def test_galleries_have_exactly_the_people_asked_for() -> None:
    shown = shown_of(*people(200, 3))
    found = galleries(shown, 37, 0, {})
    assert found.enrolled == 37
    assert found.choose.impostor.n_enrolled == found.judge.impostor.n_enrolled == 37
    searching = [set(half.impostor.people) | set(half.people) for half in (found.choose, found.judge)]
    assert not searching[0] & searching[1]
    with pytest.raises(InsufficientData, match="largest gallery that can be tried is 90"):
        galleries(shown, 5000, 0, {})


def test_a_gallery_beyond_the_set_leaves_the_other_points() -> None:
    found = measure_thresholds(shown_of(*people(100, 3)), Asked(fmr=(0.05,), fpir=(0.1,), people=5000))
    fmr, fpir = found.points
    assert fmr.resolvable
    assert not fpir.resolvable
    assert "5,000" in fpir.reason
    assert fpir.name == "fpir=1e-1,people=5000"
    assert "no extrapolation from 25 enrolled" in fpir.reason
    beyond = measure_thresholds(shown_of(*people(300, 3)), Asked(fpir=(0.5,), people=50_000)).points[0]
    assert "more than 100 times the 75 enrolled" in beyond.reason
    grouped = {"male": np.repeat(np.arange(300) % 2, 4)}
    asked = Asked(fpir=(0.5,), people=400, every_group=("male",))
    grouped_point = measure_thresholds(shown_of(*people(300, 3), attributes=grouped), asked).points[0]
    assert "not modelled for each group" in grouped_point.reason


def test_a_gallery_beyond_the_set_is_extrapolated_and_never_promised() -> None:
    shown = shown_of(*people(500, 3))
    found = {size: measure_thresholds(shown, Asked(fpir=(0.3,), people=size)) for size in (200, 500)}
    small, large = (one.points[0] for one in found.values())
    assert small.estimate == ""
    assert large.enrolled == 500
    assert large.bound is not None
    assert large.bound <= 0.3
    assert small.threshold is not None
    assert large.threshold is not None
    assert large.threshold > small.threshold
    assert large.estimate.startswith("an estimate, no promise: extrapolated from 125 people enrolled")
    text = "\n".join(words.point_lines(large))
    assert "estimated: FPIR on people not used" in text
    assert "promised" not in text
    assert LIMIT not in limits(found[500])
    vectors, _ = people(4000, 99, pictures=1)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    true = ((unit[:500] @ unit[500:].T).max(axis=0) >= large.threshold).mean()
    assert true <= 0.3


def test_a_fpir_says_what_its_promise_leaves_open_and_is_an_estimate_where_hubs_are_found() -> None:
    even = measure_thresholds(shown_of(*people(300, 4)), Asked(fpir=(0.2,)))
    assert even.points[0].resolvable
    assert even.points[0].estimate == ""
    assert LIMIT in limits(even)
    hubs = measure_thresholds(shown_of(*people(300, 4, common=2.0, hubs=8)), Asked(fpir=(0.2,)))
    point = hubs.points[0]
    assert point.resolvable
    assert point.estimate.startswith(FOUND)
    text = "\n".join(words.point_lines(point))
    assert "estimated: FPIR" in text
    assert "promised: FPIR" not in text


def test_the_smallest_target_that_is_named_can_be_promised() -> None:
    shown = shown_of(*people(60, 1))
    point = measure_thresholds(shown, Asked(fmr=(0.1,))).points[0]
    text = "\n".join(words.point_lines(point))
    named = float(text.split("could be promised is ")[1].split()[0])
    assert point.smallest <= named <= 1.1 * point.smallest
    assert measure_thresholds(shown, Asked(fmr=(named,))).points[0].resolvable


def test_declared_pairs_of_unnamed_pictures_are_enough_for_a_fmr() -> None:
    vectors, subjects = people(200, 6, pictures=2)
    whole = shown_of(vectors, subjects)
    rng = np.random.default_rng(0)
    left = np.arange(0, 400, 2)
    strangers = np.stack([rng.permutation(left), rng.permutation(left) + 1])
    strangers = strangers[:, subjects[strangers[0]] != subjects[strangers[1]]]
    a, b = np.append(left, strangers[0]), np.append(left + 1, strangers[1])
    same = np.arange(len(a)) < len(left)
    pairs = PairList(a, b, same, np.zeros(len(a), np.int64))
    faces = replace(whole.faces, subjects=np.arange(400), identified=False, pairs=pairs)
    found = measure_thresholds(replace(whole, faces=faces), Asked(fmr=(0.2,), fpir=(0.1,)))
    assert found.points[0].kind == "fmr"
    assert "declares pairs alone" in found.points[1].reason


def test_the_nist_plan_passes_fails_and_stays_open() -> None:
    clear, dark = np.repeat(np.arange(300) % 2, 4), {}
    dark["male"] = clear
    shown = shown_of(*people(300, 7), attributes=dark)
    found = measure_thresholds(shown, Asked(fmr=(1e-2,), fpir=(0.2,), people=100, profile="nist-800-63a-4"))
    outcomes = demands.demands_met(found)
    by = {demands.name_of(o): o for o in outcomes}
    assert by["gallery"].verdict == "pass"
    assert by["fmr"].verdict in ("fail", "not enough evidence")
    assert {"fmr-by-group [male]", "fmr-by-group [not male]"} <= set(by)
    assert by["fpir [male]"].verdict in ("fail", "not enough evidence")
    xml = demands.junit("nist-800-63a-4", outcomes)
    assert xml.count("<testcase") == len(outcomes)
    assert 'name="fmr-by-group [male]"' in xml
    text = "\n".join(words.lines_of(found, None, outcomes))
    assert "source: NIST SP 800-63A-4" in text


def test_a_fpir_with_hubs_meets_no_limit() -> None:
    shown = shown_of(
        *people(300, 4, common=2.0, hubs=8), attributes={"male": np.repeat(np.arange(300) % 2, 4)}
    )
    found = measure_thresholds(shown, Asked(fmr=(0.1,), fpir=(0.2,), profile="iso-19795-10"))
    outcomes = [o for o in demands.demands_met(found) if o.demand.metric == "fpir"]
    assert outcomes
    assert all(o.verdict == "pass" and "an estimate" in o.text for o in outcomes)
    limit = next(d for d in profile("nist-800-63a-4") if d.metric == "fpir")
    kept = judge(limit, Evidence("fpir", 1e-4, 50_000, 9_000, 5e-5, 5e-4, "male"))
    assert kept.verdict == "pass"
    assert demands.estimated(kept, "an estimate").verdict == "not enough evidence"


def test_what_a_plan_lacks_is_said() -> None:
    found = measure_thresholds(shown_of(*people(60, 7)), Asked(fmr=(0.1,), profile="iso-19795-10"))
    text = {demands.name_of(o): o.text for o in demands.demands_met(found)}
    assert "has no demographic attribute" in text["fmr-by-group"]
    assert "no --fpir was given" in text["fpir-by-group"]


def test_the_chart_shows_the_calibration_between_the_best_and_none() -> None:
    figure = entropy_chart(measure_thresholds(shown_of(*people(60, 7)), Asked(fmr=(0.1,))))
    assert figure is not None
    system, best, none = (np.array(s["y"]) for s in figure.data["series"])
    assert (best <= system + 1e-9).all()
    assert system.max() < none.max()
    assert "<svg" in svg(figure, 720)
