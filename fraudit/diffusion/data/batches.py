"""What a training step sees: pictures, masks and conditions as a function of the position in the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fraudit.diffusion.data.attributes import attribute_names
from fraudit.diffusion.data.shards import FULL_SET, Shards, mirrored_attributes
from fraudit.diffusion.model.conditioning import scaled_identity
from fraudit.diffusion.sampling import counter_noise

if TYPE_CHECKING:
    from fraudit.diffusion.training.options import TrainOptions
    from fraudit.diffusion.training.presets import Preset

_MIRROR = 1  # a stream of `counter_noise`; `training.loop` has 0, 2 and 3


class Batches:
    """Batches by position in the run; the data lies on the device as uint8."""

    def __init__(self, data: Shards, preset: Preset, options: TrainOptions, device: torch.device) -> None:
        rows = np.flatnonzero(~data.held_out)
        self._count = len(rows)
        self._seed = options.seed
        self._device = device
        self._pictures = torch.from_numpy(np.ascontiguousarray(data.pictures[rows])).to(device)
        self._visible = torch.from_numpy(np.ascontiguousarray(data.visible[rows])).to(device)
        self._identity: tuple[Tensor, Tensor] | None = None
        self._attributes: tuple[Tensor, Tensor] | None = None
        if options.identity:
            dim = data.vectors.shape[1]
            both = [
                scaled_identity(vectors[rows], dim, preset.unit_scaled)
                for vectors in (data.vectors, data.vectors_mirror)
            ]
            self._identity = (torch.from_numpy(both[0]).to(device), torch.from_numpy(both[1]).to(device))
        if options.attributes:
            names = attribute_names(FULL_SET)
            columns = [names.index(name) for name in attribute_names(options.attributes)]
            plain = data.attributes[rows]
            self._attributes = (
                torch.from_numpy(plain[:, columns].copy()).to(device),
                torch.from_numpy(mirrored_attributes(plain)[:, columns].copy()).to(device),
            )
        self._orders: dict[int, Tensor] = {}

    def _rows(self, positions: Tensor) -> Tensor:
        epochs = positions // self._count
        rows = torch.empty_like(positions)
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
            if epoch not in self._orders:
                generator = torch.Generator().manual_seed(self._seed * 1_000_003 + epoch)
                self._orders = {epoch: torch.randperm(self._count, generator=generator)}
            here = epochs == epoch
            rows[here] = self._orders[epoch][positions[here] % self._count]
        return rows

    def batch(self, first: int, count: int) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor]:
        """Samples first..first+count-1 of the run.

        Pictures f32[B,3,S,S] in [-1, 1], masks f32[B,1,S,S], ID vectors, attributes, and i64[B] positions.
        """
        positions = torch.arange(first, first + count)
        rows = self._rows(positions).to(self._device)
        positions = positions.to(self._device)
        mirror = counter_noise.uniform(self._seed, _MIRROR, positions, 1)[:, 0] < 0.5
        # Indexing NHWC and permuting gives channels_last without a copy.
        x = self._pictures[rows].permute(0, 3, 1, 2).float() / 127.5 - 1
        x = torch.where(mirror[:, None, None, None], x.flip(3), x)
        mask = self._visible[rows][:, None].float()
        mask = torch.where(mirror[:, None, None, None], mask.flip(3), mask)

        def chosen(both: tuple[Tensor, Tensor] | None) -> Tensor | None:
            return None if both is None else torch.where(mirror[:, None], both[1][rows], both[0][rows])

        return x, mask, chosen(self._identity), chosen(self._attributes), positions
