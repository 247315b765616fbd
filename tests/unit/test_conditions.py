"""Attributes of the bundled inverter: what is asked comes out, and a network that ignores what is asked is seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fraudit.embedding.loading import load_embedder
from fraudit.errors import UsageError
from fraudit.faces.sources import open_faces
from fraudit.inverters.id3pm import Id3pm
from fraudit.inverters.linear import LinearInverter
from fraudit.inverters.loading import bundled
from fraudit.inverters.sources import conditions
from fraudit.inverters.variety import VARIETIES, check_variety, options_asked, options_of, varieties_of
from fraudit.types import F32


@pytest.fixture(scope="module")
def vectors() -> F32:
    """dlib's vectors of four synthetic faces, from the fixture run's file."""
    from fraudit.embedding.runtime import EmbedderRuntime

    faces = open_faces("sample")
    _, firsts = np.unique(faces.subjects, return_index=True)
    box = EmbedderRuntime(load_embedder("dlib"))
    return box.embed_faces(faces, indices=np.sort(firsts)[:4]).vectors


@pytest.fixture(scope="module")
def inverter() -> Id3pm:
    from fraudit.inverters.id3pm import load

    folder = bundled(load_embedder("dlib"), ("id3pm",))
    assert folder is not None
    found = load(folder)
    assert isinstance(found, Id3pm)
    return found


def turned_apart(inverter: Id3pm, vectors: F32) -> float:
    """How much nearer a face turned by 30 degrees is to the mirror of the one turned by -30 than to that one itself.

    Mean over faces of the difference of squared errors, as a share of the latter; 0 for a network that ignores yaw.
    """
    # One call: what it costs is the calls of the network, not the faces in them.
    told = inverter.attribute_vectors("yaw_deg", [-30.0, 30.0]).repeat(len(vectors), 0)
    seeds = np.zeros(2 * len(vectors), np.int64)
    made = inverter.invert(np.concatenate([vectors, vectors]), seeds, attributes=told).astype(np.float64)
    left, right = np.split(made.mean(-1), 2)
    apart = np.square(right - left).mean((1, 2))
    mirrored = np.square(right - left[:, :, ::-1]).mean((1, 2))
    return float(((apart - mirrored) / np.maximum(apart, 1e-9)).mean()) if apart.any() else 0.0


def test_a_head_is_turned_as_asked_and_a_network_that_ignores_it_is_seen(
    inverter: Id3pm, vectors: F32
) -> None:
    assert turned_apart(inverter, vectors) > 0.3
    network = inverter._network
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    try:
        with torch.no_grad():
            network.attribute_emb.weight.zero_()
            network.told.effect.zero_()
            network.attribute_emb.bias.zero_()
        assert turned_apart(inverter, vectors) < 0.05
    finally:
        network.load_state_dict(kept)


def test_unknown_attributes_are_no_attributes(inverter: Id3pm, vectors: F32) -> None:
    seeds = np.arange(2)
    unknown = np.full(30, -1, np.float32)
    assert np.array_equal(
        inverter.invert(vectors[:2], seeds), inverter.invert(vectors[:2], seeds, attributes=unknown)
    )


def test_drawn_attributes_are_what_passes_and_depend_on_the_seed_alone(inverter: Id3pm) -> None:
    from fraudit.diffusion.data.attributes import PASSING, UNKNOWN, attribute_names

    names = attribute_names("set3")
    drawn = inverter.random_attributes(np.arange(400))
    assert np.array_equal(drawn[7:9], inverter.random_attributes(np.array([7, 8])))
    told = (drawn != UNKNOWN).any(0)
    assert {n for n, on in zip(names, told, strict=True) if on} == set(PASSING) & set(inverter.labelled)
    yaw = drawn[:, names.index("pose.yaw")] * 180 - 90
    assert 8 < yaw.std() < 25
    assert np.abs(yaw).max() < 60
    assert set(np.unique(drawn[:, names.index("emotion.happiness")])) == {0.0, 1.0}


def test_every_step_of_variety_can_be_taken(inverter: Id3pm, vectors: F32) -> None:
    seeds = np.arange(8)
    assert varieties_of(inverter) == VARIETIES
    spread = {}
    for step in VARIETIES:
        made = inverter.invert(np.repeat(vectors[:1], 8, 0), seeds, **options_of(step, inverter, seeds))
        spread[step.name] = made.astype(np.float64).std(0).mean()
    assert spread["alike"] < spread["default"] < spread["varied"] < spread["most"]


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("yaw=10", "has no 'yaw'"),
        ("yaw_deg=120", "yaw_deg must be from -90 to 90"),
        ("Smilling=1", "did you mean 'Smiling'"),
        ("emotion.anger=1", "no face that this inverter learned from was labelled with emotion.anger"),
        ("yaw_deg", "expected NAME=V1,V2"),
    ],
)
def test_conditions_that_cannot_be_are_refused_in_one_line(
    inverter: Id3pm, condition: str, words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        conditions(inverter, condition)
    text = f"{caught.value.message} {caught.value.hint}"
    assert words in text
    assert "\n" not in text


def test_the_linear_inverter_takes_no_attributes_and_no_variety(tmp_path: Path) -> None:
    from fraudit.inverters.linear import load

    folder = bundled(load_embedder("dlib"), ("linear",))
    assert folder is not None
    linear = load(folder)
    assert isinstance(linear, LinearInverter)
    assert varieties_of(linear) == ()
    with pytest.raises(UsageError, match="takes no attributes"):
        options_asked(linear, "", "yaw_deg=10", np.arange(1))
    with pytest.raises(UsageError, match="no variety"):
        options_asked(linear, "varied", "", np.arange(1))
    with pytest.raises(UsageError, match="not conditioned"):
        conditions(linear, "yaw_deg=10")


def test_attributes_are_read_from_words(inverter: Id3pm) -> None:
    from fraudit.diffusion.data.attributes import attribute_names

    names = attribute_names("set3")
    told = options_asked(inverter, "", "yaw_deg=45,Smiling=1", np.arange(3))["attributes"]
    assert told.shape == (3, 30)
    assert told[0, names.index("pose.yaw")] == pytest.approx(0.75)
    assert told[0, names.index("emotion.happiness")] == 1
    assert (told[0] != -1).sum() == 2
    with pytest.raises(UsageError, match="expected NAME=VALUE"):
        options_asked(inverter, "", "yaw_deg", np.arange(1))


def test_variety_beside_what_it_chooses_itself_is_refused() -> None:
    with pytest.raises(UsageError, match="one of the two"):
        check_variety("varied", 0.5, "")
    with pytest.raises(UsageError, match="draws the attributes"):
        check_variety("most", None, "yaw_deg=10")
    with pytest.raises(UsageError, match="unknown variety"):
        check_variety("mosst", None, "")
