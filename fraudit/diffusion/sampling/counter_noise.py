"""Random numbers as a function of (seed, sample, element): no state to save, the same on every device.

A training's noise, time steps and dropped conditions belong to the position of a sample in the run, so that
a resumed run, a larger micro-batch, or more processes see exactly the same numbers. The mixing function is
SplitMix64 (Steele et al. 2014); normal numbers come from Box and Muller's transform.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_FIRST = _signed(0xBF58476D1CE4E5B9)
_SECOND = _signed(0x94D049BB133111EB)


def _shifted(x: Tensor, bits: int) -> Tensor:
    # torch shifts int64 arithmetically; the mask makes it logical.
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mixed(x: Tensor) -> Tensor:
    x = (x ^ _shifted(x, 30)) * _FIRST
    x = (x ^ _shifted(x, 27)) * _SECOND
    return x ^ _shifted(x, 31)


def bits(seed: int, stream: int, samples: Tensor, count: int) -> Tensor:
    """i64[B,count] of 64 random bits for i64[B] sample numbers; `stream` separates independent uses."""
    start = _mixed(
        torch.tensor(seed * 1_000_003 + stream, dtype=torch.int64, device=samples.device) * _GOLDEN
    )
    keys = _mixed((samples + 1) * _GOLDEN + start)
    places = torch.arange(1, count + 1, dtype=torch.int64, device=samples.device) * _GOLDEN
    return _mixed(keys[:, None] + places[None])


def uniform(seed: int, stream: int, samples: Tensor, count: int) -> Tensor:
    """f32[B,count] in (0, 1)."""
    return (_shifted(bits(seed, stream, samples, count), 40).float() + 0.5) / 2**24


def normal(seed: int, stream: int, samples: Tensor, shape: tuple[int, ...]) -> Tensor:
    """f32[B,*shape], standard normal."""
    count = math.prod(shape)
    raw = bits(seed, stream, samples, (count + 1) // 2)
    radius = torch.sqrt(-2 * torch.log((_shifted(raw, 40).float() + 0.5) / 2**24))
    angle = (raw & 0xFFFFFF).float() * (2 * math.pi / 2**24)
    both = torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)
    return both[:, :count].reshape(-1, *shape)
