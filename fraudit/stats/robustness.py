"""Error rates of corrupted probes against clean enrolments at a threshold fixed on clean pictures.

A probe that cannot be found or embedded never matches: it raises FNMR, never FMR. Corruption error and mCE:
Hendrycks and Dietterich, ICLR 2019, with FNMR in the place of the classification error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from fraudit.errors import InsufficientData
from fraudit.stats.intervals import (
    Difference,
    PairClusters,
    clustered_mean,
    clustered_rate,
    paired_difference,
)
from fraudit.types import F32, F64, I64, Bool, Interval, PairList


@dataclass(frozen=True, slots=True)
class ProbePairs:
    """Comparisons of K probes with clean enrolments.

    Attributes:
        probes: i64[K], face of each probe.
        row: i64[P], the probe of each comparison, as a row of `probes`.
        enrolled: i64[P], the clean face it is compared with.
        left, right: i64[P], their subjects.
        same: bool[P], genuine.
    """

    probes: I64
    row: I64
    enrolled: I64
    left: I64
    right: I64
    same: Bool


def probe_pairs(
    subjects: I64, usable: Bool, limit: int, rng: np.random.Generator, *, mates: int = 5, strangers: int = 60
) -> ProbePairs:
    """Probes spread over as many people as possible, each compared with its mates and with strangers.

    People with two usable pictures come first, one probe each, then their second pictures and so on.

    Args:
        subjects: i64[N]. usable: bool[N]. limit: most probes.
        mates: most genuine comparisons of a probe; strangers: impostor comparisons of a probe.
    Raises:
        InsufficientData: fewer than two people have a usable picture.
    """
    faces = rng.permutation(np.flatnonzero(usable))
    people, person = np.unique(subjects[faces], return_inverse=True)
    if len(people) < 2:
        raise InsufficientData(f"probes need pictures of at least 2 people; found {len(people)}")
    counts = np.bincount(person)
    # Rank of a picture within its person, in the shuffled order.
    order = np.argsort(person, kind="stable")
    rank = np.empty(len(faces), np.int64)
    rank[order] = np.arange(len(faces)) - np.repeat(np.cumsum(counts) - counts, counts)
    paired = counts[person] >= 2
    wanted = paired if paired.any() else np.ones(len(faces), bool)
    candidates = np.flatnonzero(wanted)
    candidates = candidates[np.argsort(rank[candidates], kind="stable")][:limit]
    chosen = faces[candidates]
    rows: list[I64] = []
    enrolled: list[I64] = []
    for k, face in enumerate(chosen):
        own = subjects[faces] == subjects[face]
        near = faces[own & (faces != face)][:mates]
        others = faces[~own]
        far = others if len(others) <= strangers else rng.choice(others, strangers, replace=False)
        enrolled += [near, far]
        rows.append(np.full(len(near) + len(far), k, np.int64))
    row, enrol = np.concatenate(rows), np.concatenate(enrolled)
    left, right = subjects[chosen][row], subjects[enrol]
    return ProbePairs(chosen, row, enrol, left, right, left == right)


def protocol_pairs(
    pairs: PairList, subjects: I64, usable: Bool, limit: int, rng: np.random.Generator
) -> ProbePairs:
    """The same from a protocol of a set without identities: the left face of a pair is the probe.

    Genuine and impostor pairs are drawn in equal parts until `limit` probes are reached.
    """
    good = np.flatnonzero(usable[pairs.left] & usable[pairs.right])
    taken: list[I64] = []
    for kind in (True, False):
        part = rng.permutation(good[pairs.same[good] == kind])
        probes = np.unique(pairs.left[part], return_index=True)[1]
        first = set(pairs.left[part[np.sort(probes)[: max(1, limit // 2)]]].tolist())
        taken.append(part[[int(p) in first for p in pairs.left[part]]])
    keep = np.concatenate(taken)
    probes, row = np.unique(pairs.left[keep], return_inverse=True)
    right = pairs.right[keep]
    same = pairs.same[keep]
    # Without identities a genuine pair's faces are one subject, and every other face its own.
    left_subject = subjects[pairs.left[keep]]
    return ProbePairs(probes, row, right, left_subject, np.where(same, left_subject, subjects[right]), same)


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of events with its interval, n comparisons, and n people."""

    value: float
    interval: Interval
    n: int
    people: int


