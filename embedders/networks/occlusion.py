"""FROM's network (Qiu et al., TPAMI 2021, "End2End Occluded Face Recognition by Masking Corrupted Features").

Clean-room: written from the paper's description and the shapes of the tensors. A feature pyramid over the
last three stages predicts which cells of the last feature map an occluder corrupted, and the identity is
read from the map without them. Tensors are named as in the release.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from fraudit.embedders.networks.iresnet import DEPTHS, stage

PYRAMID = 256


class Pyramid(nn.Module):
    """The finest level (256 x 28 x 24) of a feature pyramid over the maps of 128, 256 and 512 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.P5_1 = nn.Conv2d(512, PYRAMID, 1)
        self.P4_1 = nn.Conv2d(256, PYRAMID, 1)
        self.P3_1 = nn.Conv2d(128, PYRAMID, 1)
        self.P3_2 = nn.Conv2d(PYRAMID, PYRAMID, 3, padding=1)

    def forward(self, c3: Tensor, c4: Tensor, c5: Tensor) -> Tensor:
        p4 = self.P4_1(c4) + F.interpolate(self.P5_1(c5), scale_factor=2.0, mode="nearest")
        return self.P3_2(self.P3_1(c3) + F.interpolate(p4, scale_factor=2.0, mode="nearest"))


class OccNet(nn.Module):
    """f32[N,3,112,96] -> f32[N,512], the release's `fc_mask`, not normalised."""

    def __init__(self) -> None:
        super().__init__()
        units = DEPTHS[50]
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.prelu1 = nn.PReLU(64)
        self.layer1 = stage(64, 64, units[0])
        self.layer2 = stage(64, 128, units[1])
        self.layer3 = stage(128, 256, units[2])
        self.layer4 = stage(256, 512, units[3])
        self.fpn = Pyramid()
        self.mask = nn.Sequential(
            nn.Conv2d(PYRAMID, PYRAMID, 3, stride=2, padding=1, bias=False),
            nn.PReLU(PYRAMID),
            nn.BatchNorm2d(PYRAMID),
            nn.Conv2d(PYRAMID, 512, 3, stride=2, padding=1, bias=False),
            nn.Sigmoid(),
        )
        cells = 512 * 7 * 6
        self.fc = nn.Sequential(
            nn.BatchNorm1d(cells), nn.Dropout(0.5), nn.Linear(cells, 512), nn.BatchNorm1d(512)
        )

    def occlusion(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The last feature map and its mask, both f32[N,512,7,6]."""
        x = self.prelu1(self.bn1(self.conv1(x)))
        c3 = self.layer2(self.layer1(x))
        c4 = self.layer3(c3)
        c5 = self.layer4(c4)
        return c5, self.mask(self.fpn(c3, c4, c5))

    def forward(self, x: Tensor) -> Tensor:
        features, mask = self.occlusion(x)
        return self.fc((features * mask).flatten(1))
