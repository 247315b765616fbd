"""Content-addressed artifacts: whoever asks twice computes once, and nothing half-written is ever seen.

Every key holds the producer (model, weights, preprocessing), so two models can never share a vector.
Files are written to a temporary name, flushed to disk and renamed; vectors go to SQLite in WAL mode,
one transaction a batch, so that `kill -9` loses at most the batch in flight and two processes may share it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.errors import ArtifactError, FrauditError
from fraudit.files.doors import open_arrays
from fraudit.redact import redact
from fraudit.types import F32

CODE_VERSION = 2  # raise when the meaning of a stored thing changes


def cache_root() -> Path:
    """Folder of all caches: $FRAUDIT_CACHE, else the user's cache folder."""
    named = os.environ.get("FRAUDIT_CACHE")
    if named:
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_cache_dir("fraudit"))


def file_sha256(path: Path) -> str:
    """sha256 hex of a file's content, read in pieces. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(parts: Any) -> str:
    """sha256 hex of canonical JSON; the same values always give the same key."""
    blob = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(blob.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [
            str(value.dtype),
            list(value.shape),
            hashlib.sha256(np.ascontiguousarray(value).data).hexdigest(),
        ]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a {type(value).__name__} cannot be part of a cache key")


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write(temporary)` beside `path`, flush it to disk, rename it; on failure nothing is left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)  # the name too must survive a crash
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """`data` to `path`, atomically."""
    write_atomic(path, lambda p: p.write_bytes(data))


def write_text_atomic(path: Path, text: str) -> None:
    """UTF-8 `text` to `path`, atomically and without any secret."""
    write_bytes_atomic(path, redact(text).encode())


class Store:
    """Named arrays by content key.

    Args:
        root: folder; created when first written.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or cache_root()

    def arrays(
        self, kind: str, parts: Mapping[str, Any], compute: Callable[[], Mapping[str, Any]]
    ) -> dict[str, Any]:
        """The arrays that `compute` gives, remembered under (kind, code version, parts).

        `parts` must name everything the answer depends on, the producer included. A stored file that
        cannot be read is computed again.
        """
        key = digest_of({"kind": kind, "code_version": CODE_VERSION, **parts})
        path = self.root / "arrays" / kind / key[:2] / f"{key}.npz"
        if path.exists():
            try:
                with open_arrays(path) as stored:
                    return {name: stored[name] for name in stored.files}
            except FrauditError:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
        found = {name: np.asarray(value) for name, value in compute().items()}
        # A full or read-only disk costs time the next time, never the run.
        with contextlib.suppress(OSError):
            write_atomic(path, lambda p: np.savez(p, **found))  # type: ignore[arg-type]
        return found

    def vectors(self, fingerprint: str) -> VectorCache:
        """The vector cache of one embedder."""
        return VectorCache(self.root / "vectors" / f"{fingerprint[:32]}.sqlite", fingerprint)


