"""The second stage of ID3PM: a super-resolution diffusion model over any inverter's pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraudit.embedding.devices import channels_last, device_name
from fraudit.errors import UsageError
from fraudit.types import I64, U8

if TYPE_CHECKING:
    from fraudit.diffusion.model.unet import UNet


@dataclass(frozen=True, slots=True)
class Upscaler:
    """A super-resolution network and how it is sampled.

    Attributes:
        network: in evaluation mode; `network.config.image_size` is the side of what it makes.
        schedule: noise schedule it was trained with.
        temperature: of sampling, see `samplers.tempered`.
        told: blur and noise, 0..1 each, that it takes an inverter's pictures to have.
        card: what is known of its training; {} of a guided-diffusion checkpoint.
    """

    network: UNet
    schedule: str
    temperature: float
    told: tuple[float, ...]
    card: dict[str, Any]

    @property
    def refines(self) -> bool:
        """Whether it starts from the enlarged picture: sampled by `dpm++` alone, whatever made the small ones."""
        return self.network.config.prior_spread > 0

    def enlarge(
        self, pictures: U8, seeds: Sequence[int] | I64, *, steps: int = 10, sampler: str = "dpm++"
    ) -> U8:
        """u8[N,s,s,3] -> u8[N,S,S,3] on $FRAUDIT_DEVICE, else a GPU where there is one.

        Raises:
            UsageError: an unknown sampler, steps out of range, or another one than `dpm++` for a network that refines.
        """

        from fraudit.diffusion.sampling.samplers import upscale

        device = device_name()
        network = channels_last(self.network, device).requires_grad_(False)
        return upscale(
            network,
            pictures,
            seeds,
            schedule=self.schedule,
            sampler=sampler,
            steps=steps,
            temperature=self.temperature,
            told=self.told,
            device=device,
            chunk=8 if device.startswith("cuda") else 1,
        )


def bundled(size_px: int) -> Path:
    """Folder of the upscaler that is shipped for pictures of `size_px`. Raises UsageError where there is none."""
    from importlib.resources import files

    from fraudit.diffusion.model.checkpoint import UPSCALER, read_inverter_card

    root = Path(str(files("fraudit") / "data" / "upscalers"))
    for path in sorted(root.glob("*/card.json")):
        if read_inverter_card(path.parent, UPSCALER)["small_px"] == size_px:
            return path.parent
    raise UsageError(
        f"--upscale auto: no upscaler for pictures of {size_px} px is bundled",
        "train one with fraudit train-upscaler",
    )


def find_upscaler(choice: str, size_px: int) -> Upscaler:
    """The upscaler of `auto` (the bundled one), a folder or a file; see `open_upscaler`."""
    if choice != "auto" and not Path(choice).exists():
        raise UsageError(
            f"--upscale {choice}: no such file or folder",
            "auto (bundled), a folder of fraudit train-upscaler, or a guided-diffusion checkpoint",
        )
    return open_upscaler(bundled(size_px) if choice == "auto" else Path(choice), size_px)


def open_upscaler(path: Path, size_px: int) -> Upscaler:
    """The super-resolution network of `fraudit train-upscaler` (a folder) or of guided-diffusion (a file).

    A file is a `.pt`, read without code, or safetensors; shape and width are read from its tensors, attention has 4
    heads and the schedule is linear, as in Table 2 and in the release.

    Raises:
        ArtifactError: a folder without an upscaler, or with changed or truncated files.
        WeightsError: no such file, not such a checkpoint, or tensors that do not fit.
        UsageError: not a super-resolution network, or one that does not enlarge pictures of `size_px`.
    """
    from fraudit.diffusion.model.checkpoint import UPSCALER, load_inverter_network
    from fraudit.diffusion.model.guided_checkpoint import load_guided_diffusion

    if path.is_dir():
        network, card = load_inverter_network(path, UPSCALER)
        told = tuple(float(level) for level in card.get("told", (0.0, 0.0)))
        found = Upscaler(network, card["schedule"], float(card.get("temperature", 1.0)), told, card)
        if card["small_px"] != size_px:
            raise UsageError(
                f"{path} enlarges pictures of {card['small_px']} px, the inverter's have {size_px} px",
                "train one for them with fraudit train-upscaler",
            )
        return found
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
    return Upscaler(network, "linear", 1.0, (), {})
