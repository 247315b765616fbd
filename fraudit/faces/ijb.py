"""IJB-B and IJB-C as insightface packs them: `loose_crop/`, and lists in `meta/` (`fraudit.faces.ijb_lists`).

All lists but `face_tid_mid.txt` may be missing. They are joined by the names of pictures and templates, never by line.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fraudit.errors import DataError
from fraudit.faces.celeba import find_file
from fraudit.faces.draft import Draft
from fraudit.faces.ijb_lists import (
    read_face_tid_mid,
    read_five_points,
    read_template_pairs,
    read_template_subjects,
)
from fraudit.faces.members import Members
from fraudit.faces.pairing import NO_PAIRS, linked
from fraudit.faces.picking import read_list
from fraudit.faces.templates import told
from fraudit.types import F32, F64, I64, Bool, PairList, TemplatePairs, Templates

IJB = ("ijbb", "ijbc")
SCORE = "detector_score"
REPEATED = "rows of templates that repeat another"
_PLACES = ("loose_crop", "", "images")
_LICENCE = "research use under the terms of the IJB release; rights stay with the pictures' owners"
_RELEASE = "are the lists of one release?"
_LAYOUT = "expected insightface's layout: meta/{0}_face_tid_mid.txt, meta/{0}_template_pair_label.txt and loose_crop/"


def read_ijb(members: Members, which: str) -> Draft:
    """The pictures and templates of IJB-B (`ijbb`) or IJB-C (`ijbc`).

    Who is shown is told by the galleries and probes. Where they are missing, nobody is identified and what genuine
    pairs link counts as one person. A listed picture that is not there is a failure to acquire, and told.

    Raises:
        DataError: a list is missing or does not fit, more than half of the pictures are not there, lists name templates
            that do not exist, a gallery holds a person twice, no search has a mate, or labels contradict the people.
    """
    lists = _find_lists(members, which)
    where = posixpath.basename(lists.faces)
    names, ids, media = read_face_tid_mid(read_list(members, lists.faces), where)
    files, picture, notes = _located(members, lists.faces, names)
    known, template = np.unique(ids, return_inverse=True)
    rows = np.stack([picture, template.reshape(-1), media], axis=1)
    first = np.sort(np.unique(rows, axis=0, return_index=True)[1])
    picture, template, media = (np.ascontiguousarray(rows[first, k]) for k in range(3))
    shown, galleries, probes = _one_to_many(members, lists, known, where)
    pairs = None
    if lists.pairs:
        name = posixpath.basename(lists.pairs)
        pairs = _known_pairs(*read_template_pairs(read_list(members, lists.pairs), name), known, name)
    plain = Templates(
        tuple(map(str, known)),
        np.zeros(len(known), np.int64),
        picture,
        template,
        media,
        pairs,
        galleries,
        probes,
    )
    people, subjects = _people(plain, shown, files, where)
    if people is None and shown:
        notes.append(
            f"{len(known) - len(shown):,} of {len(known):,} templates are in no gallery and no probe list: nobody is "
            "identified"
        )
    notes += [*_contradictions(plain, subjects, lists.pairs), told(plain, len(files))]
    landmarks, scores, more = _landmarks(members, lists.points, files)
    draft = Draft(
        members,
        files,
        people,
        {} if scores is None else {SCORE: scores},
        landmarks,
        subjects=None if people else subjects,
        licence=_LICENCE,
        notes=(*notes, *more),
        templates=plain,
    )
    repeated = len(rows) - len(first)
    return draft.leaving_out(REPEATED, repeated) if repeated else draft


@dataclass(frozen=True, slots=True)
class _Lists:
    """Members of the lists ('' where there is none)."""

    faces: str
    pairs: str
    points: str
    galleries: Mapping[str, str]
    probes: str


def _find_lists(members: Members, which: str) -> _Lists:
    faces = find_file(members, f"{which}_face_tid_mid.txt")
    layout = _LAYOUT.format(which)
    if faces is None:
        other = next((o for o in IJB if o != which and find_file(members, f"{o}_face_tid_mid.txt")), None)
        if other:
            raise DataError(
                f"{members.path}: these are the lists of {other}", f"--dataset {other}:FOLDER reads them"
            )
        if any("_1N_gallery_" in name or "_11_G1_G2_matches" in name for name in members.names):
            layout = f"NIST's own folder holds whole pictures and boxes, which are not cropped here; {layout}"
        raise DataError(f"{members.path}: {which}_face_tid_mid.txt is not in it", layout)
    beside = [name for name in members.names if posixpath.dirname(name) == posixpath.dirname(faces)]
    found = {posixpath.basename(name): name for name in beside}
    galleries = {}
    for base, name in sorted(found.items()):
        if part := re.fullmatch(rf"{which}_1N_gallery_([GS]\d)\.csv", base, re.IGNORECASE):
            galleries[part[1].upper()] = name
    return _Lists(
        faces,
        found.get(f"{which}_template_pair_label.txt", ""),
        found.get(f"{which}_name_5pts_score.txt", ""),
        galleries,
        found.get(f"{which}_1N_probe_mixed.csv", ""),
    )


def _located(members: Members, where: str, names: tuple[str, ...]) -> tuple[list[str], I64, list[str]]:
    """(files N, picture i64[M] of each line, notes); pictures that are not there stay, under a name below the set."""
    base = posixpath.dirname(posixpath.dirname(where))
    here = set(members.names)
    absent: list[str] = []
    place: dict[str, int] = {}
    picture = np.zeros(len(names), np.int64)
    for k, name in enumerate(names):
        # No list may lead outside of the set.
        clean = "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", ".", ".."))
        found = next((p for d in _PLACES if (p := posixpath.join(base, d, clean)) in here), None)
        path = found or posixpath.join(base, _PLACES[0], clean)
        if path not in place and found is None:
            absent.append(path)
        picture[k] = place.setdefault(path, len(place))
    if not absent:
        return list(place), picture, []
    listed = (
        f"{len(absent):,} of the {len(place):,} pictures that {posixpath.basename(where)} names are not there"
    )
    if 2 * len(absent) > len(place):
        raise DataError(
            f"{members.path}: {listed}, such as {absent[0]}", "put the pictures into loose_crop/ beside meta/"
        )
    return list(place), picture, [f"{listed}, such as {absent[0]}: they count as failures to acquire"]


def _one_to_many(
    members: Members, lists: _Lists, known: I64, where: str
) -> tuple[dict[int, str], dict[str, I64], I64 | None]:
    """(template row -> subject, galleries, probes) of the 1:N lists."""
    shown: dict[int, str] = {}
    galleries: dict[str, I64] = {}
    for name, file in lists.galleries.items():
        listed = read_template_subjects(read_list(members, file), posixpath.basename(file))
        galleries[name] = _joined(listed, shown, known, posixpath.basename(file), where)
        _check_once(listed, posixpath.basename(file))
    if not lists.probes:
        return shown, galleries, None
    file = posixpath.basename(lists.probes)
    listed = read_template_subjects(read_list(members, lists.probes), file)
    enrolled = set(shown.values())
    probes = _joined(listed, shown, known, file, where)
    for name, of in galleries.items():
        both = np.intersect1d(of, probes)
        if len(both):
            raise DataError(
                f"{file}: {len(both):,} of its templates are enrolled in gallery {name}, such as {known[both[0]]}",
                "a template that is searched for in itself always matches",
            )
    if galleries and not enrolled & set(listed.values()):
        raise DataError(
            f"{file}: none of its {len(set(listed.values())):,} people is enrolled in {' or '.join(galleries)}: "
            "no search has a mate",
            _RELEASE,
        )
    return shown, galleries, probes


def _joined(listed: dict[int, str], shown: dict[int, str], known: I64, file: str, where: str) -> I64:
    """i64[K] rows of the listed templates, whose subjects are added to `shown`."""
    ids = np.array(list(listed), np.int64)
    rows = _rows(ids, known)
    unknown = np.flatnonzero(rows < 0)
    if len(unknown):
        raise DataError(
            f"{file}: {len(unknown):,} of its {len(ids):,} templates are not in {where}, such as {ids[unknown[0]]}",
            _RELEASE,
        )
    for row, (template, subject) in zip(rows.tolist(), listed.items(), strict=True):
        if shown.setdefault(row, subject) != subject:
            raise DataError(
                f"{file}: template {template} shows subject {subject}, another list says {shown[row]}",
                _RELEASE,
            )
    return rows


def _check_once(listed: dict[int, str], file: str) -> None:
    first: dict[str, int] = {}
    for template, subject in listed.items():
        if first.setdefault(subject, template) != template:
            raise DataError(
                f"{file}: subject {subject} is enrolled twice, with templates {first[subject]} and {template}",
                "a gallery holds each person once: keep one template, or join both under one number",
            )


def _rows(ids: I64, known: I64) -> I64:
    """Places of `ids` in the sorted `known`, -1 where they are not in it."""
    at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    return np.where(known[at] == ids, at, -1)


def _known_pairs(left: I64, right: I64, same: Bool, known: I64, name: str) -> TemplatePairs:
    sides = [_rows(ids, known) for ids in (left, right)]
    wrong = np.flatnonzero((sides[0] < 0) | (sides[1] < 0))
    if len(wrong):
        k = int(wrong[0])
        unknown = left[k] if sides[0][k] < 0 else right[k]
        raise DataError(
            f"{name}: {len(wrong):,} of its {len(left):,} pairs name a template that the list of faces does not have; "
            f"the first is pair {k + 1}, template {unknown}",
            _RELEASE,
        )
    own = np.flatnonzero(sides[0] == sides[1])
    if len(own):
        raise DataError(
            f"{name}: pair {own[0] + 1} compares template {left[own[0]]} with itself", "leave such pairs out"
        )
    return TemplatePairs(sides[0], sides[1], same)


def _people(
    templates: Templates, shown: dict[int, str], files: list[str], where: str
) -> tuple[list[str] | None, I64]:
    """(people of the pictures or None, subjects i64[N]): by the 1:N lists, else by what links templates.

    Raises:
        DataError: a picture is in templates of two people.
    """
    if len(shown) == len(templates):
        people = [""] * len(files)
        for row, i in zip(templates.template.tolist(), templates.picture.tolist(), strict=True):
            if people[i] not in ("", shown[row]):
                raise DataError(
                    f"{where}: template {templates.names[row]} of subject {shown[row]} holds a picture of subject "
                    f"{people[i]}, {files[i]}",
                    _RELEASE,
                )
            people[i] = shown[row]
        return people, np.unique(people, return_inverse=True)[1].reshape(-1).astype(np.int64)
    links = [(0, 0)]
    for keys in (templates.picture.tolist(), [shown.get(t, -1 - t) for t in templates.template.tolist()]):
        first: dict[Any, int] = {}
        links += [(first.setdefault(k, t), t) for k, t in zip(keys, templates.template.tolist(), strict=True)]
    genuine = NO_PAIRS
    if templates.pairs is not None:
        left, right, same = (getattr(templates.pairs, key) for key in ("left", "right", "same"))
        genuine = PairList(left[same], right[same], same[same], np.zeros(int(same.sum()), np.int64))
    person = linked(len(templates), genuine, links)
    subjects = np.zeros(len(files), np.int64)
    subjects[templates.picture] = person[templates.template]
    return None, subjects


def _contradictions(templates: Templates, subjects: I64, file: str) -> list[str]:
    """A note where labels of pairs contradict who is shown. Raises DataError where more than a slip does."""
    pairs = templates.pairs
    if pairs is None:
        return []
    shown = np.zeros(len(templates), np.int64)
    shown[templates.template] = subjects[templates.picture]
    wrong = np.flatnonzero((shown[pairs.left] == shown[pairs.right]) != pairs.same)
    if not len(wrong):
        return []
    k = int(wrong[0])
    names = " and ".join(templates.names[side[k]] for side in (pairs.left, pairs.right))
    text = (
        f"{posixpath.basename(file)}: {len(wrong):,} of {len(pairs):,} labels contradict the other lists; the first is "
        f"pair {k + 1}, templates {names}, labelled {int(pairs.same[k])}"
    )
    if 100 * len(wrong) > int(pairs.same.sum()):
        raise DataError(text, _RELEASE)
    return [f"{text}; the labels are used as they are"]


def _landmarks(members: Members, file: str, files: list[str]) -> tuple[F32 | None, F64 | None, list[str]]:
    """(points f32[N,5,2], scores f64[N], notes): NaN for pictures that the list does not name."""
    if not file:
        return None, None, []
    name = posixpath.basename(file)
    named, points, scores = read_five_points(read_list(members, file), name)
    of: dict[str, int] = {}
    for k, one in enumerate(named):
        if not np.array_equal(points[of.setdefault(one, k)], points[k], equal_nan=True):
            raise DataError(f"{name}: '{one}' is listed twice, with other points", "keep one of the lines")
    base = posixpath.dirname(posixpath.dirname(file))
    found = np.full((len(files), 5, 2), np.nan, np.float32)
    score = np.full(len(files), np.nan)
    for i, path in enumerate(files):
        inside = path[len(base) + 1 :] if base else path
        at = next((of[key] for key in (inside, inside.partition("/")[2]) if key in of), None)
        if at is not None:
            found[i], score[i] = points[at], scores[at]
    known = int(np.isfinite(found).all(axis=(1, 2)).sum())
    if not known:
        raise DataError(f"{name}: it names none of the {len(files):,} pictures, but '{named[0]}'", _RELEASE)
    notes = [] if known == len(files) else [f"{name}: five points of {known:,} of {len(files):,} pictures"]
    return found, score, notes
