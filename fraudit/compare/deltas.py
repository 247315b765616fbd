"""Every shared metric of two runs: its difference, with the best interval the evidence allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fraudit.compare.evidence import Evidence, Key
from fraudit.compare.sides import Side
from fraudit.errors import InsufficientData
from fraudit.stats.folds import fold_accuracy
from fraudit.stats.intervals import Difference
from fraudit.stats.operating import ScoredPairs, tar_difference
from fraudit.stats.paired import (
    curve_difference,
    independent_difference,
    paired_rates,
    rate_difference,
    sums_difference,
    with_tails,
)
from fraudit.stats.verification import resolution
from fraudit.types import Interval, Metric

How = Literal["paired", "independent", "same model", "none"]
Verdict = Literal["better", "worse", "changed", "unclear", "unknown"]
TOLERANCE = 1e-9
# Times depend on the machine and its load, so two runs say nothing about two models.
SAME_SCORE = 2e-5  # what a baseline keeps of a score
TIMES = ("compression.match_cost.",)


@dataclass(frozen=True, slots=True)
class Delta:
    """One metric of two runs.

    Attributes:
        base, new: the metric in each run; either may lack a value.
        value: new minus base, None where one is missing. interval: of it, or None with `reason`.
        how: `paired` on the same pairs or people, `independent` from both intervals, `same model` (see `same_model`),
            or `none`.
        verdict: what the interval says of the difference: `better`, `worse`, `changed` (no direction is better),
            `unclear` (0 lies inside) or `unknown` (no interval).
    """

    name: str
    group: str
    base: Metric
    new: Metric
    value: float | None
    interval: Interval | None
    how: How
    verdict: Verdict
    reason: str = ""

    @property
    def analysis(self) -> str:
        """Which analysis the metric belongs to."""
        return self.name.split(".")[0]

    @property
    def label(self) -> str:
        """Plain words for the metric."""
        words = (self.new.label or self.base.label or self.name).split(" (chosen")[0]
        return f"{words} [{self.group}]" if self.group and self.group not in words else words


def same_model(base: Side, new: Side) -> bool:
    """Whether both runs audited one and the same model: the same fingerprint, and the same score on every pair.

    The scores count because a remote service may change behind its card.
    """
    prints = [(side.inputs.get("embedder") or {}).get("fingerprint") for side in (base, new)]
    first, second = base.evidence.pairs, new.evidence.pairs
    if not prints[0] or prints[0] != prints[1] or first is None or second is None:
        return False
    if base.evidence.pairs_digest != new.evidence.pairs_digest:
        return False
    return bool(np.allclose(first.score, second.score, rtol=0, atol=SAME_SCORE, equal_nan=True))


class Pairing:
    """The evidence of two runs, ready for one metric after the other."""

    def __init__(self, base: Evidence, new: Evidence, same: bool = False) -> None:
        self.base, self.new, self.same = base, new, same
        self._scored: tuple[ScoredPairs, ScoredPairs] | None = None
        self._same_pairs = bool(
            base.pairs is not None and new.pairs is not None and base.pairs_digest == new.pairs_digest
        )
        self._same_people = bool(base.people_digest and base.people_digest == new.people_digest)

    def scored(self) -> tuple[ScoredPairs, ScoredPairs]:
        """Both runs' scores on the same pairs. Raises InsufficientData where there are none."""
        if not self._same_pairs or self.base.pairs is None or self.new.pairs is None:
            raise InsufficientData("no scored pairs of both runs")
        if self._scored is None:
            left, right, _ = self.new.pairs.people()
            same = self.new.pairs.same
            first, second = self.base.pairs.score, self.new.pairs.score
            self._scored = (ScoredPairs(first, same, left, right), ScoredPairs(second, same, left, right))
        return self._scored

    def difference(self, key: Key) -> Difference | None:
        """The paired difference of a metric, or None where the evidence does not reach it.

        Raises:
            InsufficientData: the scores do not allow the figure.
        """
        name, group = key
        if self._same_people and key in self.base.events and key in self.new.events:
            a, b = self.base.events[key], self.new.events[key]
            if len(a.events) == len(b.events):
                return rate_difference(a.events, b.events, b.left, b.right, a.tail, b.tail)
        if self._same_people and key in self.base.sums and key in self.new.sums:
            s, t = self.base.sums[key], self.new.sums[key]
            if len(s.sums) == len(t.sums):
                found = sums_difference(s.rate, t.rate, s.sums, t.sums, min(s.n, t.n))
                return with_tails(found, s.tail, t.tail)
        if group or not self._same_pairs:
            return None
        if name.startswith("verification.tar@far="):
            first, second = self.scored()
            far = float(name.rpartition("=")[2])
            if resolution(int((~second.same & second.scored).sum()), far) == "no":
                raise InsufficientData(f"the stored pairs cannot resolve FAR {far:g}")
            return tar_difference(first.scores, second.scores, second.same, second.left, second.right, far)
        for figure in ("eer", "auc", "d_prime"):
            if name == f"verification.{figure}":
                return curve_difference(*self.scored(), figure)  # type: ignore[arg-type]
        if name == "verification.accuracy":
            return self._accuracy()
        return None

    def _accuracy(self) -> Difference | None:
        first, second = self.scored()
        fold = self.new.pairs.fold if self.new.pairs is not None else None
        if fold is None:
            return None
        use = fold >= 0
        a, b = (fold_accuracy(s.scores[use], s.same[use], fold[use]).correct for s in (first, second))
        return paired_rates(a, b, second.left[use], second.right[use])


