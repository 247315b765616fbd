"""The lists of the IJB-B and IJB-C 1:1 protocols."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.errors import DataError
from fraudit.scores.formats import text_lines
from fraudit.types import I64, Bool


def read_face_tid_mid(path: Path) -> tuple[tuple[str, ...], I64, I64]:
    """IJB `face_tid_mid.txt`: (names, templates i64[N], media i64[N]) of lines `name template media`.

    Raises:
        DataError: a line with another number of fields, or ids that are not whole numbers.
    """
    rows = [*_whole_fields(path, "name template media", 3, text=1)]
    ids = np.array([row[1:] for row in rows], np.int64).reshape(len(rows), 2)
    return tuple(str(row[0]) for row in rows), ids[:, 0], ids[:, 1]


def read_template_pairs(path: Path) -> tuple[I64, I64, Bool]:
    """IJB `template_pair_label.txt`: (left i64[P], right i64[P], same bool[P]).

    Raises:
        DataError: a line that does not fit, or a label other than 0 and 1.
    """
    rows = [*_whole_fields(path, "template template label", 3, text=0)]
    table = np.array(rows, np.int64).reshape(len(rows), 3)
    wrong = np.flatnonzero(~np.isin(table[:, 2], (0, 1)))
    if len(wrong):
        raise DataError(f"{path}: pair {wrong[0] + 1}: expected label 0 or 1, found {table[wrong[0], 2]}")
    return table[:, 0], table[:, 1], table[:, 2] == 1


def _whole_fields(path: Path, wanted: str, count: int, text: int) -> Iterator[list[Any]]:
    if not path.is_file():
        raise DataError(f"{path}: no such file", "check the path")
    for number, line in text_lines(path):
        fields = line.split()
        where = f"{path}, line {number}"
        if len(fields) != count:
            raise DataError(f"{where}: expected {count} fields '{wanted}', found {len(fields)}")
        try:
            yield [*fields[:text], *map(int, fields[text:])]
        except ValueError:
            raise DataError(
                f"{where}: expected whole numbers in '{wanted}', found {line.strip()[:60]!r}"
            ) from None
