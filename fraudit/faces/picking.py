"""Which files of a set are pictures, and how many are not, by reason."""

from __future__ import annotations

import os
import posixpath
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from fraudit.errors import DataError
from fraudit.faces.decode import SUFFIXES, looks_like_picture
from fraudit.faces.members import MAX_TABLE_BYTES, Members
from fraudit.faces.walking import skipped_part

OTHER = "files that are no pictures"
# Endings that never hold one picture; files with any other are looked into.
_NO_PICTURE = (
    ".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".md", ".rst", ".html", ".htm", ".pdf", ".doc", ".docx",
    ".xls", ".xlsx", ".npy", ".npz", ".pkl", ".pickle", ".mat", ".h5", ".hdf5", ".zip", ".gz", ".tar", ".tgz",
    ".bz2", ".xz", ".7z", ".rar", ".rec", ".idx", ".bin", ".lst", ".list", ".py", ".ipynb", ".m", ".cpp", ".pts",
    ".lm", ".lm3", ".parquet", ".arrow", ".db", ".sqlite", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".log", ".mp4",
    ".avi", ".mov", ".mkv", ".webm", ".mp3", ".wav", ".onnx", ".pt", ".pth", ".obj", ".ply", ".sh", ".bat", ".exe",
    ".url", ".info", ".eye", ".pos", ".ppt", ".pptx", ".lmdb", ".mdb", ".tfrecord", ".dat", ".mtx", ".mask",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Picked:
    """What lies in a set.

    Attributes:
        pictures: sorted names. others: names of visible files that are no pictures.
        passed: reason -> count of what was not looked at.
        lists: those of the others that a reader has read.
    """

    pictures: list[str]
    others: list[str]
    passed: dict[str, int]
    lists: set[str] = field(default_factory=set)

    def left_out(self) -> dict[str, int]:
        """Reason -> count of what is neither a picture nor a list that was read."""
        endings = Counter(
            posixpath.splitext(name)[1].lower()[:12] or "no ending"
            for name in self.others
            if name not in self.lists
        )
        if not endings:
            return dict(self.passed)
        common = ", ".join(f"{count:,} {ending}" for ending, count in endings.most_common(5))
        more = ", ..." if len(endings) > 5 else ""
        return {**self.passed, f"{OTHER} ({common}{more})": sum(endings.values())}


def read_list(members: Members, name: str) -> bytes:
    """The bytes of a list of labels or pairs, which counts as used. Raises DataError."""
    data = members.read(name, MAX_TABLE_BYTES)
    if members.names:
        picked(members).lists.add(name)
    return data


def pictures(names: Iterable[str]) -> list[str]:
    """The names that end like a picture, without hidden files and thumbnails."""
    return [name for name in names if name.lower().endswith(SUFFIXES) and not skipped_part(name)]


def picked(members: Members) -> Picked:
    """The pictures by ending, or by their first bytes where the ending says nothing; remembered by `members`."""
    known = getattr(members, "picked", None)
    if isinstance(known, Picked):
        return known
    kept: list[str] = []
    others: list[str] = []
    passed: Counter[str] = Counter(getattr(members, "skipped", {}))
    for name in members.names:
        if reason := skipped_part(name):
            if name.lower().endswith(SUFFIXES):
                passed[reason] += 1
        elif name.lower().endswith(SUFFIXES) or _is_picture(members, name):
            kept.append(name)
        else:
            others.append(name)
    found = Picked(kept, others, {reason: count for reason, count in passed.items() if count})
    members.picked = found  # type: ignore[attr-defined]
    return found


def _is_picture(members: Members, name: str) -> bool:
    if os.path.splitext(name)[1].lower() in _NO_PICTURE:
        return False
    try:
        return looks_like_picture(members.head(name))
    except DataError:
        return False
