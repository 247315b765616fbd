"""FaceNet: Inception-ResNet-v1 of facenet-pytorch (.pt) or of the TensorFlow original (frozen .pb).

Official crops are the box that MTCNN draws, margin 0, stretched to 160x160 without rotation. This project
aligns by five points like everywhere else, to a template that puts them where they lie on average in such a
crop (see TEMPLATE): same framing, but upright and not stretched, so figures on unaligned pictures can differ
a little from those of the official pipeline. ID vectors have unit length.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fraudit.embedding.bundled import BUNDLED
from fraudit.errors import WeightsError
from fraudit.types import FACENET_160, EmbedderPlugin, LoadedEmbedder

if TYPE_CHECKING:
    import torch

TEMPLATE = FACENET_160

SPEC = BUNDLED["facenet"].spec(FACENET_160)

# Scopes of TensorFlow's graph for the modules of the network. Names within a branch tell size and place.
_SCOPES = {
    "conv2d_1a": "Conv2d_1a_3x3",
    "conv2d_2a": "Conv2d_2a_3x3",
    "conv2d_2b": "Conv2d_2b_3x3",
    "conv2d_3b": "Conv2d_3b_1x1",
    "conv2d_4a": "Conv2d_4a_3x3",
    "conv2d_4b": "Conv2d_4b_3x3",
    "mixed_6a.branch0": "Mixed_6a/Branch_0/Conv2d_1a_3x3",
    "mixed_6a.branch1.0": "Mixed_6a/Branch_1/Conv2d_0a_1x1",
    "mixed_6a.branch1.1": "Mixed_6a/Branch_1/Conv2d_0b_3x3",
    "mixed_6a.branch1.2": "Mixed_6a/Branch_1/Conv2d_1a_3x3",
    "mixed_7a.branch0.0": "Mixed_7a/Branch_0/Conv2d_0a_1x1",
    "mixed_7a.branch0.1": "Mixed_7a/Branch_0/Conv2d_1a_3x3",
    "mixed_7a.branch1.0": "Mixed_7a/Branch_1/Conv2d_0a_1x1",
    "mixed_7a.branch1.1": "Mixed_7a/Branch_1/Conv2d_1a_3x3",
    "mixed_7a.branch2.0": "Mixed_7a/Branch_2/Conv2d_0a_1x1",
    "mixed_7a.branch2.1": "Mixed_7a/Branch_2/Conv2d_0b_3x3",
    "mixed_7a.branch2.2": "Mixed_7a/Branch_2/Conv2d_1a_3x3",
    "last_linear": "Bottleneck",
    "last_bn": "Bottleneck",
}
_BLOCKS = {"repeat_1": "Repeat/block35_", "repeat_2": "Repeat_1/block17_", "repeat_3": "Repeat_2/block8_"}
_BLOCK = re.compile(r"(?:(repeat_[123])\.(\d+)|block8)\.(.+)")
_KERNELS: dict[str, dict[str, tuple[str, ...]]] = {
    "repeat_1": {"branch1": ("1x1", "3x3"), "branch2": ("1x1", "3x3", "3x3")},
    "repeat_2": {"branch1": ("1x1", "1x7", "7x1")},
    "repeat_3": {"branch1": ("1x1", "1x3", "3x1")},
}
_LEAVES = {
    "bn.bias": "BatchNorm/beta",
    "bn.running_mean": "BatchNorm/moving_mean",
    "bn.running_var": "BatchNorm/moving_variance",
    "conv.weight": "weights",
    "weight": "weights",
    "bias": "biases",
}


def _scope(module: str) -> str:
    at = _BLOCK.fullmatch(module)
    if at is None:
        return _SCOPES[module]
    kind, number, part = at.groups()
    head = f"{_BLOCKS[kind]}{int(number) + 1}" if kind else "Block8"
    branch, _, place = part.partition(".")
    if branch == "conv2d":
        return f"{head}/Conv2d_1x1"
    if not place:
        return f"{head}/Branch_0/Conv2d_1x1"
    size = _KERNELS[kind or "repeat_3"][branch][int(place)]
    return f"{head}/{branch.replace('branch', 'Branch_')}/Conv2d_0{'abc'[int(place)]}_{size}"


def tensorflow_name(key: str) -> str | None:
    """Constant of the frozen graph for a tensor of the network; None where TensorFlow has none (gamma)."""
    module, _, leaf = key.rpartition(".")
    inner = module.rpartition(".")[2]
    if inner in ("conv", "bn"):
        module, leaf = module.rpartition(".")[0], f"{inner}.{leaf}"
    elif module == "last_bn":
        leaf = f"bn.{leaf}"
    return f"InceptionResnetV1/{_scope(module)}/{_LEAVES[leaf]}" if leaf in _LEAVES else None


def _from_tensorflow(path: Path) -> dict[str, torch.Tensor]:
    """The frozen graph's constants as a state dict: HWIO -> OIHW, and a BatchNorm weight of ones."""
    import torch

    from fraudit.embedders.networks.inception import InceptionResnetV1
    from fraudit.weights.checkpoints import read_frozen_pb

    constants = read_frozen_pb(path)
    with torch.device("meta"):
        shapes = {key: value.ndim for key, value in InceptionResnetV1().state_dict().items()}
    names = {key: tensorflow_name(key) for key in shapes}
    missing = [name for name in names.values() if name is not None and name not in constants]
    if missing:
        raise WeightsError(
            f"{path.name}: expected FaceNet's graph, {len(missing)} of its constants are missing: "
            f"{', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}",
            "use 20180402-114759.pb of davidsandberg/facenet",
        )
    axes = {4: (3, 2, 0, 1), 2: (1, 0)}
    state: dict[str, torch.Tensor] = {}
    for key, name in names.items():
        if name is not None:
            value = constants[name]
            state[key] = torch.from_numpy(np.ascontiguousarray(value.transpose(axes.get(value.ndim))))
        elif key.endswith(".weight"):
            beta = tensorflow_name(key.removesuffix("weight") + "bias")
            state[key] = torch.ones(constants[str(beta)].shape)
    return state


