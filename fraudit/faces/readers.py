"""Readers of the layouts that face sets are published in; each takes the files and answers with a Draft."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fraudit.errors import DataError
from fraudit.faces import roles
from fraudit.faces.celeba import find_file
from fraudit.faces.decode import SUFFIXES
from fraudit.faces.draft import Draft
from fraudit.faces.layout import read_layout
from fraudit.faces.members import FolderMembers, Members
from fraudit.faces.pairing import NO_PAIRS, composed, given_pairs, linked, pair_files, with_pairs
from fraudit.faces.picking import picked, read_list
from fraudit.faces.protocols import read_named_pairs
from fraudit.faces.tables import (
    Columns,
    Sheet,
    need,
    read_parquet,
    read_sheet,
    read_table,
    sheet_columns,
    typed,
    without_index,
)
from fraudit.faces.templates import check_one_person, listed_templates, shared_templates, told
from fraudit.types import F32, F64, Templates

LANDMARK_COLUMNS = tuple(f"{point}_{axis}" for point in ("le", "re", "nose", "ml", "mr") for axis in "xy")
UTK_GENDERS = ("male", "female")
UTK_RACES = ("white", "black", "asian", "indian", "other")
AGE_EDGES = (13, 20, 35, 50, 65)
AGE_GROUPS = ("0-12", "13-19", "20-34", "35-49", "50-64", "65+")
_UTK_NAME = re.compile(r"(\d{1,3})_([01])_([0-4])_\d+")
_UTK_PARTIAL = re.compile(r"(\d{1,3})_(?:([01])_)?\d{6,}")


def read_label_table(members: Members, name: str) -> Columns:
    """Columns of the CSV member `name`. Raises DataError."""
    return read_table(read_list(members, name), f"{members.path.name}/{name}", roles.KNOWN)


# -- LFW


def read_lfw(members: Members, pairs: str = "", everything: bool = False, layout: str = "") -> Draft:
    """LFW: NAME/NAME_0001.jpg below any folder, and pairs.txt in it or given.

    Args:
        pairs: path of another pairs file.
        everything: also take pictures that no pair names.
        layout: which folder names the person, where the pairs name paths.
    Raises:
        DataError: no pairs.txt, or most of its pictures are not there. A few missing ones count as
            failures to acquire.
    """
    where = find_file(members, "pairs.txt")
    if not where and not pairs:
        raise DataError(
            f"{members.path}: LFW's pairs.txt is not in it", "put it beside the pictures or pass pairs="
        )
    named = given_pairs(pairs) if pairs else read_named_pairs(read_list(members, str(where)), str(where))
    files = picked(members).pictures
    if not named.by_number:
        folders = {posixpath.dirname(file) for file in files}
        return _others_noted(
            with_pairs(read_people(members, layout) if len(folders) > 1 else read_pictures(members), [named]),
            members,
            pairs or str(where),
        )
    people = [composed(posixpath.basename(posixpath.dirname(file))) for file in files] if everything else None
    draft = with_pairs(Draft(members, files, people), [named])
    return _others_noted(draft, members, pairs or str(where))


def _others_noted(draft: Draft, members: Members, used: str) -> Draft:
    """With a note on files of pairs that are not used."""
    others = [name for name in pair_files(members) if name != used]
    if not others:
        return draft
    some = ", ".join(others[:4]) + (", ..." if len(others) > 4 else "")
    return replace(draft, notes=(*draft.notes, f"pairs not used: {some}; --pairs FILE uses a file"))


# -- folders


def read_people(members: Members, layout: str = "") -> Draft:
    """A folder a person, below folders of groups or around folders of sessions (`fraudit.faces.layout`).

    Raises:
        DataError: pictures lie beside or above the person folders, or several levels may be the person.
    """
    files = picked(members).pictures
    found = read_layout(files, str(members.path), layout)
    return Draft(members, files, found.people, found.attributes, notes=found.notes)


def read_pictures(members: Members) -> Draft:
    """Pictures of unknown people: every picture is its own subject."""
    return Draft(members, picked(members).pictures, None)


# -- UTKFace


def read_utkface(members: Members) -> Draft:
    """UTKFace: `attributes.csv` (file, age, gender, race), or official names age_gender_race_date.jpg.

    Attributes: age (years), gender, race, age_group. Nobody is identified. A name that lacks a field
    leaves that attribute unknown.
    """
    files = picked(members).pictures
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
    attributes = {
        "age": years,
        "age_group": age_groups(years),
        "gender": np.array(gender, dtype=str),
        "race": np.array(race, dtype=str),
    }
    return Draft(members, files, None, attributes)


def age_groups(years: F64) -> NDArray[np.str_]:
    """str[N]: `AGE_GROUPS` of f64[N] ages in years, '' where unknown."""
    known = np.isfinite(years)
    return np.where(known, np.array(AGE_GROUPS)[np.digitize(np.where(known, years, 0), AGE_EDGES)], "")


def _utk_facts(file: str) -> tuple[str, str, str]:
    if whole := _UTK_NAME.match(file):
        return whole[1], UTK_GENDERS[int(whole[2])], UTK_RACES[int(whole[3])]
    if part := _UTK_PARTIAL.match(file):
        return part[1], UTK_GENDERS[int(part[2])] if part[2] else "", ""
    return "", "", ""


def looks_like_utkface(members: Members) -> bool:
    """Whether most picture names are UTKFace's own."""
    files = picked(members).pictures
    return bool(files) and 2 * sum(bool(_UTK_NAME.match(posixpath.basename(f))) for f in files) > len(files)


