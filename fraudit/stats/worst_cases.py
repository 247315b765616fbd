"""Which pairs and people make the errors: worst genuine pairs, closest strangers, people with most errors.

And what the headline would be without pictures that something is wrong with: both figures, on the same pairs, never one
alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.errors import InsufficientData
from fraudit.stats.all_pairs import guessed_floor, sweep
from fraudit.stats.all_pairs_pieces import I32
from fraudit.stats.intervals import clustered_rate, interval_or_reason
from fraudit.stats.pairs import count_impostor_pairs
from fraudit.stats.rate_changes import Change, rate_change
from fraudit.types import F32, F64, I64, Bool, Interval

CHANCE_DRAWS = 1000
_ROOM = 20  # times as many pairs as are listed, above the floor that is guessed first


@dataclass(frozen=True, slots=True)
class Extremes:
    """The most extreme pairs.

    Attributes:
        left, right: i64[K], pictures, the most extreme first. score: f64[K]. pairs: they were taken from.
        without: pairs without a score.
    """

    left: I64
    right: I64
    score: F64
    pairs: int
    without: int


def worst_genuine(scores: ArrayLike, left: I64, right: I64, count: int = 20) -> Extremes:
    """The `count` genuine pairs with the lowest scores f64[P] (NaN: none; counted, not listed)."""
    s = np.asarray(scores, np.float64)
    known = np.flatnonzero(~np.isnan(s))
    order = known[np.lexsort((right[known], left[known], s[known]))][:count]
    return Extremes(left[order], right[order], s[order], len(s), len(s) - len(known))


class _Closest:
    """The `count` highest of the pairs that are handed over; of two people once where `people` i64[N] are given."""

    def __init__(self, count: int, people: I64 | None) -> None:
        self._count, self._people = count, people
        none = np.empty(0, np.int64)
        self.left, self.right, self.score = none, none, none.astype(np.float64)

    def take(self, left: I32, right: I32, scores: F32) -> None:
        """Rows i32[K] of pairs."""
        floor = self.score[-1] if len(self.score) == self._count else -np.inf
        high = np.flatnonzero(scores >= floor)
        one: I64 = np.concatenate([self.left, left[high]])
        two: I64 = np.concatenate([self.right, right[high]])
        merged: F64 = np.concatenate([self.score, scores[high]])
        order = np.lexsort((two, one, -merged))
        if self._people is not None:
            order = _first_of_people(self._people[one[order]], self._people[two[order]], order)
        order = order[: self._count]
        self.left, self.right, self.score = one[order], two[order], merged[order]


def closest_strangers(
    unit: NDArray[Any],
    subjects: I64,
    ok: Bool | None = None,
    *,
    count: int = 20,
    once_a_pair_of_people: bool = True,
) -> Extremes:
    """The `count` pairs of different people with the highest cosines, of all pairs (`fraudit.stats.all_pairs`).

    Args:
        unit: f32[N,D] unit vectors. subjects: i64[N]. ok: bool[N], whether there is a vector.
        once_a_pair_of_people: list two people once, at their closest pictures.
    Raises:
        InsufficientData: no pair of different people.
    """
    people = np.asarray(subjects, np.int64)
    total = count_impostor_pairs(people if ok is None else people[ok])
    if not total:
        raise InsufficientData("no pair of different people")
    # A floor is guessed; a second pass follows where fewer people than are wanted lie above it.
    for floor in (guessed_floor(unit, people, min(1.0, _ROOM * count / total), ok, 0), -np.inf):
        closest = _Closest(count, people if once_a_pair_of_people else None)
        sweep(unit, people, ok, floor=floor, take=closest.take)
        if len(closest.score) == count:
            break
    return Extremes(closest.left, closest.right, closest.score, total, 0)


def _first_of_people(one: I64, two: I64, order: I64) -> I64:
    """The entries of `order` at which two people, `one` and `two`, come first."""
    codes = np.unique(np.concatenate([one, two]), return_inverse=True)[1].reshape(2, -1)
    names = codes.min(axis=0) * (int(codes.max(initial=0)) + 1) + codes.max(axis=0)
    return np.asarray(order[np.sort(np.unique(names, return_index=True)[1])], np.int64)


@dataclass(frozen=True, slots=True)
class ErringPeople:
    """The people with most errors.

    Attributes:
        people: i64[K], subjects, most errors first. errors, pairs: i64[K], of pairs that involve each.
        total: errors in all. largest_share: of all errors, that involve the first person.
        chance_share: the share that the first person would reach in 95 % of cases if errors fell on pairs at random.
        p: of a largest share like this by chance.
        half: fewest people who are in half of all errors, counted from the worst.
    """

    people: I64
    errors: I64
    pairs: I64
    total: int
    largest_share: float
    chance_share: float
    p: float
    half: int


def people_with_most_errors(
    errors: ArrayLike, left: I64, right: I64, *, count: int = 10, seed: int = 0
) -> ErringPeople:
    """Who makes the errors bool[P] of pairs of subjects `left`, `right` i64[P] (equal: genuine).

    Raises:
        InsufficientData: no pair.
    """
    e = np.asarray(errors, bool)
    if not len(e):
        raise InsufficientData("no pair to look for errors in")
    known, codes = np.unique(np.concatenate([left, right]), return_inverse=True)
    a, b = codes.reshape(2, -1)
    pairs = _per_person(a, b, np.ones(len(e), bool), len(known))
    wrong = _per_person(a, b, e, len(known))
    order = np.lexsort((known, -wrong))
    total = int(e.sum())
    if not total:
        none = np.empty(0, np.int64)
        return ErringPeople(none, none, none, 0, 0.0, 0.0, 1.0, 0)
    rng = np.random.default_rng([seed, 45])
    largest = np.empty(CHANCE_DRAWS)
    for draw in range(CHANCE_DRAWS):
        at = rng.choice(len(e), total, replace=False, shuffle=False)
        one, two = a[at], b[at]
        other = one != two
        involved = np.concatenate([one, two[other]])
        largest[draw] = np.bincount(involved).max()
    top = order[: min(count, int((wrong > 0).sum()))]
    p = float((1 + (largest >= wrong[order[0]]).sum()) / (CHANCE_DRAWS + 1))
    return ErringPeople(
        known[top],
        wrong[top],
        pairs[top],
        total,
        float(wrong[order[0]] / total),
        float(np.quantile(largest, 0.95) / total),
        p,
        _half(a, b, e, order, total),
    )


def _per_person(a: I64, b: I64, use: Bool, size: int) -> I64:
    """i64[S]: pairs of bool[P] `use` that involve each person; a genuine pair once."""
    other = use & (a != b)
    found = np.bincount(a[use], minlength=size) + np.bincount(b[other], minlength=size)
    return found.astype(np.int64)


def _half(a: I64, b: I64, e: Bool, order: I64, total: int) -> int:
    """How many people, from the worst, it takes until half of the errors involve one of them."""
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    worst = np.sort(np.minimum(rank[a[e]], rank[b[e]]))
    return int(worst[(total + 1) // 2 - 1]) + 1


@dataclass(frozen=True, slots=True)
class WithAndWithout:
    """A headline rate with all pictures and without some.

    Attributes:
        with_all, without: rates. with_interval, without_interval: or None with the reasons.
        pairs, pairs_left, pictures_out: counts. change: without less with, on the same people.
    """

    with_all: float
    with_interval: Interval | None
    without: float
    without_interval: Interval | None
    reasons: tuple[str, str]
    pairs: int
    pairs_left: int
    pictures_out: int
    change: Change


def with_and_without(
    errors: ArrayLike, left: I64, right: I64, subjects: I64, out: Bool, level: float = 0.95
) -> WithAndWithout:
    """An error rate side by side with that of the pairs that no picture of bool[N] `out` is in.

    Args:
        errors: bool[P], of genuine or of impostor pairs. left, right: i64[P], pictures. subjects: i64[N].
    Raises:
        InsufficientData: no pair, or none without those pictures.
    """
    e, keep = np.asarray(errors, bool), ~(out[left] | out[right])
    a, b = subjects[left], subjects[right]
    whole, part, change = rate_change(e, np.ones(len(e), bool), keep, a, b, level)
    first, why = interval_or_reason(lambda: clustered_rate(e, a, b, level))
    second, why_not = interval_or_reason(lambda: clustered_rate(e[keep], a[keep], b[keep], level))
    return WithAndWithout(
        whole, first, part, second, (why, why_not), len(e), int(keep.sum()), int(out.sum()), change
    )
