"""A U-Net that refines the closed form: it learns only what ridge regression leaves unexplained.

An ID vector tells much of a face linearly (Mohanty et al. 2007). A network that must find this out by itself
spends most of a short training on it. Here the regression's picture p(y) enters beside the noisy one, and what
is denoised is the residual x_0 - p(y) (`residual_unet`). ID vectors are standardised, since those of
some models lie within a narrow cone; the null vector stays 0, where p is the mean face.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fraudit.diffusion.model.residual_unet import ResidualUNet
from fraudit.diffusion.model.unet import UNetConfig
from fraudit.files.store import write_atomic
from fraudit.types import F32, I64, U8

RIDGE = 1e-3  # of the standardised vectors' unit variance; the closed-form inverter chooses the same
ROUNDS = 4  # a pixel hidden in half of the pictures then keeps 1 - 0.5^4 = 94 % of its slope
CHUNK = 1024


@dataclass(frozen=True, slots=True)
class ClosedForm:
    """A fitted closed form.

    Attributes:
        mean, scale: f32[D] of the ID vectors as the network takes them; both over pictures and mirrors.
        face: f32[3*S*S] mean face, pictures in [-1, 1].
        weight: f32[3*S*S, D], picture per unit of a standardised vector.
        spread: standard deviation of what is left, over visible pixels.
    """

    mean: F32
    scale: F32
    face: F32
    weight: F32
    spread: float


def fit_closed_form(pictures: U8, visible: U8, identity: F32, identity_mirror: F32, rows: I64) -> ClosedForm:
    """Ridge regression of pictures on ID vectors, over `rows` and their mirrors.

    Args:
        pictures: u8[N,S,S,3]; visible: u8[N,S,S], 1 where a pixel shows the original picture.
        identity, identity_mirror: f32[N,D] as the network takes them.
        rows: people that are trained on.
    """
    both = np.concatenate([identity[rows], identity_mirror[rows]]).astype(np.float64)
    mean, scale = both.mean(0), both.std(0)
    scale[scale == 0] = 1.0
    dim, size = both.shape[1], pictures.shape[1]

    def chunks() -> Iterator[tuple[F32, F32, F32]]:
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            x = pictures[part].astype(np.float32) / np.float32(127.5) - 1
            seen = visible[part, :, :, None].astype(np.float32)
            yield ((identity[part] - mean) / scale).astype(np.float32), x, seen
            yield ((identity_mirror[part] - mean) / scale).astype(np.float32), x[:, :, ::-1], seen[:, :, ::-1]

    total, count = np.zeros((size, size, 3)), np.zeros((size, size, 1))
    for _, x, seen in chunks():
        total += (x * seen).sum(0, dtype=np.float64)
        count += seen.sum(0, dtype=np.float64)
    face = (total / np.maximum(count, 1)).astype(np.float32)
    weight = np.zeros((dim, face.size), np.float32)
    for _ in range(ROUNDS if (visible[rows] == 0).any() else 1):
        gram, cross = np.zeros((dim, dim)), np.zeros((dim, face.size))
        for y, x, seen in chunks():
            # Beyond a picture's end its own prediction stands in (expectation maximisation): repeated edges are
            # not learned, and the mean face in their place would shrink what is predicted there.
            hidden = 1 - seen
            told = (x - face) * seen
            if hidden.any():
                told = told + (y @ weight).reshape(x.shape) * hidden
            gram += y.T @ y
            cross += y.T @ told.reshape(len(y), -1)
        n = 2 * len(rows)
        weight = np.linalg.solve(gram / n + RIDGE * np.eye(dim), cross / n).astype(np.float32)
    squares, pixels = 0.0, 0.0
    for y, x, seen in chunks():
        rest = ((x - face).reshape(len(y), -1) - y @ weight).reshape(x.shape) * seen
        squares += float(np.square(rest).sum(dtype=np.float64))
        pixels += 3 * float(seen.sum(dtype=np.float64))

    def planes(picture: F32) -> F32:
        return np.ascontiguousarray(np.moveaxis(picture.reshape(*picture.shape[:-1], size, size, 3), -1, -3))

    return ClosedForm(
        mean.astype(np.float32),
        scale.astype(np.float32),
        planes(face.ravel()).ravel(),
        np.ascontiguousarray(planes(weight).reshape(dim, -1).T),
        round((squares / max(pixels, 1.0)) ** 0.5, 4),
    )


def save_closed_form(path: Path, fitted: ClosedForm, data: str) -> None:
    """Write `fitted`, with the digest of what it was fitted to, atomically."""
    from safetensors.numpy import save_file

    tensors = {name: getattr(fitted, name) for name in ("mean", "scale", "face", "weight")}
    about = {"spread": str(fitted.spread), "data": data}
    write_atomic(path, lambda temporary: save_file(tensors, temporary, metadata=about))


def load_closed_form(path: Path, data: str) -> ClosedForm | None:
    """The closed form in `path`; None where there is none, or it is damaged or of other data: fit it again."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, "numpy") as stored:
            about = stored.metadata() or {}
            if about.get("data") != data:
                return None
            tensors = {name: stored.get_tensor(name) for name in ("mean", "scale", "face", "weight")}
            return ClosedForm(**tensors, spread=float(about["spread"]))
    except (SafetensorError, OSError, ValueError, KeyError):
        return None


class ClosedFormUNet(ResidualUNet):
    """Noise predictor that refines the closed-form picture; its parameters `prior`, `centre`, `spread` are fixed."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        dim, size = config.identity_dim, config.image_size
        assert dim is not None  # UNetConfig refuses it
        self.prior = nn.Linear(dim, 3 * size * size).requires_grad_(False)
        # Parameters rather than buffers: averages and checkpoints go by parameters.
        self.centre = nn.Parameter(torch.zeros(dim), requires_grad=False)
        self.spread = nn.Parameter(torch.ones(dim), requires_grad=False)

    @torch.no_grad()
    def set_closed_form(self, fitted: ClosedForm) -> None:
        """Take over a fitted closed form."""
        self.prior.weight.copy_(torch.from_numpy(fitted.weight))
        self.prior.bias.copy_(torch.from_numpy(fitted.face))
        self.centre.copy_(torch.from_numpy(fitted.mean))
        self.spread.copy_(torch.from_numpy(fitted.scale))

    def standardised(self, identity: Tensor) -> Tensor:
        """f32[B,D] ID vectors as the closed form and the student take them."""
        return (identity - self.centre) / self.spread

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        identity: Tensor | None = None,
        attributes: Tensor | None = None,
        labels: Tensor | None = None,
        clean: bool = False,
    ) -> Tensor:
        """See `UNet.forward`: f32[B,3,S,S] -> eps f32[B,3,S,S], or the x_0 it stands for where `clean`."""
        with torch.autocast(x.device.type, enabled=False):
            if identity is None:
                identity = x.new_zeros(len(x), len(self.centre))
            told = identity.ne(0).any(1, keepdim=True)
            y = torch.where(told, self.standardised(identity), 0.0)
            p = self.prior(y).view_as(x)
        return self.residual_forward(x, timesteps, p, clean, identity=y, attributes=attributes, labels=labels)
