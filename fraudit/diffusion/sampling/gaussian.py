"""The diffusion process: Ho et al. (2020), with the learned variance of Nichol and Dhariwal (2021).

A network is any callable (x f32[B,C,H,W], t f32 or i64[B]) -> [B,C or 2C,H,W]. It is always asked with time
steps of the full process (0..T-1), whatever the respacing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fraudit.diffusion.sampling.schedule import TRAIN_STEPS, betas_of, respaced, respaced_betas
from fraudit.errors import UsageError
from fraudit.types import F64

Network = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What p(x_{t-1} | x_t) is believed to be; each [B,C,H,W]."""

    mean: Tensor
    variance: Tensor
    log_variance: Tensor
    pred_xstart: Tensor


def dynamic_threshold(x0: Tensor, fraction: float = 0.99) -> Tensor:
    """Clip each picture at its own `fraction` quantile of |x0| (at least 1) and scale it back to [-1, 1].

    Saharia et al. (2022, Imagen), section 2.3. f32[B,C,H,W] -> the same.
    """
    limit = torch.quantile(x0.abs().flatten(1).float(), fraction, dim=1).clamp(min=1.0)
    limit = limit.to(x0.dtype).view(-1, *([1] * (x0.dim() - 1)))
    return torch.minimum(torch.maximum(x0, -limit), limit) / limit


