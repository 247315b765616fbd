"""The lists of IJB-B and IJB-C as insightface packs them.

| file in `meta/` (ijbb_ or ijbc_ before it) | a row |
|---|---|
| `face_tid_mid.txt` | `picture template medium` |
| `template_pair_label.txt` | `template template label` |
| `name_5pts_score.txt` | `picture x1 y1 ... x5 y5 score`, pixels of the loose crop |
| `1N_gallery_G1.csv`, `_G2.csv` (IJB-B: `_S1`, `_S2`), `1N_probe_mixed.csv` | NIST's: `TEMPLATE_ID,SUBJECT_ID,...` |
"""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fraudit.errors import DataError
from fraudit.faces import roles
from fraudit.faces.packed import unpack
from fraudit.faces.tables import NO_VALUE, decode_text, read_number, read_sheet
from fraudit.types import F32, F64, I64, Bool


def read_face_tid_mid(data: bytes, where: str) -> tuple[tuple[str, ...], I64, I64]:
    """IJB `face_tid_mid.txt`: (names, templates i64[M], media i64[M]) of lines `name template media`.

    Raises:
        DataError: no line, one with another number of fields, or ids that are not whole numbers.
    """
    rows = [*_fields(data, where, "name template media", 3, 1, _whole)]
    ids = np.array([row[1:] for row in rows], np.int64).reshape(len(rows), 2)
    return tuple(str(row[0]) for row in rows), ids[:, 0], ids[:, 1]


def read_template_pairs(data: bytes, where: str) -> tuple[I64, I64, Bool]:
    """IJB `template_pair_label.txt`: (left i64[P], right i64[P], same bool[P]) of template ids.

    IJB-C's 15.7 million lines take seconds.

    Raises:
        DataError: no line, one that does not fit, or a label other than 0 and 1.
    """
    wanted = "template template label"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # it would only warn of `1.5` and of a file without a line
            table = np.loadtxt(io.BytesIO(unpack(data, where)), np.int64, comments=None, ndmin=2)
    except (ValueError, Warning):
        table = np.zeros((0, 0), np.int64)
    if table.shape[1] != 3:  # slowly, to name the line
        rows = [*_fields(data, where, wanted, 3, 0, _whole)]
        table = np.array(rows, np.int64)
    wrong = np.flatnonzero((table[:, 2] != 0) & (table[:, 2] != 1))
    if len(wrong):
        raise DataError(
            f"{where}: pair {wrong[0] + 1}: expected label 0 or 1, found {table[wrong[0], 2]}",
            "1 is the same person, 0 another",
        )
    left, right = (np.ascontiguousarray(table[:, k]) for k in (0, 1))
    return left, right, table[:, 2] == 1


def read_five_points(data: bytes, where: str) -> tuple[tuple[str, ...], F32, F64]:
    """IJB `name_5pts_score.txt`: (names, points f32[N,5,2] in pixels, scores f64[N] of the detector).

    Raises:
        DataError: no line, one with another number of fields, or fields that are not numbers.
    """
    rows = [*_fields(data, where, "name x1 y1 x2 y2 x3 y3 x4 y4 x5 y5 score", 12, 1, _number)]
    numbers = np.array([row[1:] for row in rows], np.float64).reshape(len(rows), 11)
    points = numbers[:, :10].astype(np.float32)
    points[~np.isfinite(points).all(axis=1)] = np.nan  # a face that was not found
    return tuple(str(row[0]) for row in rows), points.reshape(-1, 5, 2), numbers[:, 10]


def _whole(text: str) -> int:
    """A whole number that an i64 holds. Raises ValueError."""
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ValueError(text)
    return int(text)


def _number(text: str) -> float:
    """A number that an f32 holds, or NaN. Raises ValueError."""
    number = read_number(text)
    if abs(number) > np.finfo(np.float32).max:
        raise ValueError(text)
    return number


def _fields(
    data: bytes, where: str, wanted: str, count: int, text: int, kind: Callable[[str], float]
) -> Iterator[list[Any]]:
    """The lines of a list as fields, the first `text` of them words and the others numbers of `kind`."""
    found = False
    for number, line in enumerate(decode_text(unpack(data, where), where).split("\n"), 1):
        fields = line.split()
        if not fields:
            continue
        found = True
        if len(fields) != count:
            raise DataError(
                f"{where}, line {number}: expected {count} fields '{wanted}', found {len(fields)}",
                "is the file whole, and the right one?",
            )
        try:
            yield [*fields[:text], *map(kind, fields[text:])]
        except ValueError:
            numbers = "whole numbers" if kind is _whole else "numbers"
            raise DataError(
                f"{where}, line {number}: expected {numbers} in '{wanted}', found {line.strip()[:60]!r}",
                "is it the right file?",
            ) from None
    if not found:
        raise DataError(f"{where}: no line in it", f"expected lines '{wanted}'")


def _whole_rows(reader: Any, where: str) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise DataError(f"{where}, line {reader.line_num}: {error}", "expected a plain CSV") from error


def read_template_subjects(data: bytes, where: str) -> dict[int, str]:
    """NIST's gallery or probe list: template -> subject, in the order of the file.

    Its other columns (file, sighting, box, ...) are not used: insightface's crops have names of their own.

    Raises:
        DataError: a column is missing, a line has another number of fields, a template is no whole number, or has no
            or two subjects.
    """
    text = decode_text(unpack(data, where), where)
    lines = io.StringIO(text, newline="")
    head = read_sheet("".join(text.splitlines(keepends=True)[:20]).encode(), where, roles.KNOWN)
    reader = csv.reader(lines, delimiter=head.delimiter)
    rows = _whole_rows(reader, where)
    header = [cell.strip() for cell in next(rows, [])]
    columns = [roles.find(header, names) for names in (roles.TEMPLATE, roles.SUBJECT)]
    for name, column in zip(("TEMPLATE_ID", "SUBJECT_ID"), columns, strict=True):
        if column is None:
            raise DataError(
                f"{where}: the column '{name}' is missing, found {', '.join(header)[:80] or 'nothing'}",
                "expected NIST's list with its header",
            )
    at, of = (header.index(str(column)) for column in columns)
    found: dict[int, str] = {}
    for row in rows:
        if not any(row):
            continue
        line = f"{where}, line {reader.line_num}"
        if len(row) != len(header):
            raise DataError(f"{line}: expected {len(header)} fields, found {len(row)}", "is the file whole?")
        template, subject = row[at].strip(), row[of].strip()
        try:
            number = _whole(template)
        except ValueError:
            raise DataError(
                f"{line}: expected a whole number as TEMPLATE_ID, found '{template[:40]}'",
                "is it the right file?",
            ) from None
        if subject.casefold() in NO_VALUE:
            raise DataError(f"{line}: template {template} has no SUBJECT_ID", "name every subject")
        if found.setdefault(number, subject) != subject:
            raise DataError(
                f"{line}: template {template} shows subject {subject}, an earlier line says {found[number]}",
                "a template shows one person",
            )
    if not found:
        raise DataError(f"{where}: no template in it", "is the file whole?")
    return found
