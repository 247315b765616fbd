"""Pictures of vectors are made once, whoever asks and in whatever company, and in full pieces."""

import numpy as np
import pytest

from fraudit.analyses.shared.reconstructions import make_pictures
from fraudit.files.pictures import PictureCache
from tests.fixtures.boxes import random_faces
from tests.fixtures.contexts import planted_context
from tests.fixtures.inverters import Painter


class Counting(Painter):
    """Says how many pictures each call made."""

    chunk = 4

    def __init__(self, sha="a"):
        self.calls, self.card = [], {"sha256": sha}

    def invert(self, id_vectors, seeds, *, guidance=2.0, steps=10, attributes=None):
        self.calls.append(len(id_vectors))
        made = super().invert(id_vectors, seeds)
        made[:, 0, 0, 0] = (seeds + 10 * guidance + (0 if attributes is None else attributes[:, 0])) % 256
        return made


@pytest.fixture
def context():
    made = planted_context(random_faces(6, 112), np.repeat([0, 1, 2], 2))
    made.inverter = Counting()
    return made


VECTORS = np.random.default_rng(0).standard_normal((10, 64)).astype(np.float32)
SEEDS = np.arange(10)


def test_what_was_made_once_is_not_made_again_in_other_company(context):
    told = []
    first = make_pictures(context, VECTORS[:7], SEEDS[:7], told=told.append, guidance=1.0)
    assert (context.inverter.calls, sum(told)) == ([4, 3], 7)
    order = np.array([9, 2, 2, 5, 8, 9])
    again = make_pictures(context, VECTORS[order], SEEDS[order], told=told.append, guidance=1.0)
    assert context.inverter.calls == [4, 3, 2]  # 8 and 9, once each
    assert sum(told) == 7 + 6
    np.testing.assert_array_equal(again[[1, 2, 3]], first[[2, 2, 5]])
    fresh = Counting().invert(VECTORS[order], SEEDS[order], guidance=1.0)
    np.testing.assert_array_equal(again, fresh)


def test_another_seed_option_attribute_or_inverter_is_another_picture(context):
    plain = make_pictures(context, VECTORS[:4], SEEDS[:4])
    for changed in (
        {"seeds": SEEDS[1:5]},
        {"guidance": 3.0},
        {"attributes": np.full((4, 1), 7.0, np.float32)},
    ):
        before = sum(context.inverter.calls)
        seeds = changed.pop("seeds", SEEDS[:4])
        made = make_pictures(context, VECTORS[:4], seeds, **changed)
        assert sum(context.inverter.calls) == before + 4
        assert (made[:, 0, 0, 0] != plain[:, 0, 0, 0]).all()
    context.inverter = Counting("b")
    make_pictures(context, VECTORS[:4], SEEDS[:4])
    assert sum(context.inverter.calls) == 4


def test_one_attribute_row_a_vector_is_part_of_the_picture(context):
    values = np.array([[1.0], [2.0], [1.0], [2.0]], np.float32)
    make_pictures(context, VECTORS[:4], SEEDS[:4], attributes=values)
    made = make_pictures(context, VECTORS[:4], SEEDS[:4], attributes=values[::-1].copy())
    assert sum(context.inverter.calls) == 8
    np.testing.assert_array_equal(made, Counting().invert(VECTORS[:4], SEEDS[:4], attributes=values[::-1]))


def test_an_inverter_whose_weights_are_not_known_is_asked_every_time(context):
    context.inverter.card = {}
    for _ in range(2):
        make_pictures(context, VECTORS, SEEDS)
    assert sum(context.inverter.calls) == 20
    assert make_pictures(context, VECTORS[:0], SEEDS[:0]).shape == (0, 144, 144, 3)


def test_a_picture_of_another_size_or_a_broken_file_is_made_again(tmp_path):
    picture = np.full((8, 8, 3), 7, np.uint8)
    with PictureCache(tmp_path / "p.sqlite", 8) as cache:
        cache.put({"a": picture})
        np.testing.assert_array_equal(cache.get(["a", "b"])["a"], picture)
    with PictureCache(tmp_path / "p.sqlite", 16) as cache:
        assert cache.get(["a"]) == {}
    (tmp_path / "p.sqlite").write_bytes(b"no database" * 200)
    with PictureCache(tmp_path / "p.sqlite", 8) as cache:
        assert cache.get(["a"]) == {}
        cache.put({"a": picture})
