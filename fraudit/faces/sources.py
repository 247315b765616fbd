"""Face sets by name or path."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.doors import TABLE_BYTES, read_file
from fraudit.errors import DataError, UsageError, suggest
from fraudit.faces.draft import Draft
from fraudit.faces.members import Members, open_members, pictures
from fraudit.faces.readers import (
    ManifestFolder,
    find_file,
    looks_like_utkface,
    read_celeba,
    read_label_table,
    read_lfw,
    read_manifest,
    read_people,
    read_pictures,
    read_utkface,
)
from fraudit.types import I64, FaceSet, PairList


@dataclass(frozen=True, slots=True)
class KnownSet:
    """A set that has a name.

    Attributes:
        files: names of files or folders looked for in $FRAUDIT_DATA, in this order.
        kind: its reader.
        terms: under which it may be used, one line.
        how: how to get it, one line.
    """

    name: str
    title: str
    kind: str
    files: tuple[str, ...]
    terms: str
    how: str


KNOWN: dict[str, KnownSet] = {
    known.name: known
    for known in (
        KnownSet(
            "sample", "60 synthetic people x 6 pictures that show nobody", "manifest", (),
            "synthetic, MIT like the package", "bundled with the package",
        ),
        KnownSet(
            "lfw", "Labeled Faces in the Wild with its 6,000 pairs", "lfw",
            ("lfw-deepfunneled-pairs.zip", "lfw.zip", "lfw", "lfw-deepfunneled"),
            "research use; pictures from the news, rights stay with their owners",
            "http://vis-www.cs.umass.edu/lfw/ : put the pictures and pairs.txt into $FRAUDIT_DATA/lfw",
        ),
        KnownSet(
            "celeba", "CelebFaces Attributes", "celeba",
            ("celeba-10k.zip", "celeba.zip", "celeba", "CelebA"),
            "non-commercial research only",
            "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html : all of it into $FRAUDIT_DATA/celeba",
        ),
        KnownSet(
            "utkface", "UTKFace: age, gender, race; no identities", "utkface",
            ("utkface-128.zip", "utkface.zip", "utkface", "UTKFace"),
            "non-commercial research only",
            "https://susanqq.github.io/UTKFace/ : the aligned and cropped faces into $FRAUDIT_DATA/utkface",
        ),
    )
}  # fmt: skip


def data_folder() -> Path:
    """Where named sets are looked for: $FRAUDIT_DATA, else the person's own data folder."""
    named = os.environ.get("FRAUDIT_DATA")
    if named:
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_data_dir("fraudit")) / "data"


def find_known(name: str) -> Path | None:
    """Where the known set `name` lies, or None."""
    if name == "sample":
        bundled = Path(__file__).resolve().parent.parent / "data" / "sample" / "sample.zip"
        return bundled if bundled.is_file() else None
    return next((data_folder() / f for f in KNOWN[name].files if (data_folder() / f).exists()), None)


