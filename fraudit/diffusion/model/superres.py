"""Super-resolution network: the U-Net on the noisy picture beside the enlarged low-resolution one.

Dhariwal and Nichol (2021), as used 64 -> 256 by Kansy et al. (2023, supplementary material, Table 2). With
`prior_spread` it denoises only what the enlarged picture leaves unexplained (`residual_unet`), as
Li et al. (2022, SRDiff) do: a short training need not learn to copy.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fraudit.diffusion.model.residual_unet import ResidualUNet
from fraudit.diffusion.sampling import counter_noise
from fraudit.errors import UsageError
from fraudit.types import I64, U8

START_NOISE = 10.0  # times what is unexplained: noisier pictures tell nothing that the small one does not
DEGRADATIONS = ("blur", "noise")  # what a network is told of its small pictures, as attributes
_BLUR, _LEVEL, _NOISE = range(20, 23)  # streams of `counter_noise`
_REACH = 3  # pixels each way of the blurring kernel


def enlarged(low_res: Tensor, side: int) -> Tensor:
    """f32[B,3,s,s] -> f32[B,3,S,S], bilinear as in the guided-diffusion release."""
    return F.interpolate(low_res, (side, side), mode="bilinear")


def planes(pictures: U8) -> Tensor:
    """u8[N,S,S,3] -> f32[N,3,S,S] in [-1, 1], the inverse of `samplers.to_pictures`."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def lost(x: Tensor, side: int) -> Tensor:
    """What f32[B,3,S,S] have that is gone once they are made `side` small and enlarged again."""
    return x - enlarged(F.avg_pool2d(x, x.shape[-1] // side), x.shape[-1])


def small_pictures(
    pictures: Tensor, side: int, positions: Tensor, seed: int, blur: float = 0.0, noise: float = 0.0
) -> tuple[Tensor, Tensor]:
    """f32[B,3,s,s], what super-resolution starts from in training, by averaging f32[B,3,S,S]; and f32[B,2].

    The second says how much blur and noise each was given, as shares of the largest.

    An inverter's pictures are smoother and grainier than real ones made small. Conditioning augmentation (Ho et al.
    2022, cascaded diffusion, section 4) shows the network such, and tells it: each picture is blurred and given noise,
    by as much as numbers drawn for it say.

    Args:
        positions: i64[B] of the samples in the run, which decide what is drawn.
        blur: largest standard deviation of the Gaussian in small pixels; 0: none.
        noise: largest standard deviation, of pictures in [-1, 1]; 0: none.
    """
    low = F.avg_pool2d(pictures, pictures.shape[-1] // side)
    told = torch.zeros(len(low), len(DEGRADATIONS), device=low.device)
    if blur > 0:
        told[:, :1] = counter_noise.uniform(seed, _BLUR, positions, 1)
        sigma = blur * told[:, :1]
        places = torch.arange(-_REACH, _REACH + 1, device=low.device)
        taps = torch.exp(-0.5 * (places / sigma.clamp(min=0.05)) ** 2)
        taps = (taps / taps.sum(1, keepdim=True)).repeat_interleave(3, 0)
        rows = F.pad(low, (_REACH,) * 4, mode="replicate").flatten(0, 1)[None]
        for kernel in (taps[:, None, None, :], taps[:, None, :, None]):
            rows = F.conv2d(rows, kernel, groups=len(taps))
        low = rows.view_as(low)
    if noise > 0:
        told[:, 1:] = counter_noise.uniform(seed, _LEVEL, positions, 1)
        level = noise * told[:, 1:, None, None]
        low = low + level * counter_noise.normal(seed, _NOISE, positions, tuple(low.shape[1:]))
    return low, told


def unexplained(pictures: U8, visible: U8, rows: I64, side: int) -> float:
    """Standard deviation, of pictures in [-1, 1], that u8[N,S,S,3] keep of themselves when made small and enlarged.

    Args:
        visible: u8[N,S,S], 1 where a pixel counts.
        rows: i64 of those that are trained on; at most 2,048 are looked at.
    """
    squares, count = 0.0, 0.0
    for start in range(0, min(len(rows), 2048), 64):
        part = rows[start : start + 64]
        seen = torch.from_numpy(visible[part])[:, None].float()
        squares += float((lost(planes(pictures[part]), side).square() * seen).sum())
        count += 3 * float(seen.sum())
    return max(round((squares / max(count, 1.0)) ** 0.5, 4), 1e-3)


class SuperResUNet(ResidualUNet):
    """Noise predictor of the large picture, given the small one."""

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        identity: Tensor | None = None,
        attributes: Tensor | None = None,
        labels: Tensor | None = None,
        clean: bool = False,
        *,
        low_res: Tensor | None = None,
    ) -> Tensor:
        """f32[B,3,S,S] and `low_res` f32[B,3,s,s] in [-1, 1] -> eps f32[B,3 or 6,S,S], or x_0 where `clean`.

        Only a network that refines can answer with x_0.
        """
        if low_res is None:
            raise UsageError("a super-resolution network needs `low_res`, the small pictures in [-1, 1]")
        large = enlarged(low_res, x.shape[-1])
        if self.config.prior_spread > 0:
            return self.residual_forward(
                x, timesteps, large, clean, identity=identity, attributes=attributes, labels=labels
            )
        return super().forward(torch.cat([x, large], dim=1), timesteps, identity, attributes, labels)
