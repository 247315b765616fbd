"""Error rates of corrupted probes against clean enrolments at a threshold fixed on clean pictures.

A probe that cannot be found or embedded never matches: it raises FNMR, never FMR. Corruption error and mCE:
Hendrycks and Dietterich, ICLR 2019, with FNMR in the place of the classification error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from fraudit.errors import InsufficientData
from fraudit.stats.estimates import Estimate
from fraudit.stats.intervals import (
    LEAST_PEOPLE,
    Difference,
    PairClusters,
    clopper_pearson,
    clustered_mean,
    clustered_rate,
    interval_or_reason,
    paired_difference,
    t_value,
    z_value,
)
from fraudit.stats.probe_pairs import ProbePairs, ProbeScores
from fraudit.stats.strangers import Trials, strangers_interval
from fraudit.types import F64, I64, Bool, Interval

Rate = Estimate  # its name in the robustness analysis


@dataclass(frozen=True, slots=True)
class Cell:
    """What one corruption at one severity does.

    Attributes:
        similarity: mean cosine of the corrupted picture's vector to the clean one's, over acquired probes.
        fnmr, fmr: at the clean threshold; None where there is no such comparison.
        increase: FNMR minus clean FNMR over the same comparisons; None without genuine comparisons or where too
            few people carry them (`increase_bounds` holds for all cells at once).
        fmr_increase_all: the same for FMR, at a level that holds for all cells at once.
        lost: probes that were not found or gave no vector.
        n: probes.
        similarity_reason: why the similarity has no interval, or why there is none.
        recognised: FNMR of the comparisons whose probe was acquired; None where there is none.
    """

    similarity: float | None
    similarity_interval: Interval | None
    fnmr: Estimate | None
    fmr: Estimate | None
    increase: Difference | None
    fmr_increase_all: Difference | None
    lost: Estimate
    n: int
    similarity_reason: str = ""
    recognised: Estimate | None = None


def simultaneous_level(cells: int, error: float) -> float:
    """Level of two-sided intervals, so that in at most a share `error` any of `cells` lower bounds is too high."""
    return 1 - 2 * error / max(cells, 1)


def share(events: Bool, left: I64, right: I64, level: float = 0.95) -> Estimate:
    """Estimate of bool[P] events, P >= 1, over pairs of subjects; people are those of `left`."""
    interval, reason = interval_or_reason(lambda: clustered_rate(events, left, right, level))
    return Estimate(float(events.mean()), interval, len(events), len(np.unique(left)), reason)


class Comparisons:
    """Clean scores of the chosen comparisons, and the cells that corrupted probes give against them.

    Args:
        pairs: the comparisons.
        clean: f64[P] scores of the clean probes; NaN where there is none, which is no match.
        threshold: a pair matches at or above it.
        level: of the cells' own intervals. level_all: of the intervals that hold for all cells at once
            (`simultaneous_level`).
        no_similarity: why no cell has a similarity to the clean picture, where the box cannot say; else ''.
    """

    def __init__(
        self,
        pairs: ProbePairs,
        clean: F64,
        threshold: float,
        level_all: float,
        level: float = 0.95,
        no_similarity: str = "",
    ) -> None:
        self.pairs, self.threshold, self.level, self.level_all = pairs, threshold, level, level_all
        self.no_similarity = no_similarity
        self._subjects = np.zeros(len(pairs.probes), np.int64)
        self._subjects[pairs.row] = pairs.left
        self.clean_matches = clean >= threshold
        self.clean_errors = ~self.clean_matches
        self.clean_fnmr = self._rate(self.clean_errors, pairs.same)
        self.clean_fmr = self._rate(self.clean_matches, ~pairs.same)

    def _rate(self, events: Bool, mask: Bool) -> Estimate | None:
        if not mask.any():
            return None
        left, right = self.pairs.left[mask], self.pairs.right[mask]
        if self.pairs.same[mask].any():
            return share(events[mask], left, right, self.level)
        found, clean = Trials(events[mask], left, right), Trials(self.clean_matches[mask], left, right)
        interval, reason = interval_or_reason(lambda: strangers_interval(found, clean, self.level))
        return Estimate(float(events[mask].mean()), interval, int(mask.sum()), len(np.unique(left)), reason)

    def cell(self, answer: ProbeScores, only: Bool | None = None) -> Cell:
        """The cell of corrupted probes.

        Args:
            answer: their scores and similarities.
            only: bool[K], probes of one demographic group; all by default.
        Raises:
            InsufficientData: `only` holds no probe.
        """
        lost = answer.lost(self.pairs)
        probes = np.ones(len(lost), bool) if only is None else only
        if not probes.any():
            raise InsufficientData("a cell needs at least one probe; found none")
        match = answer.scores >= self.threshold
        miss, people = ~match, self._subjects
        within = probes[self.pairs.row]
        genuine, impostor = self.pairs.same & within, ~self.pairs.same & within
        around: Interval | None = None
        reason = self.no_similarity or "no corrupted face gave a vector"
        similarity = np.empty(0)
        if answer.similarity is not None:
            seen = probes & ~lost
            similarity = answer.similarity[seen]
            if len(similarity):
                around, reason = interval_or_reason(
                    lambda: clustered_mean(similarity, people[seen], self.level)
                )
        return Cell(
            float(similarity.mean()) if len(similarity) else None,
            around,
            self._rate(miss, genuine),
            self._rate(match, impostor),
            self._difference(self.clean_errors, miss, genuine, self.level),
            self._difference(self.clean_matches, match, impostor, self.level_all),
            share(lost[probes], people[probes], people[probes], self.level),
            int(probes.sum()),
            reason,
            self._rate(miss, genuine & ~np.isnan(answer.scores)),
        )

    def split(self, miss: Bool, lost: Bool) -> tuple[F64, F64]:
        """The two ways to fail, apart: f64[people] each, genuine errors of a person if only one of them happened.

        In the first only lost probes fail and all others do as on clean pictures; in the second the lost do as on clean
        pictures. Their increases over the clean errors add up to that of `miss`.

        Args:
            miss: bool[P], no match under the corruption. lost: bool[P], comparisons whose probe was not acquired.
        """
        clean = self.clean_errors
        return self.person_sums(clean | lost), self.person_sums(np.where(lost, clean, miss))

    def _difference(self, before: Bool, after: Bool, mask: Bool, level: float) -> Difference | None:
        if not mask.any():
            return None
        try:
            return paired_difference(
                before[mask], after[mask], self.pairs.left[mask], self.pairs.right[mask], level=level
            )
        except InsufficientData:
            return None

    def person_sums(self, events: Bool) -> F64:
        """f64[people]: genuine events summed by person, in the order of `np.unique` of genuine subjects."""
        genuine = self.pairs.same
        codes = np.unique(self.pairs.left[genuine], return_inverse=True)[1]
        return np.asarray(np.bincount(codes, weights=events[genuine].astype(np.float64)), np.float64)


@dataclass(frozen=True, slots=True)
class Summary:
    """A figure over several cells, its interval or `reason` why it has none, and the people it rests on."""

    value: float
    interval: Interval | None
    people: int
    reason: str = ""


def _spread(sums: F64, pairs: F64) -> tuple[I64, F64, float]:
    """(i64[P] person, f64[P] value of each comparison, their mean) from sums and numbers of comparisons a person."""
    who = np.repeat(np.arange(len(pairs)), pairs.astype(np.int64))
    return who, (sums / pairs)[who], float(sums.sum() / pairs.sum())


def person_rate(sums: F64, pairs: F64, top: float = 1.0, level: float = 0.95) -> Summary:
    """Mean of values in [0, top] of which each person's sum is known, clustered by person.

    The interval is that of a rate (Clopper and Pearson) at the number of independent comparisons that would give
    the mean the same variance, so that it stays within [0, top] and few errors are not taken for none.

    Args:
        sums: f64[people], sum of the values of a person's comparisons. pairs: f64[people], their number, >= 1.
    """
    who, values, mean = _spread(sums, pairs)
    rate = float(np.clip(mean / top, 0.0, 1.0))

    def around() -> Interval:
        clusters = PairClusters(who, who)
        clusters.require()
        variance = clusters.mean_variance(values / top)
        usual = len(values) / clusters.design(values > 0)  # what values of 0 and 1 alone would leave
        independent = rate * (1 - rate) / variance if variance > 0 else usual
        freedom = clusters.freedom()
        used = independent * (z_value(level) / t_value(level, freedom)) ** 2
        method = f"Clopper-Pearson, identity-clustered, effective n {independent:,.0f}, t {freedom:.0f}"
        found = clopper_pearson(rate * used, used, level, method)
        return Interval(top * found.low, top * found.high, level, method)

    interval, reason = interval_or_reason(around)
    return Summary(mean, interval, len(pairs), reason)


def person_difference(sums: F64, pairs: F64, level: float = 0.95) -> Summary:
    """Mean of differences in [-1, 1] of which each person's sum is known; Student's t, clustered by person.

    Where nobody differs the interval is that of paired rates without a discordant pair.

    Args:
        sums: f64[people]. pairs: f64[people], comparisons of each person, >= 1.
    """
    who, values, mean = _spread(sums, pairs)

    def around() -> Interval:
        if values.any():
            found = clustered_mean(values, who, level)
            return Interval(max(found.low, -1.0), min(found.high, 1.0), level, found.method)
        nothing = np.zeros(len(who), bool)
        return paired_difference(nothing, nothing, who, who, level).interval

    interval, reason = interval_or_reason(around)
    return Summary(mean, interval, len(pairs), reason)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Increases of FNMR with bounds that hold for all cells at once: f64[cells] each, and the people behind them."""

    value: F64
    low: F64
    high: F64
    people: float


