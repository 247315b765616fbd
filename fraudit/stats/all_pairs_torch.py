"""The tiles of a pass over all pairs on a torch device: what `fraudit.stats.all_pairs` does on the cores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from fraudit.types import F32, I64, Bool

I32 = NDArray[np.int32]
TILE = (4096, 8192)  # 128 MB of scores
STAYS = 0.3  # share of the free memory of a device that the vectors may take; else they come tile by tile


class Rows(Protocol):
    """Usable rows in the order of people (`fraudit.stats.all_pairs`)."""

    def __len__(self) -> int: ...

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """f32[stop - start,D]."""

    def tiles(self, a: slice, b: slice, width: int) -> Iterator[slice]:
        """Columns of the tiles of a piece."""

    def masked(self, a: slice, b: slice) -> Bool | None:
        """bool[m,n], pairs that are not wanted; None where all are."""


@contextmanager
def full_precision() -> Iterator[None]:
    """32-bit products are 32-bit products, whatever the program allows elsewhere."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


class TorchWorker:
    """Counts and pairs of pieces of work on `device`."""

    def __init__(self, order: Rows, bins: int, floor: np.float32, tile: tuple[int, int], device: str) -> None:
        self.order, self.bins, self.floor, self.width = order, bins, float(floor), tile[1]
        self.device = torch.device(device)
        self._all: torch.Tensor | None = None
        if self.device.type != "cuda" or self._fits():
            parts = [self._moved(i, min(i + TILE[1], len(order))) for i in range(0, len(order), TILE[1])]
            self._all = torch.cat(parts)

    def _fits(self) -> bool:
        free = torch.cuda.mem_get_info(self.device)[0]
        return self.order.rows(0, 1).nbytes * len(self.order) <= STAYS * free

    def _moved(self, start: int, stop: int) -> torch.Tensor:
        return torch.from_numpy(self.order.rows(start, stop)).to(self.device)

    def _rows(self, start: int, stop: int) -> torch.Tensor:
        return self._all[start:stop] if self._all is not None else self._moved(start, stop)

    def piece(self, a: slice, b: slice) -> tuple[I64, I32, I32, F32]:
        """As `fraudit.stats.all_pairs`' workers."""
        counts = torch.zeros(self.bins, dtype=torch.int64, device=self.device)
        masked = 0
        found: list[tuple[Any, Any, Any]] = []
        with torch.inference_mode(), full_precision():
            left = self._rows(a.start, a.stop)
            for columns in self.order.tiles(a, b, self.width):
                tile = left @ self._rows(columns.start, columns.stop).T
                bad = self.order.masked(a, columns)
                if bad is not None:
                    tile.masked_fill_(torch.from_numpy(bad).to(self.device), -2.0)
                    masked += int(np.count_nonzero(bad))
                if self.floor < np.inf:
                    at = torch.nonzero(tile >= self.floor)
                    one, two = at[:, 0], at[:, 1]
                    found.append(
                        tuple(v.cpu().numpy() for v in (one + a.start, two + columns.start, tile[one, two]))  # type: ignore[arg-type]
                    )
                if self.bins:
                    whole = tile.add_(1).mul_(self.bins / 2).clamp_(0, self.bins - 1).to(torch.int32)
                    counts += torch.bincount(whole.ravel(), minlength=self.bins)
        total = counts.cpu().numpy()
        if self.bins:
            total[0] -= masked
        none = np.empty(0, np.int32)
        if not found:
            return total, none, none, none.astype(np.float32)
        rows, columns_of, scores = (np.concatenate(part) for part in zip(*found, strict=True))
        return total, rows.astype(np.int32), columns_of.astype(np.int32), scores
