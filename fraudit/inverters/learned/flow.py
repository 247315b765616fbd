"""The bijection H of Vec2Face (Duong et al. 2020, section 3.2): an affine-coupling flow with a prior for each person.

H maps a picture to a latent of the same size, exactly invertibly, so that a distance of latents is a distance of
pictures. It is trained by likelihood, each person's pictures under a Gaussian of their own:

    log p(x, k) = log N(H(x); mu_k, Sigma_k) + log |det dH/dx|.

Departure: the mean of person k is a fixed random map of the person's mean ID vector rather than a free vector, since
thousands of people with a few pictures each could not determine as many numbers as a picture has pixels; the
covariance is one learned variance a person.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MAPPINGS = 5
FEATURES = 32
LOG_SCALE = 1.0  # largest |log scale| of one mapping


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, 1, 1)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(F.relu(x))))


class Coupling(nn.Module):
    """One affine coupling (Dinh et al. 2016): half of the pixels, in a checkerboard, scale and move the other half."""

    def __init__(self, side: int, odd: bool, features: int = FEATURES) -> None:
        super().__init__()
        board = (torch.arange(side)[:, None] + torch.arange(side)[None]) % 2
        self.mask: Tensor
        self.register_buffer("mask", (board == int(odd)).float()[None, None], persistent=False)
        self.net = nn.Sequential(
            nn.Conv2d(3, features, 3, 1, 1), _Residual(features), _Residual(features), nn.ReLU()
        )
        self.last = nn.Conv2d(features, 6, 3, 1, 1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def _both(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, move = self.last(self.net(kept)).chunk(2, dim=1)
        return LOG_SCALE * torch.tanh(log_scale) * (1 - self.mask), move * (1 - self.mask)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(f32[B,3,S,S], f32[B] log determinant)."""
        log_scale, move = self._both(x * self.mask)
        return x * log_scale.exp() + move, log_scale.flatten(1).sum(1)

    def inverse(self, z: Tensor) -> Tensor:
        """The picture whose mapping is `z`."""
        log_scale, move = self._both(z * self.mask)
        return (z - move) * (-log_scale).exp()


class Flow(nn.Module):
    """H: f32[B,3,S,S] -> latents of the same shape, with exact log determinant and inverse."""

    def __init__(self, side: int, mappings: int = MAPPINGS, features: int = FEATURES) -> None:
        super().__init__()
        self.side = side
        self.maps = nn.ModuleList(Coupling(side, bool(i % 2), features) for i in range(mappings))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(latents, f32[B] log |det|) of pictures."""
        total = x.new_zeros(len(x))
        for mapping in self.maps:
            x, log_det = mapping(x)
            total = total + log_det
        return x, total

    def inverse(self, z: Tensor) -> Tensor:
        """Pictures of latents."""
        for mapping in reversed(self.maps):
            z = mapping.inverse(z)  # type: ignore[operator]
        return z


class ClassPrior(nn.Module):
    """N(mu_k, sigma_k^2 I) of K people over latents of P numbers; see the module's text.

    Args:
        codes: f32[K,D] mean ID vectors, standardised. size: P. seed: of the fixed random map.
        reach: root mean square of a mean's numbers.
    """

    def __init__(self, codes: Tensor, size: int, seed: int = 0, reach: float = 0.5) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        basis = torch.randn(codes.shape[1], size, generator=generator) / math.sqrt(codes.shape[1])
        self.register_buffer("codes", codes, persistent=False)
        self.register_buffer("basis", reach * basis, persistent=False)
        self.log_sigma = nn.Parameter(torch.zeros(len(codes)))

    def mean(self, people: Tensor) -> Tensor:
        """f32[B,P] of i64[B] people."""
        codes: Tensor = self.codes  # type: ignore[assignment]
        basis: Tensor = self.basis  # type: ignore[assignment]
        return codes[people] @ basis

    def log_prob(self, z: Tensor, people: Tensor) -> Tensor:
        """f32[B] of latents f32[B,...] under their persons' Gaussians."""
        flat = z.flatten(1)
        log_sigma = self.log_sigma[people]
        square = (flat - self.mean(people)).square().sum(1) * (-2 * log_sigma).exp()
        return -0.5 * square - flat.shape[1] * (log_sigma + 0.5 * math.log(2 * math.pi))


def flow_loss(flow: Flow, prior: ClassPrior, x: Tensor, people: Tensor) -> Tensor:
    """Negative log-likelihood a number of the picture, mean over the batch."""
    z, log_det = flow(x)
    return -(prior.log_prob(z, people) + log_det).mean() / x[0].numel()
