"""Constants of a TensorFlow frozen graph, read from the protobuf wire format without TensorFlow.

Only what is needed is followed: GraphDef.node (1) -> NodeDef {name 1, op 2, attr 5} -> the attribute
`value` of nodes of the operation Const -> AttrValue.tensor (8) -> TensorProto {dtype 1, tensor_shape 2,
tensor_content 4, float_val 5}. Field numbers: tensorflow/core/framework/{graph,node_def,attr_value,tensor,
tensor_shape}.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path

import numpy as np

from fraudit.errors import WeightsError
from fraudit.files.doors import MODEL_BYTES, read_file
from fraudit.files.protobuf import BYTES, FIXED32, VARINT, Malformed, fields
from fraudit.types import F32

DT_FLOAT = 1


def _fields(data: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """(field number, wire type, value) of one message: a number, or the bytes of everything else."""
    for field in fields(data):
        value = field.value if field.wire == VARINT else data[field.start : field.end]
        yield field.number, field.wire, value


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise Malformed("a number where a message belongs")
    return value


def _shape(data: memoryview) -> tuple[int, ...]:
    sizes = []
    for number, _, value in _fields(data):
        if number == 2:
            # proto3 leaves a size of 0 out.
            sizes.append(next((v for n, w, v in _fields(_bytes(value)) if n == 1 and w == VARINT), 0))
        elif number == 3 and value:
            raise Malformed("a constant of unknown rank")
    if any(not isinstance(size, int) or size >= 1 << 63 for size in sizes):
        raise Malformed("a constant of negative size")
    return tuple(int(size) for size in sizes)


def _tensor(data: memoryview) -> F32 | None:
    """The float32 tensor of a TensorProto, or None where it holds another type."""
    dtype = 0
    shape: tuple[int, ...] = ()
    content: memoryview | None = None
    listed: list[memoryview] = []
    for number, wire, value in _fields(data):
        if number == 1 and isinstance(value, int):
            dtype = value
        elif number == 2:
            shape = _shape(_bytes(value))
        elif number == 4:
            content = _bytes(value)
        elif number == 5 and wire in (BYTES, FIXED32):
            listed.append(_bytes(value))
    if dtype != DT_FLOAT:
        return None
    raw = content if content is not None and len(content) else b"".join(listed)
    count = prod(shape)
    if len(raw) % 4:
        raise Malformed("a float tensor of odd length")
    values = np.frombuffer(raw, dtype="<f4").astype(np.float32)
    if len(values) == count:
        return values.reshape(shape)
    # TensorProto lets the last listed value stand for all that follow; only small constants use it.
    if content is None and 0 < len(values) < count <= 1 << 20:
        return np.concatenate([values, np.full(count - len(values), values[-1], np.float32)]).reshape(shape)
    raise Malformed(f"a tensor of shape {list(shape)} with {len(values):,} values")


def _constant(data: memoryview) -> tuple[str, F32] | None:
    name, operation, attributes = b"", b"", []
    for number, _, value in _fields(data):
        if number == 1:
            name = bytes(_bytes(value))
        elif number == 2:
            operation = bytes(_bytes(value))
        elif number == 5:
            attributes.append(_bytes(value))
    if operation != b"Const":
        return None
    for attribute in attributes:
        entry = {number: value for number, _, value in _fields(attribute)}
        if bytes(_bytes(entry.get(1, memoryview(b"")))) != b"value" or 2 not in entry:
            continue
        for number, _, value in _fields(_bytes(entry[2])):
            if number == 8 and (tensor := _tensor(_bytes(value))) is not None:
                return name.decode("utf-8", "replace"), tensor
    return None


def read_frozen_pb(path: Path) -> dict[str, F32]:
    """float32 constants of a TensorFlow frozen graph by node name, as TensorFlow lays them out (HWIO).

    Raises:
        WeightsError: the file cannot be read, is truncated or no GraphDef, or holds no float constant.
    """
    path = Path(path)
    data = memoryview(read_file(path, MODEL_BYTES, "check the path given as weights", "", WeightsError))
    constants: dict[str, F32] = {}
    try:
        for number, _, value in _fields(data):
            if number == 1 and (found := _constant(_bytes(value))) is not None:
                constants[found[0]] = found[1]
    except Malformed as error:
        raise WeightsError(
            f"{path.name}: truncated, or no TensorFlow frozen graph: {error}",
            "download or copy the file again",
        ) from error
    if not constants:
        raise WeightsError(
            f"{path.name}: expected a TensorFlow frozen graph, found no float constant in {len(data):,} bytes",
            "a frozen graph carries its weights; a plain graph with a checkpoint beside it does not",
        )
    return constants
