"""Files of pairs meet the pictures of a set: which pictures they name, and what that says of people."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fraudit.errors import DataError
from fraudit.faces.draft import Draft
from fraudit.faces.members import MAX_TABLE_BYTES, Members
from fraudit.faces.picking import picked
from fraudit.faces.protocols import NamedPairs, Reference, is_template_list, read_named_pairs
from fraudit.files.doors import TABLE_BYTES, read_file
from fraudit.types import I64, Bool, PairList

_PAIR_FILE = re.compile(r"(^|[^a-z])pairs?([^a-z]|$)|pairs?(dev|view)|pair_label|pairs\d", re.IGNORECASE)
_PAIR_ENDINGS = (".txt", ".csv", ".tsv", ".lst", ".list", ".parquet", ".gz", "")
_NUMBERED = re.compile(r"(.*?)_?(\d+)")
_TEMPLATES = re.compile(r"(face_tid_mid|template_pair_label)", re.IGNORECASE)


def composed(name: str) -> str:
    """A name as it is compared: Unicode composed (NFC), forward slashes, no `./` before it."""
    text = unicodedata.normalize("NFC", name).replace("\\", "/")
    while text.startswith("./"):
        text = text[2:]
    return text


class Finder:
    """Pictures of a set by what a pairs file calls them: path, end of a path, bare name, person and number."""

    def __init__(self, files: Sequence[str]) -> None:
        self._paths = [composed(file) for file in files]
        self._exact = {path: i for i, path in enumerate(self._paths)}
        self._by_name: dict[str, list[int]] = defaultdict(list)
        self._by_stem: dict[str, list[int]] = defaultdict(list)
        self._by_number: dict[tuple[str, int], tuple[int, str, int]] = {}
        for i, path in enumerate(self._paths):
            name = posixpath.basename(path)
            stem = posixpath.splitext(name)[0]
            self._by_name[name].append(i)
            self._by_stem[stem].append(i)
            if name != stem:
                self._by_stem[name].append(i)
            self._number(i, posixpath.basename(posixpath.dirname(path)), stem)

    def _number(self, i: int, folder: str, stem: str) -> None:
        """Remember (person, number) of a picture: `A_B/A_B_0001`, `A_B_0001_0` (aligned), `A_B/1`, `A_B_0001`."""
        found: list[tuple[tuple[str, int], int]] = []
        if whole := _NUMBERED.fullmatch(stem):
            person, number = whole[1], int(whole[2])
            if person == folder and stem.startswith(f"{person}_"):
                found.append(((person, number), 0))
            elif not person:
                found.append(((folder, number), 2))
            elif stem.startswith(f"{person}_"):
                found.append(((person, number), 3))
            if inner := _NUMBERED.fullmatch(person):
                rank = 1 if inner[1] == folder else 4
                found.append(((inner[1], int(inner[2])), rank))
        for key, rank in found:
            new = (rank, stem, i)
            if key not in self._by_number or new < self._by_number[key]:
                self._by_number[key] = new

    def find(self, reference: Reference) -> int | None:
        """The picture that `reference` names, or None where there is none or more than one."""
        if not isinstance(reference, str):
            held = self._by_number.get((composed(reference[0]), reference[1]))
            return None if held is None else held[2]
        name = composed(reference)
        if name in self._exact:
            return self._exact[name]
        base = posixpath.basename(name)
        stem = posixpath.splitext(base)[0]
        for candidates, ending in (
            (self._by_name.get(base, ()), name),
            (self._by_stem.get(base, ()), name),
            (self._by_stem.get(stem, ()), posixpath.splitext(name)[0]),
        ):
            found = self._nearest(candidates, ending)
            if found is not None:
                return found
        return None

    def _nearest(self, candidates: Sequence[int], name: str) -> int | None:
        """The one of the candidates that shares most of its path with `name`, read from the end."""
        if len(candidates) == 1:
            return candidates[0]
        wanted = name.split("/")[:-1][::-1]
        shared = []
        for i in candidates:
            folders = self._paths[i].split("/")[:-1][::-1]
            depth = 0
            while depth < min(len(wanted), len(folders)) and wanted[depth] == folders[depth]:
                depth += 1
            shared.append(depth)
        best = [i for i, depth in zip(candidates, shared, strict=True) if depth == max(shared)]
        return best[0] if len(best) == 1 and max(shared) > 0 else None


# -- files of pairs


def pair_files(members: Members) -> list[str]:
    """Members whose names say that they list pairs, the nearest to the root first."""
    found = []
    for name in members.names:
        stem, ending = posixpath.splitext(posixpath.basename(name))
        listed = _PAIR_FILE.search(stem) or _TEMPLATES.search(stem)
        if listed and ending.lower() in _PAIR_ENDINGS and not name.startswith("__MACOSX") and stem[:1] != ".":
            found.append(name)
    return sorted(found, key=lambda name: (name.count("/"), name))


def given_pairs(path: str | Path) -> NamedPairs:
    """The pairs of a file outside a set. Raises DataError."""
    data = read_file(Path(path), TABLE_BYTES, "--pairs names a file of pairs")
    where = Path(path).name
    if is_template_list(data, where) and _TEMPLATES.search(where):
        raise DataError(f"{where}: pairs of IJB's templates, not of pictures", f"{_ijb(where)} reads them")
    return read_named_pairs(data, where)


def _ijb(name: str) -> str:
    return f"--dataset {'ijbb' if 'ijbb' in name.casefold() else 'ijbc'}:FOLDER"


def own_pairs(members: Members, draft: Draft) -> Draft:
    """A set with the pairs that lie in it: one file, or one a group as RFW has them; others are named and left.

    Raises:
        DataError: the one that is used does not agree with the people of the set.
    """
    fits: list[tuple[str, NamedPairs, NDArrayPairs]] = []
    unused: list[str] = []
    finder = Finder(draft.files)
    for name in pair_files(members):
        try:
            data = members.read(name, MAX_TABLE_BYTES)
            if _TEMPLATES.search(name) and is_template_list(data, name):
                unused.append(f"{name} (IJB's templates of several pictures: {_ijb(name)} reads them)")
                continue
            named = read_named_pairs(data, name)
        except DataError as error:
            unused.append(f"{name} ({error.message.removeprefix(f'{name}: ')})")
            continue
        places = [[finder.find(one) for one in side] for side in (named.left, named.right)]
        known = sum(a is not None and b is not None for a, b in zip(*places, strict=True))
        if 2 * known > len(named):
            fits.append((name, named, places))
        else:
            unused.append(
                f"{name} (it names {len(named) - known:,} of {len(named):,} pairs that are not here)"
            )
    groups = _one_a_group([name for name, _, _ in fits])
    plain = [one for one in fits if posixpath.basename(one[0]).casefold().split(".")[0] == "pairs"]
    used = fits if len(fits) == 1 or groups else plain if len(plain) == 1 else []
    unused += [f"{one[0]} (one of several)" for one in fits if one not in used]
    notes = [*draft.notes]
    if unused:
        notes.append(f"pairs not used: {'; '.join(unused)}; --pairs FILE uses a file")
    draft = replace(draft, notes=tuple(notes))
    if not used:
        return draft
    names = ", ".join(name for name, _, _ in used)
    picked(members).lists.update(name for name, _, _ in used)
    draft = with_pairs(draft, [named for _, named, _ in used])
    notes = [*draft.notes, f"pairs: {names}"]
    attributes = dict(draft.attributes)
    if len(used) > 1 and "race" not in attributes and groups:
        attributes["race"] = _groups_of(draft, used, groups)
        notes.append(f"race: from the names of {len(used)} files of pairs")
    return replace(draft, notes=tuple(notes), attributes=attributes)


NDArrayPairs = list[list[int | None]]


def _one_a_group(names: list[str]) -> list[str]:
    """RFW's groups of `Asian_pairs.txt`, `African_pairs.txt`, ...; empty where names do not differ like this."""
    stems = [posixpath.splitext(posixpath.basename(name))[0] for name in names]
    found = [re.fullmatch(r"([A-Za-z]+)_pairs", stem) for stem in stems]
    groups = [match[1] for match in found if match]
    return groups if len(names) > 1 and len(groups) == len(names) == len(set(groups)) else []


