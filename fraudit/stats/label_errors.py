"""Pictures that likely show another person than their label says.

A picture is flagged where both hold: it fits its own person no better than pictures fit strangers (`far`), and it fits
another person as pictures fit their own, and better than all but 1 % of the other pictures fit anybody else (`near`).
Fit is the mean of the upper half of the cosines with the person's other pictures, so that one wrong picture among a
person's does not make the right ones look wrong. The 1 % is read off a normal tail through the median and the 80 %
quantile of those best fits: a wrong picture among B's brings A's right ones near B, and where labels are often wrong
the upper quantiles themselves would hide it.

What a clean set would flag: where labels are right, far pictures are merely hard ones, and they are near another person
no more often than the other pictures are (relatives, people who look alike, people under two names). So the expected
number of false flags is the number of far pictures times the share of near ones among the others, each person weighing
the same. It errs high: a hard picture mostly fits nobody, and wrongly labelled pictures are among the far ones.

Out of reach: a person with fewer than three pictures (of two that differ nobody can tell the wrong one), and a picture
of somebody who is not in the set; those are far and near nobody, like hard pictures, and are listed as `far` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from fraudit.errors import InsufficientData
from fraudit.stats.pairs import BLOCK
from fraudit.types import F64, I64, Bool

LEAST_PICTURES = 3  # of a person whose pictures are judged
LEAST_OTHER = 2  # pictures of the person that one may be near to
STRANGER_QUANTILE = 0.99  # of fits to strangers, at or below which a picture is far from its own person
NEAR_QUANTILE = 0.10  # of fits to one's own person, at or above which a picture may be near another
BEST_QUANTILE, BULK = (
    0.99,
    0.80,
)  # of other pictures' best fits to anybody else, above which it is; from the bulk
CANDIDATES = 5  # people whose fit is computed exactly, nearest by the mean cosine
SAMPLED = 20_000  # fits to a stranger
MOST_FAR = 0.25  # share of far pictures beyond which the model separates too little to tell anything
LEAST_JUDGED = 30  # pictures


@dataclass(frozen=True, slots=True)
class Misplaced:
    """Pictures that fit another person better than their own.

    Attributes:
        own, near: f64[N], fit to the own person (NaN: fewer than three pictures) and to the best other one.
        nearest: i64[N], subject of the best other person, -1 without one.
        far_below, near_above: the two limits, cosines.
        judged: bool[N], pictures that can be told. far, flagged: bool[N], as above; flagged ones are far.
        expected_false: flags that a clean set of this kind is expected to give.
    """

    own: F64
    near: F64
    nearest: I64
    far_below: float
    near_above: float
    judged: Bool
    far: Bool
    flagged: Bool
    expected_false: float

    @property
    def count(self) -> int:
        """Flagged pictures."""
        return int(self.flagged.sum())

    @property
    def false_share(self) -> float:
        """Expected share of false ones among the flagged, in [0, 1]; 0 where none is flagged."""
        return min(1.0, self.expected_false / self.count) if self.count else 0.0


def upper_half(cosines: NDArray[Any]) -> float:
    """Mean of the larger half (rounded up) of cosines f[M], M >= 1."""
    m = len(cosines)
    half = (m + 1) // 2
    return float(np.partition(cosines, m - half)[m - half :].mean(dtype=np.float64))


def own_fits(rows: NDArray[Any], members: list[I64]) -> F64:
    """f64[N]: fit of each unit row f32[N,D] to its own person without itself; NaN where it is alone."""
    out = np.full(len(rows), np.nan)
    for who in members:
        n = len(who)
        if n < 2:
            continue
        cosines = rows[who] @ rows[who].T
        np.fill_diagonal(cosines, -np.inf)
        half = n // 2  # ceil((n - 1) / 2)
        out[who] = np.partition(cosines, n - half, axis=1)[:, n - half :].mean(axis=1, dtype=np.float64)
    return out


def person_means(rows: NDArray[Any], codes: I64, people: int) -> NDArray[np.float32]:
    """f32[people,D]: mean unit vector of each person (not of norm 1: its dot product is a mean cosine)."""
    from scipy.sparse import csr_matrix

    count = np.maximum(np.bincount(codes, minlength=people), 1)
    pick = csr_matrix((1.0 / count[codes], (codes, np.arange(len(codes)))), shape=(people, len(codes)))
    return np.asarray(pick @ rows.astype(np.float64), np.float32)


def _members(codes: I64, people: int) -> list[I64]:
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes, minlength=people))[:-1])


def _near_fits(
    rows: NDArray[Any], means: NDArray[Any], members: list[I64], person: I64, alias: I64, block: int
) -> tuple[F64, I64]:
    """(f64[N] best fit to another person, i64[N] that person, -1 without one).

    Args:
        person: i64[N], 0-based. alias: i64[S], equal for people who count as one.
    """
    able = np.array([len(m) >= LEAST_OTHER for m in members])
    best, where = np.full(len(rows), np.nan), np.full(len(rows), -1, np.int64)
    keep = min(CANDIDATES, len(members))
    for start in range(0, len(rows), block):
        part = np.arange(start, min(start + block, len(rows)))
        cosines = rows[part] @ means.T
        cosines[:, ~able] = -np.inf
        cosines[alias[person[part]][:, None] == alias[None]] = -np.inf
        top = np.argpartition(cosines, len(members) - keep, axis=1)[:, len(members) - keep :]
        for i, candidates in zip(part, top, strict=True):
            for p in candidates[np.isfinite(cosines[i - start, candidates])]:
                fit = upper_half(rows[members[p]] @ rows[i])
                if not fit <= best[i]:  # NaN too
                    best[i], where[i] = fit, p
    return best, where


def _stranger_fits(rows: NDArray[Any], members: list[I64], person: I64, alias: I64, seed: int) -> F64:
    """f64[K]: fits of random pictures to random other people of two pictures or more."""
    rng = np.random.default_rng([seed, 41])
    able = np.flatnonzero([len(m) >= LEAST_OTHER for m in members])
    i, p = rng.integers(0, len(rows), SAMPLED), able[rng.integers(0, len(able), SAMPLED)]
    other = alias[person[i]] != alias[p]
    i, p = i[other], p[other]
    if len(rows) * len(able) < SAMPLED:
        i, p = (x.ravel() for x in np.meshgrid(np.arange(len(rows)), able))
        other = alias[person[i]] != alias[p]
        i, p = i[other], p[other]
    return np.array([upper_half(rows[members[b]] @ rows[a]) for a, b in zip(i, p, strict=True)])


def _person_means(values: F64, person: I64, use: Bool) -> F64:
    """f64[K]: mean of f64[N] values over each person's pictures in bool[N] `use`, of people who have one."""
    n = np.bincount(person[use])
    sums = np.bincount(person[use], values[use])
    return np.asarray(sums[n > 0] / n[n > 0], np.float64)


