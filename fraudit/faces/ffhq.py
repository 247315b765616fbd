"""FFHQ's metadata (one JSON a picture), the attributes that ID3PM conditions on (its Table 6)."""

from __future__ import annotations

import json
import posixpath
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.errors import DataError
from fraudit.faces.draft import Draft
from fraudit.faces.members import Members
from fraudit.faces.picking import picked
from fraudit.faces.readers import age_groups
from fraudit.types import F64

POSE = ("head_pitch_deg", "head_roll_deg", "head_yaw_deg")
EMOTION = tuple(
    f"emotion_{name}"
    for name in ("anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
)
OCCLUSION = ("occlusion_forehead", "occlusion_eye", "occlusion_mouth")
MAKEUP = ("makeup_eye", "makeup_lip")
FACIAL_HAIR = ("facial_hair_moustache", "facial_hair_beard", "facial_hair_sideburns")
HAIR_COLOURS = ("brown", "black", "blond", "red", "gray", "other")
HAIR = ("hair_bald", "hair_invisible", *(f"hair_{colour}" for colour in HAIR_COLOURS))

COLUMNS = (*EMOTION, *POSE, "glasses", *MAKEUP, *OCCLUSION, "age", *FACIAL_HAIR, *HAIR, "gender_male")
MAX_JSON_BYTES = 1024 * 1024
LICENCE = "CC BY-NC-SA 4.0; every picture keeps its own licence"
_NUMBERED = re.compile(r"\d{5}")


@dataclass(frozen=True, slots=True)
class FfhqFeatures:
    """Attributes of N pictures.

    Attributes:
        ids: N picture numbers as in the file names, such as `00000`, sorted.
        columns: name -> f64[N]. Angles in degrees, age in years, the rest in [0, 1]; NaN where unknown,
            as for a picture whose list of faces is empty.
        faces: N counts of faces a picture; the first face is taken.
    """

    ids: tuple[str, ...]
    columns: Mapping[str, F64]
    faces: tuple[int, ...]


def read_ffhq(members: Members) -> Draft:
    """FFHQ: pictures 00000.png below any folders, and the metadata 00000.json of each beside or apart from them.

    Attributes: the columns of `FfhqFeatures` that are known of any picture, `gender_male` as gender (male, female,
    '' where unknown), and age_group. Nobody is identified.

    Raises:
        DataError: no metadata, metadata in another layout, or two pictures of one number.
    """
    pictures = picked(members).pictures
    numbers = [_number(name) for name in pictures]
    if len(set(numbers)) != len(numbers):
        twice = next(number for number, count in Counter(numbers).items() if count > 1)
        raise DataError(
            f"{members.path}: two pictures have the number {twice}",
            "pass a folder with one version of the pictures and its metadata",
        )
    features = ffhq_features(members)
    row_of = {number: row for row, number in enumerate(features.ids)}
    rows = np.array([row_of.get(number, -1) for number in numbers], np.int64)
    known = {
        name: np.where(rows >= 0, values[rows], np.nan)
        for name, values in features.columns.items()
        if np.isfinite(values[rows[rows >= 0]]).any()
    }
    attributes: dict[str, NDArray[Any]] = {}
    if (male := known.pop("gender_male", None)) is not None:
        attributes["gender"] = np.where(np.isnan(male), "", np.where(male > 0, "male", "female"))
    if "age" in known:
        attributes["age_group"] = age_groups(known["age"])
    unknown = int((rows < 0).sum())
    notes = (f"pictures without metadata, their attributes unknown: {unknown:,}",) if unknown else ()
    return Draft(members, pictures, None, {**known, **attributes}, licence=LICENCE, notes=notes)


def looks_like_ffhq(members: Members) -> bool:
    """Whether most pictures have FFHQ's metadata: a JSON file of the same five digits."""
    described = {_number(name) for name in _metadata(members) if _NUMBERED.fullmatch(_number(name))}
    pictures = picked(members).pictures if described else []
    return bool(pictures) and 2 * sum(_number(name) in described for name in pictures) > len(pictures)


def _number(name: str) -> str:
    return posixpath.splitext(posixpath.basename(name))[0]


def _metadata(members: Members) -> list[str]:
    return [name for name in members.names if name.endswith(".json") and "__MACOSX" not in name]


def ffhq_features(members: Members) -> FfhqFeatures:
    """The metadata of a folder or zip.

    Raises:
        DataError: no JSON file in it, or one that is not in FFHQ's layout.
    """
    path, names = str(members.path), _metadata(members)
    if not names:
        raise DataError(f"{path}: no .json file in it", "expected FFHQ's features, 00000.json ..")
    names.sort(key=lambda name: posixpath.basename(name))
    rows, faces = [], []
    for name in names:
        try:
            found = json.loads(members.read(name, MAX_JSON_BYTES))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}/{name} is not JSON: {error}") from error
        if not isinstance(found, list):
            raise DataError(f"{path}/{name}: expected a list of faces, found {type(found).__name__}")
        faces.append(len(found))
        rows.append(_attributes(found[0], f"{path}/{name}") if found else {})
    columns = {column: np.array([row.get(column, np.nan) for row in rows]) for column in COLUMNS}
    ids = tuple(posixpath.basename(name).removesuffix(".json") for name in names)
    if len(set(ids)) != len(ids):
        raise DataError(f"{path}: two files describe the same picture")
    return FfhqFeatures(ids, columns, tuple(faces))


def _attributes(face: Any, where: str) -> dict[str, float]:
    facts = face.get("faceAttributes") if isinstance(face, dict) else None
    if not isinstance(facts, dict):
        raise DataError(f"{where}: 'faceAttributes' is missing", "expected FFHQ's features")
    row: dict[str, float] = {}

    def take(column: str, group: str, key: str) -> None:
        values = facts.get(group)
        value = values.get(key) if isinstance(values, dict) else None
        if isinstance(value, (int, float)):
            row[column] = float(value)

    for column, angle in zip(POSE, ("pitch", "roll", "yaw"), strict=True):
        take(column, "headPose", angle)
    for column in EMOTION:
        take(column, "emotion", column.removeprefix("emotion_"))
    for column in FACIAL_HAIR:
        take(column, "facialHair", column.removeprefix("facial_hair_"))
    for column, key in zip(MAKEUP, ("eyeMakeup", "lipMakeup"), strict=True):
        take(column, "makeup", key)
    for column, key in zip(OCCLUSION, ("foreheadOccluded", "eyeOccluded", "mouthOccluded"), strict=True):
        take(column, "occlusion", key)
    take("hair_bald", "hair", "bald")
    take("hair_invisible", "hair", "invisible")
    hair = facts.get("hair")
    listed = hair.get("hairColor") if isinstance(hair, dict) else None
    if isinstance(listed, list) and listed:  # the list is empty where hair is not visible
        colours = {entry.get("color"): entry.get("confidence") for entry in listed if isinstance(entry, dict)}
        for colour in HAIR_COLOURS:
            confidence = colours.get(colour)
            if isinstance(confidence, (int, float)):
                row[f"hair_{colour}"] = float(confidence)
    if isinstance(facts.get("age"), (int, float)):
        row["age"] = float(facts["age"])
    if isinstance(facts.get("gender"), str):
        row["gender_male"] = float(facts["gender"].lower() == "male")
    if isinstance(facts.get("glasses"), str):
        row["glasses"] = float(facts["glasses"] != "NoGlasses")
    return row
