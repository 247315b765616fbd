"""Counts of a person's own sets are remembered, and only as long as nothing changed that they rest on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from fraudit.faces import counted
from fraudit.faces.known import find_known
from fraudit.faces.walking import walk
from fraudit.faces.watching import telling, watched


@pytest.fixture
def place(tmp_path, monkeypatch):
    """LFW as a folder: 3 people with 2 pictures each, in folders below a folder; told as long unchanged."""
    monkeypatch.setenv("FRAUDIT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FRAUDIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(counted, "_JUST_NOW_NS", 0)
    monkeypatch.setattr(counted, "telling", lambda seen: True)  # whatever the tests' folder lies on
    root = tmp_path / "data" / "lfw"
    for person in ("Ann_A", "Bob_B", "Cat_C"):
        for number in (1, 2):
            add(root, person, number)
    (root / "pairs.txt").write_text("1\t1\nAnn_A\t1\t2\nBob_B\t1\tCat_C\t2\n")
    return root


def add(root: Path, person: str, number: int) -> None:
    file = root / "pictures" / person / f"{person}_{number:04}.jpg"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"\xff\xd8\xff" + person.encode() * number)


def look(root: Path, *, opens: bool):
    """What is said of the set, and whether it had to be opened for that."""
    time.sleep(0.02)  # a step of the file system's clock
    calls, real = [], counted.counted

    def counting(name):
        calls.append(name)
        return real(name)

    counted.counted = counting
    try:
        found = counted.counts("lfw", root)
    finally:
        counted.counted = real
    assert found == real("lfw")
    assert bool(calls) is opens
    return found


def test_a_second_look_opens_nothing_and_says_the_same(place):
    assert look(place, opens=True)["pairs"] == 2
    assert look(place, opens=False)["pairs"] == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda root: add(root, "Ann_A", 3),
        lambda root: add(root, "Dan_D", 1),
        lambda root: (root / "pictures" / "Cat_C" / "Cat_C_0002.jpg").rename(root / "away.jpg"),
        lambda root: (root / "pictures" / "Bob_B" / "Bob_B_0002.jpg").unlink(),
        lambda root: (root / "pictures" / "empty" / "more.jpg").write_bytes(b"\xff\xd8\xff"),
        lambda root: (root / "pairs.txt").write_text("1\t1\nAnn_A\t1\t2\nAnn_A\t1\tCat_C\t2\n"),
        lambda root: (root / "elsewhere").symlink_to(root.parent.parent / "later"),
    ],
    ids=["picture", "person", "renamed", "removed", "in an empty folder", "other pairs", "link"],
)
def test_a_set_that_changed_is_counted_anew(place, change):
    (place / "pictures" / "empty").mkdir()
    before = look(place, opens=True)
    assert look(place, opens=False) == before
    change(place)
    look(place, opens=True)
    look(place, opens=False)


def test_what_a_link_leads_to_counts_too(place, tmp_path):
    (place / "elsewhere").symlink_to(tmp_path / "later")
    before = look(place, opens=True)
    add(tmp_path / "later", "Eve_E", 1)
    after = look(place, opens=True)
    assert after != before
    add(tmp_path / "later", "Eve_E", 2)
    assert look(place, opens=True) != after


def test_a_time_that_is_set_back_does_not_hide_a_change(place):
    folder = place / "pictures" / "Ann_A"
    look(place, opens=True)
    state = folder.stat()
    add(place, "Ann_A", 3)
    os.utime(folder, ns=(state.st_atime_ns, state.st_mtime_ns))
    look(place, opens=True)


def test_a_zip_is_remembered_until_it_is_another(tmp_path, place):
    packed = tmp_path / "data" / "lfw.zip"

    def pack() -> None:
        with zipfile.ZipFile(packed, "w") as file:
            for one in sorted(place.rglob("*.*")):
                file.write(one, one.relative_to(place))

    pack()
    assert find_known("lfw") == packed
    first = look(packed, opens=True)
    assert look(packed, opens=False) == first
    (place / "pairs.txt").write_text("1\t1\nAnn_A\t1\t2\nAnn_A\t1\tCat_C\t2\n")
    pack()
    look(packed, opens=True)


@pytest.mark.parametrize("kept", ["", "{", "[]", "null", '{"code": 1}', "\udcff"])
def test_a_damaged_memory_is_ignored_and_replaced(place, tmp_path, kept):
    found = look(place, opens=True)
    (file,) = (tmp_path / "cache" / "set-counts").iterdir()
    file.write_bytes(kept.encode("utf-8", "surrogateescape"))
    assert look(place, opens=True) == found
    assert look(place, opens=False) == found


@pytest.mark.parametrize("key", ["pictures", "left_out", "attributes", "paths", "state", "code", "counts"])
def test_a_memory_of_another_shape_is_ignored(place, tmp_path, key):
    look(place, opens=True)
    (file,) = (tmp_path / "cache" / "set-counts").iterdir()
    kept = json.loads(file.read_bytes())
    (kept if key in kept else kept["counts"])[key] = "7"
    file.write_text(json.dumps(kept))
    look(place, opens=True)


def test_a_set_that_just_changed_is_not_remembered_yet(place, monkeypatch):
    monkeypatch.setattr(counted, "_JUST_NOW_NS", 60_000_000_000)
    look(place, opens=True)
    look(place, opens=True)


def test_where_folders_do_not_tell_a_folder_is_counted_every_time(place, monkeypatch):
    monkeypatch.setattr(counted, "telling", lambda seen: False)
    look(place, opens=True)
    look(place, opens=True)


def test_a_damaged_set_is_never_remembered(place, tmp_path):
    (place / "pairs.txt").unlink()
    assert "pairs.txt" in look(place, opens=True)["problem"]
    assert not (tmp_path / "cache" / "set-counts").exists()


@pytest.mark.parametrize(
    ("kind", "tells"), [("ext4", True), ("vfat", False), ("fuse.s3fs", False), ("9p", False)]
)
def test_which_file_systems_tell(tmp_path, kind, tells):
    mounts = tmp_path / "mounts"
    point = str(tmp_path / "a b").replace(" ", "\\040")
    lines = ["1 0 8:1 / / rw - ext4 /dev/a rw", f"2 1 8:2 / {point} rw shared:1 - {kind} /dev/b rw"]
    mounts.write_text("\n".join(lines) + "\n")
    (tmp_path / "a b").mkdir()
    with watched() as seen:
        walk(tmp_path / "a b")
    assert telling(seen, mounts) is tells
    assert telling(seen, tmp_path / "absent") is False
    assert telling({}, tmp_path / "absent") is True


def test_a_remembered_list_loads_no_numpy(place):
    look(place, opens=True)
    code = (
        "import sys\n"
        "from fraudit.faces import counted\n"
        "from pathlib import Path\n"
        "counted._JUST_NOW_NS = 0\n"
        f"print(counted.counts('lfw', Path({str(place)!r}))['pairs'])\n"
        "print(sorted({'numpy', 'sqlite3', 'rich'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines() == ["2", "[]"]