def increase_bounds(
    sums: F64, baseline: F64, pairs: F64, error: float, *, flips: int = 20_000, seed: int = 20
) -> Bounds:
    """Simultaneous bounds of the increase of FNMR in every cell: max-t over sign flips of people.

    Where nothing changes, a person's errors with and without corruption may be swapped; the largest t over cells
    under such swaps (wild cluster bootstrap, Cameron, Gelbach and Miller, Rev. Economics and Statistics 90, 2008)
    says what the largest t means. Cells share their clean scores, so that this is sharper than Bonferroni. Half a
    person is added to each of the four cells of the paired table (Agresti and Min 2005).

    Args:
        sums: f64[cells, people], genuine errors of each person. baseline: f64[people], clean ones.
        pairs: f64[people], genuine comparisons of each person, >= 1.
        error: share of cases in which any lower bound may be too high.
    Raises:
        InsufficientData: too few people: even if everybody were lost, 2^-people would not be below error / cells.
    """
    weight = pairs / pairs.sum()
    people = 1 / float(weight @ weight)
    needed = float(np.log2(len(sums) / error))
    if people < max(needed, LEAST_PEOPLE):
        raise InsufficientData(
            f"too few people for a statement on {len(sums)} cells at once: {len(pairs)} people carry the pairs as "
            f"{people:.1f} with equal shares would; at least {max(needed, LEAST_PEOPLE):.0f} are needed"
        )
    change = (sums - baseline) / pairs.sum()
    value = change.sum(axis=1)
    expected = np.maximum(1 - 2 * weight + float(weight @ weight), 1e-9)
    residual = (change - value[:, None] * weight) / np.sqrt(expected)
    square = (residual**2).sum(axis=1)
    varies = square > 1e-15
    quantile = z_value(1 - 2 * error)
    if varies.any():
        scaled = residual[varies] / np.sqrt(square[varies])[:, None]
        signs = np.random.default_rng(seed).integers(0, 2, (flips, len(pairs))) * 2.0 - 1
        largest = (signs @ scaled.T).max(axis=1)
        t = largest / np.sqrt(np.maximum(1 - largest**2 / people, 1e-9))  # the flipped t, about its own mean
        quantile = max(quantile, float(np.quantile(t, 1 - error, method="higher")))
    spread = people**2 * square + 1 + 2 * value**2 * people / (people + 2)
    half = quantile * np.sqrt(spread) / (people + 2)
    centre = value * people / (people + 2)
    low, high = np.minimum(value, centre - half), np.maximum(value, centre + half)
    clean = person_rate(baseline, pairs).interval
    least, most = (-clean.high, 1 - clean.low) if clean is not None else (-1.0, 1.0)
    return Bounds(value, np.maximum(low, least), np.minimum(high, most), people)


