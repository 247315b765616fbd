"""Files enter through few doors: regular files of a bearable size, and one error of a kind for whatever is wrong."""

from __future__ import annotations

import io
import os
import threading
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fraudit.cli.main import run
from fraudit.errors import ArtifactError, DataError, FrauditError
from fraudit.faces import decode
from fraudit.faces.members import NO_FILE, UNREADABLE, FolderMembers, ZipMembers
from fraudit.faces.sources import open_faces
from fraudit.files import doors


def unreadable(folder: Path) -> dict[str, Path]:
    """A pipe, a device, a folder, a link in a ring, a name with a NUL, one too long, and one that is not there."""
    os.mkfifo(folder / "pipe")
    (folder / "device").symlink_to("/dev/zero")
    (folder / "folder").mkdir()
    (folder / "ring").symlink_to(folder / "ring")
    names = ("pipe", "device", "folder", "ring", "nul\0name", "x" * 5000, "absent")
    return {name[:6]: folder / name for name in names}


def _read_toml(path: Path) -> dict[str, Any]:
    return doors.parse_toml(doors.read_file(path, doors.CARD_BYTES), path)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    for path in unreadable(tmp_path).values():
        for reader in (_read_toml, doors.read_json, lambda p: doors.read_file(p, 10)):
            with pytest.raises(DataError, match=r"regular file|cannot read"):
                reader(path)
        with pytest.raises(DataError), doors.open_arrays(path):
            pass


def test_a_file_has_the_size_of_its_kind_at_most(tmp_path: Path) -> None:
    path = tmp_path / "card.toml"
    path.write_text("a = 1\n")
    assert _read_toml(path) == {"a": 1}
    with path.open("r+b") as file:
        file.truncate(10**12)  # sparse
    with pytest.raises(DataError, match="larger than 1 MB"):
        _read_toml(path)
    with pytest.raises(ArtifactError, match="larger"):
        doors.read_json(path, kind=ArtifactError)


