"""What is made or measured picture by picture, remembered one by one: whatever asks for one again, in whatever company,
has it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fraudit.errors import ArtifactError
from fraudit.files.store import CODE_VERSION, Store, digest_of
from fraudit.files.tables import SharedTable

_ASKED = 500  # keys a query


class RowCache:
    """Arrays of one shape by key; shared by threads and processes. What is damaged or finds no room is made again.

    Args:
        path: SQLite file. shape, dtype: of each array. what: they are, in words.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: str, what: str) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype).newbyteorder("<")
        create = "CREATE TABLE IF NOT EXISTS pictures (key TEXT PRIMARY KEY, picture BLOB NOT NULL)"
        try:
            self._table: SharedTable | None = SharedTable(path, f"the cache of {what}", create)
        except ArtifactError:
            self._table = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file."""
        if self._table is not None:
            self._table.close()

    def get(self, keys: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Those of `keys` that are known."""
        wanted, found = list(dict.fromkeys(keys)), dict[str, NDArray[Any]]()
        size = int(np.prod(self.shape)) * self.dtype.itemsize
        with contextlib.suppress(ArtifactError):
            for start in range(0, len(wanted) if self._table else 0, _ASKED):
                part = wanted[start : start + _ASKED]
                query = f"SELECT key, picture FROM pictures WHERE key IN ({','.join('?' * len(part))})"
                for key, blob in self._table.rows(query, part) if self._table else []:
                    if isinstance(blob, bytes) and len(blob) == size:
                        found[key] = np.frombuffer(blob, self.dtype).reshape(self.shape)
        return found

    def put(self, items: Mapping[str, NDArray[Any]]) -> None:
        """Remember them, in one transaction."""
        with contextlib.suppress(ArtifactError):
            if self._table is not None:
                rows = [(key, np.ascontiguousarray(row, self.dtype).tobytes()) for key, row in items.items()]
                self._table.write("INSERT OR REPLACE INTO pictures VALUES (?, ?)", rows)


class PictureCache(RowCache):
    """u8[S,S,3] by key. Args: path: SQLite file. size_px: S."""

    def __init__(self, path: Path, size_px: int) -> None:
        super().__init__(path, (size_px, size_px, 3), "u1", "reconstructions")


def remembered_rows(store: Store, what: str, producer: Mapping[str, Any], width: int, dtype: str) -> RowCache:
    """Rows of `width` numbers that were measured in pictures; `producer` names everything that measures them."""
    key = digest_of({"what": what, **producer, "code_version": CODE_VERSION})
    return RowCache(
        store.root / "measured" / f"{what}-{key[:32]}.sqlite", (width,), dtype, f"measured {what}"
    )


def remembered_pictures(store: Store, producer: str, size_px: int) -> PictureCache:
    """The pictures of one inverter; `producer` is the sha256 hex of everything that makes it what it is."""
    key = digest_of({"producer": producer, "size_px": size_px, "code_version": CODE_VERSION})
    return PictureCache(store.root / "pictures" / f"{key[:32]}.sqlite", size_px)
