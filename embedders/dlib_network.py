"""dlib's face recognition network as a batched torch forward pass over dlib's own weight file.

dlib answers one face at a time (about 100 ms on a core); the same arithmetic in batches is several times
faster. The reader knows the layers of that one network (`anet_type` of dlib's face recognition example,
29 convolutions) and refuses everything else; a weight file is data and nothing in it is executed.

Serialisation (dlib/serialize.h): an integer is a control byte (low four bits: count of bytes; top bit:
sign) and its little-endian magnitude; a float is mantissa and binary exponent; a string is length and bytes;
a tensor is version 2, four sizes, then raw little-endian f32. A stack of layers begins with one version
number per layer from the loss to the input, then the layers from the input to the top.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from fraudit.errors import WeightsError
from fraudit.files.doors import MODEL_BYTES, read_file
from fraudit.types import F32

SIZE_PX = 150
DIM = 128
_TENSOR_LIMIT = 4_000_000
# width, blocks, whether the first of them halves the picture
_BLOCKS = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))


@dataclass(frozen=True, slots=True)
class _Layer:
    kind: str
    numbers: tuple[int, ...] = ()
    params: F32 | None = None


class _Reader:
    """Cursor over the file's bytes; any read past the end or out of form is a WeightsError."""

    def __init__(self, blob: bytes, name: str) -> None:
        self.blob, self.at, self.name = blob, 0, name

    def wrong(self, what: str) -> WeightsError:
        return WeightsError(
            f"{self.name}: not dlib's face recognition network ({what} at byte {self.at})",
            "expected dlib_face_recognition_resnet_model_v1.dat (22,466,066 bytes)",
        )

    def take(self, count: int) -> bytes:
        if count < 0 or self.at + count > len(self.blob):
            raise self.wrong("the file ends early")
        self.at += count
        return self.blob[self.at - count : self.at]

    def integer(self) -> int:
        control = self.take(1)[0]
        count = control & 0x0F
        if count > 8 or control & 0x70:
            raise self.wrong("an integer is malformed")
        magnitude = int.from_bytes(self.take(count), "little")
        return -magnitude if control & 0x80 else magnitude

    def number(self) -> float:
        mantissa, exponent = self.integer(), self.integer()
        if abs(exponent) > 1000:
            raise self.wrong("a number is not finite")
        return mantissa * 2.0**exponent

    def text(self) -> str:
        length = self.integer()
        if length > 64:
            raise self.wrong("a name is too long")
        return self.take(length).decode("latin-1")

    def tensor(self) -> F32:
        if self.integer() != 2:
            raise self.wrong("a tensor has an unknown version")
        sizes = [self.integer() for _ in range(4)]
        count = int(np.prod(np.array(sizes, dtype=object)))
        if min(sizes) < 0 or count > _TENSOR_LIMIT:
            raise self.wrong(f"a tensor has the sizes {sizes}")
        values = np.frombuffer(self.take(4 * count), dtype="<f4").astype(np.float32)
        if not np.isfinite(values).all():
            raise WeightsError(f"{self.name}: weights that are not finite", "fetch the file again")
        return values

    def alias(self) -> tuple[int, ...]:
        return tuple(self.integer() for _ in range(5))[1:]

    def layer(self) -> _Layer:
        kind = self.text()
        if kind == "con_4":
            params = self.tensor()
            filters, rows, cols, stride_y, stride_x, pad_y, pad_x = (self.integer() for _ in range(7))
            weight_shape = self.alias()
            self.alias()
            for _ in range(4):
                self.number()
            if weight_shape[0] != filters or weight_shape[2:] != (rows, cols):
                raise self.wrong("a convolution contradicts itself")
            if stride_y != stride_x or pad_y != pad_x:
                raise self.wrong("a convolution is not square")
            return _Layer("con", (*weight_shape, stride_y, pad_y), params)
        if kind == "affine_":
            params = self.tensor()
            gamma, beta = self.alias(), self.alias()
            if self.integer() != 0 or gamma != beta:
                raise self.wrong("an affine layer is not per channel")
            return _Layer("affine", (gamma[1],), params)
        if kind in ("max_pool_2", "avg_pool_2"):
            return _Layer(kind[:3], tuple(self.integer() for _ in range(6)))
        if kind == "fc_2":
            outputs, inputs = self.integer(), self.integer()
            params = self.tensor()
            self.alias()
            self.alias()
            if self.integer() != 1:
                raise self.wrong("the last layer has a bias")
            for _ in range(4):
                self.number()
            return _Layer("fc", (inputs, outputs), params)
        if kind in ("relu_", "add_prev_"):
            return _Layer(kind.split("_")[0])
        raise self.wrong(f"unknown layer {kind[:20]!r}")

    def layers(self) -> tuple[tuple[float, float, float], list[_Layer]]:
        """Mean colour of the input (R, G, B) and the layers from the input to the top."""
        if self.integer() != 1 or self.text() != "loss_metric_2":
            raise self.wrong("no metric loss on top")
        self.number()
        self.number()
        for _ in range(500):
            version = self.integer()
            if version == 3:  # the lowest layer, on top of the input
                break
            if version not in (1, 2):
                raise self.wrong(f"layer version {version}")
        if self.text() != "input_rgb_image_sized":
            raise self.wrong("the input is not a picture of fixed size")
        mean = (self.number(), self.number(), self.number())
        if (self.integer(), self.integer()) != (SIZE_PX, SIZE_PX):
            raise self.wrong(f"the input is not {SIZE_PX}x{SIZE_PX}")
        found: list[_Layer] = []
        while self.at < len(self.blob):
            found.append(self.layer())
            self.take(3)  # three flags of training
            for _ in range(3):  # what training leaves behind, empty in a published file
                self.tensor()
            if len(found) == 1:
                self.integer()  # sample expansion factor, kept beside the input only
        return mean, found


