"""What the inputs and outputs of an ONNX file tell: which takes the picture, which is the vector, what it is at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.embedding.cards import short
from fraudit.errors import UsageError, suggest

_DTYPES = {
    "tensor(bool)": np.bool_, "tensor(float)": np.float32, "tensor(float16)": np.float16,
    "tensor(double)": np.float64, "tensor(int32)": np.int32, "tensor(int64)": np.int64,
    "tensor(uint8)": np.uint8, "tensor(int8)": np.int8,
}  # fmt: skip


def _name(text: str) -> str:
    """A name out of the file, for a message."""
    return ascii(text[:60])


def _axis(side: Any) -> str:
    return str(side) if isinstance(side, int) else (ascii(side)[1:-1][:20] if side else "?")


def described(slots: Sequence[Any]) -> str:
    """`'norm' [N, 1], 'embedding' [N, 64]`."""
    listed = [f"{_name(s.name)} [{', '.join(_axis(d) for d in s.shape or [])}]" for s in slots[:8]]
    return ", ".join(listed) + (f" and {len(slots) - 8} more" if len(slots) > 8 else "")


def numbers(slot: Any) -> int | None:
    """Numbers a face in an output [N, ...], None where the file does not say."""
    shape = list(slot.shape or [])
    if len(shape) < 2 or not all(isinstance(side, int) and side > 0 for side in shape[1:]):
        return None
    return int(np.prod(shape[1:]))


def picture_slots(inputs: Sequence[Any]) -> list[Any]:
    """Inputs that may take a picture: four axes, of which one is 3 or not stated."""
    return [
        slot
        for slot in inputs
        if len(slot.shape or []) == 4
        and any(not isinstance(slot.shape[axis], int) or slot.shape[axis] in (0, 3) for axis in (1, 3))
    ]


def choose_input(inputs: Sequence[Any], name: str, stated: Mapping[str, Any], model: Path) -> Any:
    """The input that takes the picture. Raises UsageError where the card has to name it, or to set another."""
    known = [slot.name for slot in inputs]
    if name and name not in known:
        raise UsageError(
            f"{model.name}: no input {_name(name)}", f"{suggest(name, known)}it has {described(inputs)}"
        )
    for key in stated:
        if key not in known or key == name:
            raise UsageError(
                f"{model.name}: inputs sets {_name(key)}, which is no other input",
                f"it has {described(inputs)}",
            )
    rest = [slot for slot in inputs if slot.name not in stated]
    pictures = [slot for slot in rest if slot.name == name] if name else picture_slots(rest) or rest
    if len(pictures) != 1:
        raise UsageError(
            f"{model.name}: {len(inputs)} inputs: {described(inputs)}; which takes the picture?",
            f"name it in the card: input = {_name(pictures[0].name) if pictures else '...'}",
        )
    others = [slot for slot in rest if slot is not pictures[0]]
    if others:
        values = ", ".join(f"{_key(slot.name)} = {_example(slot)}" for slot in others[:4])
        raise UsageError(
            f"{model.name}: {len(inputs)} inputs: {described(inputs)}; {_name(pictures[0].name)} takes the picture, "
            "the rest needs a value",
            f"set it in the card: inputs = {{ {values} }}",
        )
    return pictures[0]


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else json.dumps(name)


def _example(slot: Any) -> str:
    return "false" if slot.type == "tensor(bool)" else "1.0" if "float" in slot.type else "0"


def constants(inputs: Sequence[Any], stated: Mapping[str, Any], where: str) -> dict[str, np.ndarray]:
    """Name -> array of what the card sets beside the picture. Raises UsageError."""
    found = {}
    for slot in inputs:
        if slot.name not in stated:
            continue
        value, dtype = stated[slot.name], _DTYPES.get(slot.type)
        is_bool = isinstance(value, bool)
        if dtype is None:
            raise UsageError(
                f"{where}: input {_name(slot.name)} is {slot.type}; a card sets numbers and true or false"
            )
        try:
            plain = isinstance(value, bool | int | float | list)
            if not plain or (is_bool != (dtype is np.bool_) and not isinstance(value, list)):
                raise ValueError
            array: NDArray[Any] = np.asarray(value, dtype)
        except (ValueError, TypeError, OverflowError):
            raise UsageError(
                f"{where}: inputs.{slot.name[:60]} must be {'true or false' if dtype is np.bool_ else 'a number'}, "
                f"found {short(value)}"
            ) from None
        if array.ndim == 0 and slot.shape:
            array = np.full([side if isinstance(side, int) and side > 0 else 1 for side in slot.shape], array)
        found[slot.name] = array
    return found


def choose_output(outputs: Sequence[Any], name: str, dim: int, model: Path) -> Any:
    """The output that is the vector. Raises UsageError where the card has to name it."""
    known = [slot.name for slot in outputs]
    if name:
        if name not in known:
            raise UsageError(
                f"{model.name}: no output {_name(name)}", f"{suggest(name, known)}it has {described(outputs)}"
            )
        return outputs[known.index(name)]
    if len(outputs) == 1:
        return outputs[0]
    fit = [slot for slot in outputs if numbers(slot) == dim]
    if fit:
        named = " or ".join(f"output = {_name(slot.name)}" for slot in fit[:4])
        hint = (
            f"name it in the card: {named} ({'has' if len(fit) == 1 else 'have'} {dim} numbers, as dim says)"
        )
    else:
        hint = f"none of them states {dim} numbers, as dim says; name one in the card: output = '...'"
    raise UsageError(
        f"{model.name}: {len(outputs)} outputs: {described(outputs)}; which is the embedding?", hint
    )


MOST_OUTPUTS = 8


def vector_outputs(outputs: Sequence[Any], target: Any) -> tuple[str, ...]:
    """Names of the outputs that may be the vector, at most MOST_OUTPUTS; the chosen one first."""
    others = [
        slot.name
        for slot in outputs
        if slot is not target
        and slot.type in ("tensor(float)", "tensor(float16)")
        and 16 <= (numbers(slot) or 16) <= 65536
        and len(slot.shape or []) >= 2
    ]
    return (target.name, *others[: MOST_OUTPUTS - 1])


def layouts_of(source: Any, size: tuple[int, int], layout: str) -> tuple[str, ...]:
    """Layouts that the axes of an input allow at a size (height, width); the stated one first."""
    wanted = {"NCHW": (3, *size), "NHWC": (*size, 3)}
    fit = [
        name
        for name, sides in wanted.items()
        if all(
            not isinstance(s, int) or s in (0, want) for s, want in zip(source.shape[1:], sides, strict=True)
        )
    ]
    return (layout, *(name for name in fit if name != layout))


def sort_of(inputs: Sequence[Any], outputs: Sequence[Any]) -> str:
    """What a file is that is known and gives no embedding, in words; '' for anything else."""
    last = [slot.shape[-1] if slot.shape else None for slot in outputs]
    names = [slot.name.lower() for slot in outputs]
    if any(name.startswith("kps_8") for name in names) and any(name.startswith("obj_8") for name in names):
        return "YuNet, a face detector"
    if len(outputs) in (6, 9) and sorted(map(str, last)) == sorted(["1", "4", "10"][: len(outputs) // 3] * 3):
        return "SCRFD, a face detector"
    if {"loc", "conf"} <= set(names) or {"boxes", "scores"} <= set(names):
        return "a face detector"
    if len(outputs) != 1:
        return ""
    side = next((s.shape[2] for s in inputs if len(s.shape or []) == 4), None)
    known = {
        (62, 120): "3DDFA, which estimates a face's pose and shape",
        (3309, 192): "insightface's 1k3d68, which finds 68 points of a face",
        (212, 192): "insightface's 2d106det, which finds 106 points of a face",
        (3, 96): "insightface's genderage, which estimates gender and age",
    }
    return known.get((numbers(outputs[0]) or 0, side or 0), "")


def refuse_other_sorts(inputs: Sequence[Any], outputs: Sequence[Any], model: Path) -> None:
    """Raises UsageError where the file is a known model that gives no embedding."""
    sort = sort_of(inputs, outputs)
    if sort:
        raise UsageError(
            f"{model.name}: this is {sort}, and no embedder",
            "a model for recognition answers one vector a face; detectors go with --detector",
        )


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a card of a file would say, with `...` where the file does not tell."""

    text: str
    open: tuple[str, ...]


