"""A generator that a person brings to latent search: StyleGAN2's weights, or any generator as ONNX.

Nothing in the file is executed: safetensors and tensors of a PyTorch checkpoint are read by name, an ONNX graph holds
operators alone. The authors' `.pkl` files are pickles of whole objects with their source: those are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.embedders.onnx_files import external_files
from fraudit.errors import ArtifactError, WeightsError
from fraudit.faces.align import align
from fraudit.files.doors import check_regular, entering
from fraudit.files.store import file_sha256
from fraudit.inverters.geometry import landmarks_of
from fraudit.inverters.rivals.attack import SIDE
from fraudit.inverters.rivals.generators import Generator
from fraudit.types import ARCFACE_112, F32, U8

CHUNK = 8
OUTPUTS = "safetensors or a PyTorch file of StyleGAN2's tensors (state_dict of G_ema), or an ONNX export (z -> picture)"
MOST_LATENT = 1 << 16


def ffhq_points(side: int) -> F32:
    """f32[5,2]: where the five points of a face lie in a picture of FFHQ's geometry, which StyleGAN2's faces have.

    FFHQ cuts a square about the eyes' middle, a tenth of the way down to the mouth, with half a side of the larger of
    2.0 times the distance of the eyes and 1.8 times that of eyes and mouth; applied to the mean face (arcface-112).
    """
    left, right, _, mouth_left, mouth_right = ARCFACE_112.astype(np.float64)
    eyes, mouth = (left + right) / 2, (mouth_left + mouth_right) / 2
    half = max(2.0 * np.linalg.norm(right - left), 1.8 * np.linalg.norm(mouth - eyes))
    corner = eyes + 0.1 * (mouth - eyes) - half
    return ((ARCFACE_112 - corner) * side / (2 * half)).astype(np.float32)


def given_generator(path: Path) -> Generator:
    """The generator in `path`; its pictures are brought from FFHQ's geometry to the inverters'.

    Raises:
        ArtifactError: a pickle of objects, no generator, or one that does not give pictures of a latent.
    """
    check_regular(path, f"expected {OUTPUTS}", "the generator", ArtifactError)
    name, draw, size = (_onnx if path.suffix.lower() == ".onnx" else _stylegan2)(path)

    def pictures(latents: F32) -> U8:
        made = []
        for start in range(0, len(latents), CHUNK):
            for x in draw(latents[start : start + CHUNK]):
                seen = np.clip(np.rint((x.transpose(1, 2, 0) + 1) * 127.5), 0, 255).astype(np.uint8)
                made.append(align(seen, ffhq_points(len(seen)), (SIDE, SIDE), landmarks_of(SIDE)))
        return np.stack(made)

    return Generator(name, size, pictures, f"{file_sha256(path)} {SIDE}", costly=True)


Drawn = tuple[str, Callable[[F32], F32], int]


def _stylegan2(path: Path) -> Drawn:
    import torch

    from fraudit.inverters.rivals.stylegan2 import CONST, StyleGan2, looks_like

    state = _tensors(path)
    if not looks_like(state):
        raise ArtifactError(
            f"{path.name}: expected StyleGAN2's generator with the tensor '{CONST}', found {len(state)} others",
            f"give {OUTPUTS}",
        )
    network = StyleGan2(state).eval()

    def draw(latents: F32) -> F32:
        with torch.inference_mode():
            return np.asarray(network(torch.from_numpy(np.ascontiguousarray(latents))).numpy(), np.float32)

    return f"StyleGAN2 at {network.sides[-1]} px", draw, network.size


def _tensors(path: Path) -> dict[str, Any]:
    from fraudit.weights.checkpoints import read_state

    if path.suffix.lower() == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        with entering(f"{path.name} cannot be read", "copy it again", ArtifactError, SafetensorError):
            return load_file(path)
    try:
        return dict(read_state(path))
    except WeightsError as error:
        raise ArtifactError(
            f"{path.name}: it cannot be read without running code that it carries: {error.message}",
            f"give {OUTPUTS}",
        ) from error


def _onnx(path: Path) -> Drawn:
    import onnxruntime

    external_files(path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class
        raise ArtifactError(f"{path.name}: not an ONNX model that can be run: {error}"[:200]) from error
    inputs = session.get_inputs()
    shape = list(inputs[0].shape) if inputs else []
    size = shape[-1] if shape else None
    if len(inputs) != 1 or len(shape) != 2 or not isinstance(size, int) or not 1 <= size <= MOST_LATENT:
        raise ArtifactError(
            f"{path.name}: expected one input, a latent [N,Z], found {[list(i.shape) for i in inputs]}",
            "export the generator with its latent as the only input, noise fixed",
        )
    whole = not isinstance(shape[0], int)

    def draw(latents: F32) -> F32:
        parts = [latents] if whole else [latents[i : i + 1] for i in range(len(latents))]
        return np.concatenate([session.run(None, {inputs[0].name: p.astype(np.float32)})[0] for p in parts])

    try:
        seen = draw(np.zeros((1, size), np.float32))
    except Exception as error:  # as above, and whatever the graph's own operators raise
        raise ArtifactError(f"{path.name}: fails on a latent [1,{size}]: {error}"[:200]) from error
    if seen.ndim != 4 or seen.shape[1] != 3 or seen.shape[2] != seen.shape[3] or not np.isfinite(seen).all():
        raise ArtifactError(
            f"{path.name}: expected square pictures [N,3,S,S] in [-1, 1], found the shape {seen.shape}",
            "export the generator, not its mapping network",
        )
    return f"{path.stem} (ONNX) at {seen.shape[2]} px", draw, size
