"""Which attributes a sample of a training is told, and beside whose ID vector: so that a condition is followed.

Three things keep a network from following what it is asked for. All entries are always told together, where a person
asks for one; the ID vector of the very picture says its pose as well; and a network that is always told something is
lost without. So a sample is told nothing, or the entries of a random share, and where it is told the pose its
ID vector is often that of another picture of the person, or of the mirror picture: who it is then comes from the
vector and how the head is turned from the attributes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fraudit.diffusion.data.attributes import POSE, UNKNOWN, attribute_names
from fraudit.diffusion.sampling import counter_noise
from fraudit.types import I64

_MODE, _SHARE, _ENTRY, _WHICH, _SIDE = range(30, 35)  # streams of `counter_noise`


def other_pictures(subjects: I64) -> tuple[I64, I64, I64]:
    """(order, first, count): rows `order[first[i] : first[i] + count[i]]` show the person of row i, each i64[N]."""
    order = np.argsort(subjects, kind="stable")
    _, inverse, counts = np.unique(subjects, return_inverse=True, return_counts=True)
    starts = np.cumsum([0, *counts[:-1]])
    return order.astype(np.int64), starts[inverse].astype(np.int64), counts[inverse].astype(np.int64)


class Telling:
    """What samples are told, as a function of their position in the run.

    Args:
        entries: attribute set.
        untold: share of the samples that are told no attribute at all.
        exchanged: share of the samples that are told the pose whose ID vector is another picture's.
        subjects: i64[N] of the rows that are trained on.
        device: where positions lie.
    """

    def __init__(
        self,
        entries: str,
        untold: float,
        exchanged: float,
        subjects: I64,
        seed: int,
        device: torch.device,
    ) -> None:
        names = attribute_names(entries)
        self._pose = torch.tensor([names.index(name) for name in POSE], device=device)
        self._untold, self._exchanged, self._seed = untold, exchanged, seed
        self._others = [torch.from_numpy(part).to(device) for part in other_pictures(subjects)]

    def told(self, attributes: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """f32[B,A] with entries hidden (-1), and bool[B], whether the ID vector is to be exchanged."""
        seed, count = self._seed, attributes.shape[1]
        mode = counter_noise.uniform(seed, _MODE, positions, 2)
        share = counter_noise.uniform(seed, _SHARE, positions, 1)
        kept = counter_noise.uniform(seed, _ENTRY, positions, count) < share
        exchange = (mode[:, 0] >= self._untold) & (mode[:, 1] < self._exchanged)
        exchange &= (attributes[:, self._pose] != UNKNOWN).all(1)
        posed = torch.zeros(count, dtype=torch.bool, device=attributes.device)
        posed[self._pose] = True
        kept = (kept | (exchange[:, None] & posed)) & (mode[:, :1] >= self._untold)
        return torch.where(kept, attributes, UNKNOWN), exchange

    def others(self, rows: Tensor, mirror: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """(i64[B] rows, bool[B] mirrored) of the pictures whose ID vectors stand in for those of `rows`.

        Another picture of the same person, either way round; the mirror picture where there is no other.
        """
        order, first, count = (part[rows] if i else part for i, part in enumerate(self._others))
        draw = counter_noise.uniform(self._seed, _WHICH, positions, 1)[:, 0]
        chosen = order[first + (draw * count).long().minimum(count - 1)]
        side = counter_noise.uniform(self._seed, _SIDE, positions, 1)[:, 0] < 0.5
        return chosen, torch.where(chosen == rows, ~mirror, side)