def _groups_of(
    draft: Draft, used: list[tuple[str, NamedPairs, NDArrayPairs]], groups: list[str]
) -> np.ndarray:
    """str[N]: the group whose file names the picture or another of its person, '' where none does."""
    label = np.full(len(draft.files), "", dtype=f"<U{max(map(len, groups))}")
    for group, (_, _, places) in zip(groups, used, strict=True):
        label[[i for side in places for i in side if i is not None]] = group
    if draft.people is not None:
        of_person = {person: str(one) for person, one in zip(draft.people, label, strict=True) if one}
        label = np.array([of_person.get(person, "") for person in draft.people], dtype=label.dtype)
    return label


# -- onto the pictures


def with_pairs(draft: Draft, lists: Sequence[NamedPairs], only_named: bool = False) -> Draft:
    """The set with these pairs as its protocol.

    A named picture that is not there counts as one that gave no vector. Where nobody is identified, names with numbers
    tell who is shown; else pictures that genuine pairs link count as one person.

    Args:
        only_named: leave pictures out that no pair names (they are counted).
    Raises:
        DataError: more than half of the named pictures are not there, or pairs contradict one another or the people.
    """
    where = ", ".join(named.where for named in lists)
    finder = Finder(draft.files)
    wanted = {one for named in lists for one in (*named.left, *named.right)}
    place: dict[Reference, int] = {}
    absent: list[Reference] = []
    for one in sorted(wanted, key=str):
        found = finder.find(one)
        if found is None:
            absent.append(one)
        else:
            place[one] = found
    by_number = all(named.by_number for named in lists)
    if 2 * len(absent) > len(wanted):
        raise DataError(
            f"{_home(draft)}{len(absent)} of the {len(wanted)} pictures of {where} are not there, such as "
            f"{_path(absent[0])}",
            "pass the folder or zip that holds LFW's NAME/NAME_0001.jpg"
            if by_number
            else "pairs name pictures by their path in the set",
        )
    files, people = [*draft.files], None if draft.people is None else [*draft.people]
    if people is None and by_number and draft.subjects is None:
        people, only_named = ["" for _ in files], True
        for one, i in place.items():
            people[i] = one[0]
    known, new = set(files), dict[str, int]()
    for one in absent:
        name = _absent_name(one, known)
        if name not in new:
            new[name] = len(files)
            files.append(name)
            if people is not None:
                people.append("" if isinstance(one, str) else one[0])
        place[one] = new[name]
    if people is not None and absent:
        _name_absent(people, {i: name for name, i in new.items()}, lists, place)
    added = len(new)
    draft = _longer(replace(draft, files=files, people=people), added)
    pairs, repeated = _pair_list(lists, place, people)
    if repeated:
        draft = draft.leaving_out("pairs that the list repeats", repeated)
    if people is None and draft.subjects is None:
        draft = replace(draft, subjects=linked(len(files), pairs, _equal_files(draft, pairs)))
    draft = replace(draft, pairs=pairs)
    return _named_only(draft, pairs) if only_named else draft


