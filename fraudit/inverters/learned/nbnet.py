"""NbNet A and B (Mai et al., IEEE TPAMI 2018): neighbourly de-convolutional blocks from an ID vector to a picture.

The vector is a 1x1 picture of D channels; a 5x5 de-convolution makes 5x5 pixels of it. Each block then has layers of
3x3 convolutions with few channels each, all of whose answers together are the block's: in variant A a layer reads the
one before it, in B, the paper's best, the block's input beside the one before it. De-convolutions of 4x4 with stride 2
lie between the blocks and halve the channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fraudit.errors import UsageError

FIRST = 5  # pixels a side of the first block
VARIANTS = ("a", "b")


class NeighbourBlock(nn.Module):
    """`layers` convolutions of `growth` channels each; their answers side by side: layers * growth channels."""

    def __init__(self, channels: int, layers: int, growth: int, variant: str) -> None:
        super().__init__()
        self.variant = variant
        before = [channels] + [growth + (channels if variant == "b" else 0)] * (layers - 1)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(b), nn.ReLU(), nn.Conv2d(b, growth, 3, 1, 1, bias=False))
            for b in before
        )

    def forward(self, x: Tensor) -> Tensor:
        found = [self.layers[0](x)]
        for layer in list(self.layers)[1:]:
            found.append(layer(torch.cat([x, found[-1]], 1) if self.variant == "b" else found[-1]))
        return torch.cat(found, dim=1)


class NbNet(nn.Module):
    """f32[B,D] ID vectors -> f32[B,3,S,S] in [-1, 1].

    Args:
        channels: of the first block (256 in the paper). layers: of the first block (32), halved from block to block.
        blocks: 5 x 2^(blocks - 1) pixels come out (6 and 160 in the paper), brought to `side` where that differs.
    Raises:
        UsageError: a variant that is neither a nor b.
    """

    def __init__(
        self, dim: int, side: int, variant: str = "b", channels: int = 256, layers: int = 32, blocks: int = 6
    ) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise UsageError(f"NbNet: unknown variant '{variant}'", "known: a, b")
        self.side = side
        self.first = nn.ConvTranspose2d(dim, channels, FIRST)
        parts: list[nn.Module] = []
        before = channels
        for block in range(blocks):
            count = max(2, layers >> block)
            growth = max(2, channels // layers)
            parts.append(NeighbourBlock(before, count, growth, variant))
            before = count * growth
            if block + 1 < blocks:
                after = max(8, before // 2)
                parts += [
                    nn.BatchNorm2d(before), nn.ReLU(),
                    nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False),
                ]  # fmt: skip
                before = after
        self.body = nn.Sequential(*parts)
        self.last = nn.Sequential(nn.BatchNorm2d(before), nn.ReLU(), nn.Conv2d(before, 3, 1))

    def forward(self, identity: Tensor) -> Tensor:
        x = torch.tanh(self.last(self.body(self.first(identity[:, :, None, None]))))
        if x.shape[-1] == self.side:
            return x
        return F.interpolate(x, (self.side, self.side), mode="bilinear", antialias=True)
