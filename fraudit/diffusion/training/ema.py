"""Exponential moving average of a network's weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Ema:
    """Averaged copy of a network's parameters, updated in one fused pass.

    Early on the decay is (1 + step) / (10 + step) where that is smaller: the random start is forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self._names = [name for name, _ in network.named_parameters()]
        self._live = [parameter for _, parameter in network.named_parameters()]
        self._mean = [parameter.detach().clone() for parameter in self._live]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after optimizer step `step` (counted from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._mean, [p.detach() for p in self._live], 1 - decay)

    def state_dict(self) -> dict[str, Tensor]:
        """Averaged weights by parameter name."""
        return dict(zip(self._names, self._mean, strict=True))

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take over averaged weights."""
        for name, mean in zip(self._names, self._mean, strict=True):
            mean.copy_(state[name])
