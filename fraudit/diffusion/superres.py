"""Super-resolution network: the U-Net on the noisy picture beside the enlarged low-resolution one.

Dhariwal and Nichol (2021), as used 64 -> 256 by Kansy et al. (2023, supplementary material, Table 2).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fraudit.diffusion.unet import UNet
from fraudit.errors import UsageError


class SuperResUNet(UNet):
    """Noise predictor of the large picture, given the small one."""

    def forward(  # type: ignore[override]
        self,
        x: Tensor,
        timesteps: Tensor,
        identity: Tensor | None = None,
        attributes: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        low_res: Tensor | None = None,
    ) -> Tensor:
        """f32[B,3,S,S] and `low_res` f32[B,3,s,s] in [-1, 1] -> [B,3 or 6,S,S]."""
        if low_res is None:
            raise UsageError("a super-resolution network needs `low_res`, the small pictures in [-1, 1]")
        enlarged = F.interpolate(low_res, x.shape[-2:], mode="bilinear")
        return super().forward(torch.cat([x, enlarged], dim=1), timesteps, identity, attributes, labels)
