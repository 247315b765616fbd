"""Is the new model fit to replace the old one: yes, no, or not enough evidence, rule by rule.

A rule passes where the whole interval keeps the limit, fails where the whole interval breaks it, and lacks
evidence in between (docs/gate.md). An interval of level 0.95 makes a rule that truly keeps its limit fail in at
most 2.5 % of cases, and one that truly breaks it pass in at most 2.5 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fraudit.compare.deltas import Delta, Pairing, delta, same_model
from fraudit.compare.sides import Side, require_comparable
from fraudit.errors import UsageError
from fraudit.formatting import number
from fraudit.gate_rules import Rule, resolve, unknown
from fraudit.types import Interval

Outcome = Literal["pass", "pass with a warning", "fail", "insufficient evidence"]
ORDER: tuple[Outcome, ...] = ("pass", "pass with a warning", "insufficient evidence", "fail")
ANALYSES = ("verification", "robustness", "compression", "bias", "leakage", "directions", "inversion")


@dataclass(frozen=True, slots=True)
class Check:
    """One limit of a rule on one metric.

    Attributes:
        kind: of `gate_rules.LIMITS`. limit: as written. value: what is held against it: the figure itself, or its
            increase or decrease; None where there is none. interval: of `value`.
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
    """All judgements of a gate."""

    base: str
    new: str
    judgements: tuple[Judgement, ...]
    notes: tuple[str, ...] = ()

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


def decide(
    kind: str, limit: float, value: float | None, interval: Interval | None, require_evidence: bool
) -> Outcome:
    """Hold a figure (or its increase or decrease) and its interval against a limit.

    `min` is a floor, every other kind a ceiling.
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
        if ends[0] > sign * limit + slack:
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
    what = {"max_increase": "increase ", "max_decrease": "decrease "}.get(kind, "")
    if value is None:
        return f"{WORDS[kind]} {limit:g}: no figure ({reason})"
    span = (
        f"95 % interval {number(interval.low)} to {number(interval.high)}"
        if interval is not None
        else f"no interval: {reason or 'the metric has none'}"
    )
    return f"{WORDS[kind]} {limit:g}: {what}{number(value)} ({span}{n})"


def check(kind: str, limit: float, rule: Rule, found: Delta) -> Check:
    """One limit of a rule."""
    if kind in ("max", "min"):
        value, interval, how, reason = (
            found.new.value,
            found.new.interval,
            "own interval",
            found.new.missing or "",
        )
    else:
        value, interval, how, reason = found.value, found.interval, found.how, found.reason
        if kind == "max_decrease":
            value, interval = (None if value is None else -value), _turned(interval)
    n = f"; n {found.new.n:,} {found.new.n_unit}".rstrip() if found.new.n is not None else ""
    outcome = decide(kind, limit, value, interval, rule.require_evidence)
    return Check(kind, limit, value, interval, outcome, _text(kind, limit, value, interval, reason, n), how)


def _not_run(rule: Rule, new: Side) -> str:
    """Why the analysis a rule names gave no metric, or '' where it is not that."""
    first = rule.name.split(".")[0]
    status = new.status.get(first)
    if status is not None and status[0] != "done":
        return f"{first} {status[0].replace('_', ' ')}: {status[1]}"
    if first in ANALYSES and status is None:
        return f"{first} was not asked for in the new run"
    return ""


def _judge(rule: Rule, base: Side | None, new: Side, pairing: Pairing | None) -> list[Judgement]:
    keys = resolve(rule, new.metrics)
    if not keys:
        why = _not_run(rule, new)
        if not why:
            raise unknown(rule, new.metrics)
        checks = tuple(
            Check(k, v, None, None, "insufficient evidence", f"{WORDS[k]} {v:g}: no figure ({why})", "none")
            for k, v in rule.limits.items()
        )
        return [Judgement(rule, rule.name, rule.group or "", rule.name, checks)]
    found = []
    for key in keys:
        own = new.metrics[key]
        if base is None or pairing is None or key not in base.metrics:
            gone = "the base has no such metric" if base is not None else "no base was given"
            change = Delta(*key, own, own, None, None, "none", "unknown", gone)
        else:
            change = delta(key, base, new, pairing)
        checks = tuple(check(kind, limit, rule, change) for kind, limit in rule.limits.items())
        found.append(Judgement(rule, *key, change.label, checks))
    return found


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
    pairing = None
    if base is not None:
        named = {key[0].split(".")[0] for rule in rules for key in resolve(rule, new.metrics)}
        require_comparable(base, new, sorted(named))
        pairing = Pairing(base.evidence, new.evidence, same_model(base, new))
    judged = [j for rule in rules for j in _judge(rule, base, new, pairing)]
    notes = (*(base.evidence.notes if base else ()), *new.evidence.notes)
    return GateReport(base.title if base else "", new.title, tuple(judged), tuple(dict.fromkeys(notes)))
