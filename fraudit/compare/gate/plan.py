"""What a gate could detect at all, before anything is audited.

Planned on the base run itself: its judged pairs, their people and their errors, with the intervals that will judge
(`fraudit.stats.power`). Two kinds of damage are planted, since they ask for different numbers: the same total harm is
seen sooner when it hits all people than when it hits one person in ten, because a set has so few tenths of people.
Without a run, pairs and people are made up as they would be drawn: half of the people choose thresholds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from fraudit.compare.deltas import LEVEL
from fraudit.compare.gate.judging import each_of, shared_words
from fraudit.compare.gate.rules import SAME_FACE, Key, Rule, resolve, unknown
from fraudit.compare.hooks import figure_of_pairs, owner, short_name
from fraudit.compare.points import point_of, with_points
from fraudit.compare.values import Events, Side, Sums
from fraudit.errors import InsufficientData, UsageError
from fraudit.formatting import fmr_words, number
from fraudit.plugins import ANALYSES
from fraudit.stats.intervals import z_value
from fraudit.stats.power import (
    PLANNED,
    POWER,
    Outcomes,
    Planted,
    detected,
    outcomes,
    planted_rates,
    planted_scores,
    planted_sums,
)
from fraudit.types import I64, Bool, Metric

# Error rate of either model where no base run says better.
ASSUMED_RATE = 0.02
DRAWS = 32
BY_SUMS = 100  # where only sums by person are planted
# Pairs above which fewer candidates are tried, so that a plan takes seconds.
MANY = 4_000
CURVES = ("eer", "d_prime", "accuracy")
# Two models differ more in how low a missed pair scores than in which pairs are missed, and an AUC counts the first.
AUC = "two models share less of the AUC than a run can tell, so no plan of it holds: plan eer or tar@far="


@dataclass(frozen=True, slots=True)
class Counts:
    """How many genuine and impostor pairs there are, and people in them (0: pairs are independent)."""

    genuine: int
    impostor: int
    people: int = 0


def parse_counts(text: str, people: int) -> Counts:
    """`3000,3000` -> Counts. Raises UsageError."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(re.fullmatch("[0-9]+", part) for part in parts):
        raise UsageError(f"--pairs {text}: expected GENUINE,IMPOSTOR", "for example --pairs 3000,3000")
    genuine, impostor = map(int, parts)
    if genuine < 1 or impostor < 1 or people < 0:
        raise UsageError(
            "--pairs and --people: expected at least one pair of each kind, and no negative number"
        )
    return Counts(genuine, impostor, people)


@dataclass(frozen=True, slots=True)
class Ground:
    """What a limit on a change is planned on.

    Attributes:
        harsh, usual: candidates judged at the level that all rules share, and at 95 %. n: pairs. people: in them.
        rate: error rate. source: where both come from. draws: candidates to try.
    """

    harsh: Planted
    usual: Planted
    n: int
    people: int
    rate: float
    source: str
    draws: int


def plan_rules(
    rules: Sequence[Rule], base: Side | None = None, counts: Counts | None = None
) -> list[dict[str, Any]]:
    """One row a rule and limit: what it rests on, whether it can pass, and what it would detect.

    Args:
        base: a run or baseline that says how many pairs are judged and how they share people.
        counts: planned numbers, where there is no run yet.
    Raises:
        UsageError: neither or both are given, or a rule means no metric of the base.
    """
    if (base is None) == (counts is None):
        raise UsageError(
            "--plan takes its numbers either from a run or from you",
            "give --base RUN (or a baseline), or --pairs GENUINE,IMPOSTOR --people N without one",
        )
    if base is not None:
        base = with_points(base, [rule.name for rule in rules])
    level = 1 - 2 * each_of(tested_rules(rules, base))
    return [
        _row(rule, kind, limit, base, counts, level) for rule in rules for kind, limit in rule.limits.items()
    ]


def tested_rules(rules: Sequence[Rule], base: Side | None) -> int:
    """How many limits of these rules can accuse, as `judging.tests_of`; one a rule where there is no run."""
    found = 0
    for rule in rules:
        if rule.severity == "error":
            keys = [] if base is None or rule.name in SAME_FACE else resolve(rule, base.metrics)
            found += len(rule.limits) * max(len(keys), 1)
    return found


