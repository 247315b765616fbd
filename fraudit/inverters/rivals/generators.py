"""Generators with a latent, none of which knows the black box: what latent search looks through.

Two are bundled and serve every box: eigenfaces, the linear statistical model of faces in the closed-form inverter,
and the unconditional branch of the bundled ID3PM, whose latent is the noise that its sampler starts from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.errors import InsufficientData
from fraudit.files.store import file_sha256
from fraudit.inverters.linear import load as load_linear
from fraudit.inverters.loading import bundled_root, read_card
from fraudit.types import F32, U8

LATENT_STEPS = 4  # of the sampler while it is searched: a picture costs so many evaluations of the network


@dataclass(frozen=True, slots=True)
class Generator:
    """Pictures from standard normal latents.

    Attributes:
        name: in notes and cache keys. size: of a latent.
        pictures: f32[N,size] -> u8[N,S,S,3] in the inverters' geometry.
        key: of everything that decides a picture. kin: fingerprints of models whose vectors it was trained with.
        costly: whether a picture costs evaluations of a network.
    """

    name: str
    size: int
    pictures: Callable[[F32], U8]
    key: str
    kin: frozenset[str] = frozenset()
    costly: bool = False


def bundled_folder(kind: str) -> Path:
    """Folder of a bundled inverter of this kind, whatever its box. Raises InsufficientData where there is none."""
    for path in sorted(bundled_root().glob("*/card.json")):
        if read_card(path.parent)["kind"] == kind:
            return path.parent
    raise InsufficientData(f"no {kind} inverter is bundled with this installation")


def bundled_state() -> dict[str, str]:
    """SHA-256 of each bundled inverter's card, which names its weights: what an attack finds with them rests on it."""
    return {path.parent.name: file_sha256(path) for path in sorted(bundled_root().glob("*/card.json"))}


def kin_of(card: Any) -> frozenset[str]:
    """Fingerprints of the models for whose vectors an inverter or one before it was trained."""
    found, cards = set(), [card]
    while cards:
        one = cards.pop()
        found.add(one.get("embedder_fingerprint"))
        cards += [one[key] for key in ("adapted_from", "init") if isinstance(one.get(key), dict)]
    return frozenset(str(f) for f in found if f)


def eigenface_generator() -> Generator:
    """The bundled linear model of faces: a latent is one number of unit variance a component."""
    inverter = load_linear(bundled_folder("linear"))
    faces = inverter.faces

    def pictures(latents: F32) -> U8:
        return np.clip(np.rint(faces.decode(latents)), 0, 255).astype(np.uint8)

    return Generator("eigenfaces", faces.k, pictures, str(inverter.card["weights_sha256"]))


def diffusion_generator() -> Generator:
    """The unconditional branch of the bundled ID3PM; its latent is the starting noise of a deterministic sampler."""
    import torch

    from fraudit.diffusion.sampling.gaussian import GaussianDiffusion
    from fraudit.diffusion.sampling.samplers import (
        CHUNK,
        SeededNoise,
        guided,
        run_sampler,
        to_pictures,
        without_blocks,
        without_tints,
    )

    network, card = unconditional()
    process = GaussianDiffusion(card["schedule"], learn_sigma=network.config.learn_sigma)
    side, patch = network.config.image_size, network.config.patch

    class Given(SeededNoise):
        """Noise that was chosen."""

        def __init__(self, noise: torch.Tensor) -> None:
            super().__init__([], noise.device)
            self.noise = noise

        def draw(self, shape: tuple[int, ...]) -> torch.Tensor:
            return self.noise.reshape(-1, *shape)

    def pictures(latents: F32) -> U8:
        made = []
        with torch.inference_mode():
            for start in range(0, len(latents), 2 * CHUNK):
                noise = torch.from_numpy(np.ascontiguousarray(latents[start : start + 2 * CHUNK]))
                x = run_sampler(
                    guided(network, None, None, 1.0),
                    process,
                    Given(noise),
                    (3, side, side),
                    steps=LATENT_STEPS,
                )
                made.append(to_pictures(without_tints(without_blocks(x)) if patch == 2 else x))
        return np.concatenate(made)

    key = f"{card.get('weights_sha256') or sorted(f['sha256'] for f in card['files'])} {LATENT_STEPS}"
    return Generator("unconditional ID3PM", 3 * side * side, pictures, key, kin_of(card), costly=True)


def unconditional() -> tuple[Any, dict[str, Any]]:
    """(network in evaluation mode, card) of the bundled ID3PM. Raises InsufficientData where there is none."""
    from fraudit.diffusion.model.checkpoint import load_inverter_network

    network, card = load_inverter_network(bundled_folder("id3pm"))
    return network.eval(), dict(card)
