"""Is the new model fit to replace the old one: yes, no, or not enough evidence, rule by rule.

A rule passes where its whole 95 % interval keeps the limit, fails where a bound that all rules share breaks it, and
lacks evidence in between (docs/gate.md). Failing is the union of all rules' tests, so that they share one budget
(Bonferroni: `BUDGET` / m each, one-sided). Passing needs every rule, so that a model which breaks one limit passes
no more often than that one rule lets it: 2.5 %, uncorrected (intersection-union test, Berger 1982).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fraudit.compare.deltas import LEVEL, Pairing, delta
from fraudit.compare.gate.rules import SAME_FACE, Key, Rule, resolve, unknown
from fraudit.compare.hooks import owner
from fraudit.compare.points import point_of, with_points
from fraudit.compare.sameness import same_face, same_model
from fraudit.compare.sides import require_comparable
from fraudit.compare.values import Delta, Side
from fraudit.errors import InsufficientData, UsageError
from fraudit.formatting import number
from fraudit.plugins import ANALYSES
from fraudit.stats.paired import at_level
from fraudit.types import Interval, Metric

Outcome = Literal["pass", "pass with a warning", "fail", "insufficient evidence"]
ORDER: tuple[Outcome, ...] = ("pass", "pass with a warning", "insufficient evidence", "fail")
# A gate accuses at most this share of models that keep every limit; no rule is tested more loosely than its interval.
BUDGET = 0.05
EACH_AT_MOST = 0.025


@dataclass(frozen=True, slots=True)
class Check:
    """One limit of a rule on one metric.

    Attributes:
        kind: of `rules.LIMITS`. limit: as written. value: what is held against it: the figure itself, or its
            increase or decrease; None where there is none. interval: of `value`, 95 %.
        outcome: see the module. text: one sentence with the numbers. how: paired, independent, or none.
    """

    kind: str
    limit: float
    value: float | None
    interval: Interval | None
    outcome: Outcome
    text: str
    how: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """A rule on one metric: the worst outcome of its checks."""

    rule: Rule
    metric: str
    group: str
    label: str
    checks: tuple[Check, ...]

    @property
    def outcome(self) -> Outcome:
        """The worst of the checks."""
        return max((c.outcome for c in self.checks), key=ORDER.index)

    @property
    def name(self) -> str:
        """Metric and group."""
        return f"{self.metric} [{self.group}]" if self.group else self.metric


@dataclass(frozen=True, slots=True)
class GateReport:
    """All judgements of a gate.

    `tested`: limits that can accuse, which share `BUDGET`. `alike`: how alike both models see the same face, in words.
    """

    base: str
    new: str
    judgements: tuple[Judgement, ...]
    notes: tuple[str, ...] = ()
    tested: int = 1
    alike: str = ""

    @property
    def shares(self) -> str:
        """How the rules share one error budget."""
        return shared_words(self.tested)

    @property
    def exit_code(self) -> int:
        """0 pass, 1 a rule of severity error failed, 3 one lacks evidence."""
        outcomes = {j.outcome for j in self.judgements if j.rule.severity == "error"}
        return 1 if "fail" in outcomes else 3 if "insufficient evidence" in outcomes else 0

    @property
    def verdict(self) -> str:
        """One sentence."""
        counts = {o: sum(j.outcome == o for j in self.judgements) for o in ORDER}
        said = ", ".join(f"{n} {o}" for o, n in counts.items() if n)
        lead = {
            0: "Passed",
            1: "Regression",
            3: "Not enough evidence to decide",
        }[self.exit_code]
        return f"{lead}: {said}, of {len(self.judgements)} rules."


def each_of(tested: int) -> float:
    """One-sided error of each of `tested` limits that share one budget."""
    return min(EACH_AT_MOST, BUDGET / max(tested, 1))


def shared_words(tested: int) -> str:
    """`8 rules share 5 %: each is tested at 0.63 %.`"""
    each = f"{100 * each_of(tested):.2g} %"
    if tested < 2:
        return f"The rule accuses an equally good model in at most {each} of cases."
    return f"{tested} rules share {100 * BUDGET:.0f} %: each is tested at {each}."


def decide(
    kind: str,
    limit: float,
    value: float | None,
    interval: Interval | None,
    require_evidence: bool,
    accusing: Interval | None = None,
) -> Outcome:
    """Hold a figure (or its increase or decrease) and its interval against a limit.

    `min` is a floor, every other kind a ceiling. `accusing`: the interval that must break the limit for the rule to
    fail, where that is not `interval`.
    """
    if value is None:
        return "insufficient evidence"
    sign = -1.0 if kind == "min" else 1.0
    # rounding must not turn `increase 0.0` with the limit 0 into a break
    slack = 1e-12 * max(1.0, abs(limit))
    if interval is not None:
        ends = sorted((sign * interval.low, sign * interval.high))
        if ends[1] <= sign * limit + slack:
            return "pass"
        harsh = accusing or interval
        if min(sign * harsh.low, sign * harsh.high) > sign * limit + slack:
            return "fail"
    if not require_evidence and sign * value <= sign * limit + slack:
        return "pass with a warning"
    return "insufficient evidence"


def _turned(interval: Interval | None) -> Interval | None:
    return (
        None if interval is None else Interval(-interval.high, -interval.low, interval.level, interval.method)
    )


WORDS = {
    "max": "at most",
    "min": "at least",
    "max_increase": "increase at most",
    "max_decrease": "decrease at most",
}


def _text(
    kind: str, limit: float, value: float | None, interval: Interval | None, reason: str, n: str
) -> str:
    """`decrease at most 0.05: change −0.101 (95 % interval −0.132 to −0.071; n ...)`: a change is new minus base."""
    if value is None:
        return f"{WORDS[kind]} {limit:g}: no figure ({reason})"
    what = "" if kind in ("max", "min") else "change +" if value > 0 else "change "
    span = (
        f"95 % interval {number(interval.low)} to {number(interval.high)}"
        if interval is not None
        else f"no interval: {reason or 'the metric has none'}"
    )
    return f"{WORDS[kind]} {limit:g}: {what}{number(value)} ({span}{n})"


@dataclass(frozen=True, slots=True)
class Gate:
    """Both sides of a gate; `each`: one-sided error of every limit that can accuse."""

    base: Side | None
    new: Side
    pairing: Pairing | None
    each: float

    def change(self, key: Key, level: float) -> Delta:
        """The metric's difference with an interval of `level`, or why there is none."""
        own = self.new.metrics[key]
        if self.base is None or self.pairing is None or key not in self.base.metrics:
            gone = "the base has no such metric" if self.base is not None else "no base was given"
            return Delta(*key, own, own, None, None, "none", "unknown", gone)
        return delta(key, self.base, self.new, self.pairing, level)

    def level(self, rule: Rule) -> float:
        """Of the interval that must break the limit: rules that only warn do not share."""
        return 1 - 2 * (self.each if rule.severity == "error" else EACH_AT_MOST)


