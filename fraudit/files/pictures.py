"""Pictures that an inverter made, remembered one by one: whatever asks for one again, in whatever company, has it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from fraudit.errors import ArtifactError
from fraudit.files.store import CODE_VERSION, Store, digest_of
from fraudit.files.tables import SharedTable
from fraudit.types import U8

_ASKED = 500  # keys a query


class PictureCache:
    """u8[S,S,3] by key; shared by threads and processes. What is damaged, or does not fit on the disk, is made again.

    Args:
        path: SQLite file. size_px: S.
    """

    def __init__(self, path: Path, size_px: int) -> None:
        self.shape = (size_px, size_px, 3)
        create = "CREATE TABLE IF NOT EXISTS pictures (key TEXT PRIMARY KEY, picture BLOB NOT NULL)"
        try:
            self._table: SharedTable | None = SharedTable(path, "the cache of reconstructions", create)
        except ArtifactError:
            self._table = None

    def __enter__(self) -> PictureCache:
        return self

    def __exit__(self, *_: object) -> None:
        if self._table is not None:
            self._table.close()

    def get(self, keys: Iterable[str]) -> dict[str, U8]:
        """Those of `keys` that are known."""
        wanted, found = list(dict.fromkeys(keys)), dict[str, U8]()
        size = int(np.prod(self.shape))
        with contextlib.suppress(ArtifactError):
            for start in range(0, len(wanted) if self._table else 0, _ASKED):
                part = wanted[start : start + _ASKED]
                query = f"SELECT key, picture FROM pictures WHERE key IN ({','.join('?' * len(part))})"
                for key, blob in self._table.rows(query, part) if self._table else []:
                    if isinstance(blob, bytes) and len(blob) == size:
                        found[key] = np.frombuffer(blob, np.uint8).reshape(self.shape)
        return found

    def put(self, items: Mapping[str, U8]) -> None:
        """Remember them, in one transaction."""
        with contextlib.suppress(ArtifactError):
            if self._table is not None:
                rows = [
                    (key, np.ascontiguousarray(picture, np.uint8).tobytes()) for key, picture in items.items()
                ]
                self._table.write("INSERT OR REPLACE INTO pictures VALUES (?, ?)", rows)


def remembered_pictures(store: Store, producer: str, size_px: int) -> PictureCache:
    """The pictures of one inverter; `producer` is the sha256 hex of everything that makes it what it is."""
    key = digest_of({"producer": producer, "size_px": size_px, "code_version": CODE_VERSION})
    return PictureCache(store.root / "pictures" / f"{key[:32]}.sqlite", size_px)
