"""Content-addressed artifacts: whoever asks twice computes once, and nothing half-written is ever seen.

Every key holds the producer (model, weights, preprocessing), so two models can never share a vector.
Files are written to a temporary name, flushed to disk and renamed; vectors go to SQLite in WAL mode,
one transaction a batch, so that `kill -9` loses at most the batch in flight and two processes may share it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.errors import ArtifactError
from fraudit.types import F32

CODE_VERSION = 2  # raise when the meaning of a stored thing changes


def cache_root() -> Path:
    """Folder of all caches: $FRAUDIT_CACHE, else the user's cache folder."""
    named = os.environ.get("FRAUDIT_CACHE")
    if named:
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_cache_dir("fraudit"))


def digest_of(parts: Any) -> str:
    """sha256 hex of canonical JSON; the same values always give the same key."""
    blob = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(blob.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [str(value.dtype), list(value.shape), hashlib.sha256(np.ascontiguousarray(value)).hexdigest()]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a {type(value).__name__} cannot be part of a cache key")


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
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
    write_atomic(path, lambda p: p.write_bytes(data) and None)


def write_text_atomic(path: Path, text: str) -> None:
    """UTF-8 `text` to `path`, atomically."""
    write_atomic(path, lambda p: p.write_text(text, encoding="utf-8") and None)


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
        if path.is_file():
            try:
                with np.load(path, allow_pickle=False) as stored:
                    return {name: stored[name] for name in stored.files}
            except (ValueError, OSError, zipfile.BadZipFile, KeyError):
                path.unlink(missing_ok=True)
        found = {name: np.asarray(value) for name, value in compute().items()}
        write_atomic(path, lambda p: np.savez(p, **found))
        return found

    def vectors(self, fingerprint: str) -> VectorCache:
        """The vector cache of one embedder."""
        return VectorCache(self.root / "vectors" / f"{fingerprint[:32]}.sqlite", fingerprint)


class VectorCache:
    """ID vectors of one embedder by the content of what was shown to it; shared by threads and processes.

    Args:
        path: SQLite file.
        fingerprint: of the embedder; a file of another one is refused.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._open_patiently(fingerprint)
        except sqlite3.DatabaseError as error:
            raise ArtifactError(
                f"the vector cache {path} cannot be read: {error}", f"delete {path}"
            ) from error

    def _open_patiently(self, fingerprint: str) -> None:
        # Switching a new file to WAL ignores SQLite's busy timeout: the loser of two processes asks again.
        patience = time.monotonic() + 60
        while True:
            try:
                return self._open(fingerprint)
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > patience:
                    raise
                time.sleep(0.05)

    def _open(self, fingerprint: str) -> None:
        self._db = sqlite3.connect(self.path, timeout=60, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, vector BLOB NOT NULL)")
        self._db.execute("CREATE TABLE IF NOT EXISTS about (fingerprint TEXT PRIMARY KEY)")
        self._db.execute("INSERT OR IGNORE INTO about VALUES (?)", (fingerprint,))
        found = [row[0] for row in self._db.execute("SELECT fingerprint FROM about")]
        if found != [fingerprint]:
            raise ArtifactError(
                f"the vector cache {self.path} belongs to another embedder", f"delete {self.path}"
            )

    def get(self, keys: Iterable[str]) -> dict[str, F32]:
        """f32[D] of every key that is known."""
        wanted = list(keys)
        found: dict[str, F32] = {}
        with self._lock:
            for start in range(0, len(wanted), 500):
                part = wanted[start : start + 500]
                marks = ",".join("?" * len(part))
                for key, blob in self._db.execute(
                    f"SELECT key, vector FROM vectors WHERE key IN ({marks})", part
                ):
                    found[key] = np.frombuffer(blob, dtype="<f4").astype(np.float32)
        return found

    def put(self, items: Mapping[str, F32]) -> None:
        """Remember f32[D] by key, in one transaction."""
        rows = [(key, np.asarray(vector, "<f4").tobytes()) for key, vector in items.items()]
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
            self._db.execute("COMMIT")

    def __len__(self) -> int:
        with self._lock:
            return int(self._db.execute("SELECT COUNT(*) FROM vectors").fetchone()[0])

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._db.close()
