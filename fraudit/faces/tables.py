"""Tables of labels: CSV and Parquet as columns of strings, and columns as numbers where they are numbers."""

from __future__ import annotations

import csv
import io
import math
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.errors import DataError

Columns = dict[str, list[str]]


def read_csv(data: bytes, where: str, delimiter: str = ",") -> Columns:
    """Columns by name, all values as stripped strings. Labels are only strings: nothing in them is evaluated.

    Raises:
        DataError: not UTF-8, no header, two columns of one name, a row of another length.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: expected UTF-8 text, byte {error.start} is not", "save it as UTF-8"
        ) from error
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        check_header(header, where)
        columns: list[list[str]] = [[] for _ in header]
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(header):
                raise DataError(
                    f"{where}, line {reader.line_num}: expected {len(header)} fields, found {len(row)}",
                    "quote values that hold a comma",
                )
            for column, cell in zip(columns, row, strict=True):
                column.append(cell.strip())
    except csv.Error as error:
        raise DataError(f"{where}, line {reader.line_num}: {error}", "expected a plain CSV") from error
    return dict(zip(header, columns, strict=True))


def check_header(header: list[str], where: str) -> None:
    """Raises DataError where the header is empty or names a column twice."""
    if not header or not all(header):
        raise DataError(f"{where}: expected a header line that names every column, found {header}")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"{where}: the column '{twice[0]}' appears twice")


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
    check_header(list(table.column_names), where)
    return {name: [_text(value) for value in table[name].to_pylist()] for name in table.column_names}


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    return str(value).strip()


def read_table(data: bytes, where: str) -> Columns:
    """CSV or Parquet by the ending of `where`. Raises DataError."""
    return read_parquet(data, where) if where.lower().endswith(".parquet") else read_csv(data, where)


def need(columns: Columns, name: str, where: str) -> list[str]:
    """The column `name`. Raises DataError that names it and what is there."""
    if name not in columns:
        raise DataError(
            f"{where}: the column '{name}' is missing, found {', '.join(columns)}",
            f"add a column named '{name}' to the header",
        )
    return columns[name]


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