class SharedTable:
    """A small SQLite file that threads and processes share.

    What is wrong with the file is one `ArtifactError`. On a disk that is read-only, what is there is read and nothing
    new is remembered; `read_only` says so.

    Args:
        path: SQLite file. what: it in words, such as `the vector cache`. create: SQL of its tables.
    """

    def __init__(self, path: Path, what: str, *create: str) -> None:
        self.path, self.what, self.read_only = path, what, False
        self._lock = threading.Lock()
        patience = time.monotonic() + 60
        while True:
            try:
                return self._open(create)
            except sqlite3.OperationalError as error:
                # Switching a new file to WAL ignores SQLite's busy timeout: the loser of two processes asks again.
                if "locked" in str(error) and time.monotonic() < patience:
                    time.sleep(0.05)
                    continue
                return self._open_to_read(create, error)
            except OSError as error:
                return self._open_to_read(create, error)
            except sqlite3.Error as error:
                raise self.wrong(error) from error

    def wrong(self, error: Exception) -> ArtifactError:
        """The error for a file that SQLite cannot read."""
        return ArtifactError(f"{self.what} {self.path} cannot be read: {error}", f"delete {self.path}")

    def _open(self, create: Iterable[str]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists() and not self.path.is_file():
            raise ArtifactError(f"{self.what} {self.path} is no regular file", f"delete {self.path}")
        self._db = sqlite3.connect(self.path, timeout=60, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("BEGIN IMMEDIATE")  # a file that cannot be written says so here
        for table in create:
            self._db.execute(table)
        self._db.execute("COMMIT")

    def _open_to_read(self, create: Iterable[str], error: Exception) -> None:
        """Open what is there without writing beside it; where nothing is, begin one in memory."""
        self.read_only = True
        whole = self.path.is_file() and self.path.stat().st_size > 0
        try:
            # immutable: SQLite writes no lock and no shared memory beside a file on a disk that is read-only.
            where = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1" if whole else "file::memory:"
            self._db = sqlite3.connect(where, uri=True, check_same_thread=False, isolation_level=None)
            if not self._db.execute("SELECT 1 FROM sqlite_master").fetchall():
                self._db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
                for table in create:
                    self._db.execute(table)
        except (sqlite3.Error, OSError) as second:
            raise self.wrong(second) from error

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query. Raises ArtifactError where the file is damaged."""
        with self._lock:
            try:
                return self._db.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise self.wrong(error) from error

    def write(self, query: str, rows: Sequence[Sequence[Any]]) -> None:
        """Many rows in one transaction. Raises ArtifactError: the disk is full, or the file is damaged."""
        if self.read_only:
            return
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany(query, rows)
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error):
                    raise ArtifactError(
                        f"{self.what} {self.path} cannot be written: {error}",
                        "free some space, or set FRAUDIT_CACHE to another folder; the same command goes on from there",
                    ) from error
                raise self.wrong(error) from error

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._db.close()


class VectorCache:
    """ID vectors of one embedder by the content of what was shown to it; shared by threads and processes.

    Args:
        path: SQLite file.
        fingerprint: of the embedder; a file of another one is refused.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        create = (
            "CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, vector BLOB NOT NULL)",
            "CREATE TABLE IF NOT EXISTS about (fingerprint TEXT PRIMARY KEY)",
        )
        self._table = SharedTable(path, "the vector cache", *create)
        if not self._table.rows("SELECT 1 FROM about WHERE fingerprint = ?", (fingerprint,)):
            self._table.write("INSERT OR IGNORE INTO about VALUES (?)", [(fingerprint,)])
        found = [row[0] for row in self._table.rows("SELECT fingerprint FROM about")]
        if found != [fingerprint] and not (self._table.read_only and not found):
            raise ArtifactError(f"the vector cache {path} belongs to another embedder", f"delete {path}")

    def get(self, keys: Iterable[str]) -> dict[str, F32]:
        """f32[D] of every key that is known."""
        wanted = list(keys)
        found: dict[str, F32] = {}
        for start in range(0, len(wanted), 500):
            part = wanted[start : start + 500]
            marks = ",".join("?" * len(part))
            for key, blob in self._table.rows(
                f"SELECT key, vector FROM vectors WHERE key IN ({marks})", part
            ):
                if not isinstance(blob, bytes) or len(blob) % 4:
                    raise self._table.wrong(ValueError("a vector of it is damaged"))
                found[key] = np.frombuffer(blob, dtype="<f4").astype(np.float32)
        return found

    def put(self, items: Mapping[str, F32]) -> None:
        """Remember f32[D] by key, in one transaction."""
        rows = [(key, np.asarray(vector, "<f4").tobytes()) for key, vector in items.items()]
        self._table.write("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)

    def __len__(self) -> int:
        return int(self._table.rows("SELECT COUNT(*) FROM vectors")[0][0])

    def close(self) -> None:
        """Release the file."""
        self._table.close()
