"""Generator and critic of Vec2Face: progressive growing (Karras et al. 2017) with the feature injected at every scale.

Rows (D) to (F) of its Table 2 feed noise v into the generator and the ID vector into every scale by AdaIN, after fully
connected layers; rows (A) to (C) feed the ID vector alone, as progressive growing does. A growing picture is a mix of
the last scale, enlarged, and the new one.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FIRST = 4  # pixels a side of the first stage
SLOPE = 0.2  # of a leaky ReLU below zero
COLOURS = 0.2  # share of their size that colours begin with: beyond 1 a hyperbolic tangent has no gradient
FORM = 2  # of what the weights mean: those of another form are trained again


def _normal(x: Tensor) -> Tensor:
    """Each row of f[B,C] with mean square 1."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


def _gain(weight: Tensor) -> float:
    """Standard deviation of a weight that keeps a signal's size from layer to layer (He et al. 2015)."""
    return math.sqrt(2 / (1 + SLOPE**2) / weight[0].numel())


class Linear(nn.Linear):
    """A layer with an equalised learning rate (Karras et al. 2017): a weight of size 1, scaled where it is used.

    Without it Adam moves a weight of a wide layer by many times its share: at the papers' rate of 1.5e-3 the critic
    leaves every range within some hundred steps of the fourth scale.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        nn.init.normal_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * _gain(self.weight), self.bias)


class Conv(nn.Conv2d):
    """The same of a convolution that keeps the picture's size; `share`: of the size that its answers begin with."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, share: float = 1.0) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        self.share = share
        nn.init.normal_(self.weight)
        assert self.bias is not None
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * (self.share * _gain(self.weight)), self.bias, padding=self.padding)


