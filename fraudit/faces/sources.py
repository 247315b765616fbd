"""Face sets by name or path."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.errors import DataError, UsageError, suggest
from fraudit.faces.celeba import find_file, looks_like_celeba, read_celeba
from fraudit.faces.draft import Draft
from fraudit.faces.ffhq import looks_like_ffhq, read_ffhq
from fraudit.faces.ijb import IJB, read_ijb
from fraudit.faces.known import KNOWN, data_folder, find_known
from fraudit.faces.members import Members, open_members
from fraudit.faces.pairing import given_pairs, own_pairs, with_pairs
from fraudit.faces.picking import picked
from fraudit.faces.readers import (
    ManifestFolder,
    looks_like_utkface,
    read_label_table,
    read_lfw,
    read_manifest,
    read_people,
    read_pictures,
    read_utkface,
)
from fraudit.faces.templates import part_of
from fraudit.types import FaceSet, PairList

NOBODY = (
    "nothing says who is shown: one folder a person does (NAME/PICTURE.jpg), or a manifest.csv with path,subject; "
    "--pairs names pairs"
)
FOLDERS = (*IJB, "ffhq")  # sets that are named together with their folder, as in `ijbc:FOLDER`


def open_faces(name_or_path: str | Path, *, digest: bool = True, **options: Any) -> FaceSet:
    """The face set of a known name (`sample`, `lfw`, `celeba`, `utkface`) or of a path.

    Args:
        name_or_path: a name, a folder, a zip, an insightface .bin, or a manifest (.csv, .tsv, .parquet, also packed);
            `ijbb:FOLDER` and `ijbc:FOLDER` read the templates of IJB-B and IJB-C, `ffhq:FOLDER` FFHQ's metadata.
        digest: False leaves the digest empty, which is quicker for a folder: for counting only.
        options: kind = `lfw`, `celeba`, `utkface`, `ffhq`, `ijbb`, `ijbc`, `manifest`, `people` or `pictures` instead
            of what the files look like; pairs = path of a file of pairs (docs/formats.md) instead of the set's own;
            layout = which folder names the person, such as `person/*` (`fraudit.faces.layout`);
            everything = LFW's pictures that no pair names, too; need_people = False takes pictures of folders that
            can be read in two ways as of unknown people, where only pictures are wanted.
    Raises:
        UsageError: unknown name, kind or option.
        DataError: nothing there, or it cannot be read as a face set.
    """
    unknown = set(options) - {"kind", "pairs", "everything", "layout", "need_people"}
    if unknown:
        raise UsageError(
            f"open_faces has no option '{sorted(unknown)[0]}'",
            "known: kind, pairs, everything, layout, need_people",
        )
    text = str(name_or_path)
    kind, _, folder = text.partition(":")
    if text in FOLDERS and not Path(text).exists():
        raise UsageError(f"the set '{text}' needs its folder", f"pass {text}:FOLDER (docs/formats.md)")
    if kind in FOLDERS and folder:
        return replace(_open_path(_existing(folder), digest, **{"kind": kind, **options}), name=kind)
    known = KNOWN.get(text)
    if known is None:
        return _open_path(_existing(text), digest, **options)
    path = find_known(text)
    if path is None:
        here = (
            f"the folder of that name here is --dataset {os.curdir}{os.sep}{text}; else "
            if Path(text).exists()
            else ""
        )
        raise DataError(f"the set '{text}' is not in {data_folder()}", here + known.how)
    faces = _open_path(path, digest, **{"kind": known.kind, **options})
    return replace(faces, name=text, licence=known.terms, synthetic=text == "sample")


def _existing(text: str) -> Path:
    path = Path(text).expanduser()
    if path.exists():
        return path
    if os.sep in text or path.suffix:
        raise DataError(f"{text}: no such file or folder", "check the path")
    raise UsageError(
        f"unknown face set '{text}'", f"{suggest(text, KNOWN)}known: {', '.join(KNOWN)}, or a path"
    )


def _open_path(
    path: Path,
    digest: bool,
    kind: str = "",
    pairs: str | Path = "",
    everything: bool = False,
    layout: str = "",
    need_people: bool = True,
) -> FaceSet:
    draft = _drafted(path, kind, str(pairs or ""), everything, layout or "", need_people)
    return draft.finish(_bare(path), digest=digest)


def _bare(path: Path) -> str:
    if not path.is_file():
        return path.resolve().name
    name = path.name
    while (suffix := Path(name).suffix.lower()) in (*_PACKED, path.suffix.lower()) and suffix:
        name = name[: -len(suffix)]
        if suffix not in _PACKED:
            break
    return name or path.name


_PACKED = (".gz", ".bz2", ".xz")
_TABLES = (".csv", ".tsv", ".parquet", ".txt", ".lst", ".list", ".tab")


def _is_table(path: Path) -> bool:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    return path.is_file() and bool(suffixes) and suffixes[-1] in _TABLES


def _drafted(
    path: Path, kind: str, pairs: str, everything: bool, layout: str, need_people: bool = True
) -> Draft:
    if path.is_file() and path.suffix.lower() == ".bin":
        from fraudit.faces.insightface_bin import read_bin

        return _with_given(read_bin(path), pairs)
    if path.is_file() and path.suffix.lower() in (".rec", ".idx"):
        raise DataError(
            f"{path}: training records are not read",
            "pass one of the .bin files beside it, or unpack it into folders",
        )
    if _is_table(path):
        return _with_given(read_manifest(ManifestFolder(path.parent), path.name), pairs)
    members = open_members(path)
    kind = kind or _recognise(members)
    if kind == "pictures" and layout not in ("", "none"):
        kind = "people"
    if kind == "lfw":
        return read_lfw(members, pairs, everything, layout)
    if kind not in _READERS:
        known = ("lfw", *_READERS)
        raise UsageError(
            f"unknown kind of face set '{kind}'", f"{suggest(kind, known)}known: {', '.join(known)}"
        )
    draft = _people(members, layout, need_people) if kind == "people" else _READERS[kind](members)
    if pairs or kind not in ("people", "pictures"):
        return _with_given(draft, pairs)
    draft = own_pairs(members, draft)
    if kind == "pictures" and draft.pairs is None:
        return replace(draft, notes=(*draft.notes, NOBODY))
    return draft


def _people(members: Members, layout: str, need_people: bool) -> Draft:
    try:
        return read_people(members, layout)
    except DataError as error:
        if need_people:
            raise
        return replace(read_pictures(members), notes=(f"nobody is identified: {error.message}",))


def _with_given(draft: Draft, pairs: str) -> Draft:
    if not pairs:
        return draft
    draft = with_pairs(draft, [given_pairs(pairs)])
    return replace(draft, notes=(*draft.notes, f"pairs: {Path(pairs).name}"))


def _manifest_in(members: Members) -> Draft:
    name = find_file(members, "manifest.csv")
    if name is None:
        raise DataError(f"{members.path}: manifest.csv is not in it", "expected path,subject,<attribute>...")
    return read_manifest(members, name)


_READERS: dict[str, Callable[[Members], Draft]] = {
    **{name: partial(read_ijb, which=name) for name in IJB},
    "celeba": read_celeba,
    "utkface": read_utkface,
    "ffhq": read_ffhq,
    "manifest": _manifest_in,
    "people": read_people,
    "pictures": read_pictures,
}


def _recognise(members: Members) -> str:
    if find_file(members, "manifest.csv"):
        return "manifest"
    if find_file(members, "pairs.txt"):
        return "lfw"
    if looks_like_celeba(members):
        return "celeba"
    table = find_file(members, "attributes.csv")
    if table:
        header = read_label_table(members, table)
        if {"file", "identity"} <= header.keys():
            return "celeba"
        if {"file", "age", "gender", "race"} <= header.keys():
            return "utkface"
        raise DataError(
            f"{members.path}/{table}: expected the columns file,identity,... or file,age,gender,race, "
            f"found {', '.join(header)}",
            "or describe the pictures in a manifest.csv: path,subject,<attribute>...",
        )
    if looks_like_utkface(members):
        return "utkface"
    if looks_like_ffhq(members):
        return "ffhq"
    folders = {name.rpartition("/")[0] for name in picked(members).pictures}
    return "people" if len(folders) > 1 else "pictures"


def take(faces: FaceSet, indices: Sequence[int] | np.ndarray) -> FaceSet:
    """The pictures `indices` of a set, in this order; pairs with a picture outside are left out, templates are of the
    pictures that stay.

    Raises:
        DataError: an index appears twice or there is none.
    """
    order = np.asarray(indices, np.int64)
    if len(order) == 0 or len(np.unique(order)) != len(order):
        raise DataError("a part of a set needs at least one picture, each once")
    place = np.full(len(faces), -1, np.int64)
    place[order] = np.arange(len(order))
    pairs = faces.pairs
    if pairs is not None:
        inside = (place[pairs.left] >= 0) & (place[pairs.right] >= 0)
        pairs = PairList(
            place[pairs.left[inside]], place[pairs.right[inside]], pairs.same[inside], pairs.fold[inside]
        )
    part = replace(
        faces,
        ids=tuple(faces.ids[i] for i in order),
        subjects=faces.subjects[order],
        attributes={name: np.asarray(values)[order] for name, values in faces.attributes.items()},
        landmarks=None if faces.landmarks is None else faces.landmarks[order],
        pairs=pairs,
        read_bytes=lambda i: faces.read_bytes(int(order[i])),
        templates=None if faces.templates is None else part_of(faces.templates, place),
    )
    from fraudit.faces.draft import with_digest

    return with_digest(part, [faces.digest] * len(part))