def _row(
    rule: Rule, kind: str, limit: float, base: Side | None, counts: Counts | None, level: float
) -> dict[str, Any]:
    row: dict[str, Any] = {"rule": rule.name, "kind": kind, "limit": limit}
    if rule.name in SAME_FACE:
        return {
            **row,
            "note": "needs no power: the same faces under both models, up to the spread among people",
        }
    try:
        if base is None:
            assert counts is not None
            return {**row, **_change(_assumed(rule, counts, level, kind), limit)}
        key = _deciding(rule, base)
        if kind in ("max", "min"):
            return {**row, **_own_level(kind, limit, base.metrics[key], base.label, level)}
        return {**row, **_change(measured(key, base, level), limit)}
    except InsufficientData as error:
        return {**row, "missing": error.message}


def _deciding(rule: Rule, base: Side) -> Key:
    """The metric that decides what can be planned: of several groups the one with the fewest pairs."""
    keys = resolve(rule, base.metrics)
    if not keys:
        point = point_of(rule.name)
        if point is not None:
            raise InsufficientData(f"FMR {fmr_words(point[1])} cannot be resolved by the base run's people")
        raise unknown(rule, base.metrics)
    known = [key for key in keys if base.metrics[key].value is not None]
    if not known:
        raise InsufficientData(f"the base run has no figure: {base.metrics[keys[0]].missing}")
    return min(known, key=lambda key: (not key[1], base.metrics[key].n or 0))


def measured(key: Key, base: Side, level: float) -> Ground:
    """The ground of a metric of the base run. Raises InsufficientData where its pairs are not stored."""
    metric, pairs = base.metrics[key], base.evidence.pairs
    events = base.evidence.events.get(key)
    where = f"{base.label}, {key[1]}: the group with the fewest pairs" if key[1] else base.label
    if events is not None:
        if len(events.left) != len(events.events):
            raise InsufficientData("the baseline does not hold who shares a pair with whom: freeze it again")
        return _ground(events.events, events.left, events.right, _variance(events), level, where)
    if key in base.evidence.sums:
        return _ground_of_sums(base.evidence.sums[key], "fnmr" not in key[0], level, where)
    figure = figure_of_pairs(key[0])
    if key[1] or not figure or pairs is None:
        raise InsufficientData("no figure of stored pairs: its precision is known only once it was measured")
    if figure == "auc":
        raise InsufficientData(AUC)
    if not pairs.same.any():
        raise InsufficientData("the baseline does not hold who shares a pair with whom: freeze it again")
    left, right, _ = pairs.people()
    harsh, usual = (
        planted_scores(pairs.score, pairs.same, left, right, pairs.fold, figure, at) for at in (level, LEVEL)
    )
    value = float(metric.value or 0.0)
    people = len(np.unique(np.concatenate([left, right])))
    rate = 1 - value if metric.better == "higher" else value
    return Ground(harsh, usual, len(pairs), people, rate, where, _draws(4 * len(pairs)))


def _variance(events: Events) -> float:
    return 0.0 if events.tail is None else float(events.tail @ events.tail)


def _ground(errors: Bool, left: I64, right: I64, variance: float, level: float, where: str) -> Ground:
    harsh, usual = (planted_rates(errors, left, right, variance, at) for at in (level, LEVEL))
    people = len(np.unique(np.concatenate([left, right])))
    return Ground(harsh, usual, len(errors), people, float(np.mean(errors)), where, _draws(len(errors)))


def _ground_of_sums(own: Sums, paired: bool, level: float, where: str) -> Ground:
    harsh, usual = (
        planted_sums(own.rate, own.n, own.sums, at, own.pairs, own.tail, paired=paired)
        for at in (level, LEVEL)
    )
    return Ground(harsh, usual, own.n, len(own.sums), own.rate, where, BY_SUMS)


