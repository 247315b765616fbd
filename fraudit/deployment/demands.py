"""A named plan of demands, held against what was measured at its threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fraudit.compare.junit import case, document, suite
from fraudit.deployment.galleries import MOST_SHARE
from fraudit.deployment.measure import Found
from fraudit.policy import OperatingPoint
from fraudit.policy.profiles import Evidence, Outcome, judge_profile, profile
from fraudit.stats.halves import Half
from fraudit.stats.promises import measured_cost, measured_rate


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


def _rates(half: Half, names: tuple[str, str], threshold: float, confidence: float) -> list[Evidence]:
    rows = []
    for group, part in {"": half, **half.groups}.items():
        rows.append(Evidence.of(names[0], measured_rate(part.impostor, threshold, confidence), group))
        cost = measured_cost(part, threshold, confidence)
        if cost is not None:
            rows.append(Evidence.of(names[1], cost, group))
    return rows


def evidence_of(found: Found) -> list[Evidence]:
    """FMR and FNMR, FPIR and FNIR on the judged half, and the gallery tested against the one in operation."""
    rows: list[Evidence] = []
    confidence, asked, gallery = found.asked.confidence, found.asked, found.gallery
    at = point_for(found, "fmr")
    if at is not None and at.threshold is not None:
        rows += _rates(found.judge, ("fmr", "fnmr"), at.threshold, confidence)
    at = point_for(found, "fpir")
    if gallery is not None and at is not None and at.threshold is not None:
        rows += _rates(gallery.judge, ("fpir", "fnir"), at.threshold, confidence)
    if asked.people:
        people = len(np.unique(found.shown.people))
        tested = gallery.enrolled if gallery else int(MOST_SHARE * (people // 2))
        rows.append(Evidence("gallery", tested / asked.people, tested, tested, None, None))
    return rows


def demands_met(found: Found) -> tuple[Outcome, ...]:
    """Every demand of the plan asked for."""
    judged = judge_profile(found.asked.profile, evidence_of(found), found.asked.confidence)
    said = [replace(o, text=why) if (why := _unmeasured(found, o)) else o for o in judged]
    at = point_for(found, "fpir")
    return tuple(estimated(o) for o in said) if at is not None and at.estimate else tuple(said)


def estimated(outcome: Outcome) -> Outcome:
    """A FPIR where few enrolled people attract most false positives is no proof that a limit is kept."""
    if outcome.demand.metric != "fpir" or outcome.verdict != "pass":
        return outcome
    text = f"{outcome.text}; an estimate: few enrolled people attract most of the false positives"
    verdict = outcome.verdict if outcome.demand.kind == "reported" else "not enough evidence"
    return replace(outcome, verdict=verdict, text=text)


def _unmeasured(found: Found, outcome: Outcome) -> str:
    """Why nothing was measured for a demand, or ''."""
    if "was not measured" not in outcome.text:
        return ""
    metric = outcome.demand.metric
    if metric == "gallery":
        return "not known: --people says how many are enrolled in operation"
    kind = "fmr" if metric in ("fmr", "fnmr") else "fpir"
    if point_for(found, kind) is not None:
        if not found.asked.every_group and not found.shown.usual():
            return (
                f"{metric} was not measured by group: '{found.shown.faces.name}' has no demographic attribute"
            )
        return ""
    asked = [p for p in found.points if p.kind == kind]
    return f"{metric} was not measured: {asked[-1].reason if asked else f'no --{kind} was given'}"


def name_of(outcome: Outcome) -> str:
    """`fpir [male]`."""
    return f"{outcome.demand.id} [{outcome.group}]" if outcome.group else outcome.demand.id


def junit(name: str, outcomes: Sequence[Outcome]) -> str:
    """JUnit XML, one test case a demand and group; a demand that is open is an error."""
    kinds = {"fail": "failure", "not enough evidence": "error"}
    cases = []
    for o in outcomes:
        said = f"{o.verdict}: {o.text} [{o.demand.source}]"
        cases.append(case(f"fraudit.{name}", name_of(o), said, kinds.get(o.verdict, ""), o.verdict, o.text))
    return document([suite(f"fraudit threshold {name}", cases)])