def mean_over_cells(sums: F64, pairs: F64, *, baseline: F64 | None = None, level: float = 0.95) -> Summary:
    """Mean FNMR over cells.

    Args:
        sums: f64[cells, people], genuine errors of each person in each cell.
        pairs: f64[people], genuine comparisons of each person.
        baseline: f64[people], clean errors; given, the mean increase over the clean FNMR.
    """
    per_person = np.asarray(sums.mean(axis=0), np.float64)
    if baseline is None:
        return person_rate(per_person, pairs, level=level)
    return person_difference(per_person - baseline, pairs, level)


def corruption_errors(
    sums: F64,
    pairs: F64,
    reference: F64,
    *,
    baseline: F64 | None = None,
    reference_baseline: float | None = None,
    level: float = 0.95,
) -> tuple[list[Summary | None], Summary]:
    """CE of each corruption and mCE against a reference's FNMR, which is taken as fixed.

    CE_c = sum_s E_cs / sum_s E_cs(reference); relative: both sides less their clean error.

    Args:
        sums: f64[corruptions, severities, people], genuine errors. pairs: f64[people].
        reference: f64[corruptions, severities], the reference's FNMR.
        baseline, reference_baseline: f64[people] clean errors and the reference's clean FNMR, for the
            relative CE.
    Returns:
        (CE per corruption, None where the reference's error is not above 0; mCE over the others).
    Raises:
        InsufficientData: the reference never errs.
    """
    severities = sums.shape[1]
    own = sums.sum(axis=1) - (0.0 if baseline is None else severities * baseline)
    below = reference.sum(axis=1) - (0.0 if reference_baseline is None else severities * reference_baseline)
    usable = below > 1e-12
    if not usable.any():
        raise InsufficientData("the reference makes no error under any corruption: no ratio to it exists")

    def ratio(chosen: Bool) -> Summary:
        weight = 1 / below[chosen] / chosen.sum()
        scale = severities * float(weight.sum())  # the ratio where every comparison errs
        if baseline is None:
            return person_rate(weight @ own[chosen], pairs, scale, level)
        found = person_difference(weight @ own[chosen] / scale, pairs, level)
        around = found.interval
        if around is not None:
            around = Interval(scale * around.low, scale * around.high, level, around.method)
        return Summary(scale * found.value, around, found.people, found.reason)

    one = np.eye(len(below), dtype=bool)
    return [ratio(one[c]) if usable[c] else None for c in range(len(below))], ratio(usable)


def group_gap(first: F64, second: F64, level: float = 0.95) -> Difference:
    """Difference of means (second - first) of per-person values of two groups of people; Welch's interval.

    Raises:
        InsufficientData: a group of fewer than two people.
    """
    if min(len(first), len(second)) < 2:
        raise InsufficientData("a gap needs at least 2 people in each group")
    variances = np.array([first.var(ddof=1) / len(first), second.var(ddof=1) / len(second)])
    total = float(variances.sum())
    value = float(second.mean() - first.mean())
    # Welch-Satterthwaite; the smaller group's degrees of freedom where nothing varies.
    least = min(len(first), len(second)) - 1.0
    parts = variances**2 / (np.array([len(first), len(second)]) - 1)
    freedom = total**2 / float(parts.sum()) if total > 0 else least
    half = float(stdtrit(freedom, 0.5 + level / 2)) * np.sqrt(total)
    method = f"Welch on {len(first)} and {len(second)} people"
    return Difference(value, Interval(float(value - half), float(value + half), level, method))