def draw_card(model: Path, inputs: Sequence[Any], outputs: Sequence[Any]) -> Drawn:
    """A card to complete, from what the file tells: size, layout, dim, inputs and outputs."""
    pictures = picture_slots(inputs)
    source = pictures[0] if pictures else None
    shape = list(source.shape) if source else [None] * 4
    nhwc = shape[3] == 3 and shape[1] != 3
    sides = shape[1:3] if nhwc else shape[2:4]
    size = [side if isinstance(side, int) and side > 0 else None for side in sides]
    vectors = [(slot, numbers(slot)) for slot in outputs]
    likely = [(slot, count) for slot, count in vectors if count is None or count >= 16] or vectors
    dim = likely[0][1] if (likely[0][1] or 0) > 1 else None
    unknown = []
    lines = [f"name = {json.dumps(model.stem[:60])}", f"model = {json.dumps(model.name)}"]
    if None in size:
        unknown.append("size")
    shown = ", ".join("..." if side is None else str(side) for side in size)
    known = size in ([112, 112], [224, 224])
    lines.append(f"size = [{shown}]  # height, width")
    lines += [
        "mean = 127.5  # not in the file: input = (pixel - mean) / std, for pixels from 0 to 255",
        "std = 127.5  # not in the file",
        'channels = "RGB"  # not in the file; or "BGR"',
        f"template = {json.dumps('arcface-112') if known else '...'}  # not in the file: how its faces are aligned",
        f"dim = {dim or '...'}  # numbers in a vector",
    ]
    unknown += ["mean", "std", "channels", "template"] + ([] if dim else ["dim"])
    if len(likely) > 1 or len(outputs) > 1:
        lines.append(f"output = {json.dumps(likely[0][0].name[:60])}  # of {len(outputs)}")
    if nhwc:
        lines.append('layout = "NHWC"')
    others = [slot for slot in inputs if slot is not source]
    if others:
        values = ", ".join(f"{_key(slot.name[:60])} = {_example(slot)}" for slot in others[:4])
        lines.append(f"inputs = {{ {values} }}  # every other input needs a value")
    return Drawn("\n".join(lines), tuple(unknown))
