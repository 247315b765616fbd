"""Tables of scored pairs, whatever their columns are called, as ScoreSets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.errors import DataError
from fraudit.faces import roles
from fraudit.faces.packed import unpack
from fraudit.faces.tables import (
    NO_VALUE,
    Columns,
    Sheet,
    plain_name,
    read_flag,
    read_number,
    read_parquet,
    read_sheet,
    sheet_columns,
    without_index,
)
from fraudit.files.doors import TABLE_BYTES, read_file
from fraudit.formatting import printable, sheet_meaning
from fraudit.scores.cells import flag_cell, number_cell, whole_cell
from fraudit.scores.scoreset import AttackScores, ScoreSet
from fraudit.types import Bool

BOB_LINE = {
    "bob4": "claimed_id real_id test_label score",
    "bob5": "claimed_id model_label real_id test_label score",
}
_BOB_CSV = ("probe_subject_id", "bio_ref_subject_id", "score")
_ATTACK_ID = re.compile(r"(attack|spoof)([/_-].*)?", re.IGNORECASE)
_WHOLE_PART = re.compile(r"[-+]?[01]")
_LICIT = {"bonafide", "bona-fide", "bona fide", "licit", "real", "0"}


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller says of a file: `column` of the scores, '' for the one that is called so."""

    column: str = ""


def read_text_scores(path: Path, kind: str, known: str, options: Options) -> ScoreSet:
    """Scored pairs of a table of text.

    Args:
        kind: bob4, bob5, bob-csv, pairs-csv, or auto. known: names of the formats, for the hint.
    Raises:
        DataError: no text, no known columns, or a line that does not fit (named).
    """
    where = str(path)
    sheet = read_sheet(unpack(read_file(path, TABLE_BYTES), where), where, roles.KNOWN)
    hint = f"known: {known}; a table needs a header with left,right,same,score (or names of docs/formats.md)"
    if kind == "auto":
        kind = _kind(sheet)
    if kind in BOB_LINE:
        return _read_bob(_split_bob(sheet), kind)
    if not sheet.rows:
        raise DataError(f"{where}, line 1: no known score format: the file is empty", hint)
    header = _header(sheet, options)
    if header is None:
        missing = _missing(sheet.rows[0], options)
        raise DataError(
            f"{where}, line {sheet.numbers[0]}: no known score format: {_shown(sheet)}{missing}", hint
        )
    names, own = header
    columns = sheet_columns(sheet if own else without_index(sheet), None if own else names)
    columns = {
        name: [sheet_meaning(cell) for cell in cells] if plain_name(name) not in roles.SCORE else cells
        for name, cells in columns.items()
    }
    return from_columns(columns, sheet.numbers[1 if own else 0 :], where, _table_kind(columns), options)


def read_parquet_scores(path: Path, options: Options) -> ScoreSet:
    """Scored pairs of a Parquet file. Raises DataError."""
    columns = read_parquet(read_file(path, TABLE_BYTES), str(path))
    rows = range(1, len(next(iter(columns.values()), [])) + 1)
    return from_columns(columns, rows, str(path), "pairs-parquet", options)


# -- which table is it


def _is_bob(header: Sequence[str]) -> bool:
    return {plain_name(name) for name in _BOB_CSV} <= {plain_name(name) for name in header}


def _table_kind(columns: Columns) -> str:
    return "bob-csv" if _is_bob([*columns]) else "pairs-csv"


def _named(header: Sequence[str], options: Options) -> bool:
    """Whether a header names all that scored pairs need."""
    if _is_bob(header):
        return True
    score = (
        options.column in header if options.column else roles.find(header, (*roles.SCORE, *roles.DISTANCE))
    )
    if not score:
        return False
    pictures = roles.find_sides(header, roles.PICTURES) or ()
    people = roles.find_sides(header, roles.PEOPLE, pictures)
    return bool(roles.find(header, roles.SAME, pictures)) or people is not None


def _header(sheet: Sheet, options: Options) -> tuple[list[str], bool] | None:
    """(names, whether they are the first row), from the first row, a comment, or the cells themselves."""
    if _named(sheet.rows[0], options):
        return sheet.rows[0], True
    if sheet.remarks and not roles_in(sheet.rows[0]):
        split = sheet.remarks[-1].split(None if sheet.delimiter == " " else sheet.delimiter)
        names = [name.strip() for name in split]
        if (
            len(names) == len(sheet.rows[0])
            and _named(names, options)
            and roles.find_sides(names, roles.PICTURES)
        ):
            return names, False
    if roles_in(sheet.rows[0]):
        return None
    found = _by_content(without_index(sheet))
    return None if found is None else (found, False)


