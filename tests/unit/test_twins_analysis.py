"""Twins: planted second models get the verdict that docs/twins.md states, with bounds and never point values."""

from __future__ import annotations

import functools
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from fraudit.analyses.twins import ANALYSIS
from fraudit.analyses.twins.junit import junit, outcome, verdict_of
from fraudit.analyses.twins.params import Params
from fraudit.analyses.twins.verdict import Change, Verdict, judge
from fraudit.errors import InsufficientData
from fraudit.stats.intervals import Difference
from fraudit.stats.twins import Cut, crossed
from fraudit.types import AnalysisResult, Interval, unit_rows
from tests.fixtures.contexts import vectors_context

PEOPLE, PICTURES, DIM = 300, 4, 48


@functools.cache
def old() -> tuple[np.ndarray, np.ndarray]:
    """(f32[N,DIM+1], i64[N]) of a good model; its last component is 0."""
    rng = np.random.default_rng(7)
    subjects = np.repeat(np.arange(PEOPLE), PICTURES)
    rows = rng.normal(size=(PEOPLE, DIM))[subjects] + 0.55 * rng.normal(size=(len(subjects), DIM))
    rows = np.concatenate([rows, np.zeros((len(rows), 1))], axis=1)
    return unit_rows(rows.astype(np.float32)), subjects


def compared(second: np.ndarray, first: np.ndarray | None = None, **params: Any) -> AnalysisResult:
    u, subjects = old()
    half = np.where(subjects % 2 == 0, "a", "b")
    mine = u if first is None else first
    context = vectors_context(mine, subjects, attributes={"gender": half}, other=second.astype(np.float32))
    return ANALYSIS.run(context, Params(**params))


def word(result: AnalysisResult) -> str:
    found = verdict_of(result)
    assert found is not None
    return found.word


def noisy(size: float) -> np.ndarray:
    u = old()[0]
    return u + size * np.random.default_rng(1).normal(size=u.shape) / np.sqrt(DIM)


def test_rounding_is_the_same_model_and_says_so() -> None:
    found = compared(noisy(1e-5))
    assert word(found) == "same"
    assert found.findings[0].severity == "good"
    assert len(found.findings) == 1


def test_small_noise_may_take_the_place() -> None:
    assert word(compared(noisy(0.05))) == "interchangeable"


def test_a_monotone_change_of_all_scores_needs_its_own_threshold_and_keeps_the_gallery() -> None:
    v = old()[0].copy()
    v[:, -1] = 0.6  # cos -> (cos + 0.36) / 1.36, and old against new cos / sqrt(1.36)
    found = compared(v)
    assert word(found) == "needs its own threshold"
    assert any(": yes" in f.text for f in found.findings)


def test_a_turned_space_is_different_though_its_own_decisions_are_the_same() -> None:
    u = old()[0]
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(DIM + 1, DIM + 1)))[0]
    found = compared(u @ turn)
    assert word(found) == "different"
    assert found.findings[0].severity == "high"
    changes = {m.name: m.value for m in found.metrics if m.name.startswith("twins.own_fnmr")}
    assert changes
    assert all(abs(value or 0) < 0.01 for value in changes.values())


def test_vectors_of_another_dimension_are_different_and_only_decisions_are_compared() -> None:
    found = compared(old()[0][:, :DIM])  # the component left out is 0: the same decisions
    assert word(found) == "different"
    assert "only decisions are compared" in found.headline
    assert "As accurate" in found.headline
    assert not any(m.name.startswith("twins.mixed") for m in found.metrics)


def test_stored_vectors_of_the_old_model_may_stand_second() -> None:
    forth, back = compared(noisy(0.4)), compared(old()[0], first=noisy(0.4), reverse=True)
    values = [{m.name: m.value for m in r.metrics if "kept" not in m.name} for r in (forth, back)]
    assert values[0]["twins.fnmr_change@fmr=1e-3"] == pytest.approx(values[1]["twins.fnmr_change@fmr=1e-3"])


def test_a_face_that_the_new_model_alone_loses_is_not_the_same_model() -> None:
    v = old()[0].copy()
    v[5] = 0
    found = compared(v)
    assert word(found) != "same"
    assert any("1 faces have a vector" in f.text for f in found.findings)


