"""Where a training starts from: the shape of its network, and the weights of a finished one (`--init`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fraudit.diffusion.data.attributes import attribute_names
from fraudit.diffusion.model.building import build_unet
from fraudit.diffusion.model.checkpoint import KIND, UPSCALER, load_state, read_inverter_card
from fraudit.diffusion.model.net2net import can_grow, grown_state
from fraudit.diffusion.model.superres import DEGRADATIONS
from fraudit.diffusion.model.unet import UNetConfig, with_conditions
from fraudit.diffusion.training.options import TrainOptions
from fraudit.diffusion.training.presets import Preset
from fraudit.errors import UsageError

OWN = ("prior.", "centre", "spread", "told.")  # the closed form of a training's own black box
CONDITIONS = ("identity_emb.", "attribute_emb.")

Shapes = Mapping[str, torch.Size]


def conditioned(preset: Preset, options: TrainOptions, identity_dim: int) -> UNetConfig:
    """The preset's network with the conditions that are trained; `identity_dim` is the length of ID vectors."""
    attribute_dim = len(attribute_names(options.attributes)) if options.attributes else None
    if preset.low_res_blur or preset.low_res_noise:
        attribute_dim = len(DEGRADATIONS)
    return with_conditions(preset.unet, identity_dim if options.identity else None, attribute_dim)


def require_warm_start(folder: Path, preset: Preset, options: TrainOptions) -> None:
    """Raise what `warm_start_weights` will: before anything is made, asked or fitted, which takes minutes.

    Raises:
        UsageError: its network has another shape, and not a smaller one that can grow.
        ArtifactError: no finished network there, or files missing, truncated or changed.
    """
    card = _card(folder, preset)
    theirs, mine = UNetConfig.from_dict(card["unet"]), conditioned(preset, options, 1)
    if preset.residual and (options.identity or preset.small_size):
        mine = replace(mine, prior_spread=1.0)  # how large is known only once the closed form is fitted
    if not can_grow(theirs, mine):
        _check_shapes(folder, card, preset, _shapes(mine), _shapes(theirs))
    load_state(folder, card)


def warm_start_weights(
    folder: Path, preset: Preset, config: UNetConfig, seed: int, mine: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """What a training's network takes over from a finished one, of whichever black box; a smaller network's grow.

    What belongs to the black box stays the training's own: the closed form, and projections of conditions of another
    length.

    Args:
        config: shape of the network to be trained.
        seed: of what growing shares out.
        mine: its weights by name.

    Raises:
        UsageError: its network has another shape, and not a smaller one that can grow (`net2net.can_grow`).
        ArtifactError: files missing, truncated or changed.
    """
    card = _card(folder, preset)
    state: Mapping[str, Tensor] = load_state(folder, card)
    theirs = UNetConfig.from_dict(card["unet"])
    if can_grow(theirs, config):
        large = replace(
            config,
            identity_dim=theirs.identity_dim,
            attribute_dim=theirs.attribute_dim,
            prior_spread=theirs.prior_spread,
        )
        state = grown_state(state, theirs, large, seed)
    shapes = {name: value.shape for name, value in mine.items()}
    _check_shapes(folder, card, preset, shapes, {name: value.shape for name, value in state.items()})
    return {
        name: value
        for name, value in state.items()
        if not name.startswith(OWN) and shapes.get(name) == value.shape
    }


def _card(folder: Path, preset: Preset) -> dict[str, Any]:
    return read_inverter_card(folder, UPSCALER if preset.small_size else KIND)


def _shapes(config: UNetConfig) -> Shapes:
    """Of the weights of such a network, without making any."""
    with torch.device("meta"):
        return {name: value.shape for name, value in build_unet(config).named_parameters()}


def _check_shapes(
    folder: Path, card: Mapping[str, Any], preset: Preset, mine: Shapes, theirs: Shapes
) -> None:
    free = {name for name in mine if name.startswith(CONDITIONS)}
    odd = sorted(
        name
        for name in (mine.keys() | theirs.keys()) - free
        if not name.startswith(OWN) and mine.get(name) != theirs.get(name)
    )
    if odd:
        raise UsageError(
            f"--init {folder}: its network ({card.get('preset', 'unknown preset')}) has another shape than "
            f"{preset.name}: {len(odd)} tensors differ, {odd[0]} first",
            "give the preset it was trained with or a larger one of its kind, or leave --init out",
        )
