"""What was found, in plain lines for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fraudit.deployment.demands import alike
from fraudit.deployment.elsewhere import CheckedSet
from fraudit.deployment.measure import Found
from fraudit.deployment.record import limits
from fraudit.formatting import interval, number, percent
from fraudit.policy import OperatingPoint, Rate
from fraudit.policy.profiles import Outcome, overall
from fraudit.stats.likelihood import WIDE
from fraudit.stats.promises import Measured, short, two_digits

MARKS = {"pass": "pass", "fail": "FAIL", "not enough evidence": "open"}
NAMES = {"fmr": ("FMR", "FNMR"), "fpir": ("FPIR", "FNIR")}
TRIALS = {
    "fmr": ("pairs of pictures of two people", "genuine pairs"),
    "fpir": ("searches of people who are not enrolled", "searches of enrolled people, rank 1"),
}
VERDICTS = {
    "holds": "the promise holds there",
    "not contradicted": "not contradicted, and not shown by these people alone",
    "broken": "BROKEN: the rate is above the target",
    "": "nothing could be judged",
}


_FAR = ", ends more than 100 times apart: too wide to use"
_WIDE = (
    f"  ends more than {WIDE:g} times apart are too wide to rank models or to hold one to a limit: too few people "
    "carry the cost, and only more people narrow it",
)


def exact(threshold: float) -> str:
    """Six digits, rounded up, so that the written threshold never accepts more."""
    return f"{np.ceil(threshold * 1e6 - 1e-9) / 1e6:.6f}"


def rare(value: float) -> str:
    """`1.2e-4` as targets are written."""
    return "0" if value == 0 else short(value)


def sure(confidence: float) -> str:
    """`95 %`."""
    return f"{100 * confidence:.4g} %"


def _rate(rate: Rate, name: str, trials: str) -> str:
    if name == "FMR" and rate.low is not None and rate.high is not None:
        inside = f"{sure(rate.level)} {rare(rate.low)} to {rare(rate.high)}"
        return f"{name} {rare(rate.value)} ({inside}; {rate.n:,} {trials}, {rate.people:,} people)"
    inside = (
        f"{sure(rate.level)} {interval(rate.low, rate.high, as_percent=True)}"
        if rate.low is not None and rate.high is not None
        else f"no interval: {rate.missing}"
    )
    return f"{name} {percent(rate.value)} ({inside}; {rate.n:,} {trials}, {rate.people:,} people)"


def point_lines(point: OperatingPoint) -> list[str]:
    """One operating point."""
    name, cost = NAMES[point.kind]
    where = f", {point.enrolled:,} people enrolled" if point.enrolled else ""
    lines = [
        f"{point.name}: {name} at most {short(point.target)}{where}, confidence {sure(point.confidence)}"
    ]
    if point.threshold is None or point.bound is None:
        return [*lines, f"  {point.reason}"]
    whom = f" of {point.group}, the worst group," if point.group else ""
    lead = "estimated" if point.estimate else "promised"
    lines.append(f"  threshold {exact(point.threshold)}: accept at or above it")
    lines.append(
        f"  {lead}: {name}{whom} on people not used is at most {short(point.bound)}; "
        f"the smallest that could be {lead} is {short(two_digits(point.smallest))}"
    )
    lines += [f"  {point.estimate}"] if point.estimate else []
    if point.rate is not None:
        verdict = VERDICTS[point.verdict]
        verdict = verdict.replace("promise", "estimate") if point.estimate else verdict
        lines.append(f"  on the other half: {_rate(point.rate, name, TRIALS[point.kind][0])}; {verdict}")
    costs = "no genuine pair: its cost is not known"
    if point.cost is not None:
        costs = f"costs {_rate(point.cost, cost, TRIALS[point.kind][1])}"
    lines.append(f"  {costs}")
    for group in point.groups:
        said = [f"at most {short(group.bound)} promised"] if group.bound is not None else []
        said += [_rate(group.rate, name, TRIALS[point.kind][0])] if group.rate else []
        said += [_rate(group.cost, cost, TRIALS[point.kind][1])] if group.cost else []
        said += [group.missing] if group.missing and not group.rate else []
        lines.append(f"    {group.group}: {'; '.join(said)}")
    return lines


def odds_lines(found: Found) -> list[str]:
    """What a score is worth."""
    made = found.calibrated
    if made is None:
        return [f"no probabilities: {found.calibrated_missing}"]
    said = []
    for name, cost in (("Cllr", made.cllr), ("minCllr", made.min_cllr)):
        inside = (
            f"{interval(cost.interval.low, cost.interval.high)}"
            if cost.interval
            else f"no interval: {cost.missing}"
        )
        if cost.too_wide:
            inside += f", ends {cost.apart:.2g} times apart: too wide to use" if cost.apart < 100 else _FAR
        said.append(f"{name} {number(cost.value, 4)} bits ({inside})")
    lines = [
        f"score to evidence, judged on {made.n_genuine:,} genuine and {made.n_impostor:,} impostor pairs of "
        f"{made.people:,} people: {', '.join(said)}",
        f"  {made.why}",
        *(_WIDE if made.cllr.too_wide or made.min_cllr.too_wide else ()),
        f"  minCllr is fitted and judged on the same {made.n_genuine:,} genuine pairs: with few of them it is too low",
    ]
    prior = found.asked.prior
    if prior is None:
        return [*lines, "  probabilities need a prior: --prior 0.01, or decide(score, prior=0.01)"]
    for point in found.points:
        if point.threshold is not None and point.kind == "fmr":
            at = float(made.odds.probability(point.threshold, prior))
            lines.append(
                f"  where {percent(prior)} of comparisons are of one person, a score at the threshold of {point.name} "
                f"is of one with probability {number(at, 4)}"
            )
    return lines


def _measured(rate: Measured, name: str, trials: str, confidence: float) -> str:
    return _rate(Rate.of(rate, confidence), name, trials)  # type: ignore[arg-type]


def check_lines(found: Found, checked: CheckedSet) -> list[str]:
    """The thresholds on another set."""
    lines = [f"the same thresholds on {checked.name}, {checked.people:,} people who had no part in them"]
    for row in checked.rows:
        name, cost = NAMES[row.kind]
        if row.rate is None:
            lines.append(f"  {row.point}: not checked: {row.missing}")
            continue
        lines.append(
            f"  {row.point}: {_measured(row.rate, name, TRIALS[row.kind][0], found.asked.confidence)}; "
            f"{VERDICTS[row.verdict]}"
        )
        lines += [
            f"    {group}: {_measured(rate, name, TRIALS[row.kind][0], found.asked.confidence)}"
            for group, rate in row.groups.items()
        ]
        if row.cost is not None:
            lines.append(f"    {_measured(row.cost, cost, TRIALS[row.kind][1], found.asked.confidence)}")
    return [*lines, *(f"  {note}" for note in checked.notes)]


def demand_lines(name: str, outcomes: Sequence[Outcome]) -> list[str]:
    """The plan: one line a demand and group, those of one reason together; the verdict last."""
    lines = [f"{name}"]
    for o, names in alike(outcomes):
        lines.append(f"  {MARKS[o.verdict]:4}  {', '.join(names)}: {o.text}")
    sources = dict.fromkeys(o.demand.source for o in outcomes)
    return [*lines, f"  {overall(outcomes)}", *(f"  source: {source}" for source in sources)]


def unwritten(found: Found, out: Path) -> str:
    """Why no policy was written, and which target these people could promise."""
    least = [(p.kind, p.smallest) for p in found.points if p.smallest < 0.5]
    ask = [
        f"--{kind} {short(two_digits(smallest))}" for kind, smallest in sorted(least, key=lambda x: x[1])[:1]
    ]
    kept = f"; {out} is left as it was" if out.exists() else ""
    ways = f"Ask for {ask[0]} or more, or bring more people" if ask else "Bring more people"
    return f"no policy is written: no target has a threshold{kept}. {ways}"


def lines_of(
    found: Found, checked: CheckedSet | None = None, outcomes: Sequence[Outcome] = (), notes: bool = True
) -> list[str]:
    """Everything, one line each; `notes`: with what limits it, which the policy holds too."""
    shown = found.shown
    lines = [
        f"{shown.model} on {shown.faces.name}: {int(shown.ok.sum()):,} of {len(shown.faces):,} pictures with a vector, "
        f"{shown.n_people:,} people; thresholds are chosen on half of the people and judged on the other half",
        "",
    ]
    for point in found.points:
        lines += [*point_lines(point), ""]
    lines += [*odds_lines(found), ""]
    lines += [*check_lines(found, checked), ""] if checked else []
    lines += [*demand_lines(found.asked.profile, outcomes), ""] if outcomes else []
    return [*lines, *(f"note: {each}" for each in (limits(found) if notes else ()))]