def test_harm_to_one_group_alone_is_named() -> None:
    u, subjects = old()
    hit = (subjects % 2 == 1)[:, None]
    v = np.where(hit, u + np.random.default_rng(4).normal(size=u.shape) / np.sqrt(DIM), u)
    found = compared(v)
    named = [f.text for f in found.findings if f.rule == "twins.group"]
    assert len(named) == 1
    assert named[0].startswith("gender: b")


def test_fewer_than_50_people_are_refused_in_one_line() -> None:
    u, subjects = old()
    few = subjects < 40
    with pytest.raises(InsufficientData, match="at least 50 people, found 40"):
        ANALYSIS.run(vectors_context(u[few], subjects[few], other=u[few]), Params())


def test_junit_and_exit_states_follow_the_expectation() -> None:
    v = old()[0].copy()
    v[:, -1] = 0.6
    found = compared(v)
    assert outcome(found, "needs its own threshold") == "kept"
    assert outcome(found, "interchangeable") == "broken"
    root = ElementTree.fromstring(junit(found, "interchangeable"))
    assert int(root[0].get("failures") or 0) >= 2
    assert ElementTree.fromstring(junit(found, "needs its own threshold"))[0].get("failures") == "0"


def change(low: float, high: float) -> Change:
    d = Difference((low + high) / 2, Interval(low, high))
    return Change("fnmr", "kept", 1e-3, 0.1, 0.1, 100, "pairs", d, d, d, 0.01)


def test_bounds_decide_and_what_they_leave_open_is_said() -> None:
    kept, broken, unclear = change(-0.001, 0.005), change(0.02, 0.05), change(0.0, 0.03)
    assert judge(False, True, [kept], [unclear]) == Verdict(1, 1)
    assert judge(False, True, [broken], [kept]).word == "needs its own threshold"
    assert judge(False, True, [broken], [broken]).word == "different"
    assert judge(False, True, [unclear], [kept]).known.startswith("the old enrolments may stay")
    assert judge(False, True, [broken], [unclear]).known.startswith("the old threshold may not stay")
    assert judge(False, True, [unclear], [unclear]).known.startswith("the two are not numerically the same")
    assert not judge(False, True, [kept], [unclear]).known
    assert judge(False, True, [unclear], [unclear]).outcome("interchangeable") == "open"


@pytest.mark.parametrize(
    ("low", "high", "needed"),
    [(-0.035, 0.045, 6400), (0.0, 0.03, 900), (-0.01, 0.03, 1e9)],
    ids=["below the limit", "above the limit", "at the limit"],
)
def test_people_needed_shrink_the_interval_to_the_limit(low: float, high: float, needed: float) -> None:
    """100 people; halves of the intervals are 0.04, 0.015 and 0.02, the limit lies 0.005, 0.005 and 0 away."""
    found = change(low, high).people_needed(100)
    assert found >= needed if needed == 1e9 else found == pytest.approx(needed)


def test_an_open_verdict_says_what_is_known_and_what_would_decide_it() -> None:
    u, subjects = old()
    few = subjects < 60
    near = (u[few] + 0.04 * np.random.default_rng(4).normal(size=u[few].shape)).astype(np.float32)
    found = ANALYSIS.run(vectors_context(u[few], subjects[few], other=near), Params())
    assert word(found) == "not enough evidence"
    assert "Known: " in found.headline
    assert re.search(r"about [\d,]+ people would decide it|far more people than the 60 here", found.headline)
    assert " or different" not in found.headline + found.answer


def test_crossed_counts_what_a_plain_loop_counts() -> None:
    rng = np.random.default_rng(5)
    u, v = (unit_rows(rng.normal(size=(30, 6)).astype(np.float32)) for _ in range(2))
    who = np.arange(30) // 3
    found = crossed(u, v, who, [Cut(0.1, 0.3, 0.4, 0.2)], block=7)[0]
    pairs = [(i, j) for i in range(30) for j in range(i + 1, 30) if who[i] != who[j]]
    assert found.ways["first"].n == len(pairs)
    for way, a, b, at in (
        ("first", u, u, 0.3),
        ("kept", v, v, 0.3),
        ("mixed", u, v, 0.3),
        ("mixed_own", u, v, 0.2),
    ):
        assert found.ways[way].rate == pytest.approx(np.mean([a[i] @ b[j] >= at for i, j in pairs]))  # type: ignore[index]
    assert found.gained == sum(v[i] @ v[j] >= 0.3 > u[i] @ u[j] for i, j in pairs)