# -- manifests


def read_manifest(members: Members, name: str) -> Draft:
    """A table `path,subject,<attribute>...` with paths relative to it, or absolute and below its folder.

    The columns may have other names (`fraudit.faces.roles`). le_x, le_y, re_x, re_y, nose_x, nose_y, ml_x, ml_y, mr_x,
    mr_y declare landmarks. Where `subject` is empty throughout nobody is identified. A missing picture is a failure to
    acquire; a row that repeats another in full is left out and counted. `template` groups pictures that are compared as
    one, `medium` those of one video among them; a picture may be listed once a template.

    Raises:
        DataError: a column is missing, a path leaves the manifest's folder, a picture is listed twice with other
            labels, only some subjects are known, a landmark is no number, or a template shows two people.
    """
    columns = _manifest_table(read_list(members, name), name)
    path = roles.find_path(columns, name)
    if not columns[path]:
        raise DataError(
            f"{name}: the table has a header ({', '.join(columns)[:120]}) and no row",
            "add a row a picture: its path, and who is shown",
        )
    subject = roles.find_subject(columns, name, (path, *LANDMARK_COLUMNS))
    base = posixpath.dirname(name)
    files = [_inside(members, base, cell, name, row) for row, cell in enumerate(columns[path], start=1)]
    kept = _first_rows(files, columns)
    repeated = len(files) - len(kept)
    if repeated:
        files = [files[k] for k in kept]
        columns = {column: [cells[k] for k in kept] for column, cells in columns.items()}
    grouped = roles.find(columns, roles.TEMPLATE, (path, subject))
    templates = None
    if grouped is not None:
        medium = roles.find(columns, roles.MEDIUM, (path, subject, grouped))
        cells, media = columns.pop(grouped), None if medium is None else columns.pop(medium)
        rows = _first_rows(files, columns)
        templates = listed_templates(files, [files[k] for k in rows], cells, media)
        files = [files[k] for k in rows]
        columns = {column: [cells[k] for k in rows] for column, cells in columns.items()}
    subjects = [unicodedata.normalize("NFC", cell) for cell in columns[subject]]
    named = [bool(one) for one in subjects]
    if any(named) and not all(named):
        raise DataError(
            f"{name}, row {named.index(False) + 1}: the subject is empty",
            "name every subject, or leave the whole column empty where nobody is identified",
        )
    skip = {path, subject, *LANDMARK_COLUMNS}
    attributes = {column: typed(cells) for column, cells in columns.items() if column not in skip}
    draft = Draft(
        members,
        files,
        subjects if all(named) and named else None,
        attributes,
        _declared(columns, name, len(files)),
        templates=templates,
    )
    if templates is not None:
        draft = _with_templates(draft, templates, name)
    return draft.leaving_out("rows that repeat another", repeated) if repeated else draft


