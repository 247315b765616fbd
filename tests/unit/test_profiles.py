"""Named plans of demands: pass, fail or not enough evidence, with the number that would be needed."""

from __future__ import annotations

import numpy as np
import pytest

from fraudit.errors import UsageError
from fraudit.policy.profiles import (
    PROFILES,
    Demand,
    Evidence,
    judge,
    judge_profile,
    needed_n,
    overall,
    profile,
)
from fraudit.stats.halves import Half
from fraudit.stats.intervals import clopper_pearson
from fraudit.stats.promises import measured_cost, measured_rate

LIMIT = Demand("fmr", "False match rate", "fmr", "at most", 1e-4, False, "a document, section 1")


def seen(events: float, n: int, metric: str = "fmr", group: str = "", design: float = 1.0) -> Evidence:
    """A rate with exact one-sided bounds at 95 %, on n / design independent comparisons."""
    bounds = clopper_pearson(events / design, n / design, 0.9)
    return Evidence(metric, events / n, n, 500, bounds.low, bounds.high, group)


def test_a_demand_passes_fails_or_is_open() -> None:
    assert judge(LIMIT, seen(0, 40_000)).verdict == "pass"
    assert judge(LIMIT, seen(30, 40_000)).verdict == "fail"
    found = judge(LIMIT, seen(2, 40_000))
    assert found.verdict == "not enough evidence"
    assert "at most 0.01\u202f% is asked for" in found.text
    assert judge(LIMIT, None).verdict == "not enough evidence"


def test_at_the_limit_itself_the_bound_decides() -> None:
    at = Evidence("fmr", 5e-5, 10**6, 900, 2e-5, 1e-4)
    assert judge(LIMIT, at).verdict == "pass"
    assert judge(LIMIT, Evidence("fmr", 2e-4, 10**6, 900, 1e-4, 3e-4)).verdict == "not enough evidence"


def test_the_number_needed_would_have_passed() -> None:
    assert needed_n(seen(0, 1000), 1e-4) == 30_000  # the rule of three: 29,956
    assert needed_n(seen(0, 1000, design=4.0), 1e-4) == pytest.approx(120_000, rel=0.05)
    for events, n in ((1, 20_000), (3, 40_000), (40, 500_000)):
        found = seen(events, n)
        needed = needed_n(found, 1e-4)
        assert needed is not None
        assert clopper_pearson(found.value * needed, needed, 0.9).high <= 1e-4
        assert clopper_pearson(found.value * needed * 0.85, needed * 0.85, 0.9).high > 1e-4
        assert judge(LIMIT, found).needed == needed
    assert needed_n(seen(8, 40_000), 1e-4) is None  # the rate is above the limit: no number would pass
    assert "no number of comparisons would pass" in judge(LIMIT, seen(5, 40_000)).text


def test_verdicts_are_wrong_as_seldom_as_stated() -> None:
    rng = np.random.default_rng(0)
    worlds = 1000
    demand = Demand("x", "x", "fnmr", "at most", 0.01, False, "here")
    for rate, wrong in ((0.0101, "pass"), (0.0099, "fail")):
        verdicts = [
            judge(demand, seen(int(rng.binomial(5000, rate)), 5000, "fnmr")).verdict for _ in range(worlds)
        ]
        assert verdicts.count(wrong) / worlds <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / worlds)


def test_a_rate_without_an_interval_is_not_enough() -> None:
    found = judge(LIMIT, Evidence("fmr", 0.0, 100, 4, None, None, "", "too few people: 4"))
    assert found.verdict == "not enough evidence"
    assert "too few people: 4" in found.text


