"""CelebA as its publishers, Kaggle and others lay it out; with identities or without."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

import numpy as np

from fraudit.errors import DataError
from fraudit.faces import roles
from fraudit.faces.draft import Draft
from fraudit.faces.members import Members
from fraudit.faces.picking import picked, read_list
from fraudit.faces.tables import Columns, need, read_sheet, read_table, typed
from fraudit.types import F32

IDENTITIES = ("identity_CelebA.txt", "identity_CelebA.csv", "identity_celeba.txt", "identity_celeba.csv")
ATTRIBUTES = ("list_attr_celeba.txt", "list_attr_celeba.csv")
LANDMARKS = ("list_landmarks_align_celeba.txt", "list_landmarks_align_celeba.csv")


def find_file(members: Members, *names: str) -> str | None:
    """The member nearest to the root with one of these file names, the first name first; or None."""
    for wanted in names:
        found = [m for m in members.names if posixpath.basename(m) == wanted and not m.startswith("__MACOSX")]
        if found:
            return min(found, key=lambda m: (m.count("/"), m))
    return None


def looks_like_celeba(members: Members) -> bool:
    """Whether one of CelebA's own lists lies in the set."""
    return find_file(members, *IDENTITIES, *ATTRIBUTES) is not None


def read_celeba(members: Members) -> Draft:
    """CelebA: `attributes.csv` (file, identity, attributes as 0/1), or the official lists as text or Kaggle's CSV.

    Official: list_attr_celeba (-1/1, read as 0/1), identity_CelebA and, for the aligned pictures,
    list_landmarks_align_celeba, whose five points are then declared. Where the identities are not there, nobody is
    identified. Attribute names stay as published; pictures are found by their number, whatever their ending.
    Without landmarks a detector is needed: on 1,000 aligned pictures one constant set of points leaves the
    corners of a 112x112 crop 3.8 px off on average and 8.2 px at the 95th percentile.

    Raises:
        DataError: no label file, or it lacks a column.
    """
    places = _Places(picked(members).pictures)
    table = find_file(members, "attributes.csv")
    if table:
        return _read_own(members, table, places)
    identity_file, attribute_file = find_file(members, *IDENTITIES), find_file(members, *ATTRIBUTES)
    if not identity_file and not attribute_file:
        raise DataError(
            f"{members.path}: neither attributes.csv nor identity_CelebA.txt nor list_attr_celeba.txt is in it",
            "put CelebA's annotation files beside the pictures",
        )
    names, rows = _table(members, attribute_file) if attribute_file else ([], {})
    owners = _table(members, identity_file, columns=1)[1] if identity_file else None
    listed = sorted(owners if owners is not None else rows)
    keys = [key for key in listed if places.find(key) is not None]
    if not keys:
        raise DataError(
            f"{members.path}: no picture is named in {identity_file or attribute_file}",
            "expected names such as 000001.jpg",
        )
    files = [str(places.find(key)) for key in keys]
    unknown = [""] * len(names)
    values = [[_zero_one(v) for v in rows.get(key, unknown)] for key in keys]
    attributes = {name: typed([row[k] for row in values]) for k, name in enumerate(names)}
    marks = find_file(members, *LANDMARKS) if any("align" in file.lower() for file in files) else None
    notes = () if owners else ("no identity_CelebA.txt lies in it: nobody is identified",)
    people = [owners[key][0] for key in keys] if owners else None
    landmarks = _landmarks(members, marks, keys) if marks else None
    return Draft(members, files, people, attributes, landmarks=landmarks, notes=notes)


class _Places:
    """Pictures by file name, or by file name without ending."""

    def __init__(self, files: Sequence[str]) -> None:
        self._by_name = {posixpath.basename(file): file for file in files}
        self._by_stem = {_stem(file): file for file in files}

    def find(self, name: str) -> str | None:
        base = posixpath.basename(name)
        return self._by_name.get(base) or self._by_stem.get(_stem(base))


def _stem(name: str) -> str:
    return posixpath.splitext(posixpath.basename(name))[0]


def _read_own(members: Members, table: str, places: _Places) -> Draft:
    data = read_list(members, table)
    columns: Columns = read_table(data, f"{members.path.name}/{table}", roles.KNOWN)
    files, people = need(columns, "file", table), need(columns, "identity", table)
    rest = {name: typed(values) for name, values in columns.items() if name not in ("file", "identity")}
    return Draft(members, [places.find(file) or file for file in files], people, rest)


def _zero_one(value: str) -> str:
    return "0" if value == "-1" else value


def _table(members: Members, name: str, columns: int = 0) -> tuple[list[str], dict[str, list[str]]]:
    """(names of columns, picture -> values) of an official list or of its CSV; `columns`: how many have no name."""
    sheet = read_sheet(read_list(members, name), f"{members.path.name}/{name}", roles.KNOWN)
    rows, numbers, header = sheet.rows, sheet.numbers, ["" for _ in range(columns)]
    if rows and len(rows[0]) == 1 and rows[0][0].isdecimal() and len(rows) > 1:
        header, rows, numbers = rows[1], rows[2:], numbers[2:]
    elif rows and not any(character.isdecimal() for character in rows[0][0]):
        header, rows, numbers = rows[0][1:], rows[1:], numbers[1:]
    elif not columns:
        raise DataError(f"{name}: expected the number of pictures in line 1 and column names in line 2")
    found: dict[str, list[str]] = {}
    for number, fields in zip(numbers, rows, strict=True):
        if len(fields) != 1 + len(header):
            raise DataError(
                f"{name}, line {number}: found {len(fields)} fields, the header has {len(header)} and a picture's name"
            )
        found[fields[0]] = fields[1:]
    return header, found


def _landmarks(members: Members, name: str, keys: list[str]) -> F32:
    names, rows = _table(members, name)
    if len(names) != 10:
        raise DataError(f"{name}: expected 10 columns, found {len(names)}")
    points = np.full((len(keys), 10), np.nan, np.float32)
    for i, key in enumerate(keys):
        if key in rows:
            try:
                points[i] = [float(value) for value in rows[key]]
            except ValueError as error:
                raise DataError(f"{name}: the landmarks of {key} are not numbers") from error
    return points.reshape(-1, 5, 2)
