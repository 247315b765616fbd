"""Named plans of demands: what a document asks of error rates, and whether the evidence meets it.

A demand passes where the one-sided upper bound of the rate is at or below its limit, fails where the lower bound is
above, and is open in between, with the number of comparisons that would be needed if the rate stays what it is.

Sources. NIST SP 800-63A-4 (public domain), section on requirements for the use of biometrics: 3.1.11 in the second
public draft, whose items 6, 7, 8, 9, 11 and 12 were read; 3.11 in the final text, of which the items on tests by
group (6, 7) and on the gallery (10) were read. ISO/IEC 19795-10:2024: its published scope alone; the clauses
themselves were not read and none is quoted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np

from fraudit.errors import UsageError, suggest
from fraudit.formatting import percent
from fraudit.stats.intervals import clopper_pearson

if TYPE_CHECKING:
    from fraudit.stats.promises import Measured

Verdict = Literal["pass", "fail", "not enough evidence"]
Kind = Literal["at most", "reported", "at least"]
NIST = "NIST SP 800-63A-4, Requirements for the Use of Biometrics (section 3.11; 3.1.11 in the second public draft)"
ISO = "ISO/IEC 19795-10:2024, scope (clause not verified)"
SMALLEST_PERCENT = 1e-6  # below, four decimals of a percentage show nothing
LARGEST = 10**12  # comparisons: beyond, none are enough


@dataclass(frozen=True, slots=True)
class Demand:
    """One thing that a document asks for.

    Attributes:
        id: unique within the plan. title: in words. metric: `fmr`, `fnmr`, `fpir`, `fnir` or `gallery` (people
            enrolled in the test as a share of those in operation).
        kind: `at most` or `at least` the limit, or `reported`: a rate with an interval, whatever it is.
        limit: fraction; None for `reported`. every_group: asked of each demographic group.
        source: document and section.
    """

    id: str
    title: str
    metric: str
    kind: Kind
    limit: float | None
    every_group: bool
    source: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """A measured rate.

    Attributes:
        metric: as in `Demand`. group: '' for all people. value: rate. n: comparisons or searches. people: in them.
        lower, upper: one-sided bounds; None with the reason in `missing`.
    """

    metric: str
    value: float
    n: int
    people: int
    lower: float | None
    upper: float | None
    group: str = ""
    missing: str = ""

    @classmethod
    def of(cls, metric: str, found: Measured, group: str = "") -> Evidence:
        """From a rate of `fraudit.stats.promises`."""
        bounds = (None, None) if found.interval is None else (found.lower, found.upper)
        return cls(metric, found.value, found.n, found.people, bounds[0], bounds[1], group, found.missing)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the evidence says of one demand for one group.

    Attributes:
        verdict: `pass`, `fail` or `not enough evidence`. text: why, one line.
        needed: comparisons that would pass at the rate seen; None where that is not known, or none would.
        seen: what was measured, None where nothing was.
    """

    demand: Demand
    group: str
    verdict: Verdict
    text: str
    needed: int | None = None
    seen: Evidence | None = None


def _nist() -> tuple[Demand, ...]:
    return (
        Demand(
            "fmr", "False match rate in verification", "fmr", "at most", 1e-4, False, f"{NIST}, verification"
        ),
        Demand(
            "fnmr",
            "False non-match rate in verification",
            "fnmr",
            "at most",
            1e-2,
            False,
            f"{NIST}, verification",
        ),
        Demand(
            "fpir",
            "False positive identification rate of each group",
            "fpir",
            "at most",
            1e-3,
            True,
            f"{NIST}, 1:N",
        ),
        Demand(
            "gallery",
            "Gallery of the test against that in operation",
            "gallery",
            "at least",
            0.9,
            False,
            f"{NIST}, 1:N",
        ),
        Demand(
            "fmr-by-group",
            "False match rate of each group tested",
            "fmr",
            "reported",
            None,
            True,
            f"{NIST}, demographic groups",
        ),
        Demand(
            "fnmr-by-group",
            "False non-match rate of each group tested",
            "fnmr",
            "reported",
            None,
            True,
            f"{NIST}, demographic groups",
        ),
    )


def _iso() -> tuple[Demand, ...]:
    words = {
        "fmr": "False match rate",
        "fnmr": "False non-match rate",
        "fpir": "False positive identification rate",
        "fnir": "False negative identification rate",
    }
    return tuple(
        Demand(
            f"{metric}-by-group",
            f"{name} of each group, with its uncertainty",
            metric,
            "reported",
            None,
            True,
            ISO,
        )
        for metric, name in words.items()
    )


PROFILES: Mapping[str, tuple[Demand, ...]] = {"nist-800-63a-4": _nist(), "iso-19795-10": _iso()}


