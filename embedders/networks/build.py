"""From tensors of a checkpoint to a black box: strict filling, device, batched forward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from fraudit.embedding.devices import channels_last, device_name
from fraudit.errors import PluginError, WeightsError
from fraudit.types import F32, U8, EmbedderSpec, LoadedEmbedder

State = Mapping[str, Tensor]


def listed(keys: Sequence[str], most: int = 3) -> str:
    """`a, b, c and 7 more`."""
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more


def without_prefix(state: State, prefix: str) -> dict[str, Tensor]:
    """The entries below `prefix`, where there are any; else all of them."""
    below = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return below or dict(state)


def fill(
    make: Callable[[], nn.Module],
    state: State,
    *,
    what: str,
    file: str,
    file_key: Callable[[str], str] = lambda key: key,
    unused: Callable[[str], bool] = lambda key: False,
) -> nn.Module:
    """The network with every tensor from the checkpoint, in float32 and ready for inference.

    Args:
        make: builds the network; called without allocating its weights.
        state: the checkpoint's tensors by its own keys.
        what: the architecture, for messages, such as `AdaFace ir_50`.
        file: the checkpoint's name, for messages.
        file_key: name of a tensor in the network -> name in the checkpoint.
        unused: checkpoint keys that the ID vector does not need.
    Raises:
        WeightsError: tensors that are missing, of another shape, unexpected or not finite.
    """
    with torch.device("meta"):
        network = make()
    wanted = {key: (file_key(key), tensor) for key, tensor in network.state_dict().items()}
    # BatchNorm counts its batches for training alone, and older releases did not.
    missing = [name for name, _ in wanted.values() if name not in state and not _is_counter(name)]
    if missing:
        raise WeightsError(
            f"{file}: expected {what}, {len(missing)} of its {len(wanted)} tensors are missing: {listed(missing)}",
            "the file is incomplete or of another architecture",
        )
    differing = [
        f"{name} {list(state[name].shape)} instead of {list(tensor.shape)}"
        for name, tensor in wanted.values()
        if name in state and state[name].shape != tensor.shape
    ]
    if differing:
        raise WeightsError(
            f"{file}: expected {what}, found other shapes: {listed(differing)}",
            "the file is of another architecture or input size",
        )
    known = {name for name, _ in wanted.values()}
    extra = [key for key in state if key not in known and not unused(key) and not _is_counter(key)]
    if extra:
        raise WeightsError(
            f"{file}: expected {what}, found {len(extra)} tensors it does not have: {listed(extra)}",
            "the file is of another architecture",
        )
    ready: dict[str, Tensor] = {}
    for key, (name, tensor) in wanted.items():
        if name not in state:
            ready[key] = torch.zeros((), dtype=torch.long)
            continue
        value = state[name]
        ready[key] = value.to(tensor.dtype).contiguous()
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise WeightsError(
                f"{file}: expected finite weights, found NaN or infinity in {name}",
                "the training diverged or the file is damaged; use another checkpoint",
            )
    network.load_state_dict(ready, strict=True, assign=True)
    return network.eval().requires_grad_(False)


def _is_counter(key: str) -> bool:
    return key.endswith("num_batches_tracked")


def black_box(
    network: nn.Module,
    spec: EmbedderSpec,
    *,
    variant: str,
    weights_sha256: str,
    device: str = "",
    dim: int = 0,
) -> LoadedEmbedder:
    """The network behind a forward function u8[N,h,w,3] RGB -> f32[N,D].

    Args:
        network: f32[N,3,h,w] -> f32[N,D].
        device: torch device; '' takes $FRAUDIT_DEVICE, else a GPU where there is one.
        dim: D where the checkpoint decides it; 0 takes the spec's.
    Raises:
        PluginError: the device does not exist here.
    """
    name = device_name(device)
    on_gpu = name.startswith("cuda")
    try:
        network = channels_last(network, name)
    except (RuntimeError, AssertionError) as error:
        raise PluginError(
            f"embedder '{spec.name}': no torch device '{name}' here", "set FRAUDIT_DEVICE=cpu"
        ) from error

    def forward(images: U8) -> F32:
        batch = torch.from_numpy(spec.preprocess.to_nchw(images))
        batch = batch.to(name, memory_format=torch.channels_last)
        # TF32 rounds inputs of convolutions to ten bits, which is visible in the vectors.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return network(batch).cpu().numpy()

    return LoadedEmbedder(
        spec=replace(spec, dim=dim) if dim else spec,
        forward=forward,
        weights_sha256=weights_sha256,
        variant=variant,
        batch_size=256 if on_gpu else 32,
    )


def given(weights: Path | str | None, spec: EmbedderSpec) -> Path:
    """The weights file, which has to be there.

    Raises:
        WeightsError: none was given or it does not exist; the hint is the command that gets it.
    """
    from fraudit.weights.catalogue import missing_hint

    hint = missing_hint(spec.weights or spec.name)
    if weights is None:
        raise WeightsError(f"embedder '{spec.name}': its weights are not on this machine", hint)
    if not Path(weights).is_file():
        raise WeightsError(f"embedder '{spec.name}': no weights file {weights}", hint)
    return Path(weights)
