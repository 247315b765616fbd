"""Attribute vectors for conditioning: sets 1, 2 and 3 of Table 6 of the supplementary material.

Values lie in [0, 1]; -1 is unknown, which is also what dropping the condition looks like. Angles are mapped
from -90..90 degrees, ages from 0..100 years. CelebA and UTKFace give what they have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fraudit.errors import UsageError, suggest
from fraudit.types import F32, FaceSet

UNKNOWN = -1.0

EMOTION = tuple(
    f"emotion.{name}"
    for name in ("anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
)
POSE = ("pose.pitch", "pose.roll", "pose.yaw")
MIRRORED = ("pose.roll", "pose.yaw")  # change sign in the mirror
FACIAL_HAIR = tuple(f"facial_hair.{name}" for name in ("moustache", "beard", "sideburns"))
COLOURS = ("black", "brown", "blond", "red", "gray", "other")
HAIR = ("hair.bald", "hair.invisible", *(f"hair.{colour}" for colour in COLOURS))
MAKEUP = ("makeup.eye", "makeup.lip")
OCCLUSION = tuple(f"occlusion.{name}" for name in ("forehead", "eye", "mouth"))

# What passes: of the moment, not of the person. This is the paper's set 2.
PASSING = (*EMOTION, *POSE, "glasses", *MAKEUP, *OCCLUSION)

_SET_1 = (*EMOTION, *POSE)
_SET_2 = PASSING
_SET_3 = ("age", *EMOTION, *FACIAL_HAIR, *HAIR, *POSE, "gender", "glasses", *MAKEUP, *OCCLUSION)
SETS: dict[str, tuple[str, ...]] = {"set1": _SET_1, "set2": _SET_2, "set3": _SET_3}


def attribute_names(name: str) -> tuple[str, ...]:
    """Names of the entries of a set (11, 17 or 30 of them). Raises UsageError for an unknown set."""
    if name not in SETS:
        raise UsageError(f"unknown attribute set '{name}'", f"{suggest(name, SETS)}known: {', '.join(SETS)}")
    return SETS[name]


# Column of CelebA -> (entry, whether the column says the opposite).
_CELEBA: dict[str, tuple[str, bool]] = {
    "Smiling": ("emotion.happiness", False),
    "Mustache": ("facial_hair.moustache", False),
    "No_Beard": ("facial_hair.beard", True),
    "Sideburns": ("facial_hair.sideburns", False),
    "Bald": ("hair.bald", False),
    "Black_Hair": ("hair.black", False),
    "Brown_Hair": ("hair.brown", False),
    "Blond_Hair": ("hair.blond", False),
    "Gray_Hair": ("hair.gray", False),
    "Male": ("gender", False),
    "Eyeglasses": ("glasses", False),
    "Heavy_Makeup": ("makeup.eye", False),
    "Wearing_Lipstick": ("makeup.lip", False),
    "Wearing_Hat": ("occlusion.forehead", False),
}
_DEGREES = {
    f"{prefix}{axis}_deg": f"pose.{axis}" for prefix in ("", "head_") for axis in ("pitch", "roll", "yaw")
}
# Column names of fraudit.faces.ffhq: the entries with an underscore.
_FFHQ = {entry.replace(".", "_"): entry for entry in _SET_3 if "." in entry} | {"gender_male": "gender"}


def _numbers(values: Any) -> F32:
    """Numbers in float32, NaN where there is none."""
    array = np.asarray(values)
    if array.dtype.kind in "fiub":
        return array.astype(np.float32)
    return np.array([float(v) if str(v).strip() else np.nan for v in array], np.float32)


def from_faces(faces: FaceSet, name: str) -> F32:
    """f32[N,A] of attribute set `name` for the faces of a set; -1 where the set does not tell.

    Understood: CelebA's columns, `age` in years, `gender` (`male`/`female`), `yaw_deg`, `pitch_deg` and
    `roll_deg` (also as `head_yaw_deg`), the columns of `fraudit.faces.ffhq`, and columns that are named like
    the entries themselves and hold values in [0, 1].
    """
    names = attribute_names(name)
    table: dict[str, F32] = {}
    for column, values in faces.attributes.items():
        if column in _CELEBA:
            entry, opposite = _CELEBA[column]
            numbers = _numbers(values)
            table[entry] = 1 - numbers if opposite else numbers
        elif column in _DEGREES:
            table[_DEGREES[column]] = np.clip((_numbers(values) + 90) / np.float32(180), 0, 1).astype(
                np.float32
            )
        elif column.lower() == "age" and np.asarray(values).dtype.kind in "fiu":
            table["age"] = np.clip(_numbers(values) / np.float32(100), 0, 1).astype(np.float32)
        elif column.lower() in ("gender", "sex") and np.asarray(values).dtype.kind in "UO":
            words = [str(v).lower() for v in values]
            table["gender"] = np.array(
                [1.0 if w == "male" else 0.0 if w == "female" else np.nan for w in words], np.float32
            )
        elif column in _FFHQ or column in names:
            table[_FFHQ.get(column, column)] = _numbers(values)
    out = np.full((len(faces), len(names)), UNKNOWN, np.float32)
    for place, entry in enumerate(names):
        if entry in table:
            out[:, place] = np.nan_to_num(table[entry], nan=UNKNOWN)
    return out


def vector_of(entries: Mapping[str, float], name: str) -> F32:
    """f32[A] of set `name` from entries by name; -1 where not given.

    Raises:
        UsageError: an entry that is not in the set, or a value that is neither -1 nor in [0, 1].
    """
    names = attribute_names(name)
    out = np.full(len(names), UNKNOWN, np.float32)
    for entry, value in entries.items():
        if entry not in names:
            raise UsageError(
                f"attribute set '{name}' has no '{entry}'",
                f"{suggest(entry, names)}known: {', '.join(names)}",
            )
        if value != UNKNOWN and not 0 <= value <= 1:
            raise UsageError(f"attribute {entry} must be in [0, 1], or -1 for unknown; found {value:g}")
        out[names.index(entry)] = value
    return out


def condition_vectors(
    condition: str, values: Sequence[float], name: str, offered: Sequence[str] | None = None
) -> F32:
    """f32[len(values),A] of set `name`: one attribute set to each of `values`, all others unknown.

    Args:
        condition: an entry (`pose.yaw`, in [0, 1]), an angle in degrees (`yaw_deg`, -90..90), `age` in years
            (0..100), or a column of CelebA or of FFHQ's metadata (`Smiling`, `gender_male`, in [0, 1]).
        offered: the entries that the hint of an unknown attribute names; by default all of the set.

    Raises:
        UsageError: an unknown attribute, one that the set does not hold, or a value out of its range.
    """
    names = attribute_names(name)
    entry, low, high, opposite = condition, 0.0, 1.0, False
    if condition in _DEGREES:
        entry, low, high = _DEGREES[condition], -90.0, 90.0
    elif condition == "age":
        high = 100.0
    elif condition in _CELEBA:
        entry, opposite = _CELEBA[condition]
    elif condition not in names:
        entry = _FFHQ.get(condition, condition)
    if entry not in names:
        entries = names if offered is None else tuple(offered)
        known = [
            *entries,
            *(angle for angle, pose in _DEGREES.items() if pose in entries and "head" not in angle),
        ]
        columns = (column for column, (told, _) in _CELEBA.items() if told in entries)
        raise UsageError(
            f"attribute set '{name}' has no '{condition}'",
            f"{suggest(condition, [*known, *columns])}known: {', '.join(known)}",
        )
    out = np.full((len(values), len(names)), UNKNOWN, np.float32)
    for row, value in enumerate(values):
        if not low <= value <= high:
            raise UsageError(f"{condition} must be from {low:g} to {high:g}, found {value:g}")
        share = (value - low) / (high - low)
        out[row, names.index(entry)] = 1 - share if opposite else share
    return out


def mirrored(values: F32, name: str) -> F32:
    """Attributes of the mirror picture: yaw and roll change sign. f32[...,A] -> the same shape."""
    names = attribute_names(name)
    out = np.array(values, np.float32)
    for entry in MIRRORED:
        column = out[..., names.index(entry)]
        out[..., names.index(entry)] = np.where(column == UNKNOWN, UNKNOWN, 1 - column)
    return out
