"""SQLite files that threads and processes share, and the vectors remembered in one."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.errors import ArtifactError
from fraudit.types import F32


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
