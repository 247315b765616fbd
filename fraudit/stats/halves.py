"""What half of the people show of a threshold: comparisons of different people, and genuine ones, by group too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.errors import InsufficientData
from fraudit.stats.pairs import capped_genuine, pair_cosines
from fraudit.stats.tails import Tail, tail_of_pairs, tail_of_searches, tail_of_vectors
from fraudit.types import F64, I64, Bool


@dataclass(frozen=True)
class Half:
    """What half of the people show.

    Attributes:
        impostor: comparisons of different people (or searches of people who are not enrolled).
        genuine: f64[Q] scores of genuine pairs (or mated searches), NaN without a vector. people: i64[Q].
        groups: the same within each demographic group (both people of a pair belong to it).
        groups_missing: why a group has no comparison.
    """

    impostor: Tail
    genuine: F64
    people: I64
    groups: Mapping[str, Half] = field(default_factory=dict)
    groups_missing: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_pairs(
        cls,
        scores: ArrayLike,
        left: ArrayLike,
        right: ArrayLike,
        same: ArrayLike,
        labels: Mapping[int, str] | None = None,
    ) -> Half:
        """From a list: f64[P] similarities, i64[P] people, bool[P] genuine.

        Args:
            labels: group of each person; '' or no entry: in none.
        Raises:
            InsufficientData: no impostor pair with a score.
        """
        s, y = np.asarray(scores, np.float64).ravel(), np.asarray(same, bool).ravel()
        a, b = (np.asarray(side, np.int64).ravel() for side in (left, right))
        made = cls(tail_of_pairs(s[~y], a[~y], b[~y]), s[y], a[y])
        if labels is None:
            return made
        names = [_named(side, labels) for side in (a, b)]
        within = np.where(names[0] == names[1], names[0], "")
        parts = {
            str(g): (lambda m: cls.of_pairs(s[m], a[m], b[m], y[m]), within == g)
            for g in np.unique(np.concatenate(names))
            if g
        }
        return made.with_groups(parts)

    @classmethod
    def of_vectors(
        cls,
        unit: NDArray[Any],
        subjects: ArrayLike,
        largest: float,
        ok: Bool | None = None,
        labels: ArrayLike | None = None,
        seed: int = 0,
    ) -> Half:
        """From unit rows f32[N,D]: all impostor pairs, streamed, and the genuine pairs (`capped_genuine`).

        Args:
            subjects: i64[N]. largest: highest target that will be asked for. ok: bool[N], rows with a vector; a
                genuine pair without one counts as rejected. labels: str[N], '' in no group. seed: of samples.
        Raises:
            InsufficientData: no impostor pair.
        """
        people = np.asarray(subjects, np.int64)
        left, right = capped_genuine(people, seed)
        genuine = pair_cosines(unit, left, right, ok)
        made = cls(tail_of_vectors(unit, people, largest, ok, seed), genuine, people[left])
        if labels is None:
            return made
        names = np.asarray(labels).astype(str)
        usable = np.ones(len(people), bool) if ok is None else np.asarray(ok, bool)
        parts = {
            str(g): (lambda m: cls.of_vectors(unit[m], people[m], largest, usable[m], None, seed), names == g)
            for g in np.unique(names)
            if g
        }
        return made.with_groups(parts)

    @classmethod
    def of_searches(
        cls,
        top: ArrayLike,
        searchers: ArrayLike,
        mated: ArrayLike = (),
        mates: ArrayLike = (),
        found: ArrayLike | None = None,
        enrolled: int = 0,
    ) -> Half:
        """From searches in a gallery of `enrolled` people; the rate is the FPIR, the cost the FNIR.

        Args:
            top: f64[S] highest score of each non-mated search. searchers: i64[S]. found: see `tail_of_searches`.
            mated: f64[Q] score of the mate in each mated search, NaN where it is not returned. mates: i64[Q].
        Raises:
            InsufficientData: no non-mated search.
        """
        impostor = tail_of_searches(top, searchers, found, enrolled)
        return cls(impostor, np.asarray(mated, np.float64).ravel(), np.asarray(mates, np.int64).ravel())

    def with_groups(self, parts: Mapping[str, tuple[Any, Bool]]) -> Half:
        """With each group's own half, made by `make(mask)` of `group -> (make, mask)`; groups may overlap.

        A group without a comparison goes to `groups_missing`.
        """
        groups: dict[str, Half] = {}
        missing: dict[str, str] = {}
        for name, (make, mask) in parts.items():
            try:
                groups[name] = make(mask)
            except InsufficientData as error:
                missing[name] = error.message
        return replace(self, groups=groups, groups_missing=missing)


def _named(people: I64, labels: Mapping[int, str]) -> NDArray[np.str_]:
    known, codes = np.unique(people, return_inverse=True)
    return np.array([str(labels.get(int(p), "")) for p in known], np.str_)[codes.ravel()]
