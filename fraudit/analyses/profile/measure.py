"""A plan's demands measured: the thresholds of `fraudit threshold`, and what they reach on the judged half."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fraudit.analyses.profile.params import Params
from fraudit.deployment.asked import Asked
from fraudit.deployment.demands import demands_met, lower_bound
from fraudit.deployment.measure import Found as Thresholds
from fraudit.deployment.measure import measure_thresholds
from fraudit.deployment.shown import Shown, require_people
from fraudit.policy.profiles import Outcome, Verdict, overall
from fraudit.stats.family import LATER_LEVEL

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


@dataclass(frozen=True, slots=True)
class Held:
    """One demand for one group.

    Attributes:
        outcome: its verdict. beyond: lower bound of the rate at a level that all demands of the plan share
            (`LATER_LEVEL`); 0 where the demand does not fail.
    """

    outcome: Outcome
    beyond: float = 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that was measured: thresholds with their promises, and each demand of the plan."""

    thresholds: Thresholds
    held: tuple[Held, ...]

    @property
    def verdict(self) -> Verdict:
        """Of the whole plan."""
        return overall([h.outcome for h in self.held])


def measure_demands(context: AnalysisContext, params: Params) -> Found:
    """Thresholds chosen on half of the people, and every demand judged on the other half.

    Raises:
        InsufficientData: it is not known who is shown, or a half has no pair of two people. UsageError: an attribute
            that the set does not have.
    """
    require_people(context.faces)
    answer, box = context.embeddings(), context.embedder
    shown = Shown(
        context.faces, context.faces.digest, answer.unit(), answer.ok, box.spec.name, box.fingerprint
    )
    asked = Asked(
        params.fmr,
        params.fpir,
        params.people,
        params.every_group,
        params.confidence,
        None,
        params.plan,
        context.seed,
    ).completed()
    found = measure_thresholds(shown, asked, odds=False)
    outcomes = demands_met(found, "--param profile.{}=N")
    tested = sum(o.demand.kind == "at most" and o.seen is not None for o in outcomes)
    confidence = 1 - LATER_LEVEL / max(1, tested)
    return Found(
        found,
        tuple(Held(o, lower_bound(found, o, confidence) if o.verdict == "fail" else 0.0) for o in outcomes),
    )
