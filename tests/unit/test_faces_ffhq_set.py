"""FFHQ with its metadata as a data set (planted pictures, one JSON a picture)."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from fraudit.errors import DataError, UsageError
from fraudit.faces.sources import open_faces


def build(folder: Path, count: int = 6) -> Path:
    (folder / "images1024x1024" / "00000").mkdir(parents=True)
    (folder / "json").mkdir()
    for i in range(count):
        picture = np.full((16, 16, 3), i, np.uint8)
        cv2.imwrite(str(folder / "images1024x1024" / "00000" / f"{i:05d}.png"), picture)
        facts = {"age": 10.0 * i, "gender": "male" if i % 2 else "female", "glasses": "NoGlasses"}
        document = [{"faceAttributes": facts}] if i != 4 else []
        (folder / "json" / f"{i:05d}.json").write_text(json.dumps(document))
    return folder


def test_pictures_meet_their_metadata_by_number(tmp_path: Path) -> None:
    folder = build(tmp_path / "set")
    (folder / "json" / "00005.json").unlink()
    for name in (str(folder), f"ffhq:{folder}"):
        faces = open_faces(name)
        assert len(faces) == 6
        assert not faces.identified
        assert list(faces.attributes["gender"]) == ["female", "male", "female", "male", "", ""]
        assert list(faces.attributes["age_group"]) == ["0-12", "0-12", "20-34", "20-34", "", ""]
        assert np.isnan(faces.attributes["age"][4:]).all()
        assert faces.notes == ("pictures without metadata, their attributes unknown: 1",)


def test_two_pictures_of_one_number_are_refused(tmp_path: Path) -> None:
    folder = build(tmp_path / "set")
    (folder / "other").mkdir()
    cv2.imwrite(str(folder / "other" / "00003.png"), np.zeros((16, 16, 3), np.uint8))
    with pytest.raises(DataError, match="two pictures have the number 00003"):
        open_faces(folder)


def test_the_name_alone_needs_its_folder() -> None:
    with pytest.raises(UsageError, match="needs its folder"):
        open_faces("ffhq")
