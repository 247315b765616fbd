"""Readers of the layouts that face sets are published in; each takes the files and answers with a Draft."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np

from fraudit.doors import TABLE_BYTES, read_file
from fraudit.errors import DataError
from fraudit.faces.draft import Draft
from fraudit.faces.members import MAX_TABLE_BYTES, FolderMembers, Members, pictures
from fraudit.faces.protocols import NamedPair, read_lfw_pairs
from fraudit.faces.tables import Columns, need, read_csv, read_table, typed
from fraudit.types import F32, PairList

LANDMARK_COLUMNS = tuple(f"{point}_{axis}" for point in ("le", "re", "nose", "ml", "mr") for axis in "xy")
UTK_GENDERS = ("male", "female")
UTK_RACES = ("white", "black", "asian", "indian", "other")
AGE_EDGES = (13, 20, 35, 50, 65)
AGE_GROUPS = ("0-12", "13-19", "20-34", "35-49", "50-64", "65+")
_UTK_NAME = re.compile(r"(\d{1,3})_([01])_([0-4])_\d+")
_UTK_PARTIAL = re.compile(r"(\d{1,3})_(?:([01])_)?\d{6,}")


def find_file(members: Members, name: str) -> str | None:
    """The member nearest to the root with this file name, or None."""
    found = [m for m in members.names if posixpath.basename(m) == name and not m.startswith("__MACOSX")]
    return min(found, key=lambda m: (m.count("/"), m), default=None)


def read_label_table(members: Members, name: str) -> Columns:
    """Columns of the CSV member `name`. Raises DataError."""
    return read_csv(members.read(name, MAX_TABLE_BYTES), f"{members.path.name}/{name}")


# -- LFW


def read_lfw(members: Members, pairs: str = "", everything: bool = False) -> Draft:
    """LFW: NAME/NAME_0001.jpg below any folder, and pairs.txt in it or given.

    Args:
        pairs: path of another pairs file.
        everything: also take pictures that no pair names.
    Raises:
        DataError: no pairs.txt, or most of its pictures are not there. A few missing ones count as
            failures to acquire.
    """
    where = pairs or find_file(members, "pairs.txt")
    if not where:
        raise DataError(
            f"{members.path}: LFW's pairs.txt is not in it", "put it beside the pictures or pass pairs="
        )
    data = _outside(pairs) if pairs else members.read(where, MAX_TABLE_BYTES)
    named = read_lfw_pairs(data, where)
    by_key: dict[tuple[str, int], str] = {}
    for name in pictures(members.names):
        person, _, number = posixpath.splitext(posixpath.basename(name))[0].rpartition("_")
        if number.isdecimal() and posixpath.basename(posixpath.dirname(name)) == person:
            by_key[person, int(number)] = name
    wanted = {key for pair in named for key in (pair.left, pair.right)}
    absent = sorted(wanted - by_key.keys())
    if 2 * len(absent) > len(wanted):
        person, number = absent[0]
        raise DataError(
            f"{members.path}: {len(absent)} of the {len(wanted)} pictures of {where} are not there, "
            f"such as {person}/{person}_{number:04d}.jpg",
            "pass the folder or zip that holds LFW's NAME/NAME_0001.jpg",
        )
    keys = sorted(wanted | by_key.keys() if everything else wanted)
    files = [by_key.get(key, f"{key[0]}/{key[0]}_{key[1]:04d}.jpg") for key in keys]
    place = {key: i for i, key in enumerate(keys)}
    return Draft(members, files, [person for person, _ in keys], pairs=_pair_list(named, place))


def _pair_list(named: list[NamedPair], place: dict[tuple[str, int], int]) -> PairList:
    return PairList(
        left=np.array([place[pair.left] for pair in named], np.int64),
        right=np.array([place[pair.right] for pair in named], np.int64),
        same=np.array([pair.same for pair in named], bool),
        fold=np.array([pair.fold for pair in named], np.int64),
    )


def _outside(path: str) -> bytes:
    return read_file(Path(path), TABLE_BYTES)


# -- folders


def read_people(members: Members) -> Draft:
    """A folder a person: the folder's path is the person's label.

    Raises:
        DataError: pictures lie beside or above the person folders, so that it is unclear who they show.
    """
    files = pictures(members.names)
    folders = [posixpath.dirname(file) for file in files]
    distinct = sorted(set(folders), key=lambda folder: folder.split("/"))
    for folder, after in pairwise(distinct):
        # In the order of their parts, what lies below a folder comes right after it.
        if not folder or after.startswith(f"{folder}/"):
            loose = files[folders.index(folder)]
            raise DataError(
                f"{members.path}: '{loose}' lies outside the folders of people such as '{after}'",
                "put every picture into its person's folder, or pass a manifest.csv",
            )
    return Draft(members, files, folders)


def read_pictures(members: Members) -> Draft:
    """Pictures of unknown people: every picture is its own subject."""
    return Draft(members, pictures(members.names), None)


# -- CelebA


def read_celeba(members: Members) -> Draft:
    """CelebA: `attributes.csv` (file, identity, attributes as 0/1), or the official text files.

    Official: list_attr_celeba.txt (-1/1, read as 0/1), identity_CelebA.txt and, for the aligned pictures,
    list_landmarks_align_celeba.txt, whose five points are then declared. Attribute names stay as published.
    Without that file a detector is needed: on 1,000 aligned pictures one constant set of points leaves the
    corners of a 112x112 crop 3.8 px off on average and 8.2 px at the 95th percentile.

    Raises:
        DataError: no label file, or it lacks a column.
    """
    by_file = {posixpath.basename(name): name for name in pictures(members.names)}
    table = find_file(members, "attributes.csv")
    if table:
        columns = read_label_table(members, table)
        files = need(columns, "file", table)
        people = need(columns, "identity", table)
        rest = {name: typed(values) for name, values in columns.items() if name not in ("file", "identity")}
        return Draft(members, [by_file.get(file, file) for file in files], people, rest)
    identity_file = find_file(members, "identity_CelebA.txt")
    attribute_file = find_file(members, "list_attr_celeba.txt")
    if not identity_file or not attribute_file:
        raise DataError(
            f"{members.path}: neither attributes.csv nor both identity_CelebA.txt and list_attr_celeba.txt "
            "are in it",
            "put CelebA's annotation files beside the pictures",
        )
    names, rows = _celeba_table(members, attribute_file)
    _, owners = _celeba_table(members, identity_file, header=False)
    files = [file for file in sorted(by_file) if file in owners]
    if not files:
        raise DataError(
            f"{members.path}: no picture is named in {identity_file}", "expected names such as 000001.jpg"
        )
    unknown = [""] * len(names)
    values = [[_zero_one(v) for v in rows.get(file, unknown)] for file in files]
    attributes = {name: typed([row[k] for row in values]) for k, name in enumerate(names)}
    aligned = any("align" in by_file[file].lower() for file in files)
    marks = find_file(members, "list_landmarks_align_celeba.txt") if aligned else None
    return Draft(
        members,
        [by_file[file] for file in files],
        [owners[file][0] for file in files],
        attributes,
        landmarks=_celeba_landmarks(members, marks, files) if marks else None,
    )


def _zero_one(value: str) -> str:
    return "0" if value == "-1" else value


def _celeba_table(members: Members, name: str, header: bool = True) -> tuple[list[str], dict[str, list[str]]]:
    try:
        lines = members.read(name, MAX_TABLE_BYTES).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{members.path.name}/{name}: expected UTF-8 text") from error
    columns: list[str] = []
    if header:
        if len(lines) < 2 or not lines[0].strip().isdecimal():
            raise DataError(f"{name}: expected the number of pictures in line 1 and column names in line 2")
        columns, lines = lines[1].split(), lines[2:]
    rows = {}
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != (1 + len(columns) if header else 2):
            raise DataError(
                f"{name}, row {number}: found {len(fields)} fields, the header has {len(columns)}"
            )
        rows[fields[0]] = fields[1:]
    return columns, rows


def _celeba_landmarks(members: Members, name: str, files: list[str]) -> F32:
    names, rows = _celeba_table(members, name)
    if len(names) != 10:
        raise DataError(f"{name}: expected 10 columns, found {len(names)}")
    points = np.full((len(files), 10), np.nan, np.float32)
    for i, file in enumerate(files):
        if file in rows:
            try:
                points[i] = [float(value) for value in rows[file]]
            except ValueError as error:
                raise DataError(f"{name}: the landmarks of {file} are not numbers") from error
    return points.reshape(-1, 5, 2)


# -- UTKFace


def read_utkface(members: Members) -> Draft:
    """UTKFace: `attributes.csv` (file, age, gender, race), or official names age_gender_race_date.jpg.

    Attributes: age (years), gender, race, age_group. Nobody is identified. A name that lacks a field
    leaves that attribute unknown.
    """
    files = pictures(members.names)
    table = find_file(members, "attributes.csv")
    if table:
        columns = read_label_table(members, table)
        by_file = {posixpath.basename(name): name for name in files}
        listed = need(columns, "file", table)
        files = [by_file.get(file, file) for file in listed]
        age, gender, race = (need(columns, name, table) for name in ("age", "gender", "race"))
    else:
        facts = [_utk_facts(posixpath.basename(file)) for file in files]
        age, gender, race = ([fact[k] for fact in facts] for k in range(3))
    years = typed(age)
    if years.dtype.kind != "f":
        raise DataError(f"{members.path}: the ages are not numbers", "expected age in years")
    known = np.isfinite(years)
    groups = np.array(AGE_GROUPS)[np.digitize(np.where(known, years, 0), AGE_EDGES)]
    attributes = {
        "age": years,
        "age_group": np.where(known, groups, ""),
        "gender": np.array(gender, dtype=str),
        "race": np.array(race, dtype=str),
    }
    return Draft(members, files, None, attributes)


def _utk_facts(file: str) -> tuple[str, str, str]:
    if whole := _UTK_NAME.match(file):
        return whole[1], UTK_GENDERS[int(whole[2])], UTK_RACES[int(whole[3])]
    if part := _UTK_PARTIAL.match(file):
        return part[1], UTK_GENDERS[int(part[2])] if part[2] else "", ""
    return "", "", ""


def looks_like_utkface(members: Members) -> bool:
    """Whether most picture names are UTKFace's own."""
    files = pictures(members.names)
    return bool(files) and 2 * sum(bool(_UTK_NAME.match(posixpath.basename(f))) for f in files) > len(files)