def roles_in(row: Sequence[str]) -> int:
    """How many cells are names that a header may hold; 0 where a cell is a number, as no header has one."""
    if any(_all_numbers([cell]) for cell in row):
        return 0
    return sum(plain_name(cell) in roles.KNOWN for cell in row)


def _by_content(sheet: Sheet) -> list[str] | None:
    """Names of the columns of a table without header: a flag, a score, and two pictures or none."""
    width = len(sheet.rows[0])
    if width not in (2, 4) or any(len(row) != width for row in sheet.rows):
        return None
    columns = list(zip(*sheet.rows, strict=True))
    flags = [k for k in range(width) if all(read_flag(cell) is not None for cell in columns[k])]
    numbers = [k for k in range(width) if _all_numbers(columns[k])]
    for flag in (k for k in reversed(flags) if width == 2 or k >= 2):
        for score in reversed(numbers):
            if score != flag and (width == 2 or score >= 2):
                names = ["left", "right", *[""] * (width - 2)] if width == 4 else ["", ""]
                names[flag], names[score] = "same", "score"
                return names
    return None


def _all_numbers(cells: Sequence[str]) -> bool:
    for cell in cells:
        try:
            read_number(cell.replace(",", "."))
        except ValueError:
            return False
    return any(cell.casefold() not in NO_VALUE for cell in cells)


def _kind(sheet: Sheet) -> str:
    """bob4 or bob5 where a table of blanks has no header and no column of flags, else pairs-csv."""
    rows = sheet.rows[:1000]
    if not rows or sheet.delimiter not in (" ", "\t", ",") or roles_in(rows[0]) >= 2:
        return "pairs-csv"
    split = [row if len(row) > 1 else row[0].split() for row in rows]
    if sheet.delimiter == "," and any(len(row) > 1 for row in rows):
        return "pairs-csv"
    width = len(split[0])
    if width == 4 and _names_people(split):
        return "bob4"
    if width not in (4, 5) or _by_content(Sheet(sheet.where, split, sheet.numbers[: len(split)])):
        return "pairs-csv"
    return f"bob{width}"


def _names_people(rows: Sequence[Sequence[str]]) -> bool:
    """Whether `a a LABEL score` and `a b LABEL score` stand with one LABEL: people, and no flag of the same person."""
    whole = [row for row in rows if len(row) == 4]
    alike = {row[0] == row[1] for row in whole}
    return len(whole) == len(rows) and len({row[2] for row in whole}) == 1 and len(alike) == 2


def _missing(row: Sequence[str], options: Options) -> str:
    if not roles_in(row):
        return ""
    if options.column and options.column not in row:
        return f": the column '{options.column}' is missing"
    if not options.column and not roles.find(row, (*roles.SCORE, *roles.DISTANCE)):
        return ": no column is called score, similarity or distance (--column names it)"
    return ": the column 'same' is missing"


def _shown(sheet: Sheet) -> str:
    """A header's names; of a row of data its shape alone."""
    row = sheet.rows[0]
    if roles_in(row):
        return repr(printable(",".join(row))[:60])
    words = len(row) > 1 and all(row) and not any(_all_numbers([cell]) for cell in row)
    below = list(zip(*(other for other in sheet.rows[1:1001] if len(other) == len(row)), strict=True))
    if words and any(map(_all_numbers, below)):  # a column of numbers below a word
        return f"none of the header's names is known: {printable(', '.join(row))[:120]}"
    numbers = sum(_all_numbers([cell]) for cell in row)
    return f"no header, and {len(row)} field{'s' if len(row) != 1 else ''}, {numbers} of them numbers"


# -- Bob's columns


def _split_bob(sheet: Sheet) -> Sheet:
    if sheet.delimiter in (" ", "\t"):
        return sheet
    rows = [[part for cell in row for part in cell.split()] for row in sheet.rows]
    return replace(sheet, rows=rows, delimiter=" ")


