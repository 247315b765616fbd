"""A named plan of demands, held against what was measured at its threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fraudit.compare.junit import case, document, suite
from fraudit.deployment.galleries import MOST_SHARE
from fraudit.deployment.measure import Found
from fraudit.formatting import fmr_words
from fraudit.policy import OperatingPoint
from fraudit.policy.profiles import Evidence, Outcome, judge_profile, profile
from fraudit.stats.halves import Half
from fraudit.stats.promises import Measured, measured_cost, measured_rate

KINDS = {"fmr": ("fmr", "fnmr"), "fpir": ("fpir", "fnir")}  # what is measured at the threshold of each


def point_for(found: Found, kind: str) -> OperatingPoint | None:
    """The operating point that is held against the plan, None where no target has a threshold.

    The least strict target below the limit: at the limit itself the judged half seldom shows the rate below. Where none
    lies below, the strictest.
    """
    points = sorted((p for p in found.points if p.kind == kind and p.resolvable), key=lambda p: p.target)
    demands = profile(found.asked.profile)
    limits = [d.limit for d in demands if d.metric == kind and d.kind == "at most" and d.limit is not None]
    below = [p for p in points if limits and p.target < min(limits) * (1 - 1e-9)]
    return below[-1] if below else points[0] if points else None


def _judged(found: Found, kind: str) -> tuple[Half, float] | None:
    """The judged half and the threshold that is held against the plan, None where there is none."""
    at, gallery = point_for(found, kind), found.gallery
    if at is None or at.threshold is None or (kind == "fpir" and gallery is None):
        return None
    return (gallery.judge if kind == "fpir" and gallery is not None else found.judge), at.threshold


def _rate(metric: str, half: Half, threshold: float, confidence: float) -> Measured | None:
    """One rate of a half; None where it has no genuine pair for it."""
    if metric in KINDS:
        return measured_rate(half.impostor, threshold, confidence)
    return measured_cost(half, threshold, confidence)


def evidence_of(found: Found) -> list[Evidence]:
    """FMR and FNMR, FPIR and FNIR on the judged half, and the gallery tested against the one in operation."""
    rows: list[Evidence] = []
    asked, gallery = found.asked, found.gallery
    for metrics in KINDS.values():
        if (judged := _judged(found, metrics[0])) is None:
            continue
        half, threshold = judged
        for group, part in {"": half, **half.groups}.items():
            rates = ((metric, _rate(metric, part, threshold, asked.confidence)) for metric in metrics)
            rows += [Evidence.of(metric, rate, group) for metric, rate in rates if rate is not None]
    if asked.people:
        people = len(np.unique(found.shown.people))
        tested = gallery.enrolled if gallery else int(MOST_SHARE * (people // 2))
        rows.append(Evidence("gallery", tested / asked.people, tested, tested, None, None))
    return rows


def lower_bound(found: Found, outcome: Outcome, confidence: float) -> float:
    """One-sided lower bound of the rate of a demand at another confidence; 0 where there is none."""
    metric = outcome.demand.metric
    judged = _judged(found, kind_of(metric))
    if judged is None or metric == "gallery":
        return 0.0
    half = judged[0] if not outcome.group else judged[0].groups[outcome.group]
    rate = _rate(metric, half, judged[1], confidence)
    return rate.lower if rate is not None and rate.interval is not None else 0.0


def kind_of(metric: str) -> str:
    """`fmr` or `fpir`: whose threshold a metric is measured at."""
    return next((kind for kind, metrics in KINDS.items() if metric in metrics), "fpir")


def demands_met(found: Found, option: str = "--{}") -> tuple[Outcome, ...]:
    """Every demand of the plan asked for.

    Args:
        option: how a person sets `people` or `fpir` where this is asked, for the words.
    """
    at = {metric: f" at {words}" for kind in KINDS for metric in KINDS[kind] if (words := _at(found, kind))}
    judged = judge_profile(found.asked.profile, evidence_of(found), found.asked.confidence, at)
    said = [replace(o, text=why) if (why := _unmeasured(found, o, option)) else o for o in judged]
    point = point_for(found, "fpir")
    if point is None or not point.estimate:
        return tuple(said)
    return tuple(estimated(o, point.estimate) for o in said)


def _at(found: Found, kind: str) -> str:
    """`the threshold for FMR 1e-4`, '' where there is none."""
    point = point_for(found, kind)
    return "" if point is None else f"the threshold for {kind.upper()} {fmr_words(point.target)}"


def estimated(outcome: Outcome, why: str) -> Outcome:
    """A FPIR whose bound is an estimate (few people attract most, or growth is extrapolated) proves no limit kept."""
    if outcome.demand.metric != "fpir" or outcome.verdict != "pass":
        return outcome
    text = f"{outcome.text}; {why}"
    verdict = outcome.verdict if outcome.demand.kind == "reported" else "not enough evidence"
    return replace(outcome, verdict=verdict, text=text)


def _unmeasured(found: Found, outcome: Outcome, option: str) -> str:
    """Why nothing was measured for a demand, or ''."""
    if "was not measured" not in outcome.text:
        return ""
    metric = outcome.demand.metric
    if metric == "gallery":
        return f"not known: {option.format('people')} says how many are enrolled in operation"
    kind = kind_of(metric)
    if point_for(found, kind) is not None:
        if not found.asked.every_group and not found.shown.usual():
            return f"not measured by group: '{found.shown.faces.name}' has no demographic attribute"
        return ""
    asked = [p for p in found.points if p.kind == kind]
    reason = asked[-1].reason.removeprefix("not resolvable: ") if asked else ""
    return f"not measured: {reason or f'no {option.format(kind)} was given'}"


def name_of(outcome: Outcome) -> str:
    """`fpir [male]`."""
    return f"{outcome.demand.id} [{outcome.group}]" if outcome.group else outcome.demand.id


def alike(outcomes: Sequence[Outcome]) -> list[tuple[Outcome, list[str]]]:
    """(the first, names of all) of outcomes with one verdict and one text, in the order of the first."""
    found: dict[tuple[str, str], tuple[Outcome, list[str]]] = {}
    for o in outcomes:
        found.setdefault((o.verdict, o.text), (o, []))[1].append(name_of(o))
    return list(found.values())


def junit(name: str, outcomes: Sequence[Outcome]) -> str:
    """JUnit XML, one test case a demand and group; a demand that is open is an error."""
    kinds = {"fail": "failure", "not enough evidence": "error"}
    cases = []
    for o in outcomes:
        said = f"{o.verdict}: {o.text} [{o.demand.source}]"
        cases.append(case(f"fraudit.{name}", name_of(o), said, kinds.get(o.verdict, ""), o.verdict, o.text))
    return document([suite(f"fraudit threshold {name}", cases)])
