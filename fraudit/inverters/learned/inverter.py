"""Trained inverters of Vec2Face (DiBiGAN) and NbNet: a folder with `card.json` and `weights.safetensors`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.errors import ArtifactError, UsageError
from fraudit.files.doors import check_ours, entering
from fraudit.files.store import file_sha256, write_atomic, write_text_atomic
from fraudit.types import DEFAULT_GUIDANCE, F32, I64, U8, InverterPlugin, MethodCard

if TYPE_CHECKING:
    from torch import Tensor, nn

WEIGHTS = "weights.safetensors"
CHUNK = 32
AGAIN = "train the inverter again (fraudit train-rival)"


class LearnedInverter:
    """A trained generator that turns ID vectors into faces.

    Attributes:
        name: `dibigan` or `nbnet`. size_px: S. card: what is known of its training.
    """

    def __init__(self, card: Mapping[str, Any], network: nn.Module, mean: F32, scale: F32) -> None:
        self.card = dict(card)
        self.name = str(card["kind"])
        self.size_px = int(card["size_px"])
        self.embedder_fingerprint = str(card["embedder_fingerprint"])
        self._network = network.eval()
        self._mean, self._scale = mean, scale

    def invert(
        self, id_vectors: F32, seeds: I64, *, guidance: float = DEFAULT_GUIDANCE, steps: int | None = None
    ) -> U8:
        """f32[N,D] raw ID vectors, i64[N] seeds -> u8[N,S,S,3] RGB faces; NbNet makes one picture of a vector.

        Args:
            guidance, steps: taken for the protocol's sake; a generator has none.
        Raises:
            UsageError: wrong dimension, or another number of seeds. DataError: a zero vector.
        """
        import torch
        import torch.nn.functional as F

        from fraudit.diffusion.model.conditioning import scaled_identity
        from fraudit.diffusion.sampling.samplers import to_pictures

        if len(seeds) != len(id_vectors):
            raise UsageError(f"expected one seed a vector: {len(id_vectors)}, found {len(seeds)}")
        y = (scaled_identity(id_vectors, len(self._mean), True) - self._mean) / self._scale
        made = []
        with torch.inference_mode():
            for start in range(0, len(y), CHUNK):
                identity = torch.from_numpy(y[start : start + CHUNK].astype(np.float32))
                if self.name == "nbnet":
                    made.append(to_pictures(self._network(identity)))
                    continue
                noise = self._noise(seeds[start : start + CHUNK])
                x = self._network(identity, noise, int(self.card.get("stage", 0)) or None)
                if x.shape[-1] != self.size_px:  # a training that was stopped before its last scale
                    x = F.interpolate(x, (self.size_px,) * 2, mode="bilinear")
                made.append(to_pictures(x))
        return np.concatenate(made)

    def _noise(self, seeds: I64) -> list[Tensor]:
        """The noise of each seed alone, whatever its batch."""
        import torch

        rows = [self._network.drawn(1, torch.Generator().manual_seed(int(s))) for s in seeds]  # type: ignore[operator]
        return [torch.cat(parts) for parts in zip(*rows, strict=True)]


MOST = {"size_px": 1024, "channels": 1024, "depth": 64, "blocks": 8, "noise": 4096, "layers": 32}
MOST_WIDTH, MOST_STAGES = 2048, 9


def checked(card: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The recipe of a card, whose sizes are such that the network can be built.

    Raises:
        ArtifactError: a size is missing, no whole number, or out of range.
    """
    recipe = card.get("recipe")
    if not isinstance(recipe, dict) or recipe.get("kind") != card["kind"]:
        raise ArtifactError(
            f"{folder / 'card.json'}: 'recipe' is not that of a {card['kind']} network", AGAIN
        )
    for key, most in MOST.items():
        value = recipe.get(key)
        if type(value) is not int or not 1 <= value <= most:
            raise ArtifactError(
                f"{folder / 'card.json'}: recipe.{key} is {value!r:.40}; expected 1 to {most}", AGAIN
            )
    widths = recipe.get("widths")
    if (
        not isinstance(widths, list)
        or len(widths) > MOST_STAGES
        or not all(type(w) is int and 1 <= w <= MOST_WIDTH for w in widths)
    ):
        raise ArtifactError(f"{folder / 'card.json'}: recipe.widths is {widths!r:.60}", AGAIN)
    if type(card.get("size_px")) is not int or card["size_px"] != recipe["size_px"]:
        raise ArtifactError(f"{folder / 'card.json'}: size_px is not that of its recipe", AGAIN)
    return recipe


