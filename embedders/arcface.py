"""ArcFace (Deng et al., CVPR 2019): iresnet of insightface's arcface_torch, and the older `torchtest.pt`.

Both layouts hold the same network under other names; the older one was converted from MXNet (BatchNorm
epsilon 2e-5, no batch counters, the container before torch 1.6). Which one it is and how deep, the tensors
tell. ID vectors are raw, 512-d, not normalised.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from fraudit.embedding.bundled import BUNDLED
from fraudit.errors import WeightsError
from fraudit.types import ARCFACE_112, EmbedderPlugin, LoadedEmbedder

if TYPE_CHECKING:
    from fraudit.embedders.networks.build import State

NAMES = {18: "r18", 34: "r34", 50: "r50", 100: "r100", 200: "r200"}

SPEC = BUNDLED["arcface"].spec(ARCFACE_112)

_UNIT = re.compile(r"layer([1-4])\.(\d+)\.")
_LEGACY_UNIT = re.compile(r"stage([1-4])_unit(\d+)_")
_LEGACY = {"conv1": "conv0", "bn1": "bn0", "prelu": "relu0", "bn2": "bn1", "fc": "pre_fc1", "features": "fc1"}
_LEGACY_PART = {"prelu": "relu1", "downsample.0": "conv1sc", "downsample.1": "sc"}


def legacy_key(key: str) -> str:
    """Name in `torchtest.pt` of a tensor of the network."""
    module, _, leaf = key.rpartition(".")
    at = _UNIT.match(key)
    if at is None:
        return f"{_LEGACY[module]}.{leaf}"
    part = module[at.end() :]
    return f"stage{at[1]}_unit{int(at[2]) + 1}_{_LEGACY_PART.get(part, part)}.{leaf}"


def load(weights: Path | str | None = None, device: str = "") -> LoadedEmbedder:
    """ArcFace's network, ready to answer.

    Args:
        weights: a flat state dict of arcface_torch, or `torchtest.pt`.
        device: torch device; '' takes $FRAUDIT_DEVICE, else a GPU where there is one.
    Raises:
        WeightsError: no file, or it is truncated, of another network, or carries code.
    """
    from fraudit.embedders.networks.build import black_box, fill, given, without_prefix
    from fraudit.embedders.networks.iresnet import DEPTHS, IResNet
    from fraudit.weights.catalogue import sha256_of
    from fraudit.weights.checkpoints import read_state

    path = given(weights, SPEC)
    state = without_prefix(read_state(path), "module.")
    depth, legacy = _variant(state, path.name)
    network = fill(
        lambda: IResNet(DEPTHS[depth], eps=2e-5 if legacy else 1e-5),
        state,
        what=f"ArcFace {NAMES[depth]}",
        file=path.name,
        file_key=legacy_key if legacy else lambda key: key,
    )
    variant = f"{NAMES[depth]}-torchtest" if legacy else NAMES[depth]
    return black_box(network, SPEC, variant=variant, weights_sha256=sha256_of(path), device=device)


def _variant(state: State, file: str) -> tuple[int, bool]:
    from fraudit.embedders.networks.iresnet import count_units, recognise

    for pattern, legacy in ((_UNIT, False), (_LEGACY_UNIT, True)):

        def place(key: str, pattern: re.Pattern[str] = pattern) -> tuple[int, int] | None:
            at = pattern.match(key)
            return (int(at[1]) - 1, int(at[2])) if at else None

        units = count_units(state, place)
        if any(units):
            return recognise(units, NAMES, file, "ArcFace's iresnet"), legacy
    found = ", ".join(list(state)[:3])
    raise WeightsError(
        f"{file}: expected ArcFace's iresnet (tensors layer1.0.conv1.weight or stage1_unit1_conv1.weight, ...), "
        f"found {found}, ...",
        "check which embedder the file belongs to",
    )


EMBEDDER = EmbedderPlugin(name="arcface", spec=SPEC, load=load)
