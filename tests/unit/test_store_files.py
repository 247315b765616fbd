"""Many files written together: each whole or as it was, and nothing left behind."""

from __future__ import annotations

import os

import pytest

from fraudit.files.store import write_files_atomic


def test_files_are_written_whole_and_readable_by_all(tmp_path) -> None:
    files = {
        tmp_path / "a.md": b"one",
        tmp_path / "tables" / "b.csv": b"two",
        tmp_path / "tables" / "c.csv": b"",
    }

    write_files_atomic(files)

    assert {path: path.read_bytes() for path in files} == files
    assert {path.stat().st_mode & 0o777 for path in files} == {0o644}
    assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == sorted(files)


def test_where_one_cannot_be_written_all_stay_as_they_were(tmp_path) -> None:
    (tmp_path / "a.md").write_bytes(b"before")
    (tmp_path / "file").write_bytes(b"no folder")

    with pytest.raises(FileExistsError):
        write_files_atomic({tmp_path / "a.md": b"after", tmp_path / "file" / "b.csv": b"two"})

    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a.md": b"before", "file": b"no folder"}


def test_no_file_gets_its_name_before_all_are_on_disk(tmp_path, monkeypatch) -> None:
    done: list[str] = []
    flush, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: (flush(number), done.append("flush")))
    monkeypatch.setattr(os, "replace", lambda old, new: (rename(old, new), done.append("rename")))

    write_files_atomic({tmp_path / f"{i}.csv": b"x" for i in range(20)})

    assert done == ["flush"] * 20 + ["rename"] * 20 + ["flush"]
