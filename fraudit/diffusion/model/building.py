"""Builds the network that a shape describes: plain, refining a closed form, or for super-resolution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fraudit.diffusion.model.closed_form import ClosedFormUNet
from fraudit.diffusion.model.superres import SuperResUNet
from fraudit.diffusion.model.unet import UNet, UNetConfig


def build_unet(config: UNetConfig | Mapping[str, Any]) -> UNet:
    """The network of `config` (a `UNetConfig` or its plain values), of the kind it describes."""
    shape = config if isinstance(config, UNetConfig) else UNetConfig.from_dict(config)
    if shape.low_res_channels:
        return SuperResUNet(shape)
    return ClosedFormUNet(shape) if shape.prior_spread > 0 else UNet(shape)
