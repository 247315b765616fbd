"""Verification protocols: LFW's pairs.txt and tables of pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fraudit.errors import DataError
from fraudit.faces.tables import Columns, need
from fraudit.types import PairList

_TRUE, _FALSE = {"1", "1.0", "true", "same", "yes"}, {"0", "0.0", "-1", "false", "different", "no"}


@dataclass(frozen=True, slots=True)
class NamedPair:
    """A pair of LFW's: (person, number) twice."""

    left: tuple[str, int]
    right: tuple[str, int]
    fold: int

    @property
    def same(self) -> bool:
        return self.left[0] == self.right[0]


def read_lfw_pairs(data: bytes, where: str) -> list[NamedPair]:
    """LFW's pairs.txt: `folds per_fold`, then per fold `per_fold` genuine and as many impostor pairs.

    A header of one number (pairsDevTest.txt) means one fold.

    Raises:
        DataError: header, number of fields or number of lines is not as announced.
    """
    try:
        lines = [line.split() for line in data.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: expected UTF-8 text, byte {error.start} is not") from error
    rows = [fields for fields in lines if fields]
    try:
        header = [int(field) for field in rows[0]]
        folds, per_fold = (1, header[0]) if len(header) == 1 else header
    except (IndexError, ValueError) as error:
        raise DataError(
            f"{where}: expected a first line such as '10 300'", "pass LFW's own pairs.txt"
        ) from error
    if folds < 1 or per_fold < 1 or len(rows) - 1 != 2 * folds * per_fold:
        raise DataError(
            f"{where}: the header announces {2 * folds * per_fold} pairs, found {len(rows) - 1}",
            "the file is cut off or of another format",
        )
    pairs = []
    for number, fields in enumerate(rows[1:]):
        try:
            if len(fields) == 3:
                person, left, right = fields
                pair = NamedPair((person, int(left)), (person, int(right)), number // (2 * per_fold))
            else:
                first, left, second, right = fields
                pair = NamedPair((first, int(left)), (second, int(right)), number // (2 * per_fold))
        except ValueError as error:
            raise DataError(
                f"{where}: pair {number + 1} has fields {fields}; expected NAME n1 n2 or NAME1 n1 NAME2 n2"
            ) from error
        pairs.append(pair)
    return pairs


def read_pair_table(columns: Columns, index: Mapping[str, int], where: str) -> PairList:
    """`left,right,same[,fold]` with ids of a face set. Without `fold` all pairs are in fold 0.

    Args:
        index: id -> index in the face set.
    Raises:
        DataError: a column is missing, an id is unknown, or `same` or `fold` cannot be read.
    """
    left, right, same = (need(columns, name, where) for name in ("left", "right", "same"))
    fold = columns.get("fold", ["0"] * len(left))
    for name in [*left, *right]:
        if name not in index:
            raise DataError(
                f"{where}: '{name}' is no picture of the set", "pairs name pictures by their path in the set"
            )
    for row, value in enumerate(same, start=1):
        if value.lower() not in _TRUE | _FALSE:
            raise DataError(f"{where}, row {row}: `same` is '{value}', expected 1 or 0")
    try:
        folds = np.array([int(float(value)) for value in fold], np.int64)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{where}: `fold` must hold whole numbers: {error}") from error
    return PairList(
        left=np.array([index[name] for name in left], np.int64),
        right=np.array([index[name] for name in right], np.int64),
        same=np.array([value.lower() in _TRUE for value in same], bool),
        fold=np.unique(folds, return_inverse=True)[1].astype(np.int64),
    )