def _name_absent(
    people: list[str], absent: dict[int, str], lists: Sequence[NamedPairs], place: dict[Reference, int]
) -> None:
    """Fill in who missing pictures show: their folder, else whom a genuine pair says, else somebody unknown."""
    known = set(people) - {""}
    for i, path in absent.items():
        folder = posixpath.dirname(path)
        people[i] = people[i] or next(
            (one for one in (folder, posixpath.basename(folder)) if one in known), ""
        )
    for named in lists:
        if named.same is None:
            continue
        for one, other, genuine in zip(named.left, named.right, named.same, strict=True):
            for i, j in ((place[one], place[other]), (place[other], place[one])):
                if genuine and not people[i]:
                    people[i] = people[j]
    for i, path in absent.items():
        people[i] = people[i] or f"unknown: {path}"


def _home(draft: Draft) -> str:
    return f"{draft.members.path}: " if draft.members is not None else ""


def _path(one: Reference) -> str:
    return one if isinstance(one, str) else f"{one[0]}/{one[0]}_{one[1]:04d}.jpg"


def _absent_name(one: Reference, known: set[str]) -> str:
    """A name below the set for a picture that is not there, so that nothing outside is ever opened."""
    parts = [part for part in composed(_path(one)).split("/") if part not in ("", ".", "..")]
    name = "/".join(parts) or "nameless"
    return f"{name} (not there)" if name in known else name


def _longer(draft: Draft, added: int) -> Draft:
    """Unknown labels for `added` pictures that are not there."""
    if not added:
        return draft
    attributes = {
        name: np.concatenate(
            [values, np.full(added, np.nan if values.dtype.kind == "f" else "", values.dtype)]
        )
        for name, values in draft.attributes.items()
    }
    landmarks = draft.landmarks
    if landmarks is not None:
        landmarks = np.concatenate([landmarks, np.full((added, 5, 2), np.nan, np.float32)])
    subjects = draft.subjects
    if subjects is not None:
        subjects = np.concatenate([subjects, subjects.max(initial=-1) + 1 + np.arange(added)])
    return replace(draft, attributes=attributes, landmarks=landmarks, subjects=subjects)


