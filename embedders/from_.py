"""FROM (Qiu et al., TPAMI 2021): face recognition that masks the features an occluder corrupted.

The release states no licence, so the network is a clean-room implementation. The ID vector is `fc_mask`,
raw and 512-d. Faces are 112 high and 96 wide.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fraudit.embedding.bundled import BUNDLED
from fraudit.errors import WeightsError
from fraudit.types import ARCFACE_112, EmbedderPlugin, LoadedEmbedder

SPEC = BUNDLED["from"].spec(ARCFACE_112 - np.array([8, 0], np.float32))

# Heads of training, and levels of the pyramid that nothing reads.
UNUSED = ("regress.", "fpn.P6.", "fpn.P7_2.", "fpn.P5_2.", "fpn.P4_2.")


def official_key(key: str) -> str:
    """Name in the release: the slopes inside a unit are called prelu1."""
    return key.replace(".prelu.", ".prelu1.")


def load(weights: Path | str | None = None, device: str = "") -> LoadedEmbedder:
    """FROM's network, ready to answer.

    Args:
        weights: the release's .pth.tar, a dictionary with `state_dict`.
        device: torch device; '' takes $FRAUDIT_DEVICE, else a GPU where there is one.
    Raises:
        WeightsError: no file, or it is truncated, of another network, or carries code.
    """
    from fraudit.embedders.networks.build import black_box, fill, given, without_prefix
    from fraudit.embedders.networks.occlusion import OccNet
    from fraudit.weights.catalogue import sha256_of
    from fraudit.weights.checkpoints import read_state

    path = given(weights, SPEC)
    state = without_prefix(read_state(path), "module.")
    if not any(key.startswith("fpn.") for key in state):
        raise WeightsError(
            f"{path.name}: expected FROM's network (tensors fpn.P3_1.weight, mask.0.weight, ...), "
            f"found {', '.join(list(state)[:3])}, ...",
            "check which embedder the file belongs to",
        )
    network = fill(
        OccNet,
        state,
        what="FROM LResNet50E_IR_Occ",
        file=path.name,
        file_key=official_key,
        unused=lambda key: key.startswith(UNUSED),
    )
    return black_box(network, SPEC, variant="p5", weights_sha256=sha256_of(path), device=device)


EMBEDDER = EmbedderPlugin(name="from", spec=SPEC, load=load)