class GaussianDiffusion:
    """Constants of a (respaced) process and the formulas on them.

    Args:
        schedule: `cosine` or `linear`.
        spacing: see `schedule.respaced`; '' keeps all steps.
        steps: T of the full process.
        learn_sigma: networks answer with 2C channels, the second half interpolating the log variance.
    """

    def __init__(
        self,
        schedule: str = "cosine",
        spacing: str | int | Sequence[int] = "",
        steps: int = TRAIN_STEPS,
        learn_sigma: bool = True,
    ) -> None:
        full = betas_of(schedule, steps)
        self.schedule = schedule
        self.train_steps = steps
        self.learn_sigma = learn_sigma
        self.timestep_map = respaced(steps, spacing)
        self.betas: F64 = full if len(self.timestep_map) == steps else respaced_betas(full, self.timestep_map)
        alphas = 1 - self.betas
        self.alphas_cumprod: F64 = np.cumprod(alphas, dtype=np.float64)
        self.alphas_cumprod_prev: F64 = np.append(1.0, self.alphas_cumprod[:-1])
        rest = 1 - self.alphas_cumprod
        # Ho et al. (2020), equations 6 and 7.
        self.posterior_variance: F64 = self.betas * (1 - self.alphas_cumprod_prev) / rest
        # The first variance is 0 (its log -inf); the second one stands in for it.
        self.posterior_log_variance_clipped: F64 = np.log(
            np.append(self.posterior_variance[1], self.posterior_variance[1:])
            if len(self.betas) > 1
            else np.maximum(self.posterior_variance, 1e-20)
        )
        self.posterior_mean_coef1: F64 = self.betas * np.sqrt(self.alphas_cumprod_prev) / rest
        self.posterior_mean_coef2: F64 = (1 - self.alphas_cumprod_prev) * np.sqrt(alphas) / rest

    @property
    def num_timesteps(self) -> int:
        """Steps of this process, after respacing."""
        return len(self.betas)

    def _at(self, values: F64, t: Tensor, like: Tensor) -> Tensor:
        picked = torch.from_numpy(values).to(t.device)[t].to(torch.float32)
        return picked.view(-1, *([1] * (like.dim() - 1)))

    def original(self, t: Tensor) -> Tensor:
        """Time steps of the full process for steps `t` of this one."""
        return torch.from_numpy(self.timestep_map).to(t.device)[t]

    def snr(self, t: Tensor) -> Tensor:
        """f32[B], alpha_bar / (1 - alpha_bar) at steps `t`."""
        return torch.from_numpy(self.alphas_cumprod / (1 - self.alphas_cumprod)).to(t.device)[t].float()

    def q_sample(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_t of q(x_t | x_0); Ho et al. (2020), equation 4."""
        return (
            self._at(np.sqrt(self.alphas_cumprod), t, x0) * x0
            + self._at(np.sqrt(1 - self.alphas_cumprod), t, x0) * noise
        )

    def q_posterior(self, x0: Tensor, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, variance and clipped log variance of q(x_{t-1} | x_t, x_0)."""
        clean, noisy = self.posterior_mean_coef1, self.posterior_mean_coef2
        mean = self._at(clean, t, x_t) * x0 + self._at(noisy, t, x_t) * x_t
        return (
            mean,
            self._at(self.posterior_variance, t, x_t),
            self._at(self.posterior_log_variance_clipped, t, x_t),
        )

    def xstart_from_eps(self, x_t: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """The clean picture that `eps` implies."""
        return (
            self._at(np.sqrt(1 / self.alphas_cumprod), t, x_t) * x_t
            - self._at(np.sqrt(1 / self.alphas_cumprod - 1), t, x_t) * eps
        )

    def eps_from_xstart(self, x_t: Tensor, t: Tensor, x0: Tensor) -> Tensor:
        """The noise that a clean picture implies."""
        return (self._at(np.sqrt(1 / self.alphas_cumprod), t, x_t) * x_t - x0) / self._at(
            np.sqrt(1 / self.alphas_cumprod - 1), t, x_t
        )

    def prediction(
        self,
        output: Tensor,
        x_t: Tensor,
        t: Tensor,
        clip: bool = True,
        threshold: float | None = None,
    ) -> Prediction:
        """Read a network's `output` at x_t.

        Args:
            clip: clamp the predicted clean picture to [-1, 1].
            threshold: fraction of dynamic thresholding, which then replaces clipping.
        """
        channels = x_t.shape[1]
        wanted = 2 * channels if self.learn_sigma else channels
        if output.shape[1] != wanted:
            raise UsageError(f"the network answers with {output.shape[1]} channels; expected {wanted}")
        if self.learn_sigma:
            # Nichol and Dhariwal (2021), equation 15.
            low = self._at(self.posterior_log_variance_clipped, t, x_t)
            high = self._at(np.log(self.betas), t, x_t)
            share = (output[:, channels:] + 1) / 2
            log_variance = share * high + (1 - share) * low
            variance = log_variance.exp()
        else:
            # FIXED_LARGE: beta, with the posterior's variance at the first step (Ho et al., section 3.2).
            fixed = (
                np.append(self.posterior_variance[1], self.betas[1:]) if len(self.betas) > 1 else self.betas
            )
            variance = self._at(fixed, t, x_t).expand_as(x_t)
            log_variance = self._at(np.log(fixed), t, x_t).expand_as(x_t)
        x0 = self.xstart_from_eps(x_t, t, output[:, :channels])
        if threshold is not None:
            x0 = dynamic_threshold(x0, threshold)
        elif clip:
            x0 = x0.clamp(-1, 1)
        mean = self.q_posterior(x0, x_t, t)[0]
        return Prediction(mean, variance, log_variance, x0)

    def ancestral_step(self, prediction: Prediction, t: Tensor, noise: Tensor) -> Tensor:
        """x_{t-1} drawn from `prediction` with `noise`; no noise at step 0."""
        keep = (t > 0).to(noise.dtype).view(-1, *([1] * (noise.dim() - 1)))
        return prediction.mean + keep * (0.5 * prediction.log_variance).exp() * noise

    def ddim_step(
        self, prediction: Prediction, x_t: Tensor, t: Tensor, eta: float = 0.0, noise: Tensor | None = None
    ) -> Tensor:
        """x_{t-1} by Song et al. (2021), equation 12; `noise` is needed where eta > 0."""
        eps = self.eps_from_xstart(x_t, t, prediction.pred_xstart)
        now = self._at(self.alphas_cumprod, t, x_t)
        before = self._at(self.alphas_cumprod_prev, t, x_t)
        sigma = eta * torch.sqrt((1 - before) / (1 - now)) * torch.sqrt(1 - now / before)
        x = prediction.pred_xstart * before.sqrt() + torch.sqrt(1 - before - sigma**2) * eps
        if eta > 0:
            if noise is None:
                raise UsageError("DDIM with eta > 0 needs noise")
            x = x + (t > 0).to(x.dtype).view(-1, *([1] * (x.dim() - 1))) * sigma * noise
        return x

    def vb_terms(self, output: Tensor, x0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """f32[B], the variational bound at `t` in bits a dimension; Ho et al. (2020), equation 5."""
        true_mean, _, true_log = self.q_posterior(x0, x_t, t)
        p = self.prediction(output, x_t, t, clip=False)
        kl = _normal_kl(true_mean, true_log, p.mean, p.log_variance).flatten(1).mean(1)
        nll = -_discretised_log_likelihood(x0, p.mean, 0.5 * p.log_variance).flatten(1).mean(1)
        return torch.where(t == 0, nll, kl) / math.log(2.0)

    def losses(
        self,
        output: Tensor,
        x0: Tensor,
        x_t: Tensor,
        t: Tensor,
        noise: Tensor,
        mask: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Each f32[B]: `mse` (Kansy et al., equation 7), with learned variance `vb`, and `loss`, their sum.

        `mask` [B,1,H,W] gives pixels of `mse` a weight; None weighs all alike.
        The bound trains the variance only: the mean's gradient is cut (Nichol and Dhariwal, equation 16).
        """
        channels = x0.shape[1]
        error = (noise - output[:, :channels]).square()
        terms = {"mse": (error if mask is None else error * mask).flatten(1).mean(1)}
        terms["loss"] = terms["mse"]
        if self.learn_sigma:
            frozen = torch.cat([output[:, :channels].detach(), output[:, channels:]], dim=1)
            terms["vb"] = self.vb_terms(frozen, x0, x_t, t)
            terms["loss"] = terms["mse"] + terms["vb"]
        return terms


def _normal_kl(mean1: Tensor, log1: Tensor, mean2: Tensor, log2: Tensor) -> Tensor:
    return 0.5 * (log2 - log1 - 1 + torch.exp(log1 - log2) + (mean1 - mean2).square() * torch.exp(-log2))


def _cdf(x: Tensor) -> Tensor:
    # The tanh approximation of Page (1977), as the release uses; the exact one differs by up to 3e-4.
    return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _discretised_log_likelihood(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Log probability of 8-bit levels scaled to [-1, 1]; Ho et al. (2020), equation 13."""
    centred, inverse = x - mean, torch.exp(-log_scale)
    above = _cdf(inverse * (centred + 1 / 255))
    below = _cdf(inverse * (centred - 1 / 255))
    inner = torch.where(
        x > 0.999,
        (1 - below).clamp(min=1e-12).log(),
        (above - below).clamp(min=1e-12).log(),
    )
    return torch.where(x < -0.999, above.clamp(min=1e-12).log(), inner)
