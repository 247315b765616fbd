"""Losses of Vec2Face (Duong et al. 2020), equations 4, 5, 7, 8 and 9, and the weights of its schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

ALPHA, BETA, LAMBDA_J, LAMBDA_A = 0.001, 1.0, 1.0, 10.0  # section 4
PENALTY = 10.0  # of the gradient (Gulrajani et al. 2017)


def wasserstein_round(mean_a: Tensor, sigma_a: Tensor, mean_b: Tensor, sigma_b: Tensor) -> Tensor:
    """f[B]: equation 4 for N(mean, sigma^2 I), divided by the number of dimensions so that a margin means the same.

    Args:
        mean_a, mean_b: f[B,...]; sigma_a, sigma_b: f[B].
    """
    return (mean_a - mean_b).flatten(1).square().mean(1) + (sigma_a - sigma_b).square()


def identity_metric(distance: Tensor, same: Tensor, margin: float) -> Tensor:
    """Equation 5, mean over pairs: f[B] distances; those of two people are pushed beyond `margin`."""
    return torch.where(same, distance, (margin - distance).clamp(min=0)).mean()


def distillation(
    features: Callable[[Tensor], Sequence[Tensor]],
    answer: Callable[[Tensor], Tensor],
    made: Tensor,
    real: Tensor,
) -> Tensor:
    """Equation 7, mean over the batch: the student's stages and its answer on made and real f32[B,3,S,S].

    Args:
        features: picture -> answers of the student's stages. answer: last of them -> f32[B,D] ID vectors.
    """
    with torch.no_grad():
        targets = features(real)
        wanted = answer(targets[-1])
    found = features(made)
    total = made.new_zeros(len(made))
    for mine, theirs in zip(found, targets, strict=True):
        apart = torch.linalg.vector_norm((mine.float() - theirs.float()).flatten(1), dim=1)
        total = total + LAMBDA_J * apart / mine[0].numel()
    cosine = F.cosine_similarity(answer(found[-1]).float(), wanted.float(), dim=1)
    return (total + LAMBDA_A * (1 - cosine).square()).mean()


@dataclass(frozen=True, slots=True)
class Weights:
    """The four weights of equation 8."""

    biject: float
    distill: float
    adversarial: float
    reconstruction: float


def weights_at(stage: int, stages: int, biject: bool = True, distill: bool = True) -> Weights:
    """Exponential weighting at `stage` 1..`stages`: identity first, realism later; terms switched off weigh 0.

    R(i) is the number of the stage: in pixels its exponentials would leave every range.
    """
    left = math.exp(stages - stage)
    return Weights(ALPHA * left if biject else 0.0, left if distill else 0.0, BETA * math.exp(stage), left)


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, made: Tensor, share: Tensor) -> Tensor:
    """Last term of equation 9 without its factor; share: f32[B] in [0, 1), where between real and made."""
    at = share.view(-1, 1, 1, 1)
    between = (at * real + (1 - at) * made).detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (slope.flatten(1).norm(2, dim=1) - 1).square().mean()


def critic_loss(critic: Callable[[Tensor], Tensor], real: Tensor, made: Tensor, share: Tensor) -> Tensor:
    """Equation 9."""
    made = made.detach()
    return critic(made).mean() - critic(real).mean() + PENALTY * gradient_penalty(critic, real, made, share)


def adversarial(critic: Callable[[Tensor], Tensor], made: Tensor) -> Tensor:
    """The generator's side of equation 9: it raises what the critic says of its pictures (equation 8 leaves out the
    sign)."""
    return -critic(made).mean()
