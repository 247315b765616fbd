"""What samples of a training with attributes are told, and beside whose ID vector."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from fraudit.diffusion.data.attributes import UNKNOWN, attribute_names, mirrored
from fraudit.diffusion.data.batches import Batches, labelled_entries
from fraudit.diffusion.data.shards import Shards
from fraudit.diffusion.data.telling import Telling, other_pictures
from fraudit.diffusion.training.options import TrainOptions
from fraudit.diffusion.training.presets import PRESETS

CPU = torch.device("cpu")
NAMES = attribute_names("set3")
POSE = [NAMES.index(f"pose.{axis}") for axis in ("yaw", "pitch", "roll")]


def shards(people: int = 60, pictures: int = 2, dim: int = 4) -> Shards:
    """Person p's picture k has the ID vector (p + 1, k + 1, +-1, 1): +1 as it is, -1 in the mirror."""
    n = people * pictures
    subjects = np.repeat(np.arange(people), pictures)
    vectors = np.stack([subjects + 1, np.tile(np.arange(pictures), people) + 1, np.ones(n), np.ones(n)], 1)
    mirror = vectors * np.array([1, 1, -1, 1])
    attributes = np.full((n, 30), UNKNOWN, np.float32)
    rng = np.random.default_rng(0)
    attributes[:, POSE] = rng.uniform(0, 1, (n, 3))
    attributes[:, NAMES.index("gender")] = subjects % 2
    return Shards(
        pictures=rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8),
        visible=np.ones((n, 8, 8), np.uint8),
        vectors=vectors.astype(np.float32),
        vectors_mirror=mirror.astype(np.float32),
        subjects=subjects,
        held_out=np.zeros(n, bool),
        attributes=attributes,
        index={},
    )


def batches(data: Shards, untold: float, exchanged: float) -> Batches:
    preset = replace(PRESETS["small-64"], untold=untold, exchanged=exchanged, unit_scaled=False)
    return Batches(data, preset, TrainOptions(steps=1, batch=8, attributes="set3"), CPU)


def test_the_share_that_is_told_nothing_keeps_its_own_vector():
    x = batches(shards(), 0.4, 0.5).batch(0, 4000)
    assert x.attributes is not None
    assert x.identity is not None
    assert x.own is not None
    silent = (x.attributes == UNKNOWN).all(1)
    assert 0.4 < silent.float().mean() < 0.5  # some of the others keep no entry by chance
    exchanged = (x.identity != x.own).any(1)
    assert not (silent & exchanged).any()
    assert 0.25 < exchanged.float().mean() < 0.35  # half of those that are told something


def test_an_exchanged_vector_is_the_same_persons_and_the_pose_is_told():
    x = batches(shards(), 0.4, 0.5).batch(0, 4000)
    assert x.attributes is not None
    assert x.identity is not None
    assert x.own is not None
    exchanged = (x.identity != x.own).any(1)
    assert (x.identity[:, 0] == x.own[:, 0]).all()
    assert (x.attributes[exchanged][:, POSE] != UNKNOWN).all()
    other = x.identity[exchanged, 1] != x.own[exchanged, 1]
    assert 0.4 < other.float().mean() < 0.6  # the rest are of the mirror picture


def test_who_has_one_picture_is_shown_with_the_mirrors_vector():
    x = batches(shards(people=50, pictures=1), 0.0001, 1.0).batch(0, 500)
    assert x.identity is not None
    assert x.own is not None
    assert (x.identity[:, 2] == -x.own[:, 2]).float().mean() > 0.99


def test_entries_are_told_in_every_number():
    x = batches(shards(), 0.4, 0.0).batch(0, 4000)
    assert x.attributes is not None
    told = (x.attributes != UNKNOWN).sum(1)
    assert set(told.tolist()) == {0, 1, 2, 3, 4}
    alone = (x.attributes[:, POSE[0]] != UNKNOWN) & (told == 1)
    assert alone.float().mean() > 0.02  # a yaw alone, as a person asks for it


def test_samples_depend_on_their_position_alone():
    told = batches(shards(), 0.4, 0.5)
    whole, later = told.batch(0, 64), told.batch(32, 32)
    for mine, theirs in zip(whole, later, strict=True):
        assert mine is not None
        assert theirs is not None
        assert torch.equal(mine[32:], theirs)


def test_attributes_are_those_of_the_picture_as_it_is_shown():
    data = shards()
    x = batches(data, 0.0001, 0.0).batch(0, 200)
    assert x.attributes is not None
    assert x.own is not None
    flipped = mirrored(data.attributes, "set3")
    for row in range(200):
        person, picture, side = (int(v) for v in x.own[row, :3])
        plain = (data.attributes if side > 0 else flipped)[(person - 1) * 2 + picture - 1]
        known = x.attributes[row].numpy() != UNKNOWN
        assert np.allclose(x.attributes[row].numpy()[known], plain[known])


def test_without_a_pose_no_vector_is_exchanged():
    telling = Telling("set3", 0.1, 1.0, np.arange(5), 0, CPU)
    attributes = torch.full((100, 30), UNKNOWN)
    attributes[:, NAMES.index("gender")] = 1.0
    _, exchange = telling.told(attributes, torch.arange(100))
    assert not exchange.any()


def test_other_pictures_lists_each_persons_rows():
    subjects = np.array([7, 3, 7, 9, 3, 7])
    order, first, count = other_pictures(subjects)
    for row, subject in enumerate(subjects):
        assert set(order[first[row] : first[row] + count[row]]) == set(np.flatnonzero(subjects == subject))


def test_labelled_entries_count_what_is_trained_on():
    data = shards(people=10)
    found = labelled_entries(data, "set3")
    assert found["pose.yaw"] == 20
    assert found["gender"] == 20
    assert found["emotion.anger"] == 0
    assert labelled_entries(data, "") == {}