def _check_level(kind: str, limit: float, rule: Rule, own: Metric, level: float) -> Check:
    value, interval = own.value, own.interval
    reason = own.missing or own.interval_missing
    accusing = at_level(value, interval, level) if interval is not None and value is not None else None
    outcome = decide(kind, limit, value, interval, rule.require_evidence, accusing)
    text = _text(kind, limit, value, interval, reason, _count(own))
    return Check(kind, limit, value, interval, outcome, text, "own interval")


def _check_change(kind: str, limit: float, rule: Rule, usual: Delta, harsh: Delta) -> Check:
    value, interval, accusing = usual.value, usual.interval, harsh.interval
    text = _text(kind, limit, value, interval, usual.reason, _count(usual.new))
    if kind == "max_decrease":
        value, interval, accusing = (None if value is None else -value), _turned(interval), _turned(accusing)
    if usual.how == "same model" and value is not None:
        how = usual.interval.method if usual.interval else ""
        text = f"{WORDS[kind]} {limit:g}: change {number(usual.value)}, none ({how})"
        return Check(kind, limit, value, interval, "pass", text, usual.how)
    outcome = decide(kind, limit, value, interval, rule.require_evidence, accusing)
    if outcome == "insufficient evidence" and interval is not None and interval.low > limit:
        text += "; beyond its own interval, within the one that all rules share"
    return Check(kind, limit, value, interval, outcome, text, usual.how)


def _count(metric: Metric) -> str:
    return f"; n {metric.n:,} {metric.n_unit}".rstrip() if metric.n is not None else ""