def test_nist_asks_for_rates_in_verification_and_for_each_group_in_searches() -> None:
    demands = {d.id: d for d in profile("nist-800-63a-4")}
    assert (demands["fmr"].limit, demands["fnmr"].limit, demands["fpir"].limit) == (1e-4, 1e-2, 1e-3)
    assert demands["fpir"].every_group
    assert not demands["fmr"].every_group
    assert demands["gallery"].limit == 0.9
    good = [
        seen(0, 100_000),
        seen(2, 10_000, "fnmr"),
        Evidence("gallery", 0.95, 950, 950, None, None),
        *(seen(0, 10_000, "fpir", g) for g in "ab"),
        *(seen(1, 10_000, "fmr", g) for g in "ab"),
        *(seen(9, 1_000, "fnmr", g) for g in "ab"),
    ]
    outcomes = judge_profile("nist-800-63a-4", good)
    assert overall(outcomes) == "pass"
    assert [o.demand.id for o in outcomes if o.demand.id == "fpir"] == ["fpir", "fpir"]
    one_bad = [*good, seen(60, 10_000, "fpir", "c")]
    failed = [o for o in judge_profile("nist-800-63a-4", one_bad) if o.verdict == "fail"]
    assert [(o.demand.id, o.group) for o in failed] == [("fpir", "c")]
    small = [e if e.metric != "gallery" else Evidence("gallery", 0.2, 200, 200, None, None) for e in good]
    assert [o.demand.id for o in judge_profile("nist-800-63a-4", small) if o.verdict == "fail"] == ["gallery"]


def test_nothing_measured_is_nothing_met() -> None:
    for name, demands in PROFILES.items():
        outcomes = judge_profile(name, [])
        assert {o.demand.id for o in outcomes} == {d.id for d in demands}
        assert overall(outcomes) == "not enough evidence"
    assert overall([]) == "not enough evidence"


def test_iso_asks_for_every_group_with_an_interval_and_sets_no_limit() -> None:
    evidence = [seen(50, 100, metric, g) for metric in ("fmr", "fnmr", "fpir", "fnir") for g in ("a", "b")]
    assert overall(judge_profile("iso-19795-10", evidence)) == "pass"
    few = Evidence("fmr", 0.1, 40, 5, None, None, "c", "too few people for an interval: 5 in all")
    open_ones = [o for o in judge_profile("iso-19795-10", [*evidence, few]) if o.verdict != "pass"]
    assert [(o.group, o.verdict) for o in open_ones] == [("c", "not enough evidence")]
    alone = judge_profile("iso-19795-10", [e for e in evidence if e.group == "a"])
    assert {o.verdict for o in alone} == {"not enough evidence"}


def test_every_demand_names_its_source_and_ids_are_unique() -> None:
    for demands in PROFILES.values():
        assert len({d.id for d in demands}) == len(demands)
        for d in demands:
            assert d.source.startswith(("NIST SP 800-63A-4", "ISO/IEC 19795-10:2024"))
            assert (d.limit is None) == (d.kind == "reported")


def test_an_unknown_plan_is_refused_with_those_known() -> None:
    with pytest.raises(UsageError, match="nist-800-63a") as error:
        profile("nist-800-63a")
    assert "did you mean 'nist-800-63a-4'" in error.value.hint


def test_measured_rates_are_evidence() -> None:
    rng = np.random.default_rng(1)
    left = np.repeat(np.arange(60), 40)
    right = (left + rng.integers(1, 60, len(left))) % 60
    who = np.repeat(np.arange(60), 4)
    scores = np.concatenate([rng.normal(size=len(left)), rng.normal(3, 1, len(who))])
    same = np.arange(len(scores)) >= len(left)
    half = Half.of_pairs(scores, np.concatenate([left, who]), np.concatenate([right, who]), same)
    rate, cost = measured_rate(half.impostor, 1.5), measured_cost(half, 1.5)
    assert cost is not None
    found = [Evidence.of("fmr", rate), Evidence.of("fnmr", cost)]
    verdicts = {o.demand.id: o.verdict for o in judge_profile("nist-800-63a-4", found)}
    assert verdicts["fmr"] == "fail"
    assert verdicts["fnmr"] == "fail"
    assert verdicts["fpir"] == "not enough evidence"
