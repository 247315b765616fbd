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
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraudit.errors import FrauditError
from fraudit.files.doors import open_arrays
from fraudit.redact import redact

if TYPE_CHECKING:
    from fraudit.files.tables import VectorCache

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
    import numpy as np

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


def _flush(path: Path) -> None:
    """A file's content, or a folder's names, to disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _beside(path: Path) -> Path:
    """A new empty file beside `path`, with a temporary name; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    return Path(name)


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write(temporary)` beside `path`, flush it to disk, rename it; on failure nothing is left."""
    temporary = _beside(path)
    try:
        write(temporary)
        _flush(temporary)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _flush(path.parent)  # the name too must survive a crash


def write_files_atomic(files: Mapping[Path, bytes]) -> None:
    """Many files, each of them as by `write_atomic`, all flushed side by side and every folder once.

    None gets its name before the content of all is on disk.
    """
    from concurrent.futures import ThreadPoolExecutor

    waiting: dict[Path, Path] = {}
    try:
        for path, data in files.items():
            waiting[path] = _beside(path)
            waiting[path].write_bytes(data)
        with ThreadPoolExecutor(8, "fraudit-files") as pool:  # threads that wait for the disk
            list(pool.map(_flush, waiting.values()))
        for path, temporary in waiting.items():
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
    finally:
        for temporary in waiting.values():
            temporary.unlink(missing_ok=True)
    for folder in {path.parent for path in files}:
        _flush(folder)


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
        import numpy as np

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
        from fraudit.files.tables import VectorCache

        return VectorCache(self.root / "vectors" / f"{fingerprint[:32]}.sqlite", fingerprint)