@pytest.mark.parametrize(
    "text",
    ["a = " + "[" * 5000, "a = ", "\x00", "a = 1\na = 2", "[a]\n[a.b]\nx=1\n[a]", "a = 99999-99-99"],
)
def test_toml_that_is_none_is_an_error_of_a_kind(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(DataError, match="not TOML"):
        _read_toml(path)


@pytest.mark.parametrize("data", [b"[" * 100_000, b"{", b"\xff\xfe{}", b"1" * 5000, b"", b'{"a": \x00}'])
def test_json_that_is_none_is_an_error_of_a_kind(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(data)
    with pytest.raises(DataError, match="not JSON"):
        doors.read_json(path)


def npz(path: Path, **arrays: object) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": descr, "fortran_order": False, "shape": shape})
    return out.getvalue()


def test_arrays_that_are_damaged_or_state_too_much_are_errors_of_a_kind(tmp_path: Path) -> None:
    good = npz(tmp_path / "good.npz", a=np.arange(5))
    with doors.open_arrays(good) as stored:
        assert stored["a"].tolist() == [0, 1, 2, 3, 4]
    blob = good.read_bytes()
    bad = tmp_path / "bad.npz"
    for data in (b"", b"PK", blob[:40], blob[:-10], blob[:50] + bytes(8) + blob[58:], b"\x93NUMPY\x01\x00"):
        bad.write_bytes(data)
        with pytest.raises(DataError, match=r"bad\.npz"), doors.open_arrays(bad) as stored:
            stored["a"]
    with pytest.raises(DataError), doors.open_arrays(good) as stored:
        stored["b"]
    for shape, descr in (((10**13,), "<f4"), ((2, 2), "|O"), ((10**9, 10**9), "<f8")):
        with zipfile.ZipFile(bad, "w") as pack:
            pack.writestr("a.npy", header(shape, descr))
        with pytest.raises(DataError, match=r"bad\.npz"), doors.open_arrays(bad) as stored:
            stored["a"]


def test_disk_errors_while_writing_are_errors_of_a_kind(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be written: No space left"), doors.leaving(tmp_path):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("compress", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_that_lies_about_a_size_unpacks_little_of_it(tmp_path: Path, compress: int) -> None:
    path = tmp_path / "bomb.zip"
    size = 120_000_000
    with zipfile.ZipFile(path, "w", compress) as pack, pack.open("a/x.png", "w") as file:
        for _ in range(size // 1_000_000):
            file.write(bytes(1_000_000))
    blob = path.read_bytes()
    path.write_bytes(blob.replace(size.to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    members = ZipMembers(path)
    tracemalloc.start()
    with pytest.raises(DataError, match=UNREADABLE):
        members.read("a/x.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 90_000_000


def test_a_zip_of_any_compression_is_read_whole(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 3, 300_000, dtype=np.uint8).tobytes()
    for compress in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(tmp_path / "x.zip", "w", compress) as pack:
            pack.writestr("x", data)
        assert ZipMembers(tmp_path / "x.zip").read("x") == data


def test_pictures_that_are_pipes_or_devices_are_counted_and_wait_for_nobody(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    os.mkfifo(tmp_path / "a" / "pipe.png")
    (tmp_path / "a" / "device.png").symlink_to("/dev/zero")
    Image.new("RGB", (20, 20)).save(tmp_path / "a" / "real.png")
    members = FolderMembers(tmp_path)
    for name in ("a/pipe.png", "a/device.png"):
        with pytest.raises(DataError, match=NO_FILE):
            members.read(name)
    assert members.identities(members.names)[:2] == ["", ""]
    faces = open_faces(str(tmp_path))
    reasons = []
    for i in range(len(faces)):
        try:
            faces.read(i)
        except DataError as error:
            reasons.append(error.message)
    assert reasons == [NO_FILE, NO_FILE]


def test_large_pictures_are_decoded_a_few_at_a_time() -> None:
    out = io.BytesIO()
    Image.new("RGB", (6000, 6000), (10, 20, 30)).save(out, "PNG")
    data = out.getvalue()
    room = decode.ROOM
    room.most = 0
    inside, most = [], []

    def work() -> None:
        with decode.room_for(data):
            inside.append(1)
            most.append(len(inside))
            picture = decode.decode_picture(data)
            assert picture[::3000, ::3000].tolist() == [[[10, 20, 30]] * 2] * 2
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert (room.taken, 0 < room.most <= decode.ROOM_BYTES) == (0, True)


def test_small_pictures_wait_for_nobody() -> None:
    with decode.room_for(b"no picture at all"), decode.room_for(b"x"):
        assert decode.ROOM.taken == 0


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "ring", "absent"])
@pytest.mark.parametrize(
    "command",
    [
        "embed --embedder {}.toml --images sample --out o.npz",
        "analyze --scorer {}.toml --dataset sample",
        "analyze --plan {}",
        "gate --plan --rules {} --pairs 10,10 --people 5",
        "gate --base {} --new {} --rules {}",
        "show {}",
        "render {}",
        "baseline {}",
        "compare {} {}",
        "scores {}",
        "embed --embedder dlib --images {}.bin --out o.npz",
        "embed --embedder dlib --images {}.csv --out o.npz",
        "embed --embedder dlib --images {}.zip --out o.npz",
        "invert --embedder dlib --inverter linear --vector {} --rows 0 --out out",
        "invert --embedder dlib --inverter linear --image {} --out out",
        "invert --embedder dlib --inverter {} --image {} --out out",
    ],
)
def test_every_command_refuses_what_is_no_file(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    kind: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = unreadable(tmp_path)[kind]
    for suffix in (".toml", ".bin", ".csv", ".zip"):
        if kind != "absent":
            path.with_suffix(suffix).symlink_to(path)
    code = run(command.replace("{}", kind).split())
    err = capsys.readouterr().err
    assert code in (2, 4, 5, 6), err
    assert err.count("error: ") == 1
    assert "a bug" not in err


def test_errors_have_the_kind_that_the_door_was_told() -> None:
    with (
        pytest.raises(ArtifactError, match=r"x is no y: 'key' is missing"),
        doors.entering("x is no y", kind=ArtifactError),
    ):
        raise KeyError("key")
    with pytest.raises(FrauditError, match="as it is"), doors.entering("x"):
        raise DataError("as it is")
