"""Files of pairs, in the forms that verification protocols are published in; names are not looked up here.

| form | a row |
|---|---|
| LFW, XQLFW, RFW, CFP-like lists | `NAME n1 n2` or `NAME1 n1 NAME2 n2`, with or without a first line `folds per_fold` |
| pairs of paths | `path path label [fold]`, also with the label first |
| CPLFW, CALFW | `picture label`, two rows a pair |
| tables | a header with `left,right,same[,fold]` or names like these |

Delimiters, comments, marks and packing are as `fraudit.faces.tables` reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fraudit.errors import DataError
from fraudit.faces import roles
from fraudit.faces.tables import (
    Columns,
    Sheet,
    plain_name,
    read_flag,
    read_parquet,
    read_sheet,
    sheet_columns,
    without_index,
)
from fraudit.types import I64, Bool

FOLDS = 10
Reference = str | tuple[str, int]  # a picture by name, or a person and the picture's number


@dataclass(frozen=True, slots=True)
class NamedPairs:
    """Pairs as a file names them.

    Attributes:
        left, right: P references. same: bool[P], None where the file does not say. fold: i64[P].
        places: P lines or rows, for messages. where: the file.
        by_number: whether people and numbers are named, so that the file identifies whom it names.
    """

    left: list[Reference]
    right: list[Reference]
    same: Bool | None
    fold: I64
    places: list[str]
    where: str
    by_number: bool = False

    def __len__(self) -> int:
        return len(self.left)


def read_named_pairs(data: bytes, where: str) -> NamedPairs:
    """Pairs of a file in any of the forms above.

    Raises:
        DataError: none of them fits, a number of rows is not as announced, or a row does not fit.
    """
    if data[:4] == b"PAR1":
        return _of_table(read_parquet(data, where), None, where)
    sheet = read_sheet(data, where, roles.KNOWN)
    if not sheet.rows:
        raise DataError(f"{where}: no pair in it", _HINT)
    if _names_sides(sheet.rows[0]):
        return _of_table(sheet_columns(sheet), sheet.numbers[1:], where)
    announced, sheet = _first_line(_trimmed(sheet))
    if announced or _looks_like_lfw(sheet):
        return _of_numbers(sheet, announced)
    sheet = without_index(sheet)
    widths = {len(row) for row in sheet.rows}
    if widths == {2}:
        return _of_two_columns(sheet)
    if widths in ({3}, {4}):
        return _of_paths(sheet)
    raise DataError(f"{where}: no known form of pairs; its first row is {_shown(sheet.rows[0])}", _HINT)


_HINT = "known: LFW's pairs.txt, `path path label`, CPLFW's two rows a pair, a CSV with left,right,same"


def _shown(row: Sequence[str]) -> str:
    return repr(" ".join(row)[:60])


def _trimmed(sheet: Sheet) -> Sheet:
    """Without the empty cells at the ends of rows, and with `10 300` in two cells."""
    rows = []
    for row in sheet.rows:
        cells = list(row)
        while len(cells) > 1 and not cells[-1]:
            cells.pop()
        rows.append(cells[0].split() if len(cells) == 1 and sheet.delimiter != " " else cells)
    return Sheet(sheet.where, rows, sheet.numbers, sheet.delimiter, sheet.remarks)


def _whole(cell: str) -> bool:
    return cell.isdecimal()


def _lfw_row(row: Sequence[str]) -> bool:
    if len(row) == 3:
        return _whole(row[1]) and _whole(row[2])
    return len(row) == 4 and _whole(row[1]) and _whole(row[3])


def _first_line(sheet: Sheet) -> tuple[tuple[int, int] | None, Sheet]:
    """((folds, pairs of a kind in a fold), rest) of LFW's first line; (None, sheet) where there is none."""
    first, rest = sheet.rows[0], Sheet(sheet.where, sheet.rows[1:], sheet.numbers[1:], sheet.delimiter)
    after = rest.rows[0] if rest.rows else []
    if len(first) <= 2 and all(_whole(cell) for cell in first) and len(after) in (0, 3, 4):
        counts = [int(cell) for cell in first]
        return (1, counts[0]) if len(counts) == 1 else (counts[0], counts[1]), rest
    if rest.rows and _looks_like_lfw(rest) and not _lfw_row(first):  # names of columns, as on Kaggle
        return None, rest
    return None, sheet


