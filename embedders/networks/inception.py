"""Inception-ResNet-v1 as FaceNet uses it (Szegedy et al., arXiv:1602.07261, figures 10 to 15 and 7).

Tensors are named as in facenet-pytorch's release. The residual scales 0.17, 0.10 and 0.20 are those of the
TensorFlow original. BatchNorm epsilon 1e-3.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-3
Size = int | tuple[int, int]


class Conv(nn.Module):
    """Convolution, BatchNorm, ReLU."""

    def __init__(self, width_in: int, width: int, size: Size, stride: int = 1, padding: Size = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width, size, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(width, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class Residual(nn.Module):
    """x + scale * conv(concatenated branches), with a ReLU except in the last block.

    Args:
        width: channels of x.
        branches: the modules of each branch; the first has one.
        joined: channels of the concatenated branches.
    """

    def __init__(
        self, width: int, branches: list[list[Conv]], joined: int, scale: float, relu: bool = True
    ) -> None:
        super().__init__()
        self.branch0 = branches[0][0]
        self.branch1 = nn.Sequential(*branches[1])
        self.branch2 = nn.Sequential(*branches[2]) if len(branches) > 2 else None
        self.conv2d = nn.Conv2d(joined, width, 1)
        self.scale = scale
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.branch0(x), self.branch1(x)]
        if self.branch2 is not None:
            parts.append(self.branch2(x))
        x = x + self.scale * self.conv2d(torch.cat(parts, 1))
        return F.relu(x) if self.relu else x


def block35() -> Residual:
    """Inception-ResNet-A on 256 channels."""
    return Residual(
        256,
        [
            [Conv(256, 32, 1)],
            [Conv(256, 32, 1), Conv(32, 32, 3, padding=1)],
            [Conv(256, 32, 1), Conv(32, 32, 3, padding=1), Conv(32, 32, 3, padding=1)],
        ],
        joined=96,
        scale=0.17,
    )


def block17() -> Residual:
    """Inception-ResNet-B on 896 channels."""
    row, column = Conv(128, 128, (1, 7), padding=(0, 3)), Conv(128, 128, (7, 1), padding=(3, 0))
    return Residual(896, [[Conv(896, 128, 1)], [Conv(896, 128, 1), row, column]], joined=256, scale=0.10)


def block8(scale: float = 0.20, relu: bool = True) -> Residual:
    """Inception-ResNet-C on 1792 channels."""
    row, column = Conv(192, 192, (1, 3), padding=(0, 1)), Conv(192, 192, (3, 1), padding=(1, 0))
    branches = [[Conv(1792, 192, 1)], [Conv(1792, 192, 1), row, column]]
    return Residual(1792, branches, joined=384, scale=scale, relu=relu)


class Reduction(nn.Module):
    """Branches that halve the picture, and a maximum pool beside them."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        for number, branch in enumerate(branches):
            self.add_module(f"branch{number}", branch)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([*(branch(x) for branch in self.children()), F.max_pool2d(x, 3, stride=2)], 1)


class InceptionResnetV1(nn.Module):
    """f32[N,3,160,160] -> f32[N,D], unit length.

    Args:
        dim: length D of the ID vector.
    """

    def __init__(self, dim: int = 512) -> None:
        super().__init__()
        self.conv2d_1a = Conv(3, 32, 3, stride=2)
        self.conv2d_2a = Conv(32, 32, 3)
        self.conv2d_2b = Conv(32, 64, 3, padding=1)
        self.conv2d_3b = Conv(64, 80, 1)
        self.conv2d_4a = Conv(80, 192, 3)
        self.conv2d_4b = Conv(192, 256, 3, stride=2)
        self.repeat_1 = nn.Sequential(*(block35() for _ in range(5)))
        self.mixed_6a = Reduction(
            Conv(256, 384, 3, stride=2),
            nn.Sequential(Conv(256, 192, 1), Conv(192, 192, 3, padding=1), Conv(192, 256, 3, stride=2)),
        )
        self.repeat_2 = nn.Sequential(*(block17() for _ in range(10)))
        self.mixed_7a = Reduction(
            nn.Sequential(Conv(896, 256, 1), Conv(256, 384, 3, stride=2)),
            nn.Sequential(Conv(896, 256, 1), Conv(256, 256, 3, stride=2)),
            nn.Sequential(Conv(896, 256, 1), Conv(256, 256, 3, padding=1), Conv(256, 256, 3, stride=2)),
        )
        self.repeat_3 = nn.Sequential(*(block8() for _ in range(5)))
        self.block8 = block8(scale=1.0, relu=False)
        self.last_linear = nn.Linear(1792, dim, bias=False)
        self.last_bn = nn.BatchNorm1d(dim, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x)))
        x = self.conv2d_4b(self.conv2d_4a(self.conv2d_3b(F.max_pool2d(x, 3, stride=2))))
        x = self.repeat_2(self.mixed_6a(self.repeat_1(x)))
        x = self.block8(self.repeat_3(self.mixed_7a(x)))
        return F.normalize(self.last_bn(self.last_linear(x.mean(dim=(2, 3)))), dim=1)
