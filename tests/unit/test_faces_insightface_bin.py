"""insightface .bin files of every age, and pickles that are none."""

import copyreg
import pickle

import numpy as np
import pytest

from fraudit.errors import DataError
from fraudit.faces.insightface_bin import load_bin
from fraudit.faces.sources import open_faces
from fraudit.types import ARCFACE_112
from tests.fixtures.picture_files import picture, shade_of


def write_bin(path, pictures, same, protocol=2):
    path.write_bytes(pickle.dumps((pictures, same), protocol=protocol))
    return path


def py2_pickle(pictures, same):
    """What Python 2 writes at protocol 2: str as BINSTRING / SHORT_BINSTRING."""
    out = b"\x80\x02]("
    for data in pictures:
        out += b"T" + len(data).to_bytes(4, "little") + data
    out += b"e](" + b"".join(b"\x88" if one else b"\x89" for one in same) + b"e\x86."
    return out


BIN = [picture(shade, (112, 112)) for shade in (10, 20, 30, 40)]


@pytest.mark.parametrize("how", ["py2", 2, 4, "numpy"])
def test_bin_files_of_every_age(tmp_path, how):
    path = tmp_path / "few.bin"
    if how == "py2":
        path.write_bytes(py2_pickle(BIN, [True, False]))
    elif how == "numpy":
        write_bin(path, [np.frombuffer(data, np.uint8) for data in BIN], np.array([True, False]), 4)
    else:
        write_bin(path, BIN, [True, False], how)
    faces = open_faces(path)
    assert [shade_of(faces, i) for i in range(4)] == [10, 20, 30, 40]
    assert faces.pairs.left.tolist() == [0, 2]
    assert faces.pairs.right.tolist() == [1, 3]
    assert faces.pairs.same.tolist() == [True, False]
    assert not faces.identified
    np.testing.assert_array_equal(faces.landmarks, np.stack([ARCFACE_112] * 4))


def test_bin_joins_what_equal_files_and_genuine_pairs_join(tmp_path):
    a, b, c, d = BIN
    faces = open_faces(write_bin(tmp_path / "x.bin", [a, b, a, c, d, c, d, b], [True, False, True, False]))
    assert faces.subjects[0] == faces.subjects[1] == faces.subjects[2] == faces.subjects[7]
    assert faces.subjects[3] == faces.subjects[4] == faces.subjects[5] == faces.subjects[6]
    assert faces.subjects[0] != faces.subjects[3]


def test_bin_of_other_sizes_declares_no_landmarks(tmp_path):
    faces = open_faces(write_bin(tmp_path / "x.bin", [picture(1), picture(2)], [True]))
    assert faces.landmarks is None
    mixed = open_faces(write_bin(tmp_path / "y.bin", [BIN[0], picture(2)], [True]))
    assert np.isfinite(mixed.landmarks).all(axis=(1, 2)).tolist() == [True, False]


class Evil:
    def __reduce__(self):
        return (print, ("owned",))


class EvilCodec:
    def __reduce__(self):
        import _codecs

        return (_codecs.encode, ("text", "rot13"))


def test_bin_executes_nothing(tmp_path, capsys):
    path = write_bin(tmp_path / "x.bin", [Evil(), b"x"], [True])
    with pytest.raises(DataError, match=r"print, which no picture set needs"):
        load_bin(path)
    with pytest.raises(DataError, match="rot13"):
        load_bin(write_bin(path, [EvilCodec(), b"x"], [True]))
    copyreg.add_extension("os", "system", 240)
    try:
        path.write_bytes(b"\x80\x02\x82\xf0(X\x02\x00\x00\x00idtR.")
        with pytest.raises(DataError, match="instruction of pickle that no such file needs"):
            load_bin(path)
    finally:
        copyreg.remove_extension("os", "system", 240)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x02",
        b"no pickle at all",
        pickle.dumps({"a": 1}),
        pickle.dumps(([b"x"], [True])),
        pickle.dumps(([b"x", 3], [True])),
        pickle.dumps(([b"x", b"y"], ["yes"])),
        pickle.dumps(([], [])),
        pickle.dumps((BIN, [True, False]))[:-40],
    ],
)
def test_bad_bin_files_are_data_errors(tmp_path, data):
    path = tmp_path / "x.bin"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"x\.bin"):
        load_bin(path)


