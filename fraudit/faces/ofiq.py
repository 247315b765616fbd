"""The table that OFIQ writes, as it is: file names and every measure as numbers.

OFIQ (the reference implementation of ISO/IEC 29794-5) writes one row a picture: `Filename;`, then every measure in its
native unit (`HeadPoseYaw`, in later versions also `HeadPoseYaw.native`), then every measure as a quality of 0 to 100
(`HeadPoseYaw.scalar`), in some versions `assessment_time_in_ms`, and a semicolon at the end of the header that the rows
do not have. A measure that could not be taken has -1 as its quality and a native value that means nothing.

Larger `.scalar` values are better. What is better of a native value is not said by the file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fraudit.errors import DataError
from fraudit.faces.pairing import composed
from fraudit.faces.tables import NO_VALUE, Sheet, read_number, read_sheet, sheet_columns
from fraudit.types import F64, I64

FILE_COLUMN = "filename"
TIME_COLUMN = "assessment_time_in_ms"
QUALITY, NATIVE = ".scalar", ".native"
FAILED = -1.0
_SHOWN = 3  # names in a message


@dataclass(frozen=True, slots=True)
class OfiqTable:
    """What OFIQ measured.

    Attributes:
        files: M names as written. columns: name -> f64[M], NaN where the measure could not be taken.
        failed: name -> how many of the M it could not be taken of, of measures with any.
    """

    files: tuple[str, ...]
    columns: Mapping[str, F64]
    failed: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class OfiqMatch:
    """OFIQ's columns in the order of a face set.

    Attributes:
        columns: name -> f64[N], NaN where unknown. row: i64[N], row of the table, -1 where it has none.
        without: pictures of the set that the table does not name. unmatched: rows that name no picture of it.
    """

    columns: Mapping[str, F64]
    row: I64
    without: int
    unmatched: int


def read_ofiq(data: bytes, where: str) -> OfiqTable:
    """Parse OFIQ's table; semicolons as OFIQ writes them, or commas or tabs.

    Raises:
        DataError: not a table of OFIQ, a row of another length, a cell that is no number, a picture named twice.
    """
    sheet = _rectangular(read_sheet(data, where, known=(FILE_COLUMN, "unifiedqualityscorescalar")))
    header = sheet.rows[0] if sheet.rows else []
    if not header or header[0].casefold() != FILE_COLUMN or len(header) < 2:
        found = ", ".join(repr(name[:40]) for name in header[:_SHOWN]) or "an empty file"
        raise DataError(
            f"{where}: expected OFIQ's table, whose first column is 'Filename', found {found}",
            "pass the CSV of OFIQSampleApp as it is (semicolons; commas and tabs are read too)",
        )
    cells = sheet_columns(sheet)
    files = tuple(cells.pop(header[0]))
    if not files:
        raise DataError(f"{where}: OFIQ's table names no picture", "run OFIQ on the pictures again")
    blank = next((k for k, name in enumerate(files) if not name), None)
    if blank is not None:
        raise DataError(f"{where}, line {sheet.numbers[blank + 1]}: no file name")
    if len(set(files)) < len(files):
        twice = next(name for name in files if files.count(name) > 1)
        raise DataError(f"{where}: '{twice}' has two rows", "keep one row a picture")
    cells.pop(TIME_COLUMN, None)
    columns = {name: _numbers(values, name, where, sheet) for name, values in cells.items()}
    return OfiqTable(files, *_without_failures(columns))


def _rectangular(sheet: Sheet) -> Sheet:
    """Without the empty last column that a semicolon at the end of the header, or of every line, makes."""
    rows = sheet.rows
    if rows and rows[0] and rows[0][-1] == "":
        width = len(rows[0]) - 1
        rows = [row[:-1] if len(row) == width + 1 and row[-1] == "" else row for row in rows]
    return replace(sheet, rows=rows)


def _numbers(cells: Sequence[str], name: str, where: str, sheet: Sheet) -> F64:
    out = np.empty(len(cells))
    for i, cell in enumerate(cells):
        try:
            out[i] = read_number(cell)
        except ValueError:
            out[i] = np.inf
        if not np.isfinite(out[i]) and cell.strip().casefold() not in NO_VALUE:
            raise DataError(
                f"{where}, line {sheet.numbers[i + 1]}: '{name}' is '{cell[:40]}'; expected a number"
            )
    return out


def _without_failures(columns: Mapping[str, F64]) -> tuple[dict[str, F64], dict[str, int]]:
    """(columns with NaN where a measure failed, its native value too; how often each failed)."""
    found = {name: values.copy() for name, values in columns.items()}
    for name, values in columns.items():
        if not name.endswith(QUALITY):
            continue
        plain = name.removesuffix(QUALITY)
        gone = values == FAILED
        for other in (name, plain, plain + NATIVE):
            if other in found:
                found[other][gone] = np.nan
    counts = {name: int(np.isnan(values).sum()) for name, values in found.items()}
    return found, {name: count for name, count in counts.items() if count}


def match_ofiq(table: OfiqTable, ids: Sequence[str], where: str) -> OfiqMatch:
    """Bring OFIQ's rows into the order of a set's `ids` (relative paths).

    A row belongs to the picture whose path has the longest end in common with the row's, whole folders and at least
    the file's name. OFIQ is often run on a copy in another folder, so the beginnings may differ.

    Raises:
        DataError: no row names a picture; one fits several pictures equally well, or two rows one picture.
    """
    paths = [composed(name).split("/") for name in ids]
    by_name: dict[str, list[int]] = defaultdict(list)
    for i, path in enumerate(paths):
        by_name[path[-1]].append(i)
    row = np.full(len(ids), -1, np.int64)
    unmatched = 0
    for k, file in enumerate(table.files):
        parts = composed(file).split("/")
        candidates = by_name.get(parts[-1], [])
        if not candidates:
            unmatched += 1
            continue
        depths = [_common_end(parts, paths[i]) for i in candidates]
        deepest = [i for i, depth in zip(candidates, depths, strict=True) if depth == max(depths)]
        if len(deepest) > 1:
            fits = ", ".join(f"'{ids[i]}'" for i in deepest[:_SHOWN])
            raise DataError(
                f"{where}: '{file}' may be any of {len(deepest)} pictures ({fits})",
                "give OFIQ the folder itself, so that its names hold the folders that tell them apart",
            )
        if row[deepest[0]] >= 0:
            other = table.files[int(row[deepest[0]])]
            raise DataError(f"{where}: '{other}' and '{file}' both name the picture '{ids[deepest[0]]}'")
        row[deepest[0]] = k
    if unmatched == len(table.files):
        raise DataError(
            f"{where}: none of its {len(table.files):,} rows names a picture of the set; its first is "
            f"'{table.files[0]}', the set's '{ids[0] if ids else ''}'",
            "run OFIQ on this set, or pass the set that it ran on",
        )
    known = row >= 0
    columns = {}
    for name, values in table.columns.items():
        out = np.full(len(ids), np.nan)
        out[known] = values[row[known]]
        columns[name] = out
    return OfiqMatch(columns, row, int((~known).sum()), unmatched)


def _common_end(one: Sequence[str], two: Sequence[str]) -> int:
    """How many names two paths have in common, from the end."""
    depth = 0
    for a, b in zip(reversed(one), reversed(two), strict=False):
        if a != b:
            break
        depth += 1
    return depth
