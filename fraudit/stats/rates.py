"""Error rates of groups of people from sums per person: variance, effective pairs, interval.

Genuine pairs belong to one person; an impostor pair belongs to two, and two of them are dependent when they share a
person. With R_s the residual sum of the pairs that involve person s and y_e that of the pairs between two people e,

    Var(sum) = sum_s R_s^2 - sum_e y_e^2    (impostor; the pairs between two people are counted twice in the first sum)
    Var(sum) = sum_s R_s^2                  (genuine)

which is the estimator of Fogliato et al. (arXiv 2306.01198) from sums alone, so that 10^8 pairs need no list. R_s is
divided by 1 - h_s, the person's share of the pairs: the jackknife's correction for few people (CR3; MacKinnon and
White, J. Econometrics 29, 1985).

A small group tells little of its own variance, and least where it seems most certain. Its design effect is never
taken below that of all groups together: the correlation of errors that share a person, and of those that share two
people, is pooled over the groups (as the intraclass correlation in Donner and Klar, 2000) and applied to the group's
own numbers of pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fraudit.errors import InsufficientData
from fraudit.stats.intervals import (
    LEAST_PEOPLE,
    Shares,
    effective_interval,
    stated_design,
    steady_design,
)
from fraudit.types import F64, I64, Interval

LARGEST_SHARE = 0.95  # a person's share of the pairs beyond which its correction is no longer raised


@dataclass(frozen=True, slots=True)
class GroupRate:
    """One group's error rate.

    Attributes:
        group: label. errors, n: pairs. subjects: people in them.
        rate: errors / n. interval: of the rate, or None with the reason in `missing`.
        n_eff: independent pairs that would be as uncertain. freedom: degrees of freedom of that.
        people: effective number of people (Kish), by their shares of the pairs.
    """

    group: str
    errors: int
    n: int
    subjects: int
    rate: float
    interval: Interval | None
    missing: str
    n_eff: float
    freedom: float
    people: float

    @property
    def variance(self) -> float:
        """Identity-clustered variance of the rate; 0 where no or only errors were seen."""
        return self.rate * (1 - self.rate) / self.n_eff


@dataclass(frozen=True, slots=True)
class PersonSums:
    """One group's pairs, summed by person.

    Attributes:
        group: label.
        errors, pairs: f64[S], of the pairs that involve each person; every person has one.
        sides: people that a pair involves: 1 genuine, 2 impostor.
        joint: over pairs of people, sums of (errors^2, errors x pairs, pairs^2); zeros for genuine pairs.
    """

    group: str
    errors: F64
    pairs: F64
    sides: int
    joint: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def total(self) -> float:
        """Pairs."""
        return float(self.pairs.sum()) / self.sides

    @property
    def rate(self) -> float:
        """Errors per pair."""
        return float(self.errors.sum()) / self.sides / self.total

    @property
    def erring(self) -> int:
        """People with an error, or with a pair without one, whichever are fewer."""
        return int(min((self.errors > 0).sum(), (self.errors < self.pairs).sum()))

    def spread(self) -> Spread:
        """The sums of squares that decide the variance."""
        p, total = self.rate, self.total
        share = self.pairs / total
        residual = (self.errors - p * self.pairs) / (1 - np.minimum(share, LARGEST_SHARE))
        squares = residual**2
        between = self.joint[0] - 2 * p * self.joint[1] + p * p * self.joint[2]
        by_person = float(squares.sum())
        noise = p * (1 - p) * total
        variance = max(by_person - between, between, noise)
        fourth = float(squares @ squares)
        even = 2 * by_person**2 / fourth - 1 if fourth > 0 else np.inf
        person_pairs = float(self.pairs @ self.pairs) - 2 * self.joint[2]
        if self.sides == 1:
            person_pairs -= total
            excess = (by_person - noise, 0.0)
        else:
            excess = (by_person - 2 * between, between - noise)
        return Spread(
            p * (1 - p),
            variance / noise if noise > 0 else 1.0,
            even,
            excess,
            (person_pairs, self.joint[2] - total if self.sides == 2 else 0.0),
        )


@dataclass(frozen=True, slots=True)
class Spread:
    """How a group's errors vary.

    Attributes:
        unit: variance of one pair. design: measured design effect, >= 1.
        even: degrees of freedom left by how unevenly people contribute to the variance.
        excess: covariance summed over pairs of pairs that share a person alone, and that share both people.
        shared: numbers of such pairs of pairs.
    """

    unit: float
    design: float
    even: float
    excess: tuple[float, float]
    shared: tuple[float, float]


def _sum(codes: I64, values: F64 | None = None) -> F64:
    """f64[max + 1]: sums of f64[P] values (or counts) by code."""
    return np.bincount(codes, values).astype(np.float64)


def genuine_sums(group: str, errors: ArrayLike, people: ArrayLike) -> PersonSums:
    """Sums of bool[P] errors of genuine pairs (or faces) of `people` i64[P].

    Raises:
        InsufficientData: no pair.
    """
    e = np.asarray(errors, np.float64)
    if not len(e):
        raise InsufficientData(f"group '{group}' has no pair")
    codes = np.unique(np.asarray(people), return_inverse=True)[1].ravel()
    return PersonSums(group, _sum(codes, e), _sum(codes), 1)


def impostor_sums(group: str, matched: ArrayLike, left: ArrayLike, right: ArrayLike) -> PersonSums:
    """Sums of bool[P] matches of impostor pairs of people `left`, `right` i64[P].

    Raises:
        InsufficientData: no pair.
    """
    m, a, b = np.asarray(matched, np.float64), np.asarray(left).ravel(), np.asarray(right).ravel()
    if not len(m):
        raise InsufficientData(f"group '{group}' has no pair")
    codes = np.unique(np.concatenate([a, b]), return_inverse=True)[1].reshape(2, -1).astype(np.int64)
    people = int(codes.max()) + 1
    edge = np.unique(codes.min(0) * people + codes.max(0), return_inverse=True)[1].ravel()
    hits, sizes = _sum(edge, m), _sum(edge)
    both = np.concatenate([codes[0], codes[1]])
    joint = float(hits @ hits), float(hits @ sizes), float(sizes @ sizes)
    return PersonSums(group, _sum(both, np.tile(m, 2)), _sum(both), 2, joint)


def _common_correlation(spreads: Sequence[Spread]) -> tuple[float, float]:
    """Correlation of two errors that share a person alone, and of two that share both, over all groups; >= 0."""
    found = []
    for kind in (0, 1):
        room = sum(s.unit * s.shared[kind] for s in spreads)
        excess = sum(s.excess[kind] for s in spreads)
        found.append(float(np.clip(excess / room, 0, 1)) if room > 0 else 0.0)
    return found[0], found[1]


def group_rates(groups: Sequence[PersonSums], level: float = 0.95) -> tuple[GroupRate, ...]:
    """Rates of groups that one model and one threshold judge, with intervals.

    A group that fewer than `LEAST_PEOPLE` effective people carry has a rate but no interval.
    """
    spreads = [g.spread() for g in groups]
    person, both = _common_correlation(spreads)
    erring = sum(g.erring for g in groups)
    found = []
    for sums, spread in zip(groups, spreads, strict=True):
        total, share = sums.total, Shares.of(sums.pairs)
        pooled = 1 + (person * spread.shared[0] + both * spread.shared[1]) / total
        sizes = sums.joint[2] if sums.sides == 2 else float(sums.pairs @ sums.pairs)
        design = steady_design(max(spread.design, pooled), erring, stated_design([sizes / total]))
        design = min(design, total)
        freedom = max(1.0, min(share.freedom, spread.even) if spread.design >= pooled else share.people - 1)
        interval, missing = None, ""
        if share.people < LEAST_PEOPLE:
            missing = (
                f"too few people for an interval: {len(sums.pairs)} in all, {share.people:.1f} effective by their "
                f"shares of the pairs; at least {LEAST_PEOPLE:.0f} are needed"
            )
        else:
            interval = effective_interval(sums.rate, total, design, freedom, level, figure="rate")
        found.append(
            GroupRate(
                sums.group,
                round(float(sums.errors.sum()) / sums.sides),
                round(total),
                len(sums.pairs),
                sums.rate,
                interval,
                missing,
                total / design,
                freedom,
                share.people,
            )
        )
    return tuple(found)


def _sums_of(group: str, errors: ArrayLike, left: ArrayLike, right: ArrayLike) -> PersonSums:
    a, b = np.asarray(left), np.asarray(right)
    own = a == b
    if own.all():
        return genuine_sums(group, errors, a)
    if own.any():
        raise ValueError(f"group '{group}' mixes genuine and impostor pairs")
    return impostor_sums(group, errors, a, b)


def group_rate(
    group: str, errors: ArrayLike, left: ArrayLike, right: ArrayLike, level: float = 0.95
) -> GroupRate:
    """Rate of bool[P] errors over pairs of people `left`, `right` i64[P], all genuine or all impostor.

    Raises:
        InsufficientData: no pair.
    """
    return group_rates([_sums_of(group, errors, left, right)], level)[0]


def rates_by_group(
    errors: ArrayLike, groups: ArrayLike, left: ArrayLike, right: ArrayLike, level: float = 0.95
) -> tuple[GroupRate, ...]:
    """Rate of each label in `groups` [P] (pairs within one group), sorted; '' is left out."""
    e, labels = np.asarray(errors, bool), np.asarray(groups).astype(str)
    a, b = np.asarray(left), np.asarray(right)
    return group_rates(
        [
            _sums_of(str(g), e[labels == g], a[labels == g], b[labels == g])
            for g in np.unique(labels)
            if g != ""
        ],
        level,
    )