def open_faces(name_or_path: str | Path, *, digest: bool = True, **options: Any) -> FaceSet:
    """The face set of a known name (`sample`, `lfw`, `celeba`, `utkface`) or of a path.

    Args:
        name_or_path: a name, a folder, a zip, an insightface .bin, or a manifest (.csv, .parquet).
        digest: False leaves the digest empty, which is quicker for a folder: for counting only.
        options: kind = `lfw`, `celeba`, `utkface`, `manifest`, `people` or `pictures` instead of what the
            files look like; pairs = path of a pairs file (LFW's format, or left,right,same[,fold]);
            everything = LFW's pictures that no pair names, too.
    Raises:
        UsageError: unknown name, kind or option.
        DataError: nothing there, or it cannot be read as a face set.
    """
    unknown = set(options) - {"kind", "pairs", "everything"}
    if unknown:
        raise UsageError(f"open_faces has no option '{sorted(unknown)[0]}'", "known: kind, pairs, everything")
    text = str(name_or_path)
    known = KNOWN.get(text)
    if known is None:
        return _open_path(_existing(text), digest, **options)
    path = find_known(text)
    if path is None:
        raise DataError(f"the set '{text}' is not in {data_folder()}", known.how)
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
    path: Path, digest: bool, kind: str = "", pairs: str = "", everything: bool = False
) -> FaceSet:
    name = path.name.removesuffix(path.suffix) if path.is_file() else path.resolve().name
    if path.is_file() and path.suffix.lower() == ".bin":
        from fraudit.faces.insightface_bin import read_bin

        return read_bin(path).finish(name, digest=digest)
    if path.is_file() and path.suffix.lower() in (".csv", ".parquet"):
        faces = read_manifest(ManifestFolder(path.parent), path.name).finish(name, digest=digest)
        return _with_pairs(faces, pairs)
    members = open_members(path)
    kind = kind or _recognise(members)
    if kind == "lfw":
        return read_lfw(members, str(pairs), everything).finish(name, digest=digest)
    if kind not in _READERS:
        known = ("lfw", *_READERS)
        raise UsageError(
            f"unknown kind of face set '{kind}'", f"{suggest(kind, known)}known: {', '.join(known)}"
        )
    return _with_pairs(_READERS[kind](members).finish(name, digest=digest), pairs)


def _manifest_in(members: Members) -> Draft:
    name = find_file(members, "manifest.csv")
    if name is None:
        raise DataError(f"{members.path}: manifest.csv is not in it", "expected path,subject,<attribute>...")
    return read_manifest(members, name)


_READERS: dict[str, Callable[[Members], Draft]] = {
    "celeba": read_celeba,
    "utkface": read_utkface,
    "manifest": _manifest_in,
    "people": read_people,
    "pictures": read_pictures,
}


def _recognise(members: Members) -> str:
    if find_file(members, "manifest.csv"):
        return "manifest"
    if find_file(members, "pairs.txt"):
        return "lfw"
    if find_file(members, "identity_CelebA.txt") or find_file(members, "list_attr_celeba.txt"):
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
    folders = {name.rpartition("/")[0] for name in pictures(members.names)}
    return "people" if len(folders) > 1 else "pictures"


def _with_pairs(faces: FaceSet, pairs: str | Path) -> FaceSet:
    if not pairs:
        return faces
    from fraudit.faces.draft import with_digest
    from fraudit.faces.protocols import read_pair_table
    from fraudit.faces.tables import read_table

    data = read_file(Path(pairs), TABLE_BYTES)
    index = {one: i for i, one in enumerate(faces.ids)}
    found = read_pair_table(read_table(data, str(pairs)), index, str(pairs))
    subjects = faces.subjects if faces.identified else _linked(faces, found)
    # The digest so far stands for the files; it is folded into the new one.
    return with_digest(replace(faces, pairs=found, subjects=subjects), [faces.digest] * len(faces))


def _linked(faces: FaceSet, pairs: PairList) -> I64:
    """i64[N]: where nobody is identified, genuine pairs and files of equal bytes show one person."""
    from fraudit.stats.pairs import linked_people

    first: dict[str, int] = {}
    same = np.arange(len(faces), dtype=np.int64)
    for i in np.unique(np.concatenate([pairs.left, pairs.right])):
        try:
            content = hashlib.sha256(faces.read_bytes(int(i))).hexdigest()
        except DataError:  # it gives no vector either, and is counted there
            continue
        same[i] = first.setdefault(content, int(i))
    return linked_people(len(faces), pairs.left[pairs.same], pairs.right[pairs.same], same)


def take(faces: FaceSet, indices: Sequence[int] | np.ndarray) -> FaceSet:
    """The pictures `indices` of a set, in this order; pairs with a picture outside are left out.

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
    )
    from fraudit.faces.draft import with_digest

    return with_digest(part, [faces.digest] * len(part))