def pictures_drawn(card: Mapping[str, Any]) -> int:
    """How many pictures a training has shown its network, repetitions included; 0 where its card does not tell."""
    recipe, told = card.get("recipe"), card.get("pictures_seen")
    if type(told) is int and 0 < told < 2**31:  # of a training in several parts
        return told
    if not isinstance(recipe, Mapping):
        return 0
    found = [card.get("steps"), *(recipe.get(key) for key in ("batch", "least", "steps"))]
    left, batch, least, each = (n if type(n) is int and 0 < n < 2**31 else 0 for n in found)
    if not (left and batch and least and each):
        return 0
    stages = len(recipe.get("widths") or ())
    if not stages:
        return left * batch
    drawn = 0
    for stage in range(stages):
        here = left if stage + 1 == stages else min(left, each)
        drawn += here * max(least, batch >> stage)
        left -= here
    return drawn


def network_of(recipe: Mapping[str, Any], dim: int) -> nn.Module:
    """The untrained generator that a recipe (as plain values) describes."""
    from fraudit.inverters.learned.gan import Generator
    from fraudit.inverters.learned.nbnet import NbNet
    from fraudit.inverters.learned.presets import ROWS

    if recipe["kind"] == "nbnet":
        return NbNet(
            dim,
            int(recipe["size_px"]),
            str(recipe["variant"]),
            int(recipe["channels"]),
            int(recipe["depth"]),
            int(recipe["blocks"]),
        )
    widths = tuple(int(w) for w in recipe["widths"])
    return Generator(dim, widths, int(recipe["noise"]), int(recipe["layers"]), ROWS[str(recipe["row"])][0])


def save(
    folder: Path, card: Mapping[str, Any], state: Mapping[str, Tensor], mean: F32, scale: F32
) -> dict[str, Any]:
    """Write card and fp16 weights, atomically; the card as written.

    Raises:
        UsageError: the folder holds another program's files.
    """
    import torch
    from safetensors.torch import save_file

    check_ours(
        folder / "card.json", lambda c: c.get("kind") == card["kind"], f"{card['kind']} inverter of fraudit"
    )
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for name, value in state.items()
    }
    tensors["identity.mean"], tensors["identity.scale"] = torch.from_numpy(mean), torch.from_numpy(scale)
    path = folder / WEIGHTS
    write_atomic(path, lambda p: save_file(tensors, p))
    return _written(folder, {**card, "weights_sha256": file_sha256(path), "size_bytes": path.stat().st_size})


def amend(folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Add `facts` to the card of an inverter that `save` wrote; the card as written."""
    from fraudit.inverters.loading import read_card

    return _written(folder, {**read_card(folder), **facts})


def _written(folder: Path, card: dict[str, Any]) -> dict[str, Any]:
    write_text_atomic(folder / "card.json", json.dumps(card, indent=2) + "\n")
    return card


def load(folder: Path) -> LearnedInverter:
    """The inverter that `save` wrote. Raises ArtifactError where a file is missing, changed or does not fit."""
    from safetensors.torch import load_file

    from fraudit.inverters.learned import gan
    from fraudit.inverters.loading import read_card

    card, path = read_card(folder), folder / WEIGHTS
    if not path.is_file():
        raise ArtifactError(f"{path} is missing", AGAIN)
    if file_sha256(path) != card.get("weights_sha256"):
        raise ArtifactError(f"{path} does not match its card", AGAIN)
    recipe = checked(card, folder)
    if card["kind"] == "dibigan" and card.get("form") != gan.FORM:
        raise ArtifactError(
            f"{folder / 'card.json'}: expected weights of form {gan.FORM}, found {card.get('form')!r:.20}",
            AGAIN,
        )
    with entering(f"{path} cannot be read", AGAIN, ArtifactError, RuntimeError):
        tensors = load_file(path)
        mean, scale = (tensors.pop(f"identity.{k}").numpy() for k in ("mean", "scale"))
        network = network_of(recipe, len(mean))
        network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
        return LearnedInverter(card, network, mean, scale)


def _method(source: str, samples: Any, published: tuple[tuple[str, float], ...], kind: str) -> MethodCard:
    return MethodCard(
        source=source,
        attacker="vectors",
        samples=samples,
        training="a generator: an hour on two cores for the preset cpu, days on GPUs for paper",
        data="faces with their vectors",
        questions="none; its training asks for the vectors of its pictures",
        scale="preset cpu: 64 px and a small part of the paper's channels and steps",
        published=published,
        get=f"fraudit train-rival {kind} --embedder NAME --dataset celeba,utkface --out DIR, then "
        "--inverter DIR/inverter",
    )


DIBIGAN = InverterPlugin(
    name="dibigan",
    load=load,
    summary="Vec2Face: bijective metric, distilled student, feature-conditional progressive generator",
    method=_method(
        "Duong et al. 2020", "one-to-many", (("ArcFace vectors (Vec2Face, Table 2, F)", 0.9913),), "dibigan"
    ),
)
NBNET = InverterPlugin(
    name="nbnet",
    load=load,
    summary="NbNet: neighbourly de-convolutional network",
    method=_method(
        "Mai et al. 2018",
        "one-to-one",
        (("ArcFace vectors, VGG-NbNet (Vec2Face, Table 2)", 0.9142), ("ID3PM, Table 2", 0.8732)),
        "nbnet",
    ),
)