def _looks_like_lfw(sheet: Sheet) -> bool:
    fits = [_lfw_row(row) for row in sheet.rows]
    if not fits or 2 * sum(fits) < len(fits):
        return False
    # Three whole numbers of which the last is 0 or 1 are two templates (or pictures) and a label.
    threes = [row for row in sheet.rows if len(row) == 3]
    return not (len(threes) == len(sheet.rows) and all(_whole(r[0]) and r[2] in ("0", "1") for r in threes))


def _of_numbers(sheet: Sheet, announced: tuple[int, int] | None) -> NamedPairs:
    where, count = sheet.where, len(sheet.rows)
    if announced:
        folds, per_fold = announced
        if folds < 1 or per_fold < 1 or count != 2 * folds * per_fold:
            raise DataError(
                f"{where}: the header announces {2 * folds * per_fold} pairs, found {count}",
                "the file is cut off or of another format",
            )
    left: list[Reference] = []
    right: list[Reference] = []
    for number, row in enumerate(sheet.rows, start=1):
        if not _lfw_row(row):
            raise DataError(
                f"{where}: pair {number} has fields {row}; expected NAME n1 n2 or NAME1 n1 NAME2 n2"
            )
        left.append((row[0], int(row[1])))
        right.append((row[0], int(row[2])) if len(row) == 3 else (row[2], int(row[3])))
    same = np.array([one[0] == other[0] for one, other in zip(left, right, strict=True)], bool)
    fold = np.arange(count) // (2 * announced[1]) if announced else drawn_folds(same)
    return NamedPairs(left, right, same, fold.astype(np.int64), _lines(sheet), where, True)


def _lines(sheet: Sheet) -> list[str]:
    return [f"{sheet.where}, line {number}" for number in sheet.numbers]


