"""Networks that refine a first picture: they learn only what it leaves unexplained.

The first picture p enters beside the noisy one, and what is denoised is the residual x_0 - p, scaled as Karras et al.
(2022, table 1) scale any data of standard deviation s. With r = x_t - sqrt(a) p, v = 1 - a + a s^2 and the U-Net F,

    x_0 = p + s^2 sqrt(a) / v r + s sqrt((1 - a) / v) F(r / sqrt(v), p, y, t),

so that at high noise an untrained network already answers with p. It speaks eps as every other network here does,
eps = (x_t - sqrt(a) x_0) / sqrt(1 - a): samplers, guidance and loss need not know.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fraudit.diffusion.model.unet import UNet, UNetConfig
from fraudit.diffusion.sampling.schedule import betas_of


class ResidualUNet(UNet):
    """A U-Net that can denoise a residual; `config.prior_spread` is s, `config.prior_schedule` its noise schedule."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        a = np.cumprod(1 - betas_of(config.prior_schedule))
        self.register_buffer("_log_snr", torch.from_numpy(np.log(a / (1 - a))).float(), persistent=False)

    def _shares(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """f32[B,1,1,1] each: a and 1 - a at real time steps, interpolated in log SNR as the fast solver does."""
        table: Tensor = self._log_snr  # type: ignore[assignment]
        low = t.floor().long().clamp(0, len(table) - 1)
        high = (low + 1).clamp(max=len(table) - 1)
        log_snr = torch.lerp(table[low], table[high], t.float() - low)[:, None, None, None]
        return torch.sigmoid(log_snr), torch.sigmoid(-log_snr)

    def residual_forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        first: Tensor,
        clean: bool = False,
        *,
        identity: Tensor | None = None,
        attributes: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:
        """f32[B,3,S,S] noisy and `first` pictures -> eps f32[B,3,S,S], or the x_0 it stands for where `clean`.

        Where there is next to no signal, x_0 cannot be had from eps: rounding would be divided by sqrt(a).
        """
        s = self.config.prior_spread
        with torch.autocast(x.device.type, enabled=False):
            a, noise = self._shares(timesteps)
            v = noise + a * s**2
            r = x - a.sqrt() * first
            entering = torch.cat([r * v.rsqrt(), first], dim=1)
        answer = UNet.forward(self, entering, timesteps, identity, attributes, labels)
        with torch.autocast(x.device.type, enabled=False):
            x0 = first + s**2 * a.sqrt() / v * r + s * (noise / v).sqrt() * answer.float()
            return x0 if clean else (x - a.sqrt() * x0) * noise.rsqrt()