def shifted(found: Difference, value: float) -> Interval:
    """The interval around `value`, where the record's own figure differs a little (means of unequal folds)."""
    by = value - found.value
    ci = found.interval
    return Interval(ci.low + by, ci.high + by, ci.level, ci.method)


def verdict_of(interval: Interval | None, better: str) -> Verdict:
    """What an interval of new minus base says."""
    if interval is None:
        return "unknown"
    if interval.low <= 0 <= interval.high:
        return "unclear"
    if better == "none":
        return "changed"
    return "better" if (interval.low > 0) == (better == "higher") else "worse"


def delta(key: Key, base: Side, new: Side, pairing: Pairing) -> Delta:
    """One metric of both runs."""
    mine, theirs = base.metrics[key], new.metrics[key]
    if mine.value is None or theirs.value is None:
        gone = mine if mine.value is None else theirs
        where = "base" if mine.value is None else "new"
        return Delta(*key, mine, theirs, None, None, "none", "unknown", f"{where}: {gone.missing}")
    value = theirs.value - mine.value
    if key[0].startswith(TIMES):
        return Delta(*key, mine, theirs, value, None, "none", "unknown", "a time, depends on the machine")
    if pairing.same and abs(value) <= TOLERANCE:
        exact = Interval(value, value, 0.95, "one and the same model")
        return Delta(*key, mine, theirs, value, exact, "same model", "unclear")
    reason = ""
    try:
        found = pairing.difference(key)
    except InsufficientData as error:
        found, reason = None, error.message
    if found is not None:
        # The record's value and the one from pairs agree up to rounding, or to unequal folds.
        interval = shifted(found, value)
        return Delta(*key, mine, theirs, value, interval, "paired", verdict_of(interval, theirs.better))
    if mine.interval is not None and theirs.interval is not None:
        both = independent_difference(mine.value, mine.interval, theirs.value, theirs.interval)
        ends = [both.interval.low, both.interval.high]
        if np.isfinite(ends).all():
            verdict = verdict_of(both.interval, theirs.better)
            return Delta(*key, mine, theirs, value, both.interval, "independent", verdict, reason)
    reason = reason or "the metric has no interval"
    return Delta(*key, mine, theirs, value, None, "none", "unknown", reason)


def deltas(base: Side, new: Side, only: tuple[str, ...] = (), skip: tuple[str, ...] = ()) -> list[Delta]:
    """Every metric that both runs have, in the new run's order.

    Args:
        only, skip: analyses.
    """
    pairing = Pairing(base.evidence, new.evidence, same_model(base, new))
    return [
        delta(key, base, new, pairing)
        for key in new.metrics
        if key in base.metrics
        and key[0].split(".")[0] not in skip
        and (not only or key[0].split(".")[0] in only)
    ]