def _pair_list(
    lists: Sequence[NamedPairs], place: dict[Reference, int], people: Sequence[str] | None
) -> tuple[PairList, int]:
    """(pairs, rows that repeat one). Raises DataError: a contradiction, or no label and no people."""
    rows: dict[tuple[int, int], bool] = {}
    kept: list[tuple[int, int, bool, int]] = []
    for named in lists:
        same = named.same if named.same is not None else _same_people(named, place, people)
        for k, (one, other) in enumerate(zip(named.left, named.right, strict=True)):
            i, j, genuine = place[one], place[other], bool(same[k])
            key = (min(i, j), max(i, j))
            if rows.setdefault(key, genuine) != genuine:
                raise DataError(
                    f"{named.places[k]}: an earlier row says {'different people' if genuine else 'the same person'} of "
                    f"{_path(one)} and {_path(other)}",
                    "a pair has one label",
                )
            if people is not None and (people[i] == people[j]) != genuine:
                raise DataError(
                    f"{named.places[k]}: the list says {'the same person' if genuine else 'different people'}, the set "
                    f"'{people[i]}' and '{people[j]}'",
                    "which folder names the person? --layout says so, or a manifest.csv",
                )
            kept.append((i, j, genuine, int(named.fold[k])))
    first: dict[tuple[int, int], tuple[int, int, bool, int]] = {}
    for row in kept:
        first.setdefault((min(row[:2]), max(row[:2])), row)
    repeated = len(kept) - len(first)
    left, right, same, fold = (np.array(column) for column in zip(*first.values(), strict=True))
    return PairList(
        left.astype(np.int64), right.astype(np.int64), same.astype(bool), fold.astype(np.int64)
    ), repeated


def _same_people(named: NamedPairs, place: dict[Reference, int], people: Sequence[str] | None) -> Bool:
    if people is None:
        raise DataError(
            f"{named.where}: the pairs have no label, and the set names no identities",
            "expected rows such as `path path 1`",
        )
    return np.array(
        [people[place[a]] == people[place[b]] for a, b in zip(named.left, named.right, strict=True)], bool
    )


def _equal_files(draft: Draft, pairs: PairList) -> list[tuple[int, int]]:
    """Pairs of named pictures whose files are equal: one picture under two names shows one person."""
    if draft.members is None:
        return []
    used = np.unique(np.concatenate([pairs.left, pairs.right])).tolist()
    first: dict[str, int] = {}
    contents = draft.members.identities([draft.files[i] for i in used])
    return [(first.setdefault(content, i), i) for i, content in zip(used, contents, strict=True) if content]


NO_PAIRS = PairList(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, bool), np.zeros(0, np.int64))


def linked(count: int, pairs: PairList, more: Sequence[tuple[int, int]] = ()) -> I64:
    """i64[count]: pictures that genuine pairs (and `more`) link, directly or by way of others, get one number."""
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    genuine = zip(pairs.left[pairs.same].tolist(), pairs.right[pairs.same].tolist(), strict=True)
    for i, j in (*genuine, *more):
        parent[root(j)] = root(i)
    return np.unique([root(i) for i in range(count)], return_inverse=True)[1].reshape(-1).astype(np.int64)


def _named_only(draft: Draft, pairs: PairList) -> Draft:
    used = np.unique(np.concatenate([pairs.left, pairs.right]))
    # By person and number, as LFW's own list goes.
    order = sorted(used.tolist(), key=lambda i: (draft.people[i] if draft.people else "", draft.files[i]))
    new = np.full(len(draft.files), -1, np.int64)
    new[order] = np.arange(len(order))
    return replace(
        draft,
        files=[draft.files[i] for i in order],
        people=None if draft.people is None else [draft.people[i] for i in order],
        attributes={name: values[order] for name, values in draft.attributes.items()},
        landmarks=None if draft.landmarks is None else draft.landmarks[order],
        subjects=None if draft.subjects is None else draft.subjects[order],
        pairs=PairList(new[pairs.left], new[pairs.right], pairs.same, pairs.fold),
    )