class _Block(nn.Module):
    """Two convolutions and a shortcut; where it shrinks, the shortcut is an average over 2x2."""

    def __init__(self, width_in: int, width: int, shrinks: bool) -> None:
        super().__init__()
        self.shrinks = shrinks
        self.first = nn.Conv2d(width_in, width, 3, 2 if shrinks else 1, 0 if shrinks else 1)
        self.second = nn.Conv2d(width, width, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.second(torch.relu_(self.first(x)))
        if not self.shrinks:
            return torch.relu_(y.add_(x))
        skip = nn.functional.avg_pool2d(x, 2)
        # dlib adds tensors of unequal size as if the smaller one went on with zeros (right, bottom).
        rows, cols = (max(y.shape[axis], skip.shape[axis]) for axis in (2, 3))
        total = nn.functional.pad(y, (0, cols - y.shape[3], 0, rows - y.shape[2]))
        total[:, : skip.shape[1], : skip.shape[2], : skip.shape[3]] += skip
        return torch.relu_(total)


class DlibNetwork(nn.Module):
    """f32[N,3,150,150], (RGB - mean) / 256 -> f32[N,128]; affine layers are folded into the convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, 2, 0)
        blocks: list[nn.Module] = []
        width_in = 32
        for width, count, shrinks in _BLOCKS:
            for index in range(count):
                blocks.append(_Block(width_in, width, shrinks and index == 0))
                width_in = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(256, DIM, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(torch.relu_(self.stem(x)), 3, 2)
        return self.head(self.blocks(x).mean(dim=(2, 3)))


def _expected() -> list[str]:
    kinds = ["con", "affine", "relu", "max"]
    for _, count, shrinks in _BLOCKS:
        for index in range(count):
            kinds += ["con", "affine", "relu", "con", "affine"]
            kinds += ["avg"] if shrinks and index == 0 else []
            kinds += ["add", "relu"]
    return [*kinds, "avg", "fc"]


def read_network(path: Path) -> tuple[DlibNetwork, tuple[float, float, float]]:
    """The network with the file's weights, in evaluation mode, and the mean colour (R, G, B) of its input.

    Raises:
        WeightsError: the file cannot be read, is truncated, or holds another network.
    """
    reader = _Reader(read_file(path, MODEL_BYTES, "", "", WeightsError), path.name)
    mean, layers = reader.layers()
    if [layer.kind for layer in layers] != _expected():
        raise reader.wrong(f"{len(layers)} layers in another order")
    network = DlibNetwork()
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    pairs = [(a, b) for a, b in itertools.pairwise(layers) if a.kind == "con"]
    with torch.no_grad():
        for module, (con, affine) in zip(convolutions, pairs, strict=True):
            shape = tuple(module.weight.shape)
            wanted = (*shape, module.stride[0], module.padding[0])
            if con.numbers != wanted or con.params is None or affine.params is None:
                raise reader.wrong(f"a convolution {con.numbers} where {wanted} is expected")
            filters, count = shape[0], int(np.prod(shape))
            if con.params.size != count + filters or affine.params.size != 2 * filters:
                raise reader.wrong("a layer has too few weights")
            gamma, beta = affine.params[:filters], affine.params[filters:]
            weight = con.params[:count].reshape(shape) * gamma[:, None, None, None]
            module.weight.copy_(torch.from_numpy(weight))
            module.bias.copy_(torch.from_numpy(con.params[count:] * gamma + beta))  # type: ignore[union-attr]
        head = layers[-1]
        if head.numbers != (256, DIM) or head.params is None or head.params.size != 256 * DIM:
            raise reader.wrong(f"the last layer has the sizes {head.numbers}")
        network.head.weight.copy_(torch.from_numpy(head.params.reshape(256, DIM).T.copy()))
    return network.eval(), mean
