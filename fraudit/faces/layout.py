"""Which folder names the person: one level of folders, or one of several; refused where several can be meant."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.errors import DataError, UsageError
from fraudit.faces.pairing import composed

PERSON, ANY, NOBODY = "person", "*", "none"

# Folders that say what a picture is for or how it was taken, never who is shown.
_SPLIT = (
    r"(train|val|valid|validation|test|dev|eval|evaluation|holdout)(ing)?([_ -]?(set|split|data|\d{1,2}))?"
)
_ROLE = re.compile(
    rf"{_SPLIT}|(gallery|probes?|query|queries|enrol(l|led|ment|lment)?|references?|templates?|distractors?|targets?|mates?)"
    r"([_ -]?(set|match(es)?|mated?|distractors?|\d{1,2}|[a-z]))?"
    r"|frontals?|profiles?|front|side|left|right|neutral|smil(e|ing)|indoors?|outdoors?|controlled|uncontrolled"
    r"|(session|sess|visit|day|video|vid|clip|sequence|seq|camera|cam|take|frame|pose|still)s?[_ -]?\d{0,3}"
    r"|vis|visible|nir|ir|thermal|rgb|depth|sketch(es)?|photos?|images?|imgs?|pictures?|pics|faces?|crops?|cropped|aligned"
    r"|originals?|raw|((no|with|without)[_ -]?|un)?mask(ed|s)?|(no[_ -]?)?glasses|h[rq]|l[rq]"
    r"|live|bona[_ -]?fide|spoofs?|attacks?|real|fakes?|genuine|impostors?"
    r"|ang(er|ry)|contempt|disgust(ed)?|fear(ful)?|happ(y|iness)|sad(ness)?|surprised?",
    re.IGNORECASE,
)
# What no person is called: beside folders of people such a one shows that not all of them are people.
_PART = re.compile(
    r"(gallery|probes?|query|queries|enrol(l|led|ment|lment)?|distractors?)"
    r"([_ -]?(set|match(es)?|mated?|distractors?))?|frontals?|profiles?",
    re.IGNORECASE,
)
_SPLIT_ONLY = re.compile(_SPLIT, re.IGNORECASE)
_RACES = (
    "asian", "african", "caucasian", "indian", "black", "white", "latino", "hispanic", "arab", "european", "american",
    "middle_eastern", "east_asian", "south_asian", "southeast_asian", "latino_hispanic",
)  # fmt: skip
_GENDERS = {
    "male": "male", "males": "male", "man": "male", "men": "male", "female": "female", "females": "female",
    "woman": "female", "women": "female",
}  # fmt: skip
_SHARD = re.compile(
    r"(part|shard|chunk|batch|bucket|block|dir|folder|subset|images?|imgs?)[_ -]?\d+", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Layout:
    """What folders say of people.

    Attributes:
        people: N labels, or None where nobody is identified.
        attributes: name -> str[N], of folders that name groups. notes: how the folders were read, for a person.
    """

    people: list[str] | None
    attributes: dict[str, NDArray[Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_layout(files: Sequence[str], where: str, wanted: str = "") -> Layout:
    """The people of pictures N in folders.

    Args:
        files: relative paths. where: the set, for messages.
        wanted: what the folders above a picture are, the nearest last: `person`, `*` or a path of them such as
            `person/*`; `none` identifies nobody. '' finds it out.
    Raises:
        DataError: pictures beside or above the folders of people, or folders that can be read in two ways.
        UsageError: `wanted` is no such pattern.
    """
    folders = [composed(posixpath.dirname(file)) for file in files]
    if wanted:
        return _by_pattern(folders, where, wanted)
    _check_loose(files, folders, where)
    parts = [folder.split("/") for folder in folders]
    depth = 0
    while all(len(part) > depth + 1 for part in parts) and len({part[depth] for part in parts}) == 1:
        depth += 1
    parts = [part[depth:] for part in parts]
    if numbered_shards(files, [part[-1] for part in parts]):
        return Layout(
            None, notes=("the folders are numbered shards: nobody is identified (--layout says otherwise)",)
        )
    _check_parts([part[-1] for part in parts], where)
    if len({len(part) for part in parts}) > 1:
        _check_leaves(parts, where)
        return Layout(folders)
    return _levels(folders, parts, where)


def _check_loose(files: Sequence[str], folders: Sequence[str], where: str) -> None:
    distinct = sorted(set(folders), key=lambda folder: folder.split("/"))
    for folder, after in pairwise(distinct):
        # In the order of their parts, what lies below a folder comes right after it.
        if not folder or after.startswith(f"{folder}/"):
            loose = files[folders.index(folder)]
            raise DataError(
                f"{where}: '{loose}' lies outside the folders of people such as '{after}'",
                "put every picture into its person's folder, or pass a manifest.csv",
            )


def _check_parts(names: Sequence[str], where: str) -> None:
    """Raises DataError where parts of a set lie beside folders of people, as TinyFace's do."""
    parts = sorted({name for name in names if _PART.fullmatch(name)})
    others = sorted({name for name in names if not _ROLE.fullmatch(name)})
    if parts and others:
        raise DataError(
            f"{where}: the folder '{parts[0]}' is a part of a set, '{others[0]}' beside it seems a person",
            "pass one of the parts, or a manifest.csv; --layout person takes every folder for a person",
        )