def test_damaged_bin_files_never_crash(tmp_path):
    rng = np.random.default_rng(0)
    whole = pickle.dumps(([b"ab", b"cd"] * 3, [True, False, True]), 2)
    path = tmp_path / "x.bin"
    for _ in range(400):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 3):
            data[place] = rng.integers(0, 256)
        path.write_bytes(data)
        said = "x.bin"
        try:
            load_bin(path)
        except DataError as error:
            said = error.message
        assert "x.bin" in said


def array_opcodes(
    dtype_code: bytes, state_dtype_code: bytes, data: bytes, count: int, late: bytes = b""
) -> bytes:
    """A .bin whose first picture is an array of `count` elements of `data`; `late` is run after it was filled."""
    text = lambda s: b"U" + bytes([len(s)]) + s  # noqa: E731
    dtype = lambda code: b"cnumpy\ndtype\n(" + text(code) + b"K\x00K\x01tR"  # noqa: E731
    order = b"(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    begin = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + text(b"b") + b"tR"
    body = b"B" + len(data).to_bytes(4, "little") + data  # protocol 3's bytes
    shape = b"(K\x01(K" + bytes([count]) + b"t"
    array = begin + shape + dtype(state_dtype_code) + order + b"q\x01\x89" + body + b"tb"
    return b"\x80\x03(" + b"(" + array + late + b"C\x01x" + b"l" + b"(\x88l" + b"t."


POINTERS = b"\x41" * 16


@pytest.mark.parametrize("kind", [b"O8", b"V8", b"M8", b"c16", b"u9", b"O"])
def test_arrays_of_anything_but_plain_numbers_are_refused_before_they_exist(tmp_path, kind):
    path = tmp_path / "x.bin"
    path.write_bytes(array_opcodes(kind, kind, POINTERS, 2))
    with pytest.raises(DataError, match=r"x\.bin"):
        load_bin(path)


def test_a_dtype_changed_after_its_array_was_filled_changes_nothing(tmp_path):
    # The memoised dtype gets another state: numpy would then read the bytes as pointers.
    path = tmp_path / "x.bin"
    late = b"h\x01(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftb0"
    path.write_bytes(array_opcodes(b"u1", b"u1", POINTERS, 16, late))
    assert load_bin(path)[0][0] == POINTERS
    compound = b"h\x01(K\x03U\x01|N(U\x01at}U\x01a(h\x01K\x00tsJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftb0"
    path.write_bytes(array_opcodes(b"u1", b"u1", POINTERS, 16, compound))
    with pytest.raises(DataError, match="compound"):
        load_bin(path)


def test_an_array_has_as_many_bytes_as_its_shape_says(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(array_opcodes(b"u1", b"u1", POINTERS, 200))
    with pytest.raises(DataError, match="another number"):
        load_bin(path)


def test_a_pickle_allocates_nothing_that_it_does_not_hold(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(b"\x80\x03((cbuiltins\nbytes\n(L99999999999L\ntRC\x01xl(\x88lt.")
    with pytest.raises(DataError, match="bytes of a int"):
        load_bin(path)


@pytest.mark.parametrize("code", [pickle.DICT, pickle.SETITEM, pickle.FROZENSET, pickle.ADDITEMS])
def test_a_key_of_a_million_tuples_does_not_exhaust_the_stack(tmp_path, code):
    deep = b")" + b"\x85" * 1_000_000
    body = {
        pickle.DICT: b"(" + deep + b"Nd",
        pickle.SETITEM: b"}" + deep + b"Ns",
        pickle.FROZENSET: b"(" + deep + b"\x91",
        pickle.ADDITEMS: b"\x8f(" + deep + b"\x90",
    }[code]
    path = tmp_path / "x.bin"
    path.write_bytes(b"\x80\x04" + body + b".")
    with pytest.raises(DataError, match="no plain value"):
        load_bin(path)


def test_arrays_and_numbers_of_numpy_are_read(tmp_path):
    pictures = [np.frombuffer(data, np.uint8) for data in BIN[:2]]
    for protocol in (2, 3, 4):
        for labels in ([np.bool_(True)], [np.int64(1)], np.array([True]), np.array([1], object)):
            path = tmp_path / "x.bin"
            path.write_bytes(pickle.dumps((pictures, labels), protocol))
            assert load_bin(path) == ([bytes(data) for data in BIN[:2]], [True])
