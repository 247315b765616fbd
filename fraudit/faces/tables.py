"""One tolerant reader of tables, for manifests, pairs and scores alike.

Text may be packed (gz, bz2, xz, a tar or zip of one file), UTF-8 or UTF-16 with or without its mark, delimited by tab,
semicolon, comma, bar or blanks, with decimal commas, comment lines and an index column; Parquet is read too. Nothing in
a table is evaluated: cells are strings, and numbers only where numbers are asked for.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.errors import DataError
from fraudit.faces.packed import unpack

Columns = dict[str, list[str]]

NO_VALUE = frozenset({"", "nan", "na", "n/a", "#n/a", "<na>", "none", "null", "nil", "-", "--", "?"})
TRUE = frozenset({
    "1", "1.0", "+1", "true", "t", "yes", "y", "same", "genuine", "match", "matched", "mated", "positive", "pos",
    "target",
})  # fmt: skip
FALSE = frozenset({
    "0", "0.0", "-1", "-1.0", "false", "f", "no", "n", "different", "diff", "impostor", "imposter", "nonmatch",
    "non-match", "nonmated", "non-mated", "negative", "neg", "nontarget", "non-target", "mismatch",
})  # fmt: skip
_DELIMITERS = ("\t", ";", ",", "|", " ")
_SNIFFED = 200  # lines
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)  # fmt: skip
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?%?")
_PLAIN_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?%?")
_UNNAMED = re.compile(r"(unnamed: ?\d+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table before anybody knows its header.

    Attributes:
        where: its name, for messages.
        rows: cells of every row, stripped. numbers: line of each row, from 1.
        delimiter: what separates the cells; a blank stands for any white space.
        remarks: the lines before the first row that begin with `#`, without it.
    """

    where: str
    rows: list[list[str]]
    numbers: list[int]
    delimiter: str = ","
    remarks: list[str] = field(default_factory=list)


# -- bytes to text


def decode_text(data: bytes, where: str) -> str:
    """Text of UTF-8, or of UTF-16 and UTF-32 with their mark or with every other byte 0. Raises DataError."""
    coding = next((coding for mark, coding in _MARKS if data.startswith(mark)), "")
    if not coding:
        head = data[:4096]
        odd, even = head[1::2].count(0), head[0::2].count(0)
        half = len(head) // 4
        coding = (
            "utf-16-le" if odd > half and not even else "utf-16-be" if even > half and not odd else "utf-8"
        )
    try:
        text = data.decode(coding)
    except UnicodeDecodeError as error:
        name = coding.removesuffix("-sig").upper()
        raise DataError(
            f"{where}: not {name} text (byte {error.start} is not)", "save it as UTF-8"
        ) from error
    if "\0" in text[:4096]:
        raise DataError(f"{where}: a binary file; expected a table of text", "save it as CSV")
    return text


# -- text to cells


