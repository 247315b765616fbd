"""Wiring hypotheses: how a model's input may have been meant, one change of the stated wiring or several."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fraudit.embedding.cards import TEMPLATES, WHOLE_PICTURE, of_unit_pixels
from fraudit.faces.align import align
from fraudit.types import ARCFACE_112, F32, FACENET_160, U8, LoadedEmbedder, Preprocess

Axis = Literal["channels", "normalisation", "template", "size", "output", "layout"]
AXES: tuple[Axis, ...] = ("channels", "normalisation", "template", "size", "output", "layout")
STATED = "stated"
WHOLE = WHOLE_PICTURE
SIZES = ("112x112", "160x160", "224x224")  # height x width
TRANSPOSED = "rows and columns swapped"  # a layout that no card can say
MIRRORED = "mirrored"  # the stated template, left and right changed
OWN = "the card's own times 255"
_TIGHT = 1.25
# (mean, std) for pixels from 0 to 255
Triple = tuple[float, float, float]
NORMALISATIONS: dict[str, tuple[Triple, Triple]] = {
    "0..255": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "0..1": ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
    "-1..1": ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "127.5/128": ((127.5, 127.5, 127.5), (128.0, 128.0, 128.0)),
    "ImageNet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "ImageNet of 0..1, on 0..255": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One wiring; `stated` on an axis leaves it as the card, or the box, has it."""

    channels: str = STATED
    normalisation: str = STATED
    template: str = STATED
    size: str = STATED
    output: str = STATED
    layout: str = STATED

    @property
    def changes(self) -> tuple[tuple[Axis, str], ...]:
        """(axis, value) of what is not as stated."""
        return tuple((axis, getattr(self, axis)) for axis in AXES if getattr(self, axis) != STATED)

    def changed(self, axis: Axis, value: str) -> Hypothesis:
        """The same with another value on one axis."""
        return replace(self, **{axis: value})

    @property
    def words(self) -> str:
        """`channels RGB, normalisation 0..1`, or `as stated`."""
        return ", ".join(f"{axis} {value}" for axis, value in self.changes) or "as stated"


def template_points(name: str, size: tuple[int, int]) -> F32:
    """f32[5,2]: a template at (height, width) `size`, its square in the middle where the size is none."""
    native, points = {
        "arcface-112": (112, ARCFACE_112),
        "facenet-160": (160, FACENET_160),
        "dlib-150": (150, TEMPLATES["dlib-150"][1]),
        "tight crop": (112, (ARCFACE_112 - 56) * np.float32(_TIGHT) + 56),
    }[name]
    side = max(size)
    offset = np.array([(size[1] - side) / 2, (size[0] - side) / 2])
    return np.asarray(points * (side / native) + offset, np.float32)


TEMPLATE_NAMES = ("arcface-112", "facenet-160", "dlib-150", "tight crop", WHOLE)


def options(loaded: LoadedEmbedder) -> tuple[dict[Axis, tuple[str, ...]], tuple[tuple[str, str], ...]]:
    """(values to try on each axis, (what cannot be tried, why) of the rest)."""
    pre, network = loaded.spec.preprocess, loaded.network
    found: dict[Axis, tuple[str, ...]] = {"channels": ("BGR" if pre.channels == "RGB" else "RGB",)}
    frames = [
        name
        for name in TEMPLATE_NAMES
        if not (pre.whole and name == WHOLE)
        and (pre.whole or name == WHOLE or not _alike(template_points(name, pre.size), pre))
    ]
    found["template"] = tuple(frames)
    missing: list[tuple[str, str]] = []
    stated = f"{pre.size[0]}x{pre.size[1]}"
    if network is not None and network.free_size:
        found["size"] = tuple(size for size in SIZES if size != stated)
    else:
        missing.append(("size", f"the box takes {stated} pixels alone"))
    turned = (TRANSPOSED,) if pre.size[0] == pre.size[1] else ()
    if network is None:
        if turned:
            found["layout"] = turned
        inside = "it is done inside the box"
        missing += [("normalisation", inside), ("output", inside), ("layout NCHW or NHWC", inside)]
        if pre.channels != "RGB":
            found["channels"] = ("RGB",)
        return found, tuple(missing)
    found["normalisation"] = tuple(
        name
        for name, (mean, std) in NORMALISATIONS.items()
        if not (np.allclose(mean, pre.mean, atol=1e-3) and np.allclose(std, pre.std, rtol=1e-3))
    ) + ((OWN,) if own_in_255(pre) == OWN else ())
    if network.outputs[1:]:
        found["output"] = network.outputs[1:]
    else:
        missing.append(("output", "the file has one alone"))
    if values := (*network.layouts[1:], *turned):
        found["layout"] = values
    if not network.layouts[1:]:
        missing.append(("layout NCHW or NHWC", "its input allows one alone"))
    return found, tuple(missing)


