"""Files of a folder or of a zip, read one at a time by name; contents are untrusted, names are only ids."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import threading
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from fraudit.errors import DataError
from fraudit.faces.decode import MAX_BYTES, SUFFIXES, TOO_LARGE
from fraudit.store import cache_root

MISSING = "missing file"
UNREADABLE = "unreadable file"
MAX_TABLE_BYTES = 1024 * 1024 * 1024


class Members(Protocol):
    """Named files; `names` are sorted relative paths with forward slashes."""

    path: Path
    names: tuple[str, ...]

    def read(self, name: str, limit: int = MAX_BYTES) -> bytes:
        """Its bytes, for any number of threads. Raises DataError: missing, unreadable or over `limit`."""
        ...

    def identities(self, names: Iterable[str]) -> list[str]:
        """A string a file that changes with its content ('' where it is missing)."""
        ...


def pictures(names: Iterable[str]) -> list[str]:
    """The names that end like a picture, without hidden files and macOS' resource forks."""
    kept = []
    for name in names:
        parts = name.split("/")
        hidden = (
            any(part.startswith(".") and part not in (".", "..") for part in parts) or parts[0] == "__MACOSX"
        )
        if not hidden and name.lower().endswith(SUFFIXES):
            kept.append(name)
    return kept


class ZipMembers:
    """Files of a zip. Nothing is ever written to disk, so that a name cannot escape anywhere."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._open()
        infos = [info for info in self._zip.infolist() if not info.is_dir()]
        self._infos = {info.filename: info for info in infos}
        if len(self._infos) != len(infos):
            raise DataError(f"{path} holds two files of the same name", "pack it again")
        self.names = tuple(sorted(self._infos))

    def _open(self) -> None:
        try:
            self._zip = zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise DataError(f"{self.path} cannot be opened as a zip: {error}", "download it again") from error
        self._pid = os.getpid()

    def read(self, name: str, limit: int = MAX_BYTES) -> bytes:
        info = self._infos.get(name)
        if info is None:
            raise DataError(MISSING)
        if info.file_size > limit:  # what is unpacked never exceeds this declared size
            raise DataError(TOO_LARGE)
        try:
            with self._lock:
                if os.getpid() != self._pid:  # a forked worker must not share the file's offset
                    self._open()
                return self._zip.read(info)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:
            raise DataError(UNREADABLE) from error

    def identities(self, names: Iterable[str]) -> list[str]:
        found = (self._infos.get(name) for name in names)
        return ["" if info is None else f"{info.CRC:08x}-{info.file_size}" for info in found]


class FolderMembers:
    """Files below a folder; links to folders are not followed, so that a loop cannot trap a reader."""

    def __init__(self, path: Path) -> None:
        self.path = path
        names = []
        for folder, below, files in os.walk(path):
            below.sort()
            relative = Path(folder).relative_to(path).as_posix()
            prefix = "" if relative == "." else f"{relative}/"
            names += [prefix + file for file in files]
        self.names = tuple(sorted(names))

    def read(self, name: str, limit: int = MAX_BYTES) -> bytes:
        try:
            with (self.path / name).open("rb") as file:
                data = file.read(limit + 1)
        except FileNotFoundError as error:
            raise DataError(MISSING) from error
        except (OSError, ValueError) as error:
            raise DataError(UNREADABLE) from error
        if len(data) > limit:
            raise DataError(TOO_LARGE)
        return data

    def identities(self, names: Iterable[str]) -> list[str]:
        return content_hashes([self.path / name for name in names])


def open_table(path: Path, create: str) -> sqlite3.Connection | None:
    """A small SQLite cache that several processes share, or None where there can be none.

    A file that is no database is deleted: it held nothing that cannot be computed again.
    """
    for _ in range(2):
        db = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(path, timeout=60, check_same_thread=False, isolation_level=None)
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute(create)
        except (sqlite3.OperationalError, OSError):  # locked, read-only, no space
            if db is not None:
                db.close()
            return None
        except sqlite3.DatabaseError:
            if db is not None:
                db.close()
            path.unlink(missing_ok=True)
        else:
            return db
    return None


def content_hashes(paths: list[Path]) -> list[str]:
    """sha256 hex of every file, '' where it cannot be read; remembered by path, size and time of change."""
    db = open_table(
        cache_root() / "file-hashes.sqlite",
        "CREATE TABLE IF NOT EXISTS hashes (path BLOB PRIMARY KEY, size INT, mtime INT, sha256 TEXT)",
    )
    try:
        return [_content_hash(path, db) for path in paths]
    finally:
        if db is not None:
            db.close()


def _content_hash(path: Path, db: sqlite3.Connection | None) -> str:
    where = os.fsencode(path.absolute())  # bytes: a name need not be valid UTF-8
    try:
        state = path.stat()
        known = None
        with contextlib.suppress(sqlite3.Error):
            if db is not None:
                known = db.execute(
                    "SELECT size, mtime, sha256 FROM hashes WHERE path = ?", (where,)
                ).fetchone()
        if known is not None and known[:2] == (state.st_size, state.st_mtime_ns):
            return str(known[2])
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return ""
    with contextlib.suppress(sqlite3.Error):
        if db is not None:
            row = (where, state.st_size, state.st_mtime_ns, found)
            db.execute("INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?)", row)
    return found


def open_members(path: Path) -> Members:
    """The files of a folder or a zip. Raises DataError."""
    if path.is_dir():
        return FolderMembers(path)
    if zipfile.is_zipfile(path):
        return ZipMembers(path)
    raise DataError(
        f"{path} is neither a folder nor a zip", "pass a folder, a zip, a .bin or a manifest .csv"
    )
