"""The improved residual network of ArcFace, which AdaFace and FROM share up to names and details.

Unit: BN, conv 3x3, BN, PReLU, conv 3x3 with the stride, BN, plus a shortcut. Source: Deng et al., ArcFace,
section 3.2 (IR units, output structure BN-Dropout-FC-BN); tensors are named as in insightface's release.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import Tensor, nn

from fraudit.errors import WeightsError

WIDTHS = (64, 128, 256, 512)

DEPTHS: dict[int, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 14, 3),
    100: (3, 13, 30, 3),
    200: (6, 26, 60, 6),
}


class Unit(nn.Module):
    """One residual unit. `project` gives the shortcut a 1x1 convolution, else it is a strided copy."""

    def __init__(self, width_in: int, width: int, stride: int, project: bool, eps: float) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(width_in, eps=eps)
        self.conv1 = nn.Conv2d(width_in, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width, eps=eps)
        self.prelu = nn.PReLU(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width, eps=eps)
        self.stride = stride
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(width_in, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width, eps=eps)
            )
            if project
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x[:, :, :: self.stride, :: self.stride] if self.downsample is None else self.downsample(x)
        return self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x)))))) + shortcut


def stage(
    width_in: int, width: int, units: int, eps: float = 1e-5, project_same: bool = True
) -> nn.Sequential:
    """`units` units of one width; the first halves the picture.

    Args:
        project_same: whether its shortcut is a convolution also where the width does not change (not in AdaFace).
    """
    project = project_same or width_in != width
    return nn.Sequential(
        Unit(width_in, width, 2, project, eps), *(Unit(width, width, 1, False, eps) for _ in range(units - 1))
    )


class IResNet(nn.Module):
    """f32[N,3,112,112] -> f32[N,512], not normalised.

    Args:
        units: units of the four stages.
        eps: of every BatchNorm.
        project_same: see `stage`.
        affine: whether the last BatchNorm has weight and bias.
    """

    def __init__(
        self,
        units: tuple[int, int, int, int],
        *,
        eps: float = 1e-5,
        project_same: bool = True,
        affine: bool = True,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64, eps=eps)
        self.prelu = nn.PReLU(64)
        widths = (64, *WIDTHS)
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            stage(widths[i], widths[i + 1], units[i], eps, project_same) for i in range(4)
        )
        self.bn2 = nn.BatchNorm2d(512, eps=eps)
        self.fc = nn.Linear(512 * 7 * 7, 512)
        self.features = nn.BatchNorm1d(512, eps=eps, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        x = self.prelu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.features(self.fc(self.bn2(x).flatten(1)))


def recognise(units: tuple[int, ...], names: dict[int, str], file: str, what: str) -> int:
    """The depth whose stages have `units` units.

    Raises:
        WeightsError: none of the known depths has.
    """
    for depth in names:
        if DEPTHS[depth] == units:
            return depth
    known = ", ".join(f"{name} {list(DEPTHS[depth])}" for depth, name in names.items())
    raise WeightsError(
        f"{file}: expected {what} with units per stage {known}; found {list(units)}",
        "the file is incomplete or of another architecture",
    )


def count_units(keys: Iterable[str], place: Callable[[str], tuple[int, int] | None]) -> tuple[int, ...]:
    """Units of the four stages; `place` tells (stage 0..3, unit) of a key, or None."""
    seen: list[set[int]] = [set(), set(), set(), set()]
    for key in keys:
        at = place(key)
        if at is not None and 0 <= at[0] < 4:
            seen[at[0]].add(at[1])
    return tuple(len(units) for units in seen)
