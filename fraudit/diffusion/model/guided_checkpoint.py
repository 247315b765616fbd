"""Load checkpoints of the guided-diffusion release; what the tensors tell need not be said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fraudit.diffusion.model.building import build_unet
from fraudit.diffusion.model.unet import DEFAULT_MULTIPLIERS, UNet, UNetConfig
from fraudit.errors import UsageError, WeightsError


def infer_config(state: Mapping[str, Any], **known: Any) -> UNetConfig:
    """Shape of the network that `state` belongs to.

    Tensors tell channels, multipliers, residual blocks, attention levels, the way of resampling, the norm,
    learned variance and the conditions. They do not tell the number of heads, the order of attention
    channels and dropout, nor the side of the picture (the default for the number of levels is taken);
    `known` gives these and overrides anything else.

    Raises:
        WeightsError: the tensors are not those of such a network.
    """
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    try:
        base = shapes["time_embed.0.weight"][1]
        first, in_channels = shapes["input_blocks.0.0.weight"][:2]
        out_channels = shapes["out.2.weight"][0]
    except KeyError as error:
        raise WeightsError(
            f"not a guided-diffusion U-Net: the tensor {error} is missing",
            "give the state dict of the model, not of an optimizer or another network",
        ) from error
    count = 1 + max(int(m[1]) for m in (re.match(r"input_blocks\.(\d+)\.", k) for k in shapes) if m)
    blocks = _blocks_between_resampling(shapes, count)
    updown = not any(_is_resampler(shapes, index) for index in range(1, count)) and blocks < count - 1
    firsts = range(1, count, blocks + 1)
    widths = [shapes[f"input_blocks.{index}.0.in_layers.2.weight"][0] for index in firsts]
    attention = [index for index in range(1, count) if f"input_blocks.{index}.1.qkv.weight" in shapes]
    attended = {(index - 1) // (blocks + 1) for index in attention}
    learned_resampling = any(f"input_blocks.{index}.0.op.weight" in shapes for index in range(1, count))
    mult = tuple(width / base for width in widths)
    embedded = shapes["input_blocks.1.0.emb_layers.1.weight"][0]
    size = known.get("image_size")
    if size is None:
        size = next((s for s, m in DEFAULT_MULTIPLIERS.items() if tuple(m) == mult), 8 * 2 ** (len(mult) - 1))
    found: dict[str, Any] = {
        "image_size": size,
        "num_channels": base,
        "num_res_blocks": blocks,
        "channel_mult": mult,
        "attention_resolutions": tuple(size // 2**level for level in sorted(attended)),
        "resblock_updown": updown,
        "conv_resample": learned_resampling or updown,
        "use_scale_shift_norm": embedded == 2 * shapes["input_blocks.1.0.in_layers.2.weight"][0],
        "learn_sigma": out_channels == 6,
        "low_res_channels": in_channels - 3,
        "identity_dim": shapes["identity_emb.weight"][1] if "identity_emb.weight" in shapes else None,
        "attribute_dim": shapes["attribute_emb.weight"][1] if "attribute_emb.weight" in shapes else None,
        "num_classes": shapes["label_emb.weight"][0] if "label_emb.weight" in shapes else None,
    }
    if first != int(mult[0] * base):
        raise WeightsError(f"the first convolution has {first} channels; expected {int(mult[0] * base)}")
    return UNetConfig.from_dict({**found, **known})


def _is_resampler(shapes: Mapping[str, tuple[int, ...]], index: int) -> bool:
    """Whether stage `index` of the way down is a plain resampler (which may have no tensors at all)."""
    return f"input_blocks.{index}.0.in_layers.2.weight" not in shapes


def _blocks_between_resampling(shapes: Mapping[str, tuple[int, ...]], count: int) -> int:
    """Residual blocks a level.

    A block that resamples looks like any other on the way down. On the way up each level but the last ends
    with the resampler, behind the last block (and its attention) in the same stage; that stage's index is
    the number of blocks.
    """
    for index in range(1, count):
        if _is_resampler(shapes, index):
            return index - 1
    for index in range(count):
        if any(f"output_blocks.{index}.{place}.in_layers.2.weight" in shapes for place in (1, 2)):
            return index
    return count - 1


def load_guided_diffusion(
    source: Mapping[str, Any] | str | Path, config: UNetConfig | Mapping[str, Any] | None = None, **known: Any
) -> UNet:
    """A network in evaluation mode with the weights of a guided-diffusion state dict or .pt file.

    Args:
        source: state dict (tensors or arrays), or the file; files are read with weights only, no code.
        config: the network's shape; None infers it from the tensors, helped by `known`
            (`num_heads=4, use_new_attention_order=True, ...`).

    Raises:
        WeightsError: missing, surplus or misshapen tensors, a truncated file, or values not finite.
    """
    state = _read(Path(source)) if isinstance(source, (str, Path)) else source
    tensors = {key: torch.as_tensor(value) for key, value in state.items()}
    if config is None:
        network = build_unet(infer_config(tensors, **known))
    else:
        if known:
            raise UsageError(f"give either a config or single options, not both ({', '.join(known)})")
        network = build_unet(config)
    load_strictly(network, tensors)
    return network.eval()


def load_strictly(network: torch.nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy `tensors` into `network`; WeightsError unless all keys and shapes fit and values are finite."""
    expected = network.state_dict()
    missing = sorted(set(expected) - set(tensors))
    surplus = sorted(set(tensors) - set(expected))
    if missing or surplus:
        raise WeightsError(
            f"the tensors do not fit the network: {len(missing)} missing (such as {missing[:1]}), "
            f"{len(surplus)} unknown (such as {surplus[:1]})",
            "the checkpoint is of another configuration; see UNetConfig",
        )
    for key, value in expected.items():
        if value.shape != tensors[key].shape:
            raise WeightsError(
                f"tensor {key}: expected shape {list(value.shape)}, found {list(tensors[key].shape)}",
                "the checkpoint is of another configuration; see UNetConfig",
            )
        if not torch.isfinite(tensors[key]).all():
            raise WeightsError(f"tensor {key} holds values that are not finite", "the checkpoint is damaged")
    network.load_state_dict({key: value.float() for key, value in tensors.items()})


def _read(path: Path) -> Mapping[str, Tensor]:
    """Tensors of a safetensors file, or of a .pt file, of which nothing is executed."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from fraudit.weights.checkpoints import read_state

    if not path.is_file():
        raise WeightsError(f"no checkpoint at {path}", "check the path")
    if path.suffix != ".safetensors":
        return read_state(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} cannot be read as a checkpoint: {error}", "fetch the file again"
        ) from error
