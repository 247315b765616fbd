"""A U-Net that refines the closed form: it learns only what ridge regression leaves unexplained.

An ID vector tells much of a face linearly (Mohanty et al. 2007). A network that must find this out by itself
spends most of a short training on it. Here the regression's picture p(y) enters beside the noisy one, and what
is denoised is the residual x_0 - p(y) (`residual_unet`). ID vectors are standardised, since those of
some models lie within a narrow cone; the null vector stays 0, where p is the mean face.

Attributes enter it as well. With a the standardised ones that are told and a(y) what the ID vector says of them, the
first picture is p(y) + B f, where f holds a - a(y), the square and cube of the yaw, and y times the yaw: a turned head
is no sum of a face and a turn. An unknown attribute adds nothing. A head is then turned before the network begins,
which a training without it did not learn (docs/adr/0016-attributes-in-the-closed-form.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fraudit.diffusion.model.conditioning import ATTRIBUTE_NULL
from fraudit.diffusion.model.residual_unet import ResidualUNet
from fraudit.diffusion.model.unet import UNetConfig
from fraudit.files.store import write_atomic
from fraudit.types import F32, I64, U8

RIDGE = 1e-3  # of the standardised vectors' unit variance; the closed-form inverter chooses the same
ROUNDS = 4  # a pixel hidden in half of the pictures then keeps 1 - 0.5^4 = 94 % of its slope
CHUNK = 1024
TURNED = 3.5  # standard deviations of yaw beyond which its powers stay as they are
TOLD_RIDGE = 1e-2  # of the attributes' unit variance: few faces wear a hat


@dataclass(frozen=True, slots=True)
class ToldForm:
    """What attributes add to the closed form.

    Attributes:
        centre, spread: f32[A] of the known values; 0 and 1 where none is known.
        yaw: f32[A], 1 where the attribute is the yaw, else 0.
        expected: f32[A,D], standardised attributes per unit of a standardised vector.
        effect: f32[3*S*S,A+2+D], picture per unit of each of `told_features`.
    """

    centre: F32
    spread: F32
    yaw: F32
    expected: F32
    effect: F32


def told_features(y: Tensor, attributes: Tensor, form: Told) -> tuple[Tensor, Tensor]:
    """(f32[B,A+2+D] features, f32[B,2A] standardised attributes and which are known).

    Args:
        y: f32[B,D] standardised ID vectors. attributes: f32[B,A], -1 where unknown.
    """
    known = (attributes != ATTRIBUTE_NULL).to(y.dtype)
    z = (attributes - form.centre) / form.spread * known
    apart = (z - F.linear(y, form.expected)) * known
    turn = (z @ form.yaw).clamp(-TURNED, TURNED)[:, None]
    told = (known @ form.yaw)[:, None]
    features = torch.cat([apart, (turn.square() - 1) * told, turn**3 - 3 * turn, y * turn], 1)
    return features, torch.cat([z, known], 1)


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


def fit_told_form(
    fitted: ClosedForm,
    pictures: U8,
    visible: U8,
    identity: F32,
    identity_mirror: F32,
    attributes: F32,
    attributes_mirror: F32,
    rows: I64,
    yaw: int,
) -> ToldForm:
    """Ridge regression of what `fitted` leaves on what attributes say beyond the ID vector.

    Args:
        attributes, attributes_mirror: f32[N,A], -1 where unknown. yaw: its place among them, -1 for none.
            The others: see `fit_closed_form`.
    """
    count, size, wide = attributes.shape[1], pictures.shape[1], identity.shape[1]
    both = np.concatenate([attributes[rows], attributes_mirror[rows]])
    known = both != ATTRIBUTE_NULL
    n = np.maximum(known.sum(0), 1)
    centre = (both * known).sum(0) / n
    spread = np.sqrt((np.square(both - centre) * known).sum(0) / n)
    used = spread > 1e-6
    form = Told(wide, count, 0)
    with torch.no_grad():
        form.centre.copy_(torch.from_numpy(np.where(used, centre, 0.0)))
        form.spread.copy_(torch.from_numpy(np.where(used, spread, 1.0)))
        if yaw >= 0:
            form.yaw[yaw] = 1.0
        y_all = (np.concatenate([identity[rows], identity_mirror[rows]]) - fitted.mean) / fitted.scale
        for entry in np.flatnonzero(used):
            told = known[:, entry]
            y, z = y_all[told], (both[told, entry] - centre[entry]) / spread[entry]
            gram = y.T @ y / len(y) + TOLD_RIDGE * np.eye(wide)
            form.expected[entry].copy_(torch.from_numpy(np.linalg.solve(gram, y.T @ z / len(y))))
    # What nobody is labelled with, or what never varies, is unknown.
    usable = torch.from_numpy(used)

    def chunks() -> Iterator[tuple[F32, F32, F32]]:
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            x = np.moveaxis(pictures[part], -1, 1).astype(np.float32) / np.float32(127.5) - 1
            seen = np.broadcast_to(visible[part, None], x.shape).astype(np.float32)
            for vectors, values, flip in (
                (identity, attributes, False),
                (identity_mirror, attributes_mirror, True),
            ):
                y = ((vectors[part] - fitted.mean) / fitted.scale).astype(np.float32)
                labels = torch.where(usable, torch.from_numpy(values[part]), ATTRIBUTE_NULL)
                features = told_features(torch.from_numpy(y), labels, form)[0].detach().numpy()
                shown, mask = (x[..., ::-1], seen[..., ::-1]) if flip else (x, seen)
                flat = mask.reshape(len(part), -1)
                yield (
                    features,
                    (shown.reshape(len(part), -1) - fitted.face - y @ fitted.weight.T) * flat,
                    flat,
                )

    width = count + 2 + wide
    effect = np.zeros((width, 3 * size * size), np.float32)
    for _ in range(ROUNDS if (visible[rows] == 0).any() else 1):
        gram, cross = np.zeros((width, width)), np.zeros(effect.shape)
        for features, rest, mask in chunks():
            gram += features.T @ features
            cross += features.T @ (rest + (1 - mask) * (features @ effect))
        pairs = 2 * len(rows)
        effect = np.linalg.solve(gram / pairs + TOLD_RIDGE * np.eye(width), cross / pairs).astype(np.float32)
    kept = {name: value.detach().numpy() for name, value in form.named_parameters() if name != "effect"}
    return ToldForm(**kept, effect=np.ascontiguousarray(effect.T))


def save_closed_form(path: Path, fitted: ClosedForm | ToldForm, data: str) -> None:
    """Write `fitted`, with the digest of what it was fitted to, atomically."""
    from safetensors.numpy import save_file

    parts = asdict(fitted)
    spread = parts.pop("spread") if isinstance(fitted, ClosedForm) else 0.0
    about = {"spread": str(spread), "data": data}
    write_atomic(path, lambda temporary: save_file(parts, temporary, metadata=about))


def _stored(path: Path, data: str) -> tuple[dict[str, F32], float] | None:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, "numpy") as stored:
            about = stored.metadata() or {}
            if about.get("data") != data:
                return None
            return {name: stored.get_tensor(name) for name in stored.keys()}, float(about["spread"])  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, KeyError):
        return None


def load_closed_form(path: Path, data: str) -> ClosedForm | None:
    """The closed form in `path`; None where there is none, or it is damaged or of other data: fit it again."""
    found = _stored(path, data)
    if found is None or set(found[0]) != {"mean", "scale", "face", "weight"}:
        return None
    return ClosedForm(**found[0], spread=found[1])


def load_told_form(path: Path, data: str) -> ToldForm | None:
    """What attributes add, in `path`; None as for `load_closed_form`."""
    found = _stored(path, data)
    if found is None or set(found[0]) != {f.name for f in fields(ToldForm)}:
        return None
    return ToldForm(**found[0])


class Told(nn.Module):
    """Fixed parameters of a `ToldForm`."""

    centre: Tensor
    spread: Tensor
    yaw: Tensor
    expected: Tensor
    effect: Tensor

    def __init__(self, dim: int, count: int, pixels: int) -> None:
        super().__init__()
        for name, start in (
            ("centre", torch.zeros(count)),
            ("spread", torch.ones(count)),
            ("yaw", torch.zeros(count)),
            ("expected", torch.zeros(count, dim)),
            ("effect", torch.zeros(pixels, count + 2 + dim)),
        ):
            setattr(self, name, nn.Parameter(start, requires_grad=False))

    def forward(self, y: Tensor, attributes: Tensor) -> tuple[Tensor, Tensor]:
        """(f32[B,3*S*S] added to the first picture, f32[B,2A] as the embedding takes attributes)."""
        features, told = told_features(y, attributes, self)
        return F.linear(features, self.effect), told


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
        if config.attribute_dim is not None:
            self.told = Told(dim, config.attribute_dim, 3 * size * size)
            # Standardised, with which are known: a pose varies so little in [0, 1] that it would be learned slowly.
            self.attribute_emb = nn.Linear(2 * config.attribute_dim, 4 * config.num_channels)

    @torch.no_grad()
    def set_closed_form(self, fitted: ClosedForm) -> None:
        """Take over a fitted closed form."""
        self.prior.weight.copy_(torch.from_numpy(fitted.weight))
        self.prior.bias.copy_(torch.from_numpy(fitted.face))
        self.centre.copy_(torch.from_numpy(fitted.mean))
        self.spread.copy_(torch.from_numpy(fitted.scale))

    @torch.no_grad()
    def set_told_form(self, fitted: ToldForm) -> None:
        """Take over what attributes add."""
        for name, value in asdict(fitted).items():
            getattr(self.told, name).copy_(torch.from_numpy(value))

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
            p = self.prior(y)
            if self.config.attribute_dim is not None:
                if attributes is None:
                    attributes = x.new_full((len(x), self.config.attribute_dim), ATTRIBUTE_NULL)
                more, attributes = self.told(y, attributes)
                p = p + more
            p = p.view_as(x)
        return self.residual_forward(x, timesteps, p, clean, identity=y, attributes=attributes, labels=labels)