def _with_templates(draft: Draft, templates: Templates, name: str) -> Draft:
    """A draft whose templates each show one person. Raises DataError where one shows two."""
    if draft.people is None:  # a template is of one person, whoever that is
        draft = replace(draft, subjects=linked(len(draft.files), NO_PAIRS, shared_templates(templates)))
    else:
        check_one_person(templates, draft.people, name)
    return replace(draft, notes=(*draft.notes, told(templates, len(draft.files))))


def _manifest_table(data: bytes, name: str) -> Columns:
    if data[:4] == b"PAR1" or name.lower().endswith(".parquet"):
        return read_parquet(data, name)
    sheet = read_sheet(data, name, roles.KNOWN)
    plain = without_index(sheet)
    if plain.rows and len(plain.rows[0]) == 2 and _path_columns(plain) in (0, 1):
        names = ["path", "subject"] if _path_columns(plain) == 0 else ["subject", "path"]
        return sheet_columns(plain, names)
    return sheet_columns(sheet)


def _path_columns(sheet: Sheet) -> int | None:
    """Which of two columns holds the paths of pictures from the first row on; None where neither does."""
    fits = [
        k for k in (0, 1) if all(len(row) == 2 and row[k].lower().endswith(SUFFIXES) for row in sheet.rows)
    ]
    return fits[0] if len(fits) == 1 else None


def _first_rows(files: list[str], columns: Columns) -> list[int]:
    """Rows without those that repeat an earlier one in every column."""
    seen: set[tuple[str, ...]] = set()
    kept = []
    others = list(columns.values())
    for k, file in enumerate(files):
        row = (file, *(cells[k] for cells in others))
        if row not in seen:
            seen.add(row)
            kept.append(k)
    return kept


def _declared(columns: Columns, name: str, count: int) -> F32 | None:
    declared = [column for column in LANDMARK_COLUMNS if column in columns]
    if not declared:
        return None
    if len(declared) < len(LANDMARK_COLUMNS):
        absent = next(column for column in LANDMARK_COLUMNS if column not in columns)
        raise DataError(f"{name}: landmarks need ten columns, '{absent}' is missing")
    values = [typed(columns[column]) for column in LANDMARK_COLUMNS]
    for column, numbers in zip(LANDMARK_COLUMNS, values, strict=True):
        if numbers.dtype.kind != "f" and any(columns[column]):
            raise DataError(f"{name}: the column '{column}' must hold numbers (pixels)")
    stacked = [v if v.dtype.kind == "f" else np.full(count, np.nan) for v in values]
    return np.stack(stacked, axis=1).astype(np.float32).reshape(-1, 5, 2)


def _inside(members: Members, base: str, path: str, where: str, row: int) -> str:
    clean = path.replace("\\", "/")
    if clean and isinstance(members, ManifestFolder):
        clean = members.relative(clean)
    joined = posixpath.normpath(posixpath.join(base, clean))
    if not path or posixpath.isabs(clean) or re.match(r"[A-Za-z]:", clean) or joined.split("/")[0] == "..":
        raise DataError(
            f"{where}, row {row}: the path '{path}' is not inside the manifest's folder",
            "write paths relative to the manifest, and put it above the pictures",
        )
    return members.spelled(joined) if isinstance(members, ManifestFolder) else joined


class ManifestFolder(FolderMembers):
    """The folder of a manifest, not walked: only the files that it lists are ever touched."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names, self.skipped, self._linked = (), {}, {}
        self._above = {path.absolute().as_posix().rstrip("/"), path.resolve().as_posix().rstrip("/")}

    def relative(self, path: str) -> str:
        """A path below this folder, relative to it; also one that is written from where the command runs."""
        for above in self._above:
            if path.startswith(f"{above}/"):
                return path[len(above) + 1 :]
        inside = self.path.as_posix()
        return path[len(inside) + 1 :] if inside != "." and path.startswith(f"{inside}/") else path

    def spelled(self, name: str) -> str:
        """The name as the disk spells it: accents come composed or decomposed (NFC, NFD)."""
        if name.isascii() or (self.path / name).exists():
            return name
        for form in ("NFC", "NFD"):
            other = unicodedata.normalize(form, name)
            if (self.path / other).exists():
                return other
        return name
