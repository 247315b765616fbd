"""Conditions: attribute sets of Table 6, their sources, null vectors and dropping."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from fraudit.diffusion.data.attributes import (
    attribute_names,
    condition_vectors,
    from_faces,
    mirrored,
    vector_of,
)
from fraudit.diffusion.model.conditioning import drop_conditions, scaled_identity
from fraudit.diffusion.sampling import counter_noise
from fraudit.errors import DataError, UsageError
from fraudit.faces.ffhq import ffhq_features
from fraudit.faces.members import open_members
from fraudit.types import FaceSet

FACE = {
    "faceAttributes": {
        "headPose": {"pitch": -90.0, "roll": 0.0, "yaw": 45.0},
        "gender": "female",
        "age": 28.0,
        "facialHair": {"moustache": 0.1, "beard": 0.2, "sideburns": 0.3},
        "glasses": "ReadingGlasses",
        "emotion": {"anger": 0.0, "happiness": 0.75},
        "makeup": {"eyeMakeup": True, "lipMakeup": False},
        "occlusion": {"foreheadOccluded": False, "eyeOccluded": True, "mouthOccluded": False},
        "hair": {"bald": 0.15, "invisible": False, "hairColor": [{"color": "black", "confidence": 0.9}]},
    }
}


@pytest.mark.parametrize(("name", "entries"), [("set1", 11), ("set2", 17), ("set3", 30)])
def test_the_sets_have_the_categories_of_table_6(name: str, entries: int) -> None:
    assert len(attribute_names(name)) == entries
    assert len(set(attribute_names(name))) == entries


def _vectors(documents: list, folder: Path, name: str) -> np.ndarray:
    """f32[N,A] of FFHQ's metadata, by the reader of the set."""
    for at, document in enumerate(documents):
        (folder / f"{at:05d}.json").write_text(json.dumps(document))
    return from_faces(_faces(dict(ffhq_features(open_members(folder)).columns)), name)


def test_ffhqs_metadata_maps_onto_the_entries(tmp_path: Path) -> None:
    known, unknown = _vectors([[FACE], []], tmp_path, "set3")
    entries = dict(zip(attribute_names("set3"), known.tolist(), strict=True))
    assert (entries["pose.pitch"], entries["pose.roll"], entries["pose.yaw"]) == (0, 0.5, 0.75)
    assert entries["age"] == pytest.approx(0.28)
    assert (entries["gender"], entries["glasses"], entries["occlusion.eye"]) == (0, 1, 1)
    assert (entries["makeup.eye"], entries["makeup.lip"]) == (1, 0)
    assert (entries["hair.bald"], entries["hair.black"]) == (pytest.approx(0.15), pytest.approx(0.9))
    assert (entries["emotion.happiness"], entries["emotion.fear"], entries["hair.red"]) == (0.75, -1, -1)
    assert entries["facial_hair.sideburns"] == pytest.approx(0.3)
    assert (unknown == -1).all()


def test_real_ffhq_metadata_gives_values_in_range(shared_data: Path) -> None:
    path = shared_data / "ffhq-features-200.zip"
    with zipfile.ZipFile(path) as archive:
        documents = [json.loads(archive.read(n)) for n in archive.namelist() if n.endswith(".json")]
    vectors = from_faces(_faces(dict(ffhq_features(open_members(path)).columns)), "set3")
    assert vectors.shape == (200, 30)
    assert (((vectors >= 0) & (vectors <= 1)) | (vectors == -1)).all()
    known = vectors[:, attribute_names("set3").index("age")] >= 0
    assert known.sum() == sum(bool(d) for d in documents)


def _faces(attributes: dict) -> FaceSet:
    count = len(next(iter(attributes.values())))
    return FaceSet(
        "x",
        tuple(map(str, range(count))),
        np.arange(count),
        attributes,
        None,
        None,
        "",
        lambda i: b"",
        lambda b: b,
    )


def test_celeba_and_utkface_columns_map_onto_the_sets() -> None:
    celeba = from_faces(
        _faces(
            {"Smiling": np.array([1, 0]), "No_Beard": np.array([1.0, np.nan]), "Attractive": np.array([1, 1])}
        ),
        "set3",
    )
    names = attribute_names("set3")
    assert celeba[:, names.index("emotion.happiness")].tolist() == [1, 0]
    assert celeba[:, names.index("facial_hair.beard")].tolist() == [0, -1]
    assert (celeba == -1).sum() == 2 * 30 - 3
    utk = from_faces(_faces({"age": np.array([25.0, 116.0]), "gender": np.array(["male", ""])}), "set3")
    assert utk[:, names.index("age")].tolist() == [0.25, 1.0]
    assert utk[:, names.index("gender")].tolist() == [1.0, -1.0]


def test_the_mirror_turns_yaw_and_roll_only() -> None:
    values = vector_of({"pose.yaw": 0.7, "pose.pitch": 0.7, "emotion.anger": 0.2}, "set1")
    turned = dict(zip(attribute_names("set1"), mirrored(values, "set1"), strict=True))
    assert turned["pose.yaw"] == pytest.approx(0.3)
    assert turned["pose.pitch"] == pytest.approx(0.7)
    assert turned["pose.roll"] == -1
    assert turned["emotion.anger"] == pytest.approx(0.2)