def _read_bob(sheet: Sheet, kind: str) -> ScoreSet:
    wanted = 4 if kind == "bob4" else 5
    scores: list[float] = []
    for number, fields in zip(sheet.numbers, sheet.rows, strict=True):
        where = f"{sheet.where}, line {number}"
        if len(fields) != wanted:
            raise DataError(f"{where}: expected {wanted} fields '{BOB_LINE[kind]}', found {len(fields)}")
        scores.append(number_cell(fields[-1], where))
    columns = np.array(sheet.rows, dtype=np.str_).reshape(len(sheet.rows), wanted)
    claimed, real, label = columns[:, 0], columns[:, -3], columns[:, -2]
    found = ScoreSet(
        columns[:, 1] if kind == "bob5" else claimed,
        label,
        claimed == real,
        np.array(scores),
        claimed,
        real,
        source=sheet.where,
        format=kind,
        templates_named=kind == "bob5",
    )
    attack = np.array([bool(_ATTACK_ID.fullmatch(name)) for name in real], bool)
    return _without_attacks(found, np.where(attack, real, ""))


def _without_attacks(found: ScoreSet, attack: NDArray[Any]) -> ScoreSet:
    """The set without presentation attacks (str[P], '' for bona fide), which go into `attacks`."""
    hit = attack != ""
    if not hit.any():
        return found
    claimed = found.left if found.left_subject is None else found.left_subject
    attacks = AttackScores(claimed[hit], attack[hit], found.score[hit])
    kept = found.part(~hit)
    reason = "presentation attacks (reported apart)"
    return replace(kept, attacks=attacks, left_out={**found.left_out, reason: int(hit.sum())})


# -- columns to scores


def from_columns(
    columns: Columns, numbers: Sequence[int], source: str, kind: str, options: Options
) -> ScoreSet:
    """Scored pairs of named columns; `numbers` are the lines (or rows) of its values.

    Raises:
        DataError: a column is missing, or a cell does not fit (named).
    """
    unit = "row" if kind == "pairs-parquet" else "line"
    places = [f"{source}, {unit} {number}" for number in numbers]
    if kind == "bob-csv" or (kind == "pairs-parquet" and _is_bob([*columns])):
        return _bob_columns(columns, places, source, kind, options)
    pictures = roles.find_sides(columns, roles.PICTURES)
    people = roles.find_sides(columns, roles.PEOPLE, pictures or ())
    taken = (*(pictures or ()), *(people or ()))
    same_name = roles.find(columns, roles.SAME, taken)
    score_name, distance = _score_column(columns, source, options)
    if same_name is None and people is None:
        found = ", ".join(columns) or "nothing"
        raise DataError(
            f"{source}, line 1: column 'same' is missing; found {found}", "needed: left, right, same, score"
        )
    fold_name = roles.find(columns, roles.FOLD, (*taken, score_name, same_name or ""))
    used = {*taken, score_name, same_name, fold_name}
    score = np.array(
        [number_cell(t, w) for t, w in zip(columns[score_name], places, strict=True)], np.float64
    )
    left_subject, right_subject = (
        (_words(columns[people[0]]), _words(columns[people[1]])) if people else (None, None)
    )
    same = _same(columns, same_name, left_subject, right_subject, places)
    if pictures:
        left, right = _words(columns[pictures[0]]), _words(columns[pictures[1]])
    else:
        left, right = _unnamed(len(score), "left"), _unnamed(len(score), "right")
    fold = None
    if fold_name:
        fold = np.array([whole_cell(t, w) for t, w in zip(columns[fold_name], places, strict=True)], np.int64)
    unused = [name for name in columns if name not in used]
    return ScoreSet(
        left,
        right,
        same,
        -score if distance else score,
        left_subject,
        right_subject,
        fold,
        source,
        kind,
        distance=distance,
        unused=tuple(unused),
        templates_named=pictures is not None,
    )


def _score_column(columns: Columns, source: str, options: Options) -> tuple[str, bool]:
    """(column, whether it holds distances)."""
    if options.column:
        if options.column not in columns:
            raise DataError(
                f"{source}, line 1: column '{options.column}' is missing; found {', '.join(columns)}"
            )
        return options.column, plain_name(options.column) in roles.DISTANCE
    name = roles.find(columns, roles.SCORE)
    if name is not None:
        return name, False
    name = roles.find(columns, roles.DISTANCE)
    if name is None:
        raise DataError(
            f"{source}, line 1: column 'score' is missing; found {', '.join(columns) or 'nothing'}",
            "needed: left, right, same, score; --column names another column of scores",
        )
    return name, True