# -- manifests


def read_manifest(members: Members, name: str, read: Callable[[str], bytes] | None = None) -> Draft:
    """A table `path,subject,<attribute>...` with paths relative to it.

    The columns le_x, le_y, re_x, re_y, nose_x, nose_y, ml_x, ml_y, mr_x, mr_y declare landmarks. Where
    `subject` is empty throughout nobody is identified. A missing picture is a failure to acquire.

    Raises:
        DataError: a column is missing, a path is absolute or leaves the manifest's folder, a picture is
            listed twice, only some subjects are known, or a landmark is no number.
    """
    columns = read_table(members.read(name, MAX_TABLE_BYTES), name)
    paths, subjects = need(columns, "path", name), need(columns, "subject", name)
    base = posixpath.dirname(name)
    files = [_inside(base, path, name, row) for row, path in enumerate(paths, start=1)]
    named = [bool(subject) for subject in subjects]
    if any(named) and not all(named):
        raise DataError(
            f"{name}, row {named.index(False) + 1}: the subject is empty",
            "name every subject, or leave the whole column empty where nobody is identified",
        )
    declared = [column for column in LANDMARK_COLUMNS if column in columns]
    if declared and len(declared) < len(LANDMARK_COLUMNS):
        absent = next(column for column in LANDMARK_COLUMNS if column not in columns)
        raise DataError(f"{name}: landmarks need ten columns, '{absent}' is missing")
    landmarks = None
    if declared:
        values = [typed(columns[column]) for column in LANDMARK_COLUMNS]
        for column, numbers in zip(LANDMARK_COLUMNS, values, strict=True):
            if numbers.dtype.kind != "f" and any(columns[column]):
                raise DataError(f"{name}: the column '{column}' must hold numbers (pixels)")
        stacked = [v if v.dtype.kind == "f" else np.full(len(paths), np.nan) for v in values]
        landmarks = np.stack(stacked, axis=1).astype(np.float32).reshape(-1, 5, 2)
    skip = {"path", "subject", *LANDMARK_COLUMNS}
    attributes = {column: typed(cells) for column, cells in columns.items() if column not in skip}
    return Draft(members, files, subjects if all(named) and named else None, attributes, landmarks)


def _inside(base: str, path: str, where: str, row: int) -> str:
    clean = path.replace("\\", "/")
    joined = posixpath.normpath(posixpath.join(base, clean))
    if not path or posixpath.isabs(clean) or re.match(r"[A-Za-z]:", clean) or joined.split("/")[0] == "..":
        raise DataError(
            f"{where}, row {row}: the path '{path}' is not inside the manifest's folder",
            "write paths relative to the manifest, and put it above the pictures",
        )
    return joined


class ManifestFolder(FolderMembers):
    """The folder of a manifest, not walked: only the files that it lists are ever touched."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names = ()
