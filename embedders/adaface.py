"""AdaFace (Kim et al., CVPR 2022): ir_18, ir_34, ir_50 and ir_101 from the official Lightning checkpoints.

The network answers e * norm, its feature before the L2 normalisation, because the official flip fusion adds
these and normalises the sum; `unit_after_fusion` makes the runtime normalise last, so that a single view
gives the official unit embedding. Input is BGR.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from fraudit.embedding.bundled import BUNDLED
from fraudit.errors import WeightsError
from fraudit.types import ARCFACE_112, EmbedderPlugin, LoadedEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable

    from fraudit.embedders.networks.build import State

# ir_101 has as many units as ArcFace's r100.
NAMES = {18: "ir_18", 34: "ir_34", 50: "ir_50", 100: "ir_101"}

SPEC = BUNDLED["adaface"].spec(ARCFACE_112)

_BLOCK = re.compile(r"body\.(\d+)\.")
_UNIT = re.compile(r"layer([1-4])\.(\d+)\.(.+)\.([^.]+)$")
_WHOLE = {
    "conv1": "input_layer.0",
    "bn1": "input_layer.1",
    "prelu": "input_layer.2",
    "bn2": "output_layer.0",
    "fc": "output_layer.3",
    "features": "output_layer.4",
}
_PART = {
    "bn1": "res_layer.0",
    "conv1": "res_layer.1",
    "bn2": "res_layer.2",
    "prelu": "res_layer.3",
    "conv2": "res_layer.4",
    "bn3": "res_layer.5",
    "downsample.0": "shortcut_layer.0",
    "downsample.1": "shortcut_layer.1",
}


def official_key(units: tuple[int, ...]) -> Callable[[str], str]:
    """Names in the official checkpoint, whose `body` numbers the units of all stages in one row."""

    def name(key: str) -> str:
        at = _UNIT.match(key)
        if at is None:
            module, _, leaf = key.rpartition(".")
            return f"{_WHOLE[module]}.{leaf}"
        block = sum(units[: int(at[1]) - 1]) + int(at[2])
        return f"body.{block}.{_PART[at[3]]}.{at[4]}"

    return name


def load(weights: Path | str | None = None, device: str = "") -> LoadedEmbedder:
    """AdaFace's network, ready to answer.

    Args:
        weights: the official Lightning checkpoint, or its `model.*` tensors as a flat state dict.
        device: torch device; '' takes $FRAUDIT_DEVICE, else a GPU where there is one.
    Raises:
        WeightsError: no file, or it is truncated, of another network, or carries code.
    """
    from fraudit.embedders.networks.build import black_box, fill, given, without_prefix
    from fraudit.embedders.networks.iresnet import DEPTHS, IResNet
    from fraudit.weights.catalogue import sha256_of
    from fraudit.weights.checkpoints import read_state

    path = given(weights, SPEC)
    state = without_prefix(read_state(path), "model.")
    depth = _variant(state, path.name)
    network = fill(
        lambda: IResNet(DEPTHS[depth], project_same=False, affine=False),
        state,
        what=f"AdaFace {NAMES[depth]}",
        file=path.name,
        file_key=official_key(DEPTHS[depth]),
        unused=lambda key: key.startswith("head."),
    )
    return black_box(network, SPEC, variant=NAMES[depth], weights_sha256=sha256_of(path), device=device)


def _variant(state: State, file: str) -> int:
    """Depth by the widths of the blocks' first convolutions, in the order of the blocks."""
    from fraudit.embedders.networks.iresnet import WIDTHS, recognise

    widths: dict[int, int] = {}
    for key, value in state.items():
        at = _BLOCK.match(key)
        if at and key.endswith("res_layer.1.weight") and value.ndim == 4:
            widths[int(at[1])] = value.shape[0]
    row = [width for _, width in sorted(widths.items())]
    if not row or any(left > right for left, right in pairwise(row)):
        found = ", ".join(list(state)[:3])
        raise WeightsError(
            f"{file}: expected AdaFace's ir_18 to ir_101 (tensors model.body.0.res_layer.1.weight, ...), "
            f"found {found}, ...",
            "check which embedder the file belongs to",
        )
    return recognise(tuple(row.count(width) for width in WIDTHS), NAMES, file, "AdaFace")


EMBEDDER = EmbedderPlugin(name="adaface", spec=SPEC, load=load)