def own_in_255(pre: Preprocess) -> str:
    """The normalisation that a card's numbers mean where they look like those of pixels from 0 to 1; '' elsewhere."""
    if not of_unit_pixels(pre.mean, pre.std):
        return ""
    own = np.array([pre.mean, pre.std]) * 255
    return next((name for name, wanted in NORMALISATIONS.items() if np.allclose(own, wanted, rtol=1e-3)), OWN)


def normalisation(name: str, pre: Preprocess) -> tuple[Triple, Triple]:
    """(mean, std) for pixels from 0 to 255 of a value of the axis `normalisation`."""
    if name == OWN:
        (a, b, c), (d, e, f) = ([255 * v for v in values] for values in (pre.mean, pre.std))
        return (a, b, c), (d, e, f)
    return NORMALISATIONS.get(name, (pre.mean, pre.std))


def _alike(points: F32, pre: Preprocess) -> bool:
    """Whether a template puts the points within a pixel of 112 of the stated ones."""
    return bool(np.abs(points - pre.template).max() < max(pre.size) / 112)


def sized(pre: Preprocess, hypothesis: Hypothesis) -> Preprocess:
    """The stated preprocessing at the hypothesis's size; the template grows with the shorter side, in the middle."""
    if hypothesis.size == STATED:
        return pre
    height, width = map(int, hypothesis.size.split("x"))
    middle = np.array([pre.size[1], pre.size[0]], np.float32) / 2
    points = (pre.template - middle) * (min(height, width) / min(pre.size))
    moved = points + np.array([width, height], np.float32) / 2
    return replace(pre, size=(height, width), template=np.asarray(moved, np.float32))


def framed(picture: U8, landmarks: F32, hypothesis: Hypothesis, pre: Preprocess) -> U8:
    """u8[h,w,3] RGB: the face as this hypothesis frames it. Raises DataError."""
    from fraudit.faces.align import as_shown, fitted

    pre = sized(pre, hypothesis)
    if hypothesis.template == STATED:
        return as_shown(picture, landmarks, pre)
    if hypothesis.template == MIRRORED:
        return np.ascontiguousarray(as_shown(picture, landmarks, pre)[:, ::-1])
    if hypothesis.template == WHOLE:
        return fitted(picture, pre.size)
    return align(picture, landmarks, pre.size, template_points(hypothesis.template, pre.size))


def answered(loaded: LoadedEmbedder, faces: U8, hypothesis: Hypothesis) -> F32:
    """f32[N,D] of u8[N,h,w,3] RGB faces under a hypothesis. Raises FrauditError where the box refuses it."""
    pre, network = loaded.spec.preprocess, loaded.network
    swapped = hypothesis.channels != STATED
    turned = hypothesis.layout == TRANSPOSED
    if turned:
        faces = np.ascontiguousarray(faces.transpose(0, 2, 1, 3))
    parts = []
    step = loaded.batch_size
    for start in range(0, len(faces), step):
        part = faces[start : start + step]
        if network is None:
            parts.append(loaded.forward(np.ascontiguousarray(part[..., ::-1]) if swapped else part))
            continue
        mean, std = normalisation(hypothesis.normalisation, pre)
        channels: Literal["RGB", "BGR"] = pre.channels
        if swapped:
            channels = "BGR" if pre.channels == "RGB" else "RGB"
        made = replace(pre, mean=mean, std=std, channels=channels).to_nchw(part)
        output = network.outputs[0] if hypothesis.output == STATED else hypothesis.output
        layout = network.layouts[0] if turned or hypothesis.layout == STATED else hypothesis.layout
        parts.append(network.ask(made, output, layout))
    return np.concatenate(parts).astype(np.float32, copy=False)