@dataclass(frozen=True, slots=True)
class Cell:
    """What one corruption at one severity does.

    Attributes:
        similarity: mean cosine of the corrupted picture's vector to the clean one's, over acquired probes.
        fnmr, fmr: at the clean threshold; None where there is no such comparison.
        increase: FNMR minus clean FNMR over the same comparisons; `increase_all` at a level that holds for
            all cells at once.
        fmr_increase_all: the same for FMR.
        lost: probes that were not found or gave no vector.
        n: probes.
    """

    similarity: float | None
    similarity_interval: Interval | None
    fnmr: Rate | None
    fmr: Rate | None
    increase: Difference | None
    increase_all: Difference | None
    fmr_increase_all: Difference | None
    lost: Rate
    n: int


class Comparisons:
    """Clean scores of the chosen comparisons, and the cells that corrupted probes give against them.

    Args:
        pairs: the comparisons.
        clean: f32[N,D] unit vectors of the clean faces.
        threshold: cosine; a pair matches at or above it.
        cells: number of cells that the simultaneous intervals have to hold for (Bonferroni).
    """

    def __init__(
        self, pairs: ProbePairs, clean: F32, threshold: float, cells: int, level: float = 0.95
    ) -> None:
        self.pairs, self.threshold, self.level = pairs, threshold, level
        self.level_all = 1 - (1 - level) / max(cells, 1)
        self._clean = clean
        self._subjects = np.zeros(len(pairs.probes), np.int64)
        self._subjects[pairs.row] = pairs.left
        score = _cosines(clean[pairs.probes], clean, pairs)
        self.clean_errors = score < threshold
        self.clean_matches = score >= threshold
        self.clean_fnmr = self._rate(self.clean_errors, pairs.same)
        self.clean_fmr = self._rate(self.clean_matches, ~pairs.same)

    def _rate(self, events: Bool, mask: Bool) -> Rate | None:
        if not mask.any():
            return None
        left, right = self.pairs.left[mask], self.pairs.right[mask]
        found = events[mask]
        clusters = PairClusters(left, right)
        return Rate(
            float(found.mean()),
            clusters.rate_interval(found, self.level),
            int(mask.sum()),
            len(np.unique(left)),
        )

    def errors(self, vectors: F32, ok: Bool) -> tuple[Bool, Bool]:
        """(no match, match) bool[P] each, of corrupted probes f32[K,D] unit with ok bool[K]."""
        score = _cosines(vectors, self._clean, self.pairs)
        match = (score >= self.threshold) & ok[self.pairs.row]
        return ~match, match

    def cell(self, vectors: F32, ok: Bool, only: Bool | None = None) -> Cell:
        """The cell of corrupted probes.

        Args:
            vectors: f32[K,D] unit rows, in the order of `pairs.probes`.
            ok: bool[K], probes that were acquired.
            only: bool[K], probes of one demographic group; all by default.
        Raises:
            InsufficientData: `only` holds no probe.
        """
        probes = np.ones(len(ok), bool) if only is None else only
        if not probes.any():
            raise InsufficientData("a cell needs at least one probe; found none")
        miss, match = self.errors(vectors, ok)
        within = probes[self.pairs.row]
        genuine, impostor = self.pairs.same & within, ~self.pairs.same & within
        seen = probes & ok
        people = self._subjects
        similarity = np.einsum(
            "kd,kd->k", vectors[seen], self._clean[self.pairs.probes[seen]], dtype=np.float64
        )
        enough = len(np.unique(people[seen])) >= 2
        lost = ~ok[probes]
        return Cell(
            float(similarity.mean()) if len(similarity) else None,
            clustered_mean(similarity, people[seen], self.level) if enough else None,
            self._rate(miss, genuine),
            self._rate(match, impostor),
            self._difference(self.clean_errors, miss, genuine, self.level),
            self._difference(self.clean_errors, miss, genuine, self.level_all),
            self._difference(self.clean_matches, match, impostor, self.level_all),
            Rate(
                float(lost.mean()), clustered_rate(lost, people[probes], people[probes], self.level),
                int(probes.sum()), len(np.unique(people[probes])),
            ),
            int(probes.sum()),
        )  # fmt: skip

    def _difference(self, before: Bool, after: Bool, mask: Bool, level: float) -> Difference | None:
        if not mask.any():
            return None
        return paired_difference(
            before[mask], after[mask], self.pairs.left[mask], self.pairs.right[mask], level=level
        )

    def person_sums(self, events: Bool) -> F64:
        """f64[people]: genuine events summed by person, in the order of `np.unique` of genuine subjects."""
        genuine = self.pairs.same
        codes = np.unique(self.pairs.left[genuine], return_inverse=True)[1]
        return np.asarray(np.bincount(codes, weights=events[genuine].astype(np.float64)), np.float64)