@pytest.mark.parametrize("wrong", [{"age": 0.5}, {"pose.yaw": 1.5}, {"pose.jaw": 0.5}])
def test_wrong_attributes_are_refused(wrong: dict) -> None:
    with pytest.raises(UsageError):
        vector_of(wrong, "set1")


def test_each_condition_is_dropped_in_a_tenth_of_the_samples() -> None:
    draw = counter_noise.uniform(0, 0, torch.arange(40_000), 1)[:, 0]
    identity, attributes = drop_conditions(torch.ones(40_000, 4), torch.ones(40_000, 3), draw, 0.1)
    no_identity, no_attributes = (identity == 0).all(1), (attributes == -1).all(1)
    five_sigma = 5 * (0.1 * 0.9 / 40_000) ** 0.5
    assert abs(float(no_identity.float().mean()) - 0.1) < five_sigma
    assert abs(float(no_attributes.float().mean()) - 0.1) < five_sigma
    assert abs(float((no_identity & no_attributes).float().mean()) - 0.05) < five_sigma
    alone, none = drop_conditions(torch.ones(40_000, 4), None, draw, 0.1)
    assert none is None
    assert abs(float((alone == 0).all(1).float().mean()) - 0.1) < five_sigma


def test_unit_scaling_gives_norm_root_d_and_raw_changes_nothing() -> None:
    vectors = np.random.default_rng(0).standard_normal((5, 16)).astype(np.float32)
    np.testing.assert_allclose(np.linalg.norm(scaled_identity(vectors, 16, True), axis=1), 4, rtol=1e-5)
    np.testing.assert_array_equal(scaled_identity(vectors, 16, False), vectors)


def test_zero_wrong_and_infinite_vectors_are_refused() -> None:
    with pytest.raises(DataError, match="zero"):
        scaled_identity(np.zeros((1, 4), np.float32), 4, True)
    with pytest.raises(UsageError, match="3"):
        scaled_identity(np.ones((1, 3), np.float32), 4, True)
    with pytest.raises(DataError, match="finite"):
        scaled_identity(np.full((1, 4), np.inf, np.float32), 4, True)


def test_counter_noise_is_normal_independent_and_a_function_of_the_sample() -> None:
    draw = counter_noise.normal(7, 1, torch.arange(2000), (50,)).double()
    n = draw.numel()
    assert abs(float(draw.mean())) < 5 / n**0.5
    assert abs(float(draw.var()) - 1) < 5 * (2 / n) ** 0.5
    assert abs(float((draw**4).mean()) - 3) < 5 * (96 / n) ** 0.5
    for a, b in ((draw[:-1], draw[1:]), (draw[:, :25], draw[:, 25:])):
        assert abs(float((a * b).mean())) < 5 / a.numel() ** 0.5
        assert abs(float((a**2 * b**2).mean()) - 1) < 5 * (8 / a.numel()) ** 0.5
    again = counter_noise.normal(7, 1, torch.tensor([1999, 3]), (50,)).double()
    assert again.equal(draw[[1999, 3]])
    assert not counter_noise.normal(8, 1, torch.tensor([3]), (50,)).double().equal(draw[[3]])


@pytest.mark.parametrize(
    ("condition", "values", "entry", "wanted"),
    [
        ("yaw_deg", [-90, 0, 45], "pose.yaw", [0, 0.5, 0.75]),
        ("age", [20, 60], "age", [0.2, 0.6]),
        ("No_Beard", [1, 0], "facial_hair.beard", [0, 1]),
        ("gender_male", [1], "gender", [1]),
        ("emotion.happiness", [0.25], "emotion.happiness", [0.25]),
    ],
)
def test_one_attribute_is_set_and_the_others_stay_unknown(
    condition: str, values: list[float], entry: str, wanted: list[float]
) -> None:
    found = condition_vectors(condition, values, "set3")
    place = attribute_names("set3").index(entry)
    np.testing.assert_allclose(found[:, place], wanted)
    assert (np.delete(found, place, axis=1) == -1).all()


@pytest.mark.parametrize(
    ("condition", "value", "words"),
    [
        ("yaw_deg", 91, "from -90 to 90"),
        ("emotion.happiness", 30, "from 0 to 1"),
        ("glasses", 1, "set1"),
        ("yaw", 0, "yaw_deg"),
    ],
)
def test_conditions_out_of_range_or_out_of_the_set_are_refused(
    condition: str, value: float, words: str
) -> None:
    with pytest.raises(UsageError) as refused:
        condition_vectors(condition, [value], "set1")
    assert words in f"{refused.value.message} {refused.value.hint}"


def test_the_hint_of_an_unknown_attribute_names_only_what_is_offered() -> None:
    with pytest.raises(UsageError) as caught:
        condition_vectors("Smilling", [1.0], "set3", ("age", "pose.yaw"))
    assert caught.value.hint.endswith("known: age, pose.yaw, yaw_deg")
    with pytest.raises(UsageError) as every:
        condition_vectors("Smilling", [1.0], "set3")
    assert "'Smiling'" in every.value.hint
    assert "emotion.happiness" in every.value.hint
