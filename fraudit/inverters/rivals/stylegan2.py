"""The generator of StyleGAN2 (Karras et al., CVPR 2020) from its tensors alone: no code of a checkpoint is run.

Names are those of the authors' PyTorch release (`mapping.fc0.weight`, `synthesis.b4.const`, ...), behind any prefix. A
latent of unit variance goes through the mapping network to w; every scale modulates its 3x3 convolutions by w and
demodulates them, adds its stored noise, and adds to a picture that is enlarged from scale to scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fraudit.errors import ArtifactError

RATE = 0.01  # by which the mapping network's weights are stored too large
SLOPE = 0.2
TAPS = (1.0, 3.0, 3.0, 1.0)  # of the low-pass filter
MOST_PX = 1024
CONST = "synthesis.b4.const"


def looks_like(state: Mapping[str, Tensor]) -> bool:
    """Whether there is a StyleGAN2 generator among these tensors."""
    return any(name.endswith(CONST) for name in state)


def _filter(channels: int) -> Tensor:
    taps = torch.tensor(TAPS) / sum(TAPS)
    return 4 * torch.outer(taps, taps).expand(channels, 1, -1, -1)


def enlarged(x: Tensor) -> Tensor:
    """f32[B,C,H,W] -> f32[B,C,2H,2W]: zeros between the pixels, then the low-pass filter."""
    batch, channels, height, width = x.shape
    wide = x.new_zeros(batch, channels, height, 2, width, 2)
    wide[:, :, :, 0, :, 0] = x
    wide = F.pad(wide.reshape(batch, channels, 2 * height, 2 * width), (2, 1, 2, 1))
    return F.conv2d(wide, _filter(channels), groups=channels)


class StyleGan2(nn.Module):
    """f32[B,Z] latents -> f32[B,3,S,S], about [-1, 1].

    Args:
        state: tensors by name. truncation: of w towards its mean, 1 leaves it.
    Raises:
        ArtifactError: tensors are missing, of a wrong shape, or of a generator that wants a class.
    """

    def __init__(self, state: Mapping[str, Tensor], truncation: float = 0.7) -> None:
        super().__init__()
        name = next((n for n in state if n.endswith(CONST)), None)
        if name is None:
            raise ArtifactError(f"expected a StyleGAN2 generator with the tensor '{CONST}', found none")
        prefix = name.removesuffix(CONST)
        self._state = {k.removeprefix(prefix): v.float() for k, v in state.items() if k.startswith(prefix)}
        if "mapping.embed.weight" in self._state:
            raise ArtifactError(
                "a StyleGAN2 generator that wants a class; expected one of faces, without classes"
            )
        self.truncation = truncation
        self.layers = sum(f"mapping.fc{i}.weight" in self._state for i in range(64))
        self.sides = [4 << i for i in range(9) if f"synthesis.b{4 << i}.torgb.weight" in self._state]
        if (
            not self.layers
            or self.sides != [4 << i for i in range(len(self.sides))]
            or self.sides[-1] > MOST_PX
        ):
            raise ArtifactError(
                f"expected StyleGAN2's scales from 4 px on without a gap and its mapping network, found scales "
                f"{self.sides} and {self.layers} layers"
            )
        self.size = int(self._tensor("mapping.fc0.weight", 2).shape[1])
        with torch.no_grad():
            try:
                self(torch.zeros(1, self.size))
            except RuntimeError as error:
                raise ArtifactError(f"tensors of StyleGAN2 do not fit together: {error}"[:200]) from error

    def _tensor(self, name: str, axes: int) -> Tensor:
        found = self._state.get(name)
        if found is None or found.ndim != axes:
            shape = "none" if found is None else tuple(found.shape)
            raise ArtifactError(f"StyleGAN2: expected the tensor '{name}' with {axes} axes, found {shape}")
        return found

    def _mapped(self, z: Tensor) -> Tensor:
        x = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for i in range(self.layers):
            weight, bias = self._tensor(f"mapping.fc{i}.weight", 2), self._tensor(f"mapping.fc{i}.bias", 1)
            x = F.linear(x, weight * (RATE / math.sqrt(weight.shape[1])), bias * RATE)
            x = math.sqrt(2) * F.leaky_relu(x, SLOPE)
        if self.truncation == 1:
            return x
        return torch.lerp(self._tensor("mapping.w_avg", 1).expand_as(x), x, self.truncation)

    def _style(self, layer: str, w: Tensor) -> Tensor:
        weight = self._tensor(f"{layer}.affine.weight", 2)
        return F.linear(w, weight / math.sqrt(weight.shape[1]), self._tensor(f"{layer}.affine.bias", 1))

    def _convolved(self, layer: str, x: Tensor, w: Tensor, up: bool) -> Tensor:
        """One modulated 3x3 convolution with noise, bias and activation."""
        weight, batch = self._tensor(f"{layer}.weight", 4), len(x)
        modulated = weight[None] * self._style(layer, w)[:, None, :, None, None]
        modulated = modulated * (modulated.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
        grouped = x.reshape(1, -1, *x.shape[2:])
        if up:
            kernel = modulated.transpose(1, 2).reshape(-1, weight.shape[0], 3, 3)
            x = F.conv_transpose2d(grouped, kernel, stride=2, groups=batch)
            x = F.pad(x, (1, 1, 1, 1))
            x = F.conv2d(x, _filter(x.shape[1]), groups=x.shape[1])
        else:
            x = F.conv2d(grouped, modulated.reshape(-1, *weight.shape[1:]), padding=1, groups=batch)
        x = x.reshape(batch, -1, *x.shape[2:])
        if f"{layer}.noise_const" in self._state:
            x = x + self._tensor(f"{layer}.noise_const", 2) * self._tensor(f"{layer}.noise_strength", 0)
        x = x + self._tensor(f"{layer}.bias", 1)[:, None, None]
        return math.sqrt(2) * F.leaky_relu(x, SLOPE)

    def _coloured(self, layer: str, x: Tensor, w: Tensor) -> Tensor:
        weight = self._tensor(f"{layer}.weight", 4)
        style = self._style(layer, w) / math.sqrt(weight.shape[1])
        colours = torch.einsum("oi,bihw->bohw", weight[:, :, 0, 0], x * style[:, :, None, None])
        return colours + self._tensor(f"{layer}.bias", 1)[:, None, None]

    def forward(self, z: Tensor) -> Tensor:
        w = self._mapped(z)
        x = self._tensor(CONST, 3).expand(len(z), -1, -1, -1)
        picture: Tensor | None = None
        for side in self.sides:
            block = f"synthesis.b{side}"
            if side > 4:
                x = self._convolved(f"{block}.conv0", x, w, up=True)
            x = self._convolved(f"{block}.conv1", x, w, up=False)
            colours = self._coloured(f"{block}.torgb", x, w)
            picture = colours if picture is None else enlarged(picture) + colours
        assert picture is not None
        return picture
