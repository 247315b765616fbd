"""FFHQ's metadata as attribute columns (ID3PM, Table 6)."""

import json

import numpy as np
import pytest

from fraudit.errors import DataError
from fraudit.faces.ffhq import ffhq_features
from fraudit.faces.members import open_members


def face(**changes):
    facts = {
        "headPose": {"pitch": -1.5, "roll": 2.0, "yaw": 30.0},
        "emotion": {"happiness": 0.75, "neutral": 0.25},
        "age": 31.0,
        "gender": "male",
        "glasses": "ReadingGlasses",
        "makeup": {"eyeMakeup": True, "lipMakeup": False},
        "occlusion": {"foreheadOccluded": False, "eyeOccluded": False, "mouthOccluded": True},
        "facialHair": {"moustache": 0.1, "beard": 0.4, "sideburns": 0.0},
        "hair": {"bald": 0.2, "invisible": False, "hairColor": [{"color": "brown", "confidence": 0.9}]},
    }
    return {"faceAttributes": {**facts, **changes}}


def test_values_land_in_their_columns_and_absence_is_nan(tmp_path):
    invisible = face(
        gender="female", glasses="NoGlasses", hair={"bald": 0, "invisible": True, "hairColor": []}
    )
    for number, content in ((2, [face(), face()]), (0, []), (1, [invisible])):
        (tmp_path / f"{number:05d}.json").write_text(json.dumps(content))
    found = ffhq_features(open_members(tmp_path))
    assert found.ids == ("00000", "00001", "00002")
    assert found.faces == (0, 1, 2)
    assert all(np.isnan(values[0]) for values in found.columns.values())
    row = {name: values[2] for name, values in found.columns.items()}
    assert (row["head_pitch_deg"], row["head_roll_deg"], row["head_yaw_deg"]) == (-1.5, 2.0, 30.0)
    assert (row["emotion_happiness"], row["age"], row["gender_male"], row["glasses"]) == (0.75, 31, 1, 1)
    assert np.isnan(row["emotion_anger"])
    assert (row["makeup_eye"], row["makeup_lip"], row["occlusion_mouth"]) == (1, 0, 1)
    assert (row["facial_hair_beard"], row["hair_bald"], row["hair_brown"]) == (0.4, 0.2, 0.9)
    assert (found.columns["gender_male"][1], found.columns["glasses"][1]) == (0, 0)
    assert found.columns["hair_invisible"][1] == 1
    assert np.isnan(found.columns["hair_brown"][1])


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "not JSON"), ("{}", "list of faces"), ("[1]", "faceAttributes"), ("[{}]", "faceAttributes")],
)
def test_other_layouts_are_refused(tmp_path, text, said):
    (tmp_path / "00000.json").write_text(text)
    with pytest.raises(DataError, match=said):
        ffhq_features(open_members(tmp_path))


def test_no_metadata_is_said(tmp_path):
    with pytest.raises(DataError, match=r"no \.json"):
        ffhq_features(open_members(tmp_path))


def test_real_metadata(shared_data):
    found = ffhq_features(open_members(shared_data / "ffhq-features-200.zip"))
    assert len(found.ids) == 200
    for name, values in found.columns.items():
        known = values[np.isfinite(values)]
        assert len(known) >= 150, name
        if not name.endswith("_deg") and name != "age":
            assert known.min() >= 0, name
            assert known.max() <= 1, name