def read_sheet(data: bytes, where: str, known: Collection[str] = ()) -> Sheet:
    """The cells of a table of text.

    Args:
        known: names a header may hold, as `plain_name` gives them; they help to tell the delimiter.
    Raises:
        DataError: not text, or quotes that do not end.
    """
    lines = list(io.StringIO(decode_text(unpack(data, where), where), newline=""))
    start, remarks, delimiter = 0, [], ""
    for line in lines:
        text = line.strip().lstrip("\ufeff")
        if text.startswith("#"):
            remarks.append(text.lstrip("#").strip())
        elif re.fullmatch(r"sep=.", text, re.IGNORECASE) and not delimiter:  # Excel's word to itself
            delimiter = text[-1]
        elif text:
            break
        start += 1
    body = lines[start:]
    delimiter = delimiter or _sniff(body, known)
    rows: list[list[str]] = []
    numbers: list[int] = []
    if delimiter == " ":
        for number, line in enumerate(body, start + 1):
            if (cells := line.split()) and not (rows and _remark(cells, rows[0])):
                rows.append([cell.strip('"') for cell in cells])
                numbers.append(number)
        return Sheet(where, rows, numbers, delimiter, remarks)
    reader = csv.reader(io.StringIO("".join(body), newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells) and not (rows and _remark(cells, rows[0])):
                rows.append(cells)
                numbers.append(start + reader.line_num)
    except csv.Error as error:
        raise DataError(
            f"{where}, line {start + reader.line_num}: {error}", "expected a plain CSV"
        ) from error
    return Sheet(where, rows, numbers, delimiter, remarks)


def _remark(cells: Sequence[str], first: Sequence[str]) -> bool:
    """Whether a row is a comment: a file's name may begin with `#`, too, but then the row is as long as the others."""
    return cells[0].startswith("#") and (len(cells) != len(first) or cells[0] == "#")


def _sniff(body: Sequence[str], known: Collection[str]) -> str:
    lines = [line for line in body[:_SNIFFED] if line.strip() and not line.lstrip().startswith("#")]
    best, found = None, ","
    for order, delimiter in enumerate(_DELIMITERS):
        try:
            split = [_cells(line, delimiter) for line in lines]
        except csv.Error:
            continue
        counts = [len(cells) for cells in split[1:] or split]
        hits = sum(plain_name(cell) in known for cell in split[0]) if split else 0
        wide = sum(count > 1 for count in counts)
        if hits < 2 and (not counts or wide < 0.9 * len(counts)):
            continue
        rank = (hits >= 2, len(set(counts)) == 1, -order)
        if best is None or rank > best:
            best, found = rank, delimiter
    return found


def _cells(line: str, delimiter: str) -> list[str]:
    return (
        line.split() if delimiter == " " else next(csv.reader([line.strip("\r\n")], delimiter=delimiter), [])
    )


def plain_name(text: str) -> str:
    """`Image_1 ` -> `image1`: names of columns are compared like this."""
    return "".join(c for c in text.casefold() if c.isalnum())


# -- cells to columns


def sheet_columns(sheet: Sheet, header: Sequence[str] | None = None) -> Columns:
    """Columns by name, without a nameless index column; the first row is the header unless one is given.

    Raises:
        DataError: no header, two columns of one name, a row of another length.
    """
    names = [name.strip() for name in (header if header is not None else (sheet.rows or [[]])[0])]
    skip = 0 if header is not None else 1
    rows, numbers = sheet.rows[skip:], sheet.numbers[skip:]
    lengths = {len(row) for row in rows}
    if lengths == {len(names) + 1} and names:
        if not any(row[-1] for row in rows):  # a delimiter at the end of every line
            rows = [row[:-1] for row in rows]
        elif _counts_up(row[0] for row in rows):
            rows = [row[1:] for row in rows]  # R names its rows and not their column
    for row, number in zip(rows, numbers, strict=True):
        if len(row) != len(names):
            raise DataError(
                f"{sheet.where}, line {number}: expected {len(names)} fields, found {len(row)}",
                "quote values that hold the delimiter",
            )
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in names]
    kept = [k for k, name in enumerate(names) if not _no_column(k, name, columns[k])]
    check_header([names[k] for k in kept], sheet.where)
    return {names[k]: decimal_points(columns[k], sheet.delimiter) for k in kept}


def _no_column(place: int, name: str, cells: list[str]) -> bool:
    """Whether a column only numbers the rows, or holds nothing and has no name."""
    if not _UNNAMED.fullmatch(name):
        return name.casefold() == "index" and place == 0 and bool(cells) and _counts_up(cells)
    return not any(cells) if not name and place else _counts_up(cells) or not any(cells)


def _counts_up(cells: Any) -> bool:
    """Whether cells are whole numbers that rise: an index."""
    last = -1
    for cell in cells:
        if not cell.isdecimal() or int(cell) <= last:
            return False
        last = int(cell)
    return True


def without_index(sheet: Sheet) -> Sheet:
    """A sheet without header whose first column only counts, without that column."""
    if len(sheet.rows) < 3 or not all(len(row) > 1 and row[0].isdecimal() for row in sheet.rows):
        return sheet
    first = [int(row[0]) for row in sheet.rows]
    if first != list(range(first[0], first[0] + len(first))) or first[0] not in (0, 1):
        return sheet
    return Sheet(sheet.where, [row[1:] for row in sheet.rows], sheet.numbers, sheet.delimiter, sheet.remarks)