def load(weights: Path | str | None = None, device: str = "") -> LoadedEmbedder:
    """FaceNet's network, ready to answer.

    Args:
        weights: the .pt of facenet-pytorch or a TensorFlow frozen graph; the content tells which.
        device: torch device; '' takes $FRAUDIT_DEVICE, else a GPU where there is one.
    Raises:
        WeightsError: no file, or it is truncated, of another network, or carries code.
    """
    from fraudit.embedders.networks.build import black_box, fill, given, without_prefix
    from fraudit.embedders.networks.inception import InceptionResnetV1
    from fraudit.weights.catalogue import sha256_of
    from fraudit.weights.checkpoints import read_state

    path = given(weights, SPEC)
    frozen = _is_graph(path)
    state = _from_tensorflow(path) if frozen else without_prefix(read_state(path), "module.")
    if "last_linear.weight" not in state or state["last_linear.weight"].ndim != 2:
        raise WeightsError(
            f"{path.name}: expected FaceNet's Inception-ResNet-v1 (tensors conv2d_1a.conv.weight, "
            f"last_linear.weight, ...), found {', '.join(list(state)[:3])}, ...",
            "check which embedder the file belongs to",
        )
    dim = state["last_linear.weight"].shape[0]
    network = fill(
        lambda: InceptionResnetV1(dim),
        state,
        what="FaceNet Inception-ResNet-v1",
        file=path.name,
        unused=lambda key: key.startswith("logits."),
    )
    variant = "tensorflow" if frozen else "pytorch"
    return black_box(network, SPEC, variant=variant, weights_sha256=sha256_of(path), device=device, dim=dim)


def _is_graph(path: Path) -> bool:
    # A GraphDef begins with the tag of field 1 (bytes); neither container of torch does.
    with open(path, "rb") as file:
        return file.read(1) == b"\x0a"


EMBEDDER = EmbedderPlugin(name="facenet", spec=SPEC, load=load)