def _by_pattern(folders: Sequence[str], where: str, wanted: str) -> Layout:
    if wanted == NOBODY:
        return Layout(None)
    tokens = wanted.strip("/").split("/")
    if PERSON not in tokens or not set(tokens) <= {PERSON, ANY}:
        raise UsageError(
            f"layout: unknown pattern '{wanted}'", "known: person, person/*, */person, and so on, or none"
        )
    labels = []
    for folder in folders:
        parts = folder.split("/") if folder else []
        if len(parts) < len(tokens):
            raise DataError(
                f"{where}: the layout '{wanted}' wants {len(tokens)} folders above a picture; '{folder or '.'}' has "
                f"{len(parts)}",
                "describe the pictures in a manifest.csv",
            )
        near = parts[len(parts) - len(tokens) :]
        labels.append("/".join(part for part, token in zip(near, tokens, strict=True) if token == PERSON))
    return Layout(labels, notes=(f"the people are the folders '{wanted}': {len(set(labels)):,}",))


def _levels(folders: list[str], parts: list[list[str]], where: str) -> Layout:
    """The people where every picture lies below equally many folders."""
    width = len(parts[0]) if parts else 0
    names = [{part[k] for part in parts} for k in range(width)]
    roles = [k for k in range(width) if len(names[k]) > 1 and all(_ROLE.fullmatch(name) for name in names[k])]
    kept = [k for k in range(width) if k not in roles and len(names[k]) > 1]
    if not kept and not roles:
        return Layout(folders)
    if not kept or _group_level([part[kept[-1]] for part in parts]) is not None:
        some = ", ".join(f"'{name}'" for name in sorted(names[kept[-1] if kept else roles[-1]])[:3])
        raise DataError(
            f"{where}: the folders {some} are parts of a set, not people",
            "--layout person takes them for people, --layout none identifies nobody; or pass a manifest.csv",
        )
    groups = {k: found for k in kept[:-1] if (found := _group_level([part[k] for part in parts])) is not None}
    attributes = {name: values for found in groups.values() for name, values in found.items()}
    labels = ["/".join(part[k] for k in kept) for part in parts]
    notes: list[str] = []
    if roles and len(set(labels)) < len(set(folders)):
        _check_numbers(parts, kept, roles, where)
        told = "/".join(PERSON if k in kept else ANY for k in range(width))
        notes.append(
            f"the people are the folders '{told}': {len(set(labels)):,}, each over "
            f"{_listed(names[roles[-1]])} (--layout says otherwise)"
        )
    if len(kept) > 1 and not all(k in groups for k in kept[:-1]):
        _check_leaves([[part[k] for k in kept] for part in parts], where)
    return Layout(labels, attributes, tuple(notes))


