"""The second stage of ID3PM: a 64 -> 256 diffusion model over any inverter's pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fraudit.errors import UsageError
from fraudit.types import I64, U8

if TYPE_CHECKING:
    from fraudit.diffusion.unet import UNet


def open_upscaler(path: Path, size_px: int) -> UNet:
    """The super-resolution network in a guided-diffusion checkpoint (`.pt`, read without code, or safetensors).

    Shape and width are read from its tensors; attention has 4 heads as in Table 2 and in the release.

    Raises:
        WeightsError: no such file, not such a checkpoint, or tensors that do not fit.
        UsageError: not a super-resolution network, or one that does not enlarge pictures of `size_px`.
    """
    from fraudit.diffusion.guided_checkpoint import load_guided_diffusion

    network = load_guided_diffusion(path, num_heads=4)
    config = network.config
    if config.low_res_channels != 3:
        raise UsageError(
            f"{path} makes pictures from nothing; expected a network that takes a small picture as well",
            "a super-resolution checkpoint such as guided-diffusion's 64 to 256",
        )
    if config.image_size <= size_px:
        raise UsageError(
            f"{path} makes pictures of {config.image_size} px, the inverter already {size_px} px"
        )
    return network


def enlarge(
    network: UNet, pictures: U8, seeds: Sequence[int] | I64, *, steps: int = 10, sampler: str = "dpm++"
) -> U8:
    """u8[N,s,s,3] -> u8[N,S,S,3] on $FRAUDIT_DEVICE, else a GPU where there is one; linear schedule (Table 2)."""
    import os

    import torch

    from fraudit.diffusion.samplers import upscale

    device = os.environ.get("FRAUDIT_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    network = network.to(device, memory_format=torch.channels_last)
    return upscale(
        network, pictures, seeds, schedule="linear", sampler=sampler, steps=steps, device=device,
        chunk=8 if device.startswith("cuda") else 1,
    )  # fmt: skip