def _cosines(probes: F32, enrolled: F32, pairs: ProbePairs) -> F64:
    return np.einsum("pd,pd->p", probes[pairs.row], enrolled[pairs.enrolled], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Summary:
    """A figure over all cells with its identity-bootstrap interval."""

    value: float
    interval: Interval
    people: int


def _bootstrap_weights(people: int, rng: np.random.Generator, repeats: int) -> F64:
    return rng.multinomial(people, np.full(people, 1 / people), repeats).astype(np.float64)


def _summary(value: float, draws: F64, people: int, level: float, note: str = "") -> Summary:
    finite = draws[np.isfinite(draws)]
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    method = f"bootstrap over {people} people, {len(finite)} draws{note}"
    return Summary(value, Interval(float(low), float(high), level, method), people)


def mean_over_cells(
    sums: F64, pairs: F64, rng: np.random.Generator, *, baseline: F64 | None = None, repeats: int = 1000,
    level: float = 0.95,
) -> Summary:  # fmt: skip
    """Mean FNMR over cells.

    Args:
        sums: f64[cells, people], genuine errors of each person in each cell.
        pairs: f64[people], genuine comparisons of each person.
        baseline: f64[people], clean errors; given, the mean increase over the clean FNMR.
    Raises:
        InsufficientData: fewer than two people.
    """
    if len(pairs) < 2:
        raise InsufficientData(f"an interval needs at least 2 people; found {len(pairs)}")
    per_person = sums.mean(axis=0) - (0.0 if baseline is None else baseline)
    weights = _bootstrap_weights(len(pairs), rng, repeats)
    draws = (weights @ per_person) / (weights @ pairs)
    return _summary(float(per_person.sum() / pairs.sum()), draws, len(pairs), level)


def corruption_errors(
    sums: F64, pairs: F64, reference: F64, rng: np.random.Generator, *, baseline: F64 | None = None,
    reference_baseline: float | None = None, repeats: int = 1000, level: float = 0.95,
) -> tuple[list[Summary | None], Summary]:  # fmt: skip
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
        InsufficientData: fewer than two people, or the reference never errs.
    """
    if len(pairs) < 2:
        raise InsufficientData(f"an interval needs at least 2 people; found {len(pairs)}")
    severities = sums.shape[1]
    own = sums.sum(axis=1) - (0.0 if baseline is None else severities * baseline)
    below = reference.sum(axis=1) - (0.0 if reference_baseline is None else severities * reference_baseline)
    usable = below > 1e-12
    if not usable.any():
        raise InsufficientData("the reference makes no error under any corruption: no ratio to it exists")
    weights = _bootstrap_weights(len(pairs), rng, repeats)
    total = weights @ pairs
    values = own.sum(axis=1) / pairs.sum()
    draws = (weights @ own.T) / total[:, None]
    note = ", the reference taken as fixed"
    each = [
        _summary(float(values[c] / below[c]), draws[:, c] / below[c], len(pairs), level, note)
        if usable[c]
        else None
        for c in range(len(values))
    ]
    ratio = values[usable] / below[usable]
    mean = _summary(
        float(ratio.mean()), (draws[:, usable] / below[usable]).mean(axis=1), len(pairs), level, note
    )
    return each, mean


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
