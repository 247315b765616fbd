"""The reader of TensorFlow's frozen graphs, against bytes written by hand from the protobuf encoding guide."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import numpy as np
import pytest

from fraudit.errors import WeightsError
from fraudit.weights.frozen_graph import read_frozen_pb


def chunk(tag: int, content: bytes) -> bytes:
    """A length-delimited field of fewer than 128 bytes; `tag` is (number << 3) | 2."""
    assert len(content) < 128
    return bytes([tag, len(content)]) + content


def const(name: bytes, tensor: bytes) -> bytes:
    value = chunk(0x0A, b"value") + chunk(0x12, chunk(0x42, tensor))
    return chunk(0x0A, chunk(0x0A, name) + chunk(0x12, b"Const") + chunk(0x2A, value))


SHAPE_2X2 = b"\x12\x08" + b"\x12\x02\x08\x02" * 2
FLOATS = struct.pack("<4f", 1.0, -2.0, 0.5, 4.0)
BY_CONTENT = const(b"a/w", b"\x08\x01" + SHAPE_2X2 + chunk(0x22, FLOATS))
EXPECTED = np.array([[1.0, -2.0], [0.5, 4.0]], np.float32)


def read(tmp_path: Path, data: bytes) -> dict[str, np.ndarray]:
    path = tmp_path / "graph.pb"
    path.write_bytes(data)
    return read_frozen_pb(path)


@pytest.mark.parametrize(
    "tensor",
    [
        chunk(0x22, FLOATS),
        chunk(0x2A, FLOATS),
        b"".join(b"\x2d" + FLOATS[i : i + 4] for i in range(0, 16, 4)),
    ],
    ids=["tensor_content", "packed float_val", "single float_val"],
)
def test_the_three_ways_to_write_floats_are_read(tmp_path: Path, tensor: bytes) -> None:
    found = read(tmp_path, const(b"a/w", b"\x08\x01" + SHAPE_2X2 + tensor))
    assert list(found) == ["a/w"]
    np.testing.assert_array_equal(found["a/w"], EXPECTED)


def test_the_last_listed_value_stands_for_all_that_follow(tmp_path: Path) -> None:
    found = read(tmp_path, const(b"b", b"\x08\x01" + SHAPE_2X2 + chunk(0x2A, struct.pack("<2f", 3.0, 7.0))))
    np.testing.assert_array_equal(found["b"], [[3.0, 7.0], [7.0, 7.0]])


def test_a_scalar_has_no_dimension(tmp_path: Path) -> None:
    found = read(tmp_path, const(b"s", b"\x08\x01\x12\x00" + chunk(0x2A, struct.pack("<f", 0.25))))
    assert found["s"].shape == ()
    assert found["s"] == 0.25


def test_nodes_and_constants_of_another_kind_are_passed_over(tmp_path: Path) -> None:
    other = chunk(0x0A, chunk(0x0A, b"x") + chunk(0x12, b"Placeholder"))
    integers = const(b"n", b"\x08\x03\x12\x00\x38\x05")
    versions = b"\x22\x02\x08\x18"
    found = read(tmp_path, other + integers + BY_CONTENT + versions)
    assert list(found) == ["a/w"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        BY_CONTENT[:-1],
        b"\x0a\xff\xff\xff\xff\x0f" + bytes(10),  # a field of 4 GiB
        b"\x0a" + b"\xff" * 11,  # an endless length
        b"\x0b\x01",  # a group, which TensorFlow never writes
        const(b"w", b"\x08\x01" + SHAPE_2X2 + chunk(0x22, FLOATS[:12])),
        const(b"w", b"\x08\x01" + SHAPE_2X2 + chunk(0x22, FLOATS[:15])),
        const(
            b"w",
            b"\x08\x01" + chunk(0x12, chunk(0x12, b"\x08" + b"\xff" * 9 + b"\x01")) + chunk(0x22, FLOATS),
        ),
        const(
            b"w", b"\x08\x01" + chunk(0x12, chunk(0x12, b"\x08\x80\x80\x80\x80\x40")) + chunk(0x2A, FLOATS)
        ),
        b"\x0a\x02\x08\x01" + b"just text",
    ],
    ids=["empty", "cut", "4 GiB", "endless", "group", "short", "odd", "negative", "16 Gi values", "text"],
)
def test_what_is_no_frozen_graph_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(WeightsError, match="frozen graph"):
        read(tmp_path, data)


def test_damage_anywhere_gives_arrays_or_a_weights_error_and_nothing_else(tmp_path: Path) -> None:
    data = BY_CONTENT + const(b"s", b"\x08\x01\x12\x00" + chunk(0x2A, FLOATS[:4]))
    draw = random.Random(11)
    refused = 0
    for _ in range(500):
        damaged = bytearray(data)
        for _ in range(draw.choice([1, 2, 5])):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        try:
            found = read(tmp_path, bytes(damaged))
        except WeightsError:
            refused += 1
        else:
            assert all(value.dtype == np.float32 for value in found.values())
    assert refused > 100


def test_a_missing_file_is_a_weights_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot read"):
        read_frozen_pb(tmp_path / "none.pb")