def _draws(pairs: int) -> int:
    return max(16, min(DRAWS, DRAWS * MANY // max(pairs, 1)))


def _grouped(metric: str) -> bool:
    """Whether its analysis is about groups of people."""
    analysis = ANALYSES.find(owner(metric))
    return analysis is not None and "attributes" in analysis.needs


def _assumed(rule: Rule, counts: Counts, level: float, kind: str) -> Ground:
    """Made-up pairs of a set of this size. Raises InsufficientData where nothing can be assumed."""
    name = short_name(rule.name)
    point = point_of(name)
    if kind in ("max", "min") or _grouped(rule.name) or rule.group is not None:
        raise InsufficientData(
            "how a model does, and how many pairs a group has, is known only from a run: give --base"
        )
    if point is not None and counts.impostor < 3 / point[1]:
        raise InsufficientData(
            f"FMR {fmr_words(point[1])} needs {math.ceil(3 / point[1]):,} impostor pairs to be resolvable; "
            f"there are {counts.impostor:,}"
        )
    rng = np.random.default_rng(0)
    if point is not None and point[0] == "fnmr":
        n, people = (
            max(counts.genuine // 2, 1),
            max(counts.people // 2, 1) if counts.people else counts.genuine // 2,
        )
        who = np.sort(rng.permutation(np.arange(n) % max(people, 1)))
        errors = rng.permutation(np.arange(n) < max(round(ASSUMED_RATE * n), 1))
        return _ground(errors, who, who, 0.0, level, "assumed; half of the people choose the threshold")
    if name == "auc":
        raise InsufficientData(AUC)
    if name not in CURVES and (point is None or point[0] != "tar"):
        raise InsufficientData("its precision is known only once it was measured: give --base")
    people = counts.people or counts.genuine + 2 * counts.impostor
    left = np.arange(counts.genuine + counts.impostor) % people
    same = np.arange(len(left)) < counts.genuine
    right = np.where(same, left, (left + rng.integers(1, max(people, 2), len(left))) % people)
    scores = rng.normal(np.where(same, 2 * special.ndtri(1 - ASSUMED_RATE), 0.0))
    fold = np.arange(len(left)) % 10
    harsh, usual = (planted_scores(scores, same, left, right, fold, name, at) for at in (level, LEVEL))
    return Ground(harsh, usual, len(left), people, ASSUMED_RATE, "assumed", _draws(4 * len(left)))


def equal_quality(ground: Ground) -> Outcomes:
    """Candidates of the base's own quality that share part of its errors."""
    return outcomes(ground.harsh, ground.usual, 0.0, "all", max(ground.draws, DRAWS))


def _change(ground: Ground, limit: float) -> dict[str, Any]:
    equal = equal_quality(ground)
    found = {damage: detected(ground.harsh, limit, damage, ground.draws) for damage in ("all", "tenth")}
    return {
        "pairs": ground.n,
        "people": ground.people,
        "rate": ground.rate,
        "rate_from": ground.source,
        "half_width": float((equal.clearing - equal.change).mean()),
        "power": POWER,
        "can_pass": equal.cleared(limit),
        "detects_all": found["all"],
        "detects_tenth": found["tenth"],
    }


def _own_level(kind: str, limit: float, metric: Metric, where: str, level: float) -> dict[str, Any]:
    """A limit on the figure itself: what the base run's own interval says of a model at its rate."""
    if metric.interval is None or metric.value is None:
        raise InsufficientData(metric.interval_missing or "the metric has no interval")
    bad = 1.0 if kind == "max" else -1.0
    half = (metric.interval.high - metric.interval.low) / 2
    spread = half / z_value(metric.interval.level)
    reached = metric.interval.high <= limit if kind == "max" else metric.interval.low >= limit
    beyond = (z_value(level) + float(special.ndtri(PLANNED))) * spread
    return {
        "pairs": metric.n or 0,
        "people": None,
        "rate": metric.value,
        "rate_from": where,
        "power": POWER,
        "half_width": half,
        "can_pass": 1.0 if reached else 0.0,
        "fails_at": limit + bad * beyond,
        "detects_all": None,
        "detects_tenth": None,
    }


def _share(value: float) -> str:
    return "almost always" if value >= 0.99 else "never" if value <= 0.01 else f"in {100 * value:.0f} %"


def plan_text(rows: Sequence[Mapping[str, Any]], tested: int) -> str:
    """For the terminal."""
    lines = [shared_words(tested)]
    for row in rows:
        head = f"{row['rule']} {row['kind']} {row['limit']:g}"
        if "missing" in row or "note" in row:
            lines.append(
                f"{head}: {'cannot be planned: ' + row['missing'] if 'missing' in row else row['note']}"
            )
            continue
        who = f" of {row['people']:,} people" if row["people"] else ""
        basis = f"{row['pairs']:,} judged pairs{who}, error rate {number(row['rate'])} ({row['rate_from']})"
        if "fails_at" in row:
            can = "passes" if row["can_pass"] else "does not pass"
            lines.append(
                f"{head}: a model like the base {can}; one at {number(row['fails_at'])} fails in {100 * POWER:.0f} % "
                f"of cases ({basis})"
            )
            continue
        everyone, tenth = (
            f"from {number(size)} on" if size is not None else "at no size"
            for size in (row["detects_all"], row["detects_tenth"])
        )
        if row["detects_tenth"] is None:
            tenth += " (which people those are is chance: take more people)"
        lines.append(
            f"{head}: another model of the same quality passes {_share(row['can_pass'])}; a change fails in at least "
            f"{100 * POWER:.0f} % of cases {everyone} in all people, {tenth} in one person of ten ({basis})"
        )
    return "\n".join(lines)
