"""Face sets that have a name, and where they lie; listing them loads nothing that reads pictures."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class KnownSet:
    """A set that has a name.

    Attributes:
        files: names of files or folders looked for in $FRAUDIT_DATA, in this order.
        kind: its reader.
        terms: under which it may be used, one line.
        how: how to get it, one line.
        counts: pictures, people, pairs and attributes of the set that comes with fraudit, which need not be
            read to be listed; None: they are counted.
    """

    name: str
    title: str
    kind: str
    files: tuple[str, ...]
    terms: str
    how: str
    counts: tuple[int, int, int | None, tuple[str, ...]] | None = None


KNOWN: dict[str, KnownSet] = {
    known.name: known
    for known in (
        KnownSet(
            "sample", "60 synthetic people x 6 pictures that show nobody", "manifest", (),
            "synthetic, MIT like the package", "bundled with the package",
            (360, 60, None, ("male", "young", "smiling", "eyeglasses")),
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