def _same_face(rule: Rule, gate: Gate) -> Judgement:
    """A rule on the cosine of the same face under both models."""
    checks = []
    for kind, limit in rule.limits.items():
        value = interval = accusing = None
        reason = "no base was given"
        if gate.base is not None:
            try:
                found = same_face(gate.base.evidence, gate.new.evidence)
                value, interval = found.figure(SAME_FACE[rule.name])
                accusing = found.figure(SAME_FACE[rule.name], gate.level(rule))[1]
                reason = f"; n {found.faces:,} faces"
            except InsufficientData as error:
                reason = "" if value is not None else f"{error.message}; {error.hint}".rstrip("; ")
        outcome = decide(kind, limit, value, interval, rule.require_evidence, accusing)
        text = _text(kind, limit, value, interval, reason, reason if value is not None else "")
        checks.append(Check(kind, limit, value, interval, outcome, text, "paired"))
    return Judgement(rule, rule.name, "", "Cosine of the same face", tuple(checks))


def _not_run(rule: Rule, new: Side) -> str:
    """Why the analysis a rule names gave no metric, or '' where it is not that."""
    first = owner(rule.name)
    status = new.status.get(first)
    if status is not None and status[0] != "done":
        return f"{first} {status[0].replace('_', ' ')}: {status[1]}"
    if first in ANALYSES.names() and status is None:
        return f"{first} was not asked for in the new run"
    return ""


def _judge(rule: Rule, gate: Gate) -> list[Judgement]:
    if rule.name in SAME_FACE:
        return [_same_face(rule, gate)]
    new = gate.new
    keys = resolve(rule, new.metrics)
    if not keys:
        why = _not_run(rule, new)
        if not why and new.evidence.templates and point_of(rule.name):
            raise UsageError(
                f"rule '{rule.name}': the run compares templates, which have no rate at a threshold of other people",
                'name what it has: "tar@far=1e-3", "eer"',
            )
        if not why:
            raise unknown(rule, new.metrics)
        checks = tuple(
            Check(k, v, None, None, "insufficient evidence", f"{WORDS[k]} {v:g}: no figure ({why})", "none")
            for k, v in rule.limits.items()
        )
        return [Judgement(rule, rule.name, rule.group or "", rule.name, checks)]
    found = []
    for key in keys:
        usual, harsh = (gate.change(key, level) for level in (LEVEL, gate.level(rule)))
        checks = tuple(
            _check_level(kind, limit, rule, new.metrics[key], gate.level(rule))
            if kind in ("max", "min")
            else _check_change(kind, limit, rule, usual, harsh)
            for kind, limit in rule.limits.items()
        )
        found.append(Judgement(rule, *key, usual.label, checks))
    return found


def tests_of(rules: Sequence[Rule], new: Side) -> int:
    """How many limits can accuse: those of severity error, once for each metric that a rule means."""
    return sum(
        len(rule.limits) * (1 if rule.name in SAME_FACE else max(len(resolve(rule, new.metrics)), 1))
        for rule in rules
        if rule.severity == "error"
    )


def run_gate(rules: Sequence[Rule], base: Side | None, new: Side) -> GateReport:
    """Judge every rule.

    Raises:
        UsageError: the runs did not measure the same thing, a rule means no metric of the new run, or rules about
            changes come without a base.
    """
    if base is None and (relative := next((r for r in rules if r.relative), None)):
        raise UsageError(
            f"rule '{relative.name}' is about a change", "give --base RUN or --base baseline.json"
        )
    names = [rule.name for rule in rules]
    new = with_points(new, names)
    pairing, alike = None, ""
    if base is not None:
        base = with_points(base, names)
        named = {owner(key[0]) for rule in rules for key in resolve(rule, new.metrics)}
        require_comparable(base, new, sorted(named))
        pairing = Pairing(base.evidence, new.evidence, same_model(base, new))
        try:
            alike = same_face(base.evidence, new.evidence).words
        except InsufficientData:
            alike = ""
    tested = tests_of(rules, new)
    gate = Gate(base, new, pairing, each_of(tested))
    judged = [j for rule in rules for j in _judge(rule, gate)]
    notes = (*(base.evidence.notes if base else ()), *new.evidence.notes)
    return GateReport(
        base.title if base else "", new.title, tuple(judged), tuple(dict.fromkeys(notes)), tested, alike
    )