def profile(name: str) -> tuple[Demand, ...]:
    """The demands of a named plan. Raises UsageError where there is none of that name."""
    if name not in PROFILES:
        raise UsageError(
            f"unknown profile '{name[:60]}'", f"{suggest(name, PROFILES)}known: {', '.join(PROFILES)}"
        )
    return PROFILES[name]


def _rate(value: float) -> str:
    """A rate as percent, a tiny one as a number."""
    return percent(value) if value == 0 or value >= SMALLEST_PERCENT else f"{value:.2g}"


def judge(demand: Demand, found: Evidence | None, confidence: float = 0.95, at: str = "") -> Outcome:
    """Whether one rate meets one demand.

    Args:
        found: None where nothing was measured. confidence: of its one-sided bounds.
        at: what the rate was measured at, as ` at the threshold for FMR 1e-4`.
    """
    group = found.group if found else ""

    def outcome(verdict: Verdict, text: str, needed: int | None = None) -> Outcome:
        return Outcome(demand, group, verdict, text, needed, found)

    if found is None:
        return outcome("not enough evidence", f"{demand.metric} was not measured")
    if demand.kind == "at least" and demand.limit is not None:  # a count, known exactly
        met = found.value >= demand.limit
        text = f"{demand.metric} {found.value:.3g}; at least {demand.limit:g} is asked for"
        return outcome("pass" if met else "fail", text)
    if found.lower is None or found.upper is None:
        why = found.missing or "it has no interval"
        return outcome("not enough evidence", f"{demand.metric.upper()} {_rate(found.value)}{at}: {why}")
    seen = (
        f"{demand.metric.upper()} {_rate(found.value)}{at} ({_rate(found.lower)} to {_rate(found.upper)}, each bound "
        f"at {percent(confidence, 0)}; n {found.n:,}, {found.people:,} people)"
    )
    if demand.limit is None:
        return outcome("pass", f"reported: {seen}")
    seen += f"; at most {_rate(demand.limit)} is asked for"
    if found.upper <= demand.limit:
        return outcome("pass", seen)
    if found.lower > demand.limit:
        return outcome("fail", seen)
    needed = needed_n(found, demand.limit, confidence)
    more = (
        f"at this rate about {needed:,} would be needed"
        if needed
        else "at this rate no number of comparisons would pass"
    )
    return outcome("not enough evidence", f"{seen}: {more}", needed)


def needed_n(found: Evidence, limit: float, confidence: float = 0.95) -> int | None:
    """Comparisons at which the upper bound would reach `limit` if the rate and its design effect stay as they are.

    How many independent comparisons the evidence is worth is read off its own upper bound.

    Returns:
        two digits, rounded up; None where the rate is at or above the limit, or more than `LARGEST` are needed.
    """
    if found.upper is None or found.value >= limit or not found.n:
        return None
    worth = _effective(found.value, found.upper, confidence)
    needed = _effective(found.value, limit, confidence) * found.n / worth
    if not needed <= LARGEST:
        return None
    step = 10 ** max(len(str(int(needed))) - 2, 0)
    return int(-(-needed // step) * step)


def _effective(rate: float, upper: float, confidence: float) -> float:
    """Independent trials at which a rate has this one-sided upper bound (Clopper and Pearson)."""
    low, high = 1e-3, 1e15
    for _ in range(200):
        middle = float(np.sqrt(low * high))
        above = clopper_pearson(rate * middle, middle, 2 * confidence - 1).high > upper
        low, high = (middle, high) if above else (low, middle)
        if high / low < 1 + 1e-9:
            break
    return high


def judge_profile(
    name: str,
    evidence: Sequence[Evidence],
    confidence: float = 0.95,
    at: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Outcome, ...]:
    """Every demand of a plan, for all people or for each group that the evidence names, in the plan's order.

    A demand on every group needs two groups or more. All have to pass for the plan to pass, which needs no correction
    of their bounds (Berger, Technometrics 24, 1982).
    """
    outcomes: list[Outcome] = []
    for demand in profile(name):
        fits = [e for e in evidence if e.metric == demand.metric and bool(e.group) == demand.every_group]
        if not fits and demand.every_group:
            text = f"{demand.metric} was not measured by group: name the groups"
            outcomes.append(Outcome(demand, "", "not enough evidence", text))
        elif demand.every_group and len({e.group for e in fits}) < 2:
            text = f"{demand.metric} of one group alone; two or more are compared"
            outcomes.append(Outcome(demand, fits[0].group, "not enough evidence", text, None, fits[0]))
        else:
            where = at.get(demand.metric, "")
            outcomes += [judge(demand, e, confidence, where) for e in fits] or [
                judge(demand, None, confidence)
            ]
    return tuple(outcomes)


def overall(outcomes: Sequence[Outcome]) -> Verdict:
    """`fail` where any demand fails, else `not enough evidence` where any is open, else `pass`."""
    found = {o.verdict for o in outcomes}
    if "fail" in found:
        return "fail"
    return "pass" if found == {"pass"} else "not enough evidence"