class AdaIN(nn.Module):
    """Adaptive instance normalisation (Huang and Belongie 2017): scale and shift of each map from a condition."""

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.style = Linear(condition, 2 * channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.style(condition)[:, :, None, None].chunk(2, dim=1)
        return F.instance_norm(x) * (1 + scale) + shift


class _GrowBlock(nn.Module):
    """Two convolutions of one scale, each followed by noise, and by the condition where there is one."""

    def __init__(self, before: int, channels: int, condition: int | None) -> None:
        super().__init__()
        self.convs = nn.ModuleList([Conv(before, channels), Conv(channels, channels)])
        self.strength = nn.Parameter(torch.zeros(2, channels, 1, 1))
        self.adain = (
            nn.ModuleList(AdaIN(channels, condition) for _ in range(2)) if condition is not None else None
        )

    def forward(self, x: Tensor, condition: Tensor | None, noise: list[Tensor]) -> Tensor:
        for i, conv in enumerate(self.convs):
            x = F.leaky_relu(conv(x) + self.strength[i] * noise[i], SLOPE)
            if self.adain is not None and condition is not None:
                x = self.adain[i](x, condition)
            else:
                x = (
                    _normal(x.flatten(2).transpose(1, 2).reshape(-1, x.shape[1]))
                    .reshape(len(x), -1, x.shape[1])
                    .transpose(1, 2)
                    .reshape_as(x)
                )
        return x


class Generator(nn.Module):
    """f32[B,D] ID vectors and f32[B,V] noise v -> f32[B,3,S,S] in [-1, 1].

    Args:
        dim: D. widths: channels of each stage, 4 px first; S = 4 * 2^(stages - 1). noise: V.
        layers: fully connected ones of the condition. conditional: rows (D) to (F); else v is not used.
    """

    def __init__(
        self, dim: int, widths: tuple[int, ...], noise: int = 64, layers: int = 8, conditional: bool = True
    ) -> None:
        super().__init__()
        self.dim, self.noise, self.conditional = dim, noise, conditional
        self.stages = len(widths)
        hidden = max(widths)
        self.start = Linear(noise if conditional else dim, widths[0] * FIRST**2)
        parts: list[nn.Module] = []
        for i in range(layers if conditional else 0):
            parts += [Linear(dim if i == 0 else hidden, hidden), nn.LeakyReLU(SLOPE)]
        self.mapping = nn.Sequential(*parts)
        condition = hidden if conditional else None
        befores = (widths[0], *widths[:-1])
        self.blocks = nn.ModuleList(_GrowBlock(b, w, condition) for b, w in zip(befores, widths, strict=True))
        self.to_rgb = nn.ModuleList(Conv(w, 3, 1, COLOURS) for w in widths)

    @property
    def side(self) -> int:
        """Pixels a side of the last stage."""
        return FIRST * 2 ** (self.stages - 1)

    def drawn(self, count: int, generator: torch.Generator | None = None) -> list[Tensor]:
        """Noise of `count` pictures: v f32[B,V], then two planes f32[B,1,s,s] a stage."""
        device = generator.device if generator is not None else torch.device("cpu")
        found = [torch.randn(count, self.noise, generator=generator, device=device)]
        for i in range(self.stages):
            shape = (count, 1, FIRST * 2**i, FIRST * 2**i)
            found += [torch.randn(shape, generator=generator, device=device) for _ in range(2)]
        return found

    def forward(
        self, identity: Tensor, noise: list[Tensor], stage: int | None = None, fade: float = 1.0
    ) -> Tensor:
        """Pictures of `stage` 1..stages (all by default); `fade` 0..1: share of the newest scale."""
        last = self.stages if stage is None else stage
        condition = self.mapping(_normal(identity)) if self.conditional else None
        x = self.start(_normal(noise[0] if self.conditional else identity))
        x = x.view(len(x), -1, FIRST, FIRST)
        before = x
        for i in range(last):
            if i:
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            before = x
            x = self.blocks[i](x, condition, noise[1 + 2 * i : 3 + 2 * i])
        out = self.to_rgb[last - 1](x)
        if last > 1 and fade < 1:
            out = torch.lerp(self.to_rgb[last - 2](before), out, fade)
        return torch.tanh(out)


class Critic(nn.Module):
    """f32[B,3,s,s] of any stage -> f32[B]; the minibatch's standard deviation is seen in the last block."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.stages = len(widths)
        self.from_rgb = nn.ModuleList(Conv(3, w, 1) for w in widths)
        self.blocks = nn.ModuleList(
            nn.Sequential(Conv(w, w), nn.LeakyReLU(SLOPE), Conv(w, b), nn.LeakyReLU(SLOPE))
            for w, b in zip(widths[1:], widths[:-1], strict=True)
        )
        first = widths[0]
        self.last = nn.Sequential(Conv(first + 1, first), nn.LeakyReLU(SLOPE))
        self.head = nn.Sequential(Linear(first * FIRST**2, first), nn.LeakyReLU(SLOPE), Linear(first, 1))

    def forward(self, x: Tensor, stage: int | None = None, fade: float = 1.0) -> Tensor:
        """What it says of pictures of `stage` 1..stages."""
        last = self.stages if stage is None else stage
        small = F.avg_pool2d(x, 2) if last > 1 else x
        x = F.leaky_relu(self.from_rgb[last - 1](x), SLOPE)
        for i in range(last - 1, 0, -1):
            x = F.avg_pool2d(self.blocks[i - 1](x), 2)
            if i == last - 1 and fade < 1:
                x = torch.lerp(F.leaky_relu(self.from_rgb[i - 1](small), SLOPE), x, fade)
        x = torch.cat([x, spread_of_batch(x)], dim=1)
        return self.head(self.last(x).flatten(1))[:, 0]


def spread_of_batch(x: Tensor) -> Tensor:
    """f32[B,1,s,s]: the mean standard deviation of all maps over the batch (Karras et al. 2017)."""
    deviation = (x.var(0, unbiased=False) + 1e-8).sqrt().mean()
    return deviation.expand(len(x), 1, *x.shape[2:])
