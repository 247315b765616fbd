"""What a training step sees: pictures, masks and conditions as a function of the position in the run."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fraudit.diffusion.data.attributes import UNKNOWN, attribute_names
from fraudit.diffusion.data.shards import FULL_SET, Shards, mirrored_attributes
from fraudit.diffusion.data.telling import Telling
from fraudit.diffusion.model.conditioning import scaled_identity
from fraudit.diffusion.sampling import counter_noise
from fraudit.types import F32

if TYPE_CHECKING:
    from fraudit.diffusion.training.options import TrainOptions
    from fraudit.diffusion.training.presets import Preset

_MIRROR = 1  # a stream of `counter_noise`; `training.loop` has 0, 2 and 3


def labelled_entries(data: Shards, attributes: str) -> dict[str, int]:
    """Entries of the set `attributes` -> how many faces that are trained on are labelled with each; '' has none."""
    if not attributes:
        return {}
    names, rows = attribute_names(FULL_SET), data.attributes[~data.held_out]
    known = (rows != UNKNOWN).sum(0)
    return {name: int(known[names.index(name)]) for name in attribute_names(attributes)}


def attributes_of(data: Shards, attributes: str) -> tuple[F32, F32]:
    """f32[N,A] of set `attributes`, of the pictures and of their mirrors."""
    names = attribute_names(FULL_SET)
    columns = [names.index(name) for name in attribute_names(attributes)]
    plain = data.attributes
    return plain[:, columns].copy(), mirrored_attributes(plain)[:, columns].copy()


def attributes_digest(data: Shards) -> str:
    """sha256 hex of what is known of the faces."""
    return hashlib.sha256(data.attributes.tobytes()).hexdigest()


class Sample(NamedTuple):
    """Samples of a run.

    Attributes:
        x: pictures f32[B,3,S,S] in [-1, 1].
        mask: f32[B,1,S,S], 1 where the original picture reaches.
        identity: f32[B,D] ID vectors that the network is told, or None.
        own: f32[B,D] ID vectors of the pictures themselves, or None.
        attributes: f32[B,A] that the network is told, or None.
        positions: i64[B] in the run.
    """

    x: Tensor
    mask: Tensor
    identity: Tensor | None
    own: Tensor | None
    attributes: Tensor | None
    positions: Tensor


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
            plain, mirror = attributes_of(data, options.attributes)
            self._attributes = (
                torch.from_numpy(plain[rows]).to(device),
                torch.from_numpy(mirror[rows]).to(device),
            )
        self._telling = (
            Telling(
                options.attributes, preset.untold, preset.exchanged, data.subjects[rows], options.seed, device
            )
            if options.attributes and preset.untold
            else None
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

    def batch(self, first: int, count: int) -> Sample:
        """Samples first..first+count-1 of the run."""
        positions = torch.arange(first, first + count)
        rows = self._rows(positions).to(self._device)
        positions = positions.to(self._device)
        mirror = counter_noise.uniform(self._seed, _MIRROR, positions, 1)[:, 0] < 0.5
        # Indexing NHWC and permuting gives channels_last without a copy.
        x = self._pictures[rows].permute(0, 3, 1, 2).float() / 127.5 - 1
        x = torch.where(mirror[:, None, None, None], x.flip(3), x)
        mask = self._visible[rows][:, None].float()
        mask = torch.where(mirror[:, None, None, None], mask.flip(3), mask)

        def chosen(both: tuple[Tensor, Tensor] | None, rows: Tensor, mirror: Tensor) -> Tensor | None:
            return None if both is None else torch.where(mirror[:, None], both[1][rows], both[0][rows])

        own, attributes = chosen(self._identity, rows, mirror), chosen(self._attributes, rows, mirror)
        identity = own
        if self._telling is not None and attributes is not None:
            attributes, exchange = self._telling.told(attributes, positions)
            if own is not None:
                theirs = chosen(self._identity, *self._telling.others(rows, mirror, positions))
                assert theirs is not None  # as `own`
                identity = torch.where(exchange[:, None], theirs, own)
        return Sample(x, mask, identity, own, attributes, positions)