def _tail(near: F64, person: I64, use: Bool) -> float:
    """The `BEST_QUANTILE` of best fits to others by a normal tail through their median and `BULK` quantile.

    Of the pictures bool[N] `use`, each person weighing the same: one with hundreds of pictures and a wrong one in many
    places would else decide it. -1 without any.
    """
    who, values = person[use], near[use]
    if not len(who):
        return -1.0
    order = np.argsort(values, kind="stable")
    below = np.cumsum(1 / np.bincount(who)[who[order]])
    middle, upper = (values[order][np.searchsorted(below, q * below[-1])] for q in (0.5, BULK))
    return float(middle + (upper - middle) * special.ndtri(BEST_QUANTILE) / special.ndtri(BULK))


def misplaced(
    unit: NDArray[Any],
    subjects: I64,
    ok: Bool | None = None,
    *,
    same_person: I64 | None = None,
    seed: int = 0,
    block: int = BLOCK,
) -> Misplaced:
    """Flag pictures that are far from their own person and near another.

    Args:
        unit: f32[N,D] unit vectors. subjects: i64[N]. ok: bool[N], whether there is a vector.
        same_person: i64[N], people that are likely one under two names carry equal numbers; they are not taken for
            strangers of each other. By default `subjects`.
    Raises:
        InsufficientData: too few pictures of people with three, nobody else to be near to, or a model for which more
            than `MOST_FAR` of the pictures fit their own person no better than strangers'.
    """
    keep = np.arange(len(unit)) if ok is None else np.flatnonzero(ok)
    rows = np.ascontiguousarray(unit[keep], np.float32)
    known, person = np.unique(subjects[keep], return_inverse=True)
    person = person.ravel().astype(np.int64)
    members = _members(person, len(known))
    sizes = np.array([len(m) for m in members])
    judged = sizes[person] >= LEAST_PICTURES
    if judged.sum() < LEAST_JUDGED or (sizes >= LEAST_OTHER).sum() < 3:
        raise InsufficientData(
            f"label errors need people with {LEAST_PICTURES} pictures or more; found {int(judged.sum())} pictures of "
            f"such people (at least {LEAST_JUDGED}) among {len(known):,} people"
        )
    alias = np.arange(len(known))
    if same_person is not None:
        alias[person] = np.asarray(same_person, np.int64)[keep]
    own = own_fits(rows, members)
    own[~judged] = np.nan
    strangers = _stranger_fits(rows, members, person, alias, seed)
    near, where = _near_fits(rows, person_means(rows, person, len(known)), members, person, alias, block)
    far_below = float(np.quantile(strangers, STRANGER_QUANTILE))
    far = judged & (own <= far_below)
    if far.sum() > MOST_FAR * judged.sum():
        raise InsufficientData(
            f"{100 * far.sum() / judged.sum():.0f} % of the pictures fit their own person no better than strangers: "
            "this model separates too little here to tell wrong labels from hard pictures"
        )
    usual = judged & ~far
    reached = _tail(near, person, usual & ~np.isnan(near))
    near_above = max(float(np.quantile(own[usual], NEAR_QUANTILE)), reached, far_below)
    close = ~np.isnan(near) & (near >= near_above)
    flagged = far & close
    shares = _person_means((usual & close).astype(np.float64), person, usual)
    expected = float(far.sum()) * float(shares.sum() + 1) / float(len(shares) + 1)
    full = [np.full(len(unit), fill) for fill in (np.nan, np.nan)]
    full[0][keep], full[1][keep] = own, near
    nearest = np.full(len(unit), -1, np.int64)
    nearest[keep] = np.where(where >= 0, known[where], -1)
    masks = np.zeros((3, len(unit)), bool)
    masks[:, keep] = judged, far, flagged
    return Misplaced(full[0], full[1], nearest, far_below, near_above, masks[0], masks[1], masks[2], expected)


def least_true(found: Misplaced, subjects: I64, level: float) -> int:
    """Flagged pictures that are wrong labels at least; wrong in at most a share `level` of clean sets.

    False flags come together (relatives, one hard person), so that flags between the same two people count once. Their
    number in a clean set is Poisson around `expected_false`, which is itself an estimate from the people whose other
    pictures come near somebody else: with a gamma prior the predictive distribution is negative binomial (Gelman et
    al., Bayesian Data Analysis, 2013, 2.6). What lies beyond its 1 - `level` quantile is true.

    Args:
        subjects: i64[N]. level: one-sided, in (0, 1).
    """
    if not found.count or found.expected_false <= 0:
        return 0
    one, two = subjects[found.flagged], found.nearest[found.flagged]
    events = len(np.unique(np.stack([np.minimum(one, two), np.maximum(one, two)]), axis=1).T)
    people = len(np.unique(subjects[found.judged & ~found.far]))
    seen = found.expected_false * (people + 1) / float(found.far.sum())  # people near somebody else, and one
    most = np.arange(events + 1)
    below = special.betainc(seen, most + 1.0, seen / (seen + found.expected_false))
    false = int(np.searchsorted(below, 1 - level))
    return int(found.count * max(0, events - false) / events)
