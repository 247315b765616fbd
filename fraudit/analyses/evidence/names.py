"""How pictures and people are named in lists."""

from __future__ import annotations

from collections import defaultdict

from fraudit.types import FaceSet


def person_names(faces: FaceSet) -> dict[int, str]:
    """Subject -> the folder that holds all pictures of that person and of nobody else, else one picture's id."""
    folders: dict[int, set[str]] = defaultdict(set)
    owners: dict[str, set[int]] = defaultdict(set)
    first: dict[int, str] = {}
    for subject, picture in zip(faces.subjects.tolist(), faces.ids, strict=True):
        folder = picture.rpartition("/")[0]
        folders[subject].add(folder)
        owners[folder].add(subject)
        first.setdefault(subject, picture)
    out = {}
    for subject, picture in first.items():
        folder = min(folders[subject])
        alone = len(folders[subject]) == 1 and folder and len(owners[folder]) == 1
        out[subject] = folder if alone else f"person of {picture}"
    return out
