"""Upgrade and linkability over stored vectors: a rotation is found, independent spaces are not; bad input."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from fraudit.analyses import linkability, upgrade
from fraudit.analyses.linkability.measure import Attack
from fraudit.analyses.linkability.params import Params as LinkParams
from fraudit.analyses.linkability.report import severity_of
from fraudit.analyses.upgrade.measure import Point, measure_upgrade, smallest_of
from fraudit.analyses.upgrade.params import Params as UpgradeParams
from fraudit.analyses.upgrade.report import answer as upgrade_answer
from fraudit.analyses.upgrade.report import findings as upgrade_findings
from fraudit.errors import InsufficientData
from fraudit.stats.intervals import Difference
from fraudit.stats.linkability import system_linkability
from fraudit.stats.search_rates import SearchRate
from fraudit.types import AnalysisResult, Interval
from tests.fixtures.contexts import vectors_context

DIM = 24


def worlds(seed: int, people: int = 400, alike: bool = True, noise: float = 0.02):
    """(f32[N,D] first, f32[N,D] second, i64[N] people): the second a rotation of the first, or of other people."""
    rng = np.random.default_rng([seed, 5])
    subjects = np.repeat(np.arange(people), 3)
    centres = rng.normal(size=(people, DIM))
    first = centres[subjects] + 0.35 * rng.normal(size=(len(subjects), DIM))
    turn = np.linalg.qr(rng.normal(size=(DIM, DIM)))[0]
    if not alike:
        first_other = rng.normal(size=(people, DIM))[subjects] + 0.35 * rng.normal(size=first.shape)
        return first.astype(np.float32), (first_other @ turn).astype(np.float32), subjects
    second = (first + noise * rng.normal(size=first.shape)) @ turn
    return first.astype(np.float32), second.astype(np.float32), subjects


def value(result: AnalysisResult, name: str) -> float:
    found = next(m for m in result.metrics if m.name == name)
    assert found.value is not None, found.missing
    return found.value


def finding(result: AnalysisResult, rule: str):
    return next(f for f in result.findings if f.rule == rule)


def test_old_enrolments_that_a_rotation_carries_over_lose_nothing():
    first, second, subjects = worlds(0)
    context = vectors_context(first, subjects, other=second)
    found = upgrade.run(context, UpgradeParams(pairs=(50, 200)))
    assert finding(found, "upgrade.loss").severity == "good"
    assert finding(found, "upgrade.pictures").severity == "good"
    assert value(found, "upgrade.pictures_needed") >= 50
    assert re.search(
        r"(above|below) enrolling again \(95 % interval [^;]*points, for this draw[^;]*;",
        finding(found, "upgrade.loss").text,
    )
    assert "points of FNMR" in finding(found, "upgrade.pictures").text
    assert abs(value(found, "upgrade.translated.n=480.loss@fmr=1e-2")) < 0.01
    assert value(found, "upgrade.translated.n=50.fnmr@fmr=1e-2") >= value(
        found, "upgrade.translated.n=480.fnmr@fmr=1e-2"
    )


def test_old_enrolments_of_an_unrelated_space_are_lost():
    first, second, subjects = worlds(1, alike=False)
    context = vectors_context(first, subjects, other=second)
    found = upgrade.run(context, UpgradeParams(pairs=(200,)))
    assert finding(found, "upgrade.loss").severity == "high"
    assert finding(found, "upgrade.pictures").severity == "info"
    assert value(found, "upgrade.new.fnmr@fmr=1e-2") < 0.05


def test_databases_of_a_rotated_space_are_linked_and_the_shuffled_attacker_links_nothing():
    first, second, subjects = worlds(2)
    context = vectors_context(first, subjects, other=second)
    found = linkability.run(context, LinkParams(pairs=(0, 50, 200)))
    assert finding(found, "linkability.linked").severity == "high"
    assert value(found, "linkability.d_sys.n=480") > 0.9
    assert value(found, "linkability.rank1.n=480") > 0.9
    assert re.search(
        r"found first among the [\d,]+ enrolled for searches", finding(found, "linkability.linked").text
    )
    assert finding(found, "linkability.fewest").text.startswith(
        "As few as 50 known pictures are shown to link them"
    )
    for key in ("null", "n=0"):  # a random rotation cannot be linked as it is
        assert value(found, f"linkability.d_sys.{key}") < 0.15


def test_equal_spaces_are_linked_without_any_pair():
    first, _, subjects = worlds(3)
    context = vectors_context(first, subjects, other=first)
    found = linkability.run(context, LinkParams(pairs=(0, 50)))
    assert value(found, "linkability.d_sys.n=0") > 0.9
    assert "no known picture" in finding(found, "linkability.fewest").text


@pytest.mark.parametrize("seed", range(4))
def test_independent_spaces_are_not_linked(seed):
    first, second, subjects = worlds(10 + seed, alike=False)
    context = vectors_context(first, subjects, other=second)
    found = linkability.run(context, LinkParams(pairs=(0, 100)))
    assert finding(found, "linkability.linked").severity == "info"
    assert value(found, "linkability.d_sys.n=480") < 0.15


def test_vectors_of_other_sizes_are_translated_and_not_compared_as_they_are():
    first, second, subjects = worlds(4)
    context = vectors_context(first, subjects, other=second[:, :20])
    found = linkability.run(context, LinkParams(pairs=(0, 200)))
    assert "24 and 20 numbers" in found.caveats[0]
    assert not [m for m in found.metrics if m.name.endswith("n=0")]
    assert value(found, "linkability.d_sys.n=480") > 0.5


def attack(shift: float, seed: int, people: int = 400) -> Attack:
    """Mated scores from N(shift, 1), others from N(0, 1); nobody is found first more often than by chance."""
    rng = np.random.default_rng([seed, 8])
    left, right = np.triu_indices(people, 1)
    own = np.arange(people)
    scores = np.append(shift + rng.normal(size=people), rng.normal(size=len(left)))
    given = scores, np.append(own, left), np.append(own, right)
    linked, strict = (system_linkability(*given, seed=seed, level=level) for level in (0.95, 0.999))
    missed = SearchRate(0.99, 99, 100, 100, 100, None, "planted", 100.0)
    return Attack(100, linked, missed, None, 0.01, "ridge", sure=(strict.interval.low, None))


def test_a_link_that_shuffled_pairs_show_as_well_is_none():
    planted, as_lucky, unlucky = attack(0.8, 1), attack(0.8, 2), attack(0.0, 3)
    assert planted.sure[0] > 0
    assert severity_of(planted, as_lucky) == "info"
    assert severity_of(planted, unlucky) == "low"
    assert severity_of(attack(2.0, 1), as_lucky) in ("medium", "high")
    no_interval = replace(unlucky, linked=replace(unlucky.linked, interval=None, missing="planted"))
    assert severity_of(planted, no_interval) == "info"


def test_faces_that_a_model_refuses_are_counted_by_reason_and_said_to_be_outside_the_rates():
    first, second, subjects = worlds(6)
    first[:3], second[2:9] = 0, 0
    context = vectors_context(first, subjects, other=second)
    for analysis, params in ((upgrade, UpgradeParams(pairs=(200,))), (linkability, LinkParams(pairs=(200,)))):
        said = analysis.run(context, params).caveats[0]
        assert said.startswith("9 of 1,200 faces have no vector of one model or of both")
        assert "faces that both models take" in said
        for part in ("planted (first)", "(2)", "second (second)", "(6)", "both models", "(1)"):
            assert part in said


def test_curves_of_scores_end_where_the_scores_end():
    first, second, subjects = worlds(7)
    found = linkability.run(vectors_context(first, subjects, other=second), LinkParams(pairs=(200,)))
    local = next(f for f in found.figures if f.name == "linkability_local")
    curve = local.data["series"][0]
    assert curve["x"][0] >= -1
    assert curve["x"][-1] <= 1
    assert curve["y"][-1] > 0.9


def with_high(point: Point, high: float) -> Point:
    assert point.loss is not None
    return replace(point, loss=replace(point.loss, interval=replace(point.loss.interval, high=high)))


def test_the_fewest_pictures_are_followed_by_none_that_lose():
    first, second, subjects = worlds(8)
    found = measure_upgrade(
        vectors_context(first, subjects, other=second), UpgradeParams(pairs=(50, 100, 200))
    )
    lost = []  # 100 pictures are made to lose, 50 and 200 are not
    for way in found.ways:
        points = tuple(
            p if p.loss is None else with_high(p, 0.5 if way.pairs == 100 else 0.0) for p in way.points
        )
        lost.append(replace(way, points=points))
    planted = replace(found, ways=tuple(lost))
    assert smallest_of(planted, 0.01) == 200
    told = upgrade_findings(replace(planted, smallest=200), UpgradeParams())
    said = next(f.text for f in told if f.rule == "upgrade.pictures")
    assert "200 pictures" in said
    assert "every larger number tried" in said


@pytest.mark.parametrize(
    ("low", "says"),
    [(0.09, "At a price, though less sure"), (-0.01, "Not known: these people are too few to tell")],
)
def test_the_answer_agrees_with_the_interval_where_severity_stays_open(low: float, says: str):
    """An interval above the margin says that old enrolments cost something, whatever a finding takes."""
    first, second, subjects = worlds(8, people=60)
    found = measure_upgrade(vectors_context(first, subjects, other=second), UpgradeParams(pairs=(50,)))
    ways = []
    for way in found.ways:
        loss = Difference(0.24, Interval(low, 0.39))
        points = tuple(replace(p, loss=loss, sure=Interval(-0.2, 0.6)) if p.loss else p for p in way.points)
        ways.append(replace(way, points=points))
    assert upgrade_answer(replace(found, ways=tuple(ways)), UpgradeParams()).startswith(says)


@pytest.mark.parametrize("analysis", [upgrade, linkability])
def test_fewer_than_fifty_people_are_refused_in_one_line(analysis):
    first, second, subjects = worlds(5, people=49)
    context = vectors_context(first, subjects, other=second)
    with pytest.raises(InsufficientData, match=r"needs 50 people .* found 49"):
        analysis.run(context, analysis.ANALYSIS.params())


def test_parameters_out_of_range_are_refused():
    with pytest.raises(ValueError, match="at least 20"):
        UpgradeParams(pairs=(5,))
    with pytest.raises(ValueError, match="share"):
        LinkParams(share=1.5)