def decimal_points(cells: list[str], delimiter: str) -> list[str]:
    """`0,63` as `0.63` where every value of the column is such a number.

    Between commas only quoted cells hold one, and `"1,234"` may be a thousand: such a column stays as it is.
    """
    if not any("," in cell and _DECIMAL_COMMA.fullmatch(cell) for cell in cells):
        return cells
    if delimiter == "," and any(re.fullmatch(r"[-+]?[1-9]\d{0,2},\d{3}", cell) for cell in cells):
        return cells
    for cell in cells:
        if not (
            cell.casefold() in NO_VALUE or _DECIMAL_COMMA.fullmatch(cell) or _PLAIN_NUMBER.fullmatch(cell)
        ):
            return cells
    return [cell.replace(",", ".") for cell in cells]


def check_header(header: Sequence[str], where: str) -> None:
    """Raises DataError where the header is empty or names a column twice."""
    if not header:
        raise DataError(
            f"{where}: the file is empty", "expected a header line that names every column, and rows"
        )
    if not all(header):
        raise DataError(f"{where}: expected a header line that names every column, found {list(header)}")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"{where}: the column '{twice[0]}' appears twice")


def read_csv(data: bytes, where: str, known: Collection[str] = ()) -> Columns:
    """Columns of a table of text with a header, all values as stripped strings. Raises DataError."""
    return sheet_columns(read_sheet(data, where, known))


def read_parquet(data: bytes, where: str) -> Columns:
    """Columns of a Parquet file as strings ('' for null).

    Raises:
        DataError: pyarrow is not installed, or the file cannot be read.
    """
    if find_spec("pyarrow") is None:
        raise DataError(
            f"{where}: reading Parquet needs pyarrow", "pip install 'fraudit[parquet]', or use CSV"
        )
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{where} cannot be read as Parquet: {str(error).splitlines()[0]}") from error
    names = [name for name in table.column_names if not re.fullmatch(r"__index_level_\d+__", name)]
    check_header(names, where)
    return {name: [_text(value) for value in table[name].to_pylist()] for name in names}


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    return str(value).strip()


def read_table(data: bytes, where: str, known: Collection[str] = ()) -> Columns:
    """Text or Parquet by its first bytes. Raises DataError."""
    parquet = data[:4] == b"PAR1" or where.lower().endswith(".parquet")
    return read_parquet(data, where) if parquet else read_csv(data, where, known)


# -- values


def need(columns: Columns, name: str, where: str) -> list[str]:
    """The column `name`. Raises DataError that names it and what is there."""
    if name not in columns:
        raise DataError(
            f"{where}: the column '{name}' is missing, found {', '.join(columns)}",
            f"add a column named '{name}' to the header",
        )
    return columns[name]


def read_flag(text: str) -> bool | None:
    """Whether a cell says same person (1, 1.0, true, genuine, ...) or not (0, -1, false, ...); None: neither."""
    word = text.strip().casefold()
    return True if word in TRUE else False if word in FALSE else None


def read_number(text: str) -> float:
    """A number or a percentage; NaN where the cell says that there is none. Raises ValueError."""
    word = text.strip()
    if word.casefold() in NO_VALUE:
        return math.nan
    if word.endswith("%"):
        return float(word[:-1]) / 100
    if "_" in word:  # Python's own notation, nobody's table
        raise ValueError(word)
    return float(word)


def typed(values: list[str]) -> NDArray[Any]:
    """f64[N] (NaN: unknown) where every known value is a finite number, else strings ('': unknown)."""
    numbers = np.full(len(values), np.nan)
    for i, value in enumerate(values):
        if value == "" or value.lower() == "nan":
            continue
        try:
            number = float(value)
        except ValueError:
            return np.array(values, dtype=str)
        if not math.isfinite(number):
            return np.array(values, dtype=str)
        numbers[i] = number
    if not np.isfinite(numbers).any():
        return np.array(values, dtype=str)
    return numbers
