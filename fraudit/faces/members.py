"""Files of a folder or of a zip, read one at a time by name; contents are untrusted, names are only ids."""

from __future__ import annotations

import bz2
import contextlib
import hashlib
import os
import sqlite3
import stat
import threading
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Protocol

from fraudit.errors import DataError
from fraudit.faces.decode import MAX_BYTES, TOO_LARGE
from fraudit.faces.walking import walk
from fraudit.faces.watching import look
from fraudit.files.doors import BROKEN, cause, check_regular, read_file
from fraudit.files.store import cache_root

MISSING = "missing file"
UNREADABLE = "unreadable file"
NO_FILE = "no regular file"
MAX_TABLE_BYTES = 1024 * 1024 * 1024


class Members(Protocol):
    """Named files; `names` are sorted relative paths with forward slashes, `skipped` what was passed over."""

    path: Path
    names: tuple[str, ...]
    skipped: dict[str, int]

    def read(self, name: str, limit: int = MAX_BYTES) -> bytes:
        """Its bytes, for any number of threads. Raises DataError: missing, unreadable or over `limit`."""
        ...

    def head(self, name: str, size: int = 64) -> bytes:
        """Its first bytes. Raises DataError: missing or unreadable."""
        ...

    def identities(self, names: Iterable[str]) -> list[str]:
        """A string a file that changes with its content ('' where it is missing)."""
        ...


class ZipMembers:
    """Files of a zip. Nothing is ever written to disk, so that a name cannot escape anywhere."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._open()
        self.skipped: dict[str, int] = {}
        infos = [info for info in self._zip.infolist() if not info.is_dir() and info.filename[-1:] != "\\"]
        if any(info.flag_bits & 1 for info in infos):
            raise DataError(f"{path} is encrypted (it wants a password)", "unpack it and pass the folder")
        # Old programs write the separator of Windows.
        self._infos = {info.filename.replace("\\", "/"): info for info in infos}
        if len(self._infos) != len(infos):
            raise DataError(f"{path} holds two files of the same name", "pack it again")
        self.names = tuple(sorted(self._infos))

    def _open(self) -> None:
        try:
            self._zip = zipfile.ZipFile(self.path)
        except BROKEN as error:
            raise DataError(
                f"{self.path} cannot be opened as a zip: {cause(error)}", "download it again"
            ) from error
        self._pid = os.getpid()

    def read(self, name: str, limit: int = MAX_BYTES) -> bytes:
        info = self._infos.get(name)
        if info is None:
            raise DataError(MISSING)
        if info.file_size > limit:
            raise DataError(TOO_LARGE)
        try:
            with self._lock:
                if os.getpid() != self._pid:  # a forked worker must not share the file's offset
                    self._open()
                if info.compress_type == zipfile.ZIP_BZIP2 and not info.flag_bits & 1:
                    return self._bzip2(info)
                with self._zip.open(info) as file:
                    return _unpacked(file, info)
        except (*BROKEN, RuntimeError) as error:
            raise DataError(UNREADABLE) from error

    def head(self, name: str, size: int = 64) -> bytes:
        try:
            with self._lock, self._zip.open(self._infos[name]) as file:
                return file.read(size)
        except (*BROKEN, RuntimeError) as error:
            raise DataError(UNREADABLE) from error

    def _bzip2(self, info: zipfile.ZipInfo) -> bytes:
        # zipfile unpacks all that a step of packed bytes holds, and 50 bytes of bzip2 hold a megabyte.
        with self.path.open("rb") as file:
            file.seek(info.header_offset)
            head = file.read(30)
            file.seek(
                int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little"), os.SEEK_CUR
            )
            packed = file.read(info.compress_size)
        data = bz2.BZ2Decompressor().decompress(packed, info.file_size + 1)
        if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
            raise DataError(UNREADABLE)
        return data

    def identities(self, names: Iterable[str]) -> list[str]:
        found = (self._infos.get(name) for name in names)
        return ["" if info is None else f"{info.CRC:08x}-{info.file_size}" for info in found]


def _unpacked(file: IO[bytes], info: zipfile.ZipInfo) -> bytes:
    """All of a file of a zip. It may state a smaller size than it unpacks to, so it is unpacked in small steps.

    zipfile unpacks all that there is where it is asked for all, and of LZMA all that a step of packed bytes holds,
    whatever number it is asked for.
    """
    step = 1 << 20 if info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) else 4096
    parts = []
    while part := file.read(step):
        parts.append(part)
    return b"".join(parts)


class FolderMembers:
    """Files below a folder; links to folders are followed once each, so that a loop cannot trap a reader."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names, self.skipped, self._linked = walk(path)

    def _place(self, name: str) -> Path:
        """Where a file lies: below what its nearest linked folder leads to, else below this folder."""
        place, above = self.path / name, name
        while self._linked and "/" in above:
            above = above.rpartition("/")[0]
            if above in self._linked:
                place = Path(self._linked[above]) / name[len(above) + 1 :]
                break
        look(place)
        return place

    def head(self, name: str, size: int = 64) -> bytes:
        try:
            descriptor = os.open(self._place(name), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(descriptor, "rb") as file:
                return file.read(size) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
        except (OSError, ValueError) as error:
            raise DataError(UNREADABLE) from error

    def read(self, name: str, limit: int = MAX_BYTES) -> bytes:
        try:
            return read_file(self._place(name), limit)
        except DataError as error:
            raise DataError(_reason(self._place(name), limit)) from error

    def identities(self, names: Iterable[str]) -> list[str]:
        return content_hashes([self._place(name) for name in names])


def _reason(path: Path, limit: int) -> str:
    """Why a file cannot be read, as a class that can be counted."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return MISSING
    except (OSError, ValueError):
        return UNREADABLE
    if not stat.S_ISREG(state.st_mode):
        return NO_FILE
    return TOO_LARGE if state.st_size > limit else UNREADABLE


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
        if not stat.S_ISREG(state.st_mode):  # a pipe would wait, a device never end
            return ""
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
    look(path)
    if path.is_dir():
        return FolderMembers(path)
    check_regular(path, "pass a folder, a zip, a .bin or a manifest .csv")
    if zipfile.is_zipfile(path):
        return ZipMembers(path)
    raise DataError(
        f"{path} is neither a folder nor a zip", "pass a folder, a zip, a .bin or a manifest .csv"
    )