def _same(columns: Columns, name: str | None, left: Any, right: Any, places: Sequence[str]) -> Bool:
    if name is None:
        return np.asarray(left == right, bool)
    same = np.array([flag_cell(t, w) for t, w in zip(columns[name], places, strict=True)], bool)
    if left is not None and right is not None and len(same):
        wrong = np.flatnonzero((left == right) != same)
        if len(wrong):
            k = int(wrong[0])
            people = "two people" if same[k] else "one person twice"
            raise DataError(f"{places[k]}: same is {int(same[k])}, but the columns of people name {people}")
    return same


def _bob_columns(
    columns: Columns, places: Sequence[str], source: str, kind: str, options: Options
) -> ScoreSet:
    by_plain = {plain_name(name): cells for name, cells in columns.items()}

    def names(*choices: str) -> Any:
        chosen = next((plain_name(c) for c in choices if plain_name(c) in by_plain), None)
        return None if chosen is None else _words(by_plain[chosen])

    score_name, distance = _score_column(columns, source, options)
    score = np.array(
        [number_cell(t, w) for t, w in zip(columns[score_name], places, strict=True)], np.float64
    )
    reference, probe = names("bio_ref_subject_id"), names("probe_subject_id")
    template = names("bio_ref_template_id", "bio_ref_key")
    sample = names("probe_template_id", "probe_key", "probe_reference_id")
    found = ScoreSet(
        reference if template is None else template,
        probe if sample is None else sample,
        reference == probe,
        -score if distance else score,
        reference,
        probe,
        source=source,
        format=kind,
        distance=distance,
        templates_named=template is not None and sample is not None,
    )
    attack_name = roles.find(columns, roles.ATTACK)
    if attack_name is None:
        return found
    kinds = [
        "" if cell.casefold() in NO_VALUE or cell.casefold() in _LICIT else cell
        for cell in columns[attack_name]
    ]
    return _without_attacks(found, _words(kinds))


def _words(cells: Sequence[str]) -> NDArray[Any]:
    return np.array(cells, dtype=np.str_)


def _unnamed(count: int, side: str) -> NDArray[Any]:
    return np.char.add(f"{side} of row ", np.arange(1, count + 1).astype(str))


# -- two files, one of genuine and one of impostor scores


def read_two_files(genuine: Path, impostor: Path, options: Options) -> ScoreSet:
    """PyEER's way: one file a kind of pair, a score a line, or names before it.

    Raises:
        DataError: no text, or a line whose last field is no score.
    """
    parts = [_one_kind(path, same, options) for path, same in ((genuine, True), (impostor, False))]
    left, right, score = (np.concatenate([part[k] for part in parts]) for k in range(3))
    same = np.repeat([True, False], [len(part[2]) for part in parts])
    return ScoreSet(
        left,
        right,
        same,
        score,
        source=f"{genuine} and {impostor}",
        format="pyeer",
        templates_named=all(part[3] for part in parts),
    )


def _one_kind(
    path: Path, same: bool, options: Options
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], bool]:
    where = str(path)
    sheet = read_sheet(read_file(path, TABLE_BYTES), where, roles.KNOWN)
    rows, numbers = sheet.rows, sheet.numbers
    if (
        sheet.delimiter == ","
        and rows
        and all(len(row) == 2 and _WHOLE_PART.fullmatch(row[0]) for row in rows)
    ):
        rows = [[f"{row[0]}.{row[1]}"] for row in rows]  # one number with a decimal comma
    place = -1
    if rows and not _all_numbers([rows[0][-1]]):
        column = options.column or roles.find(rows[0], (*roles.SCORE, *roles.DISTANCE))
        if column in rows[0]:
            place = rows[0].index(column)
            rows, numbers = rows[1:], numbers[1:]
    scores = []
    for number, row in zip(numbers, rows, strict=True):
        text = row[place].replace(",", ".") if sheet.delimiter != "," else row[place]
        scores.append(number_cell(text, f"{where}, line {number}"))
    named = bool(rows) and all(len(row) >= 3 for row in rows)
    side = "genuine" if same else "impostor"
    if named:
        left, right = _words([row[0] for row in rows]), _words([row[1] for row in rows])
    else:
        left, right = (_unnamed(len(scores), f"{side} {one}") for one in ("left", "right"))
    return left, right, np.array(scores, np.float64), named
