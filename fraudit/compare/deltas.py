"""Every shared metric of two runs: its difference, with the best interval the evidence allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fraudit.compare.hooks import comparison_of, figure_of_pairs, owner
from fraudit.compare.hooks import importance as place_of
from fraudit.compare.sameness import same_model
from fraudit.compare.values import Delta, Evidence, Key, Side, Verdict
from fraudit.errors import InsufficientData
from fraudit.plugins import ANALYSES
from fraudit.stats.intervals import Difference
from fraudit.stats.operating import ScoredPairs, tar_difference
from fraudit.stats.paired import (
    accuracy_difference,
    curve_difference,
    independent_difference,
    rate_difference,
    sums_difference,
    with_tails,
)
from fraudit.stats.verification import resolution
from fraudit.types import Interval, Metric

LEVEL = 0.95
FLIPPED = 2  # pairs that rounding may move in figures of other pictures than the vectors are of


class Pairing:
    """The evidence of two runs, ready for one metric after the other.

    `same`: why both are numerically the same model, '' where they are not.
    """

    def __init__(self, base: Evidence, new: Evidence, same: str = "") -> None:
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

    def difference(self, key: Key, level: float = LEVEL) -> Difference | None:
        """The paired difference of a metric with an interval of `level`, or None where the evidence does not reach it.

        Raises:
            InsufficientData: the scores do not allow the figure.
        """
        name, group = key
        if self._same_people and key in self.base.events and key in self.new.events:
            a, b = self.base.events[key], self.new.events[key]
            if len(a.events) == len(b.events):
                return rate_difference(a.events, b.events, b.left, b.right, a.tail, b.tail, level)
        if self._same_people and key in self.base.sums and key in self.new.sums:
            s, t = self.base.sums[key], self.new.sums[key]
            if len(s.sums) == len(t.sums):
                found = sums_difference(s.rate, t.rate, s.sums, t.sums, min(s.n, t.n), level, t.pairs)
                return with_tails(found, s.tail, t.tail)
        if group or not self._same_pairs:
            return None
        figure = figure_of_pairs(name)
        if figure.startswith("tar@far="):
            first, second = self.scored()
            far = float(figure.rpartition("=")[2])
            if resolution(int((~second.same & second.scored).sum()), far) == "no":
                raise InsufficientData(f"the stored pairs cannot resolve FAR {far:g}")
            return tar_difference(
                first.scores, second.scores, second.same, second.left, second.right, far, level
            )
        if figure in ("eer", "auc", "d_prime"):
            return curve_difference(*self.scored(), figure, level)  # type: ignore[arg-type]
        if figure == "accuracy":
            return self._accuracy(level)
        return None

    def _accuracy(self, level: float) -> Difference | None:
        first, second = self.scored()
        fold = self.new.pairs.fold if self.new.pairs is not None else None
        if fold is None:
            return None
        use = fold >= 0
        return accuracy_difference(
            first.scores[use],
            second.scores[use],
            second.same[use],
            fold[use],
            second.left[use],
            second.right[use],
            level,
        )


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


def _same_model(key: Key, mine: Metric, theirs: Metric, value: float, why: str) -> Delta:
    within = Interval(min(value, 0.0), max(value, 0.0), LEVEL, f"numerically the same model: {why}")
    return Delta(*key, mine, theirs, value, within, "same model", "unclear")


def _from_vectors(key: Key) -> bool:
    analysis = ANALYSES.find(owner(key[0]))
    return analysis is not None and analysis.from_vectors


def delta(key: Key, base: Side, new: Side, pairing: Pairing, level: float = LEVEL) -> Delta:
    """One metric of both runs, its difference with an interval of `level`."""
    mine, theirs = base.metrics[key], new.metrics[key]
    if mine.value is None or theirs.value is None:
        gone = mine if mine.value is None else theirs
        where = "base" if mine.value is None else "new"
        return Delta(*key, mine, theirs, None, None, "none", "unknown", f"{where}: {gone.missing}")
    value = theirs.value - mine.value
    # Times depend on the machine and its load, so two runs say nothing about two models.
    if key[0].startswith(comparison_of(owner(key[0])).times):
        return Delta(*key, mine, theirs, value, None, "none", "unknown", "a time, depends on the machine")
    if pairing.same and (_from_vectors(key) or abs(value) <= FLIPPED / (theirs.n or np.inf)):
        return _same_model(key, mine, theirs, value, pairing.same)
    reason = ""
    try:
        found = pairing.difference(key, level)
    except InsufficientData as error:
        found, reason = None, error.message
    if found is not None:
        # The record's value and the one from pairs agree up to rounding, or to unequal folds.
        interval = shifted(found, value)
        return Delta(*key, mine, theirs, value, interval, "paired", verdict_of(interval, theirs.better))
    if mine.interval is not None and theirs.interval is not None:
        both = independent_difference(mine.value, mine.interval, theirs.value, theirs.interval, level)
        ends = [both.interval.low, both.interval.high]
        if np.isfinite(ends).all():
            verdict = verdict_of(both.interval, theirs.better)
            return Delta(*key, mine, theirs, value, both.interval, "independent", verdict, reason)
    reason = reason or mine.interval_missing or theirs.interval_missing or "the metric has no interval"
    return Delta(*key, mine, theirs, value, None, "none", "unknown", reason)


def judged_together(found: Sequence[Delta], base: Side, new: Side, pairing: Pairing) -> list[Delta]:
    """The same differences, their verdicts corrected for how many were tested (Holm, Scand. J. Statist. 6, 1979).

    Of m figures with an interval, all whose interval of level 1 - 0.05 / m excludes 0 differ; the others are tested
    again among those that are left, until none is added. Intervals stay as they are: for one figure by itself.
    """
    open_ones = {d.key for d in found if d.interval is not None and d.verdict not in ("unclear", "unknown")}
    tested = sum(d.interval is not None and d.how != "same model" for d in found)
    shown: set[Key] = set()
    while open_ones:
        level = 1 - (1 - LEVEL) / (tested - len(shown))
        added = {
            key
            for key in open_ones
            if delta(key, base, new, pairing, level).verdict not in ("unclear", "unknown")
        }
        if not added:
            break
        shown, open_ones = shown | added, open_ones - added
    return [replace(d, verdict="unclear") if d.key in open_ones else d for d in found]


def deltas(base: Side, new: Side, only: tuple[str, ...] = (), skip: tuple[str, ...] = ()) -> list[Delta]:
    """Every metric that both runs have, what matters most first (`importance`); verdicts by `judged_together`.

    Args:
        only, skip: analyses.
    """
    pairing = Pairing(base.evidence, new.evidence, same_model(base, new))
    found = [
        delta(key, base, new, pairing)
        for key in new.metrics
        if key in base.metrics and owner(key[0]) not in skip and (not only or owner(key[0]) in only)
    ]
    return sorted(judged_together(found, base, new, pairing), key=importance)


def importance(d: Delta) -> tuple[float, int, bool]:
    """Place of a figure in a list, figures of all faces and whole analyses before single cells."""
    return *place_of(d.name), d.name.count(".") > 2 or "similarity" in d.name
