"""A white-box student of the black box: it lends a training the gradient that the black box does not give.

A picture's mean squared error hardly knows who is shown: with few pictures seen, a network trained on it alone
keeps less of an identity than the closed form it refines. Vec2Face (Duong et al. 2020, section 3.3) distils the
black box into a network of one's own from the same (picture, ID vector) pairs; its features and its answer then say,
with a gradient, how far a predicted picture is from the person:

    L_f = mean over levels of |f_l(x) - f_l(x_0)|^2 / |f_l(x_0)|^2,      L_id = 1 - cos(S(x), y).

The black box itself is never differentiated; held-out people are not shown to the student either. It learns under
noise, which makes its gradients follow faces rather than its own blind spots.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fraudit.diffusion import counter
from fraudit.store import write_atomic

WIDTHS = (32, 64, 128, 256)
BATCH = 64
LR = 2e-3
WARMUP = 100
WEIGHT_DECAY = 0.05
NOISE = 0.4  # largest standard deviation, of pictures in [-1, 1]
SHIFT_PX = 1  # pictures are compared at shifted places too: the student's strides leave no grid
_SIGMA, _WHITE, _SHIFT = range(10, 13)

Batch = Callable[[int, int], tuple[Tensor, Tensor, Tensor]]


class _Block(nn.Module):
    """Residual block of two convolutions; stride 2 has 4x4 kernels, whose gradients cover pixels evenly."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        size = 4 if stride == 2 else 3
        self.main = nn.Sequential(
            nn.Conv2d(channels, out, size, stride, 1, bias=False),
            nn.BatchNorm2d(out),
            nn.SiLU(),
            nn.Conv2d(out, out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        same = stride == 1 and channels == out
        self.skip: nn.Module = nn.Identity()
        if not same:
            self.skip = nn.Sequential(
                nn.AvgPool2d(stride), nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.main(x) + self.skip(x))


class Student(nn.Module):
    """f32[B,3,S,S] in [-1, 1] -> f32[B,D] standardised ID vectors; S a multiple of 16."""

    def __init__(self, size_px: int, dim: int) -> None:
        super().__init__()
        first, *rest = WIDTHS
        self.stem = nn.Sequential(
            nn.Conv2d(3, first, 4, 2, 1, bias=False),
            nn.BatchNorm2d(first),
            nn.SiLU(),
            _Block(first, first, 1),
        )
        levels = []
        for before, width in zip(WIDTHS, rest, strict=False):
            levels.append(nn.Sequential(_Block(before, width, 2), _Block(width, width, 1)))
        self.levels = nn.ModuleList(levels)
        self.head = nn.Linear(WIDTHS[-1] * (size_px // 16) ** 2, dim)

    def features(self, x: Tensor) -> list[Tensor]:
        """Answers of each level, fine to coarse."""
        found = [self.stem(x)]
        for level in self.levels:
            found.append(level(found[-1]))
        return found

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x)[-1].flatten(1))


def shift_of(seed: int, step: int) -> tuple[int, int]:
    """The shift of a training's step, in pixels: the same for every part of its batch."""
    draw = counter.uniform(seed, _SHIFT, torch.tensor([step]), 2)[0]
    dx, dy = ((draw * (2 * SHIFT_PX + 1)).long() - SHIFT_PX).tolist()
    return dx, dy


def recognition_loss(
    student: Student,
    made: Tensor,
    real: Tensor,
    mask: Tensor,
    wanted: Tensor,
    shift: tuple[int, int] = (0, 0),
) -> tuple[Tensor, Tensor]:
    """(f32[B] feature loss, f32[B] identity loss) of predicted pictures; see the module's text.

    Args:
        made, real: f32[B,3,S,S]; where `mask` f32[B,1,S,S] is 0 the real picture stands in for the made one.
        wanted: f32[B,D] standardised ID vectors.
        shift: both pictures are moved by it, at most `SHIFT_PX` each way.
    """
    side, left, top = made.shape[-1], SHIFT_PX + shift[0], SHIFT_PX + shift[1]

    def shifted(x: Tensor) -> Tensor:
        wide = F.pad(x, (SHIFT_PX,) * 4, mode="replicate")
        return wide[:, :, top : top + side, left : left + side].contiguous(memory_format=torch.channels_last)

    seen = made * mask + real * (1 - mask)
    with torch.no_grad():
        targets = student.features(shifted(real))
    found = student.features(shifted(seen))
    apart = torch.zeros(len(made), device=made.device)
    for mine, theirs in zip(found, targets, strict=True):
        square = (mine.float() - theirs.float()).square().flatten(1).mean(1)
        apart = apart + square / theirs.float().square().flatten(1).mean(1).clamp(min=1e-6)
    answer = student.head(found[-1].flatten(1)).float()
    return apart / len(found), 1 - F.cosine_similarity(answer, wanted)


def fit_student(
    batch: Batch,
    size_px: int,
    dim: int,
    steps: int,
    *,
    seed: int,
    device: torch.device,
    bf16: bool,
    say: Callable[[str], None] = lambda text: None,
) -> Student:
    """Distil the black box from its (picture, ID vector) pairs.

    Args:
        batch: (first, count) -> pictures f32[B,3,S,S] in [-1, 1], standardised ID vectors f32[B,D], and i64[B]
            positions of samples first..first+count-1.
        steps: of 64 pictures.
    """
    torch.manual_seed(seed)
    student = Student(size_px, dim).to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(student.parameters(), lr=LR, weight_decay=WEIGHT_DECAY, fused=True)
    for step in range(steps):
        x, wanted, positions = batch(step * BATCH, BATCH)
        sigma = NOISE * counter.uniform(seed, _SIGMA, positions, 1).square()[:, :, None, None]
        x = x + sigma * counter.normal(seed, _WHITE, positions, tuple(x.shape[1:]))
        for group in optimizer.param_groups:
            share = min(1.0, (step + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * step / steps))
            group["lr"] = LR * share
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            answer = student(x.contiguous(memory_format=torch.channels_last))
        answer = answer.float()
        loss = (1 - F.cosine_similarity(answer, wanted)).mean() + 0.1 * F.mse_loss(answer, wanted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if (step + 1) % 200 == 0 or step + 1 == steps:
            say(f"student {step + 1}/{steps}  loss {loss.item():.4f}")
    optimizer.zero_grad(set_to_none=True)
    return student.eval().requires_grad_(False)


def save_student(path: Path, student: Student, about: dict[str, str]) -> None:
    """Write `student`, with what it was fitted to, atomically."""
    from safetensors.torch import save_file

    tensors = {name: value.contiguous().cpu() for name, value in student.state_dict().items()}
    write_atomic(path, lambda temporary: save_file(tensors, temporary, metadata=about))


def load_student(path: Path, about: dict[str, str], size_px: int, dim: int) -> Student | None:
    """The student in `path`; None where there is none, or it is damaged or of other data: fit it again."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    student = Student(size_px, dim)
    try:
        with safe_open(path, "pt") as stored:
            if (stored.metadata() or {}) != about:
                return None
            student.load_state_dict({key: stored.get_tensor(key) for key in stored.keys()})  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError):
        return None
    return student.to(memory_format=torch.channels_last).eval().requires_grad_(False)
