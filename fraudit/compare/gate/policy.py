"""A run held to a policy: do the thresholds it promises keep their promise on the run's people, at the cost stated?

The model has to be the policy's own. Each check passes where its one-sided bound (at the policy's confidence) keeps the
limit; failing shares one budget over the policy's checks, as rules do (`fraudit.compare.gate.judging`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fraudit.compare.gate.judging import BUDGET, Check, GateReport, Judgement, Outcome, each_of
from fraudit.compare.gate.rules import Rule
from fraudit.compare.values import Side
from fraudit.errors import InsufficientData, UsageError
from fraudit.files.vectors import Vectors
from fraudit.formatting import interval, percent
from fraudit.policy import OperatingPoint, Policy
from fraudit.stats.halves import Half
from fraudit.stats.pairs import impostor_histogram
from fraudit.stats.promises import Measured, measured_cost, measured_rate, short


def with_policy(report: GateReport, policy: Policy, new: Side, seed: int = 0) -> GateReport:
    """The report with two judgements for each threshold of the policy: its FMR, and its FNMR.

    Args:
        report: of the rules, maybe none. seed: of samples where there are many pairs.
    Raises:
        ArtifactError: the run is of another model. UsageError: a baseline, a run that compares templates, or a policy
            without a threshold for a FMR.
        InsufficientData: the run's set does not say who is shown.
    """
    policy.check_model(str(_mapping(new.inputs.get("embedder")).get("fingerprint") or ""))
    vectors = new.evidence.vectors
    if new.evidence.templates:
        raise UsageError(
            f"{new.path} compares templates of several pictures; a policy's thresholds are of pairs of single pictures",
            'judge its templates by a rule, such as "tar@far=1e-3", and hold the policy to a run over single pictures',
        )
    if vectors is None:
        raise UsageError(
            f"{new.path} holds no vectors: a policy is held against single comparisons",
            "give the run's folder as --new, not its baseline",
        )
    if vectors.declared is not None or vectors.unknown:
        raise InsufficientData(
            f"{new.path}: its set does not name who is shown; a policy is held against pairs of two people and of one"
        )
    points = [p for p in policy.points if p.kind == "fmr" and p.threshold is not None]
    if not points:
        raise UsageError("the policy has no threshold for a FMR", "make one with fraudit threshold --fmr")
    tested = sum(1 + (p.cost is not None and p.cost.high is not None) for p in points)
    judged = [j for point in points for j in _judgements(point, vectors, each_of(tested), seed)]
    notes = [*report.notes]
    if report.judgements:
        notes.append(f"the policy's {tested} checks share another {100 * BUDGET:.0f} %")
    digest = _mapping(new.inputs.get("dataset")).get("digest")
    if digest and digest == policy.data_digest:
        notes.append("the policy was made on these very people: its bounds are not tested independently")
    left_out = [p.name for p in policy.points if p not in points]
    notes += [f"not judged, of the policy: {', '.join(left_out)}"] if left_out else []
    return replace(
        report,
        judgements=(*report.judgements, *judged),
        notes=tuple(notes),
        tested=report.tested if report.judgements else tested,
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _judgements(point: OperatingPoint, vectors: Vectors, each: float, seed: int) -> list[Judgement]:
    threshold = point.threshold
    assert threshold is not None
    passed = impostor_histogram(vectors.unit, vectors.subjects, vectors.ok).fmr(threshold)
    largest = min(1.0, max(point.target, 1.01 * passed))
    half = Half.of_vectors(vectors.unit, vectors.subjects, largest, vectors.ok, None, seed)
    rate = measured_rate(half.impostor, threshold, point.confidence)
    lowest = measured_rate(half.impostor, threshold, 1 - each).lower
    found = [_judged(point, "fmr", "FMR", point.target, rate, lowest)]
    if point.cost is not None and point.cost.high is not None:
        cost = measured_cost(half, threshold, point.confidence)
        accusing = measured_cost(half, threshold, 1 - each)
        lowest = accusing.lower if accusing else 0.0
        found.append(_judged(point, "fnmr", "FNMR", point.cost.high, cost, lowest))
    return found


def _rare(value: float) -> str:
    return short(value) if value else "0"


def _judged(
    point: OperatingPoint, metric: str, name: str, limit: float, found: Measured | None, lowest: float
) -> Judgement:
    outcome: Outcome = "insufficient evidence"
    if found is None:
        text = f"{name} was not measured: no genuine pair"
    elif found.interval is None:
        text = f"{name} {percent(found.value)}, no interval: {found.missing}"
    else:
        outcome = "pass" if found.upper <= limit else "fail" if lowest > limit else outcome
        ends = found.interval.low, found.interval.high
        if metric == "fmr":
            said = f"{_rare(found.value)} ({_rare(ends[0])} to {_rare(ends[1])}"
            asked = f"at most {_rare(limit)} is promised"
        else:
            said = f"{percent(found.value)} ({interval(*ends, as_percent=True)}"
            asked = f"the policy was measured to cost at most {percent(limit)}"
        text = f"{name} {said}; n {found.n:,}, {found.people:,} people) at threshold {point.threshold:.4f}; {asked}"
    key = f"policy.{metric}@{point.name}"
    check = Check(
        "max", limit, found.value if found else None, found.interval if found else None, outcome, text, "none"
    )
    return Judgement(Rule(key, {"max": limit}), key, "", f"{name} at the policy's threshold", (check,))
