"""Scored pairs, whoever scored them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.types import F64, I64, Bool

Names = NDArray[Any]


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

    def __len__(self) -> int:
        return len(self.score)

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
