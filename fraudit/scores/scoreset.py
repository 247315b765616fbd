"""Scored pairs, whoever scored them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.types import F64, I64, Bool

Names = NDArray[Any]


@dataclass(frozen=True, slots=True)
class AttackScores:
    """Scores of presentation attacks against the person that they claim to be.

    Attributes:
        claimed: str[A], the attacked person or template. kind: str[A], the instrument. score: f64[A] similarities.
    """

    claimed: Names
    kind: Names
    score: F64

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True, slots=True)
class ScoreSet:
    """Scored pairs.

    Attributes:
        left, right: str[P], pictures or templates.
        same: bool[P], genuine.
        score: f64[P], similarities; NaN where a picture gave no vector. Distances come in negated.
        left_subject, right_subject: str[P] people, or None where the file names none.
        fold: i64[P], or None where the file has no folds.
        source: where it comes from, for messages. format: which format it was read from.
        distance: whether the file holds distances, which came in negated.
        attacks: presentation attacks that the file holds beside its pairs, or None.
        left_out: reason -> rows of the file that are no pair of this set. unused: columns that nothing is read from.
        templates_named: whether `left` and `right` name what was compared, so that equal rows are one comparison.
    """

    left: Names
    right: Names
    same: Bool
    score: F64
    left_subject: Names | None = None
    right_subject: Names | None = None
    fold: I64 | None = None
    source: str = ""
    format: str = ""
    distance: bool = False
    attacks: AttackScores | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    templates_named: bool = True

    def __len__(self) -> int:
        return len(self.score)

    def part(self, keep: Bool) -> ScoreSet:
        """The pairs that `keep` bool[P] marks."""

        def some(values: Any) -> Any:
            return None if values is None else values[keep]

        return replace(
            self,
            left=self.left[keep],
            right=self.right[keep],
            same=self.same[keep],
            score=self.score[keep],
            left_subject=some(self.left_subject),
            right_subject=some(self.right_subject),
            fold=some(self.fold),
        )

    def turned(self) -> ScoreSet:
        """The same pairs with negated scores: distances as similarities."""
        attacks = None if self.attacks is None else replace(self.attacks, score=-self.attacks.score)
        return replace(self, score=-self.score, distance=not self.distance, attacks=attacks)

    def unique(self) -> ScoreSet:
        """Without rows that repeat an earlier one; their number is in `left_out`.

        Where the file names no templates, rows of a whole-numbered or missing score stay: two comparisons may give
        the same.
        """
        if not len(self):
            return self
        codes = np.unique(np.concatenate([self.left, self.right]), return_inverse=True)[1].reshape(2, -1)
        score = np.unique(self.score, return_inverse=True)[1].reshape(-1)  # every NaN is one value here
        rows = [codes[0], codes[1], self.same, score]
        if self.left_subject is not None and self.right_subject is not None:
            rows += [
                np.unique(side, return_inverse=True)[1] for side in (self.left_subject, self.right_subject)
            ]
        rows += [] if self.fold is None else [self.fold]
        first = np.unique(
            np.stack([row.astype(np.int64) for row in rows], axis=1), axis=0, return_index=True
        )[1]
        keep = np.zeros(len(self), bool)
        keep[first] = True
        if not self.templates_named:
            keep |= np.isnan(self.score) | (self.score == np.round(self.score))
        gone = int((~keep).sum())
        if not gone:
            return self
        return replace(self.part(keep), left_out={**self.left_out, "duplicate rows": gone})

    def people(self) -> tuple[I64, I64, bool]:
        """(left i64[P], right i64[P], whether the file names the people).

        Where it does not, two pictures count as one person when genuine pairs link them.
        """
        if self.left_subject is not None and self.right_subject is not None:
            codes = np.unique(np.concatenate([self.left_subject, self.right_subject]), return_inverse=True)[1]
            left, right = codes.reshape(2, -1)
            return left.astype(np.int64), right.astype(np.int64), True
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        names, codes = np.unique(np.concatenate([self.left, self.right]), return_inverse=True)
        left, right = codes.reshape(2, -1)
        linked = coo_matrix(
            (np.ones(int(self.same.sum()), bool), (left[self.same], right[self.same])),
            (len(names), len(names)),
        )
        person = connected_components(linked, directed=False)[1].astype(np.int64)
        return person[left], person[right], False