def drawn_folds(same: Bool) -> I64:
    """i64[P]: folds of pairs in the file's order, where it states none.

    Equal blocks of genuine and impostor pairs in turn are the folds; else each kind is cut into (at most) ten parts of
    consecutive pairs.
    """
    starts = np.flatnonzero(np.diff(same.astype(np.int8), prepend=-1)) if len(same) else np.zeros(0, np.int64)
    lengths = np.diff(np.append(starts, len(same)))
    if len(lengths) >= 4 and len(lengths) % 2 == 0 and len(set(lengths.tolist())) == 1 and lengths[0] > 1:
        return (np.arange(len(same)) // (2 * lengths[0])).astype(np.int64)
    kinds = [np.flatnonzero(same), np.flatnonzero(~same)]
    count = min(FOLDS, *(len(rows) for rows in kinds))
    fold = np.zeros(len(same), np.int64)
    for rows in kinds:
        for number, part in enumerate(np.array_split(rows, max(count, 1))):
            fold[part] = number
    return fold


def _of_two_columns(sheet: Sheet) -> NamedPairs:
    labels = [row[1] for row in sheet.rows]
    if not all(_whole(label.lstrip("-")) for label in labels):
        if any(read_flag(label) is not None for label in labels):
            raise DataError(
                f"{sheet.where}: rows of a picture and a label; the label must be a number", _HINT
            )
        left: list[Reference] = [row[0] for row in sheet.rows]
        right: list[Reference] = [row[1] for row in sheet.rows]
        return NamedPairs(left, right, None, np.zeros(len(left), np.int64), _lines(sheet), sheet.where)
    if len(labels) % 2:
        raise DataError(f"{sheet.where}: {len(labels)} rows; expected two a pair", _HINT)
    odd = next((k for k in range(0, len(labels), 2) if labels[k] != labels[k + 1]), None)
    if odd is not None:
        raise DataError(
            f"{sheet.where}, line {sheet.numbers[odd + 1]}: the label is {labels[odd + 1]}, that of the row before "
            f"{labels[odd]}; expected two rows a pair with one label",
            _HINT,
        )
    numbers = np.array([int(label) for label in labels[::2]])
    same = numbers > 0
    fold = _numbered_folds(numbers) if numbers.max() > 1 else drawn_folds(same)
    return NamedPairs(
        [row[0] for row in sheet.rows[::2]],
        [row[0] for row in sheet.rows[1::2]],
        same,
        fold,
        _lines(sheet)[::2],
        sheet.where,
    )


def _numbered_folds(labels: I64) -> I64:
    """CALFW numbers its genuine pairs by fold; impostor pairs (0) lie in the fold of those before them."""
    last, fold = 0, np.zeros(len(labels), np.int64)
    for k, label in enumerate(labels):
        last = int(label) - 1 if label > 0 else last
        fold[k] = last
    spread = drawn_folds(labels > 0)
    different = labels <= 0
    if len(set(fold[different].tolist())) < len(set(fold[~different].tolist())):
        fold[different] = spread[different]  # all impostor pairs at one end
    return fold


def _of_paths(sheet: Sheet) -> NamedPairs:
    columns = list(zip(*sheet.rows, strict=True))
    flags = [k for k, cells in enumerate(columns) if all(read_flag(cell) is not None for cell in cells)]
    place = 2 if 2 in flags else 0 if 0 in flags else 3 if 3 in flags else None
    if place is None:
        raise DataError(
            f"{sheet.where}: no known form of pairs; its first row is {_shown(sheet.rows[0])}", _HINT
        )
    sides = [k for k in range(len(columns)) if k != place][:2]
    same = np.array([bool(read_flag(cell)) for cell in columns[place]], bool)
    others = [k for k in range(len(columns)) if k not in (place, *sides)]
    fold = drawn_folds(same)
    if others and all(_whole(cell) for cell in columns[others[0]]):
        fold = np.unique([int(cell) for cell in columns[others[0]]], return_inverse=True)[1].astype(np.int64)
    return NamedPairs(
        list(columns[sides[0]]), list(columns[sides[1]]), same, fold.reshape(-1), _lines(sheet), sheet.where
    )


def _names_sides(row: Sequence[str]) -> bool:
    return roles.find_sides(row, roles.PICTURES) is not None and sum(
        plain_name(cell) in roles.KNOWN for cell in row
    ) >= min(3, len(row))


def _of_table(columns: Columns, numbers: Sequence[int] | None, where: str) -> NamedPairs:
    sides = roles.find_sides(columns, roles.PICTURES)
    if sides is None:
        raise DataError(
            f"{where}: the columns 'left' and 'right' are missing, found {', '.join(columns)}", _HINT
        )
    left, right = columns[sides[0]], columns[sides[1]]
    name = roles.find(columns, roles.SAME, sides)
    people = roles.find_sides(columns, roles.PEOPLE, sides)
    if name is None and people is None:
        raise DataError(
            f"{where}: the column 'same' is missing, found {', '.join(columns)}",
            "add a column named 'same' to the header",
        )
    unit: Callable[[int], str] = lambda k: f"row {k + 1}" if numbers is None else f"line {numbers[k]}"  # noqa: E731
    places = [f"{where}, {unit(k)}" for k in range(len(left))]
    if name is None and people is not None:
        same = np.array([a == b for a, b in zip(columns[people[0]], columns[people[1]], strict=True)], bool)
    else:
        same = _flags(columns[str(name)], places)
    fold_name = roles.find(columns, roles.FOLD, (*sides, name or ""))
    fold = drawn_folds(same) if fold_name is None else _folds(columns[fold_name], where)
    return NamedPairs(list(left), list(right), same, fold, places, where)


def _flags(cells: Sequence[str], places: Sequence[str]) -> Bool:
    found = []
    for cell, place in zip(cells, places, strict=True):
        flag = read_flag(cell)
        if flag is None:
            raise DataError(f"{place}: `same` is '{cell[:40]}', expected 1 or 0")
        found.append(flag)
    return np.array(found, bool)


def _folds(cells: Sequence[str], where: str) -> I64:
    try:
        folds = np.array([int(float(cell)) for cell in cells], np.int64)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{where}: `fold` must hold whole numbers: {error}") from error
    return np.unique(folds, return_inverse=True)[1].reshape(-1).astype(np.int64)


def is_template_list(data: bytes, where: str) -> bool:
    """Whether a file is one of IJB's lists: rows of two template numbers and a label, or `picture template medium`."""
    try:
        sheet = read_sheet(data, where)
    except DataError:
        return False
    rows = [row for row in sheet.rows[:200] if len(row) == 3]
    if not rows or len(rows) < min(200, len(sheet.rows)):
        return False
    numbered = all(_whole(row[1]) and _whole(row[2]) for row in rows)
    return numbered and (all(_whole(row[0]) and row[2] in ("0", "1") for row in rows) or "tid_mid" in where)