def _listed(names: set[str]) -> str:
    some = sorted(names)
    return ", ".join(some[:3]) + (", ..." if len(some) > 3 else "")


def _check_numbers(parts: list[list[str]], kept: list[int], roles: list[int], where: str) -> None:
    """Raises DataError where people are mere numbers that parts of a set may each count on their own."""
    splits = all(_SPLIT_ONLY.fullmatch(part[k]) for part in parts for k in roles)
    if splits and all(part[kept[-1]].isdecimal() for part in parts) and roles[-1] < kept[-1]:
        name, above = parts[0][kept[-1]], _listed({part[roles[-1]] for part in parts})
        raise DataError(
            f"{where}: folders such as '{name}' lie below {above}: one person each, or one of each part",
            "--layout '*/person' takes equal numbers for one person, --layout person/person for different ones",
        )


def _check_leaves(parts: Sequence[Sequence[str]], where: str) -> None:
    """Raises DataError where one name lies below several folders: then the path need not be the person."""
    above: dict[str, set[str]] = {}
    for part in parts:
        above.setdefault(part[-1], set()).add("/".join(part[:-1]))
    repeated = sorted(name for name, parents in above.items() if len(parents) > 1)
    if not repeated:
        return
    upper = len({"/".join(part[:-1]) for part in parts})
    paths = len({"/".join(part) for part in parts})
    raise DataError(
        f"{where}: folder '{repeated[0]}' lies below {len(above[repeated[0]])} folders, so the people may be the "
        f"{upper:,} upper folders, the {len(above):,} names of the lower ones, or all {paths:,} folders",
        "--layout 'person/*' takes the upper ones, '*/person' the lower ones, person/person every folder for a person",
    )


def _group_level(names: Sequence[str]) -> dict[str, NDArray[Any]] | None:
    """Attributes of a level of folders such as Asian or asian_females; None where its names are no groups."""
    split = {name: _group(name) for name in set(names)}
    if len(split) < 2 or any(found is None for found in split.values()):
        return None
    attributes = {}
    for at, attribute in enumerate(("race", "gender")):
        values = [(split[name] or ("", ""))[at] for name in names]
        if any(values):
            attributes[attribute] = np.array(values, dtype=str)
    return attributes


def _group(name: str) -> tuple[str, str] | None:
    """(race, gender) that a folder's name says, '' for what it does not; None where it says neither."""
    words = re.split(r"[_ -]+", name)
    gender = next((_GENDERS[word.casefold()] for word in words if word.casefold() in _GENDERS), "")
    rest = [word for word in words if word.casefold() not in _GENDERS]
    plain = "_".join(word.casefold() for word in rest)
    known = plain in _RACES or plain.removesuffix("s") in _RACES
    if (rest and not known) or not (rest or gender):
        return None
    return (rest[0] if len(rest) == 1 else plain) if rest else "", gender


def numbered_shards(files: Sequence[str], folders: Sequence[str]) -> bool:
    """Whether folders only divide numbered pictures: FFHQ's `01000/01234.png`, or `part1`, `part2`, ...

    Args:
        files: N paths. folders: N names of the folders that hold them.
    """
    names = set(folders)
    if len(names) < 2:
        return False
    if all(_SHARD.fullmatch(name) for name in names):
        return True
    stems = [posixpath.splitext(posixpath.basename(file))[0] for file in files]
    if not all(name.isdecimal() for name in names) or not all(stem.isdecimal() for stem in stems):
        return False
    numbers = np.array([int(stem) for stem in stems])
    shards = np.array([int(folder) for folder in folders])
    if len(set(numbers.tolist())) < len(numbers):
        return False
    sizes = {10**k for k in range(1, 7)} | {int(np.unique(shards, return_counts=True)[1].max())}
    return any(
        size >= 10
        and (
            np.array_equal(numbers // size * factor, shards) or np.array_equal((numbers - 1) // size, shards)
        )
        for size in sizes
        for factor in (1, size)
    )
