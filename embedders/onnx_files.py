"""Which files an ONNX model consists of, read from its protobuf wire format without the onnx package.

Only the fields that may name an external data file are visited (graphs, subgraphs of control flow,
functions, initialisers, tensors in attributes). The model is untrusted: a name that leaves the model's
folder is refused.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from fraudit.errors import WeightsError
from fraudit.files.doors import MODEL_BYTES, read_file
from fraudit.files.protobuf import BYTES, Malformed, fields
from fraudit.files.store import file_sha256

# message -> {field number: message of that field}; from onnx.proto
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_DEPTH_LIMIT = 60


def _spans(blob: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(number, start, end) of the length-delimited fields of the message in blob[start:end]; numbers are skipped."""
    for field in fields(blob, start, end):
        if field.wire == BYTES:
            yield field.number, field.start, field.end


def _fields(blob: memoryview) -> Iterator[tuple[int, memoryview]]:
    """(field number, bytes) of the length-delimited fields of one message."""
    for number, start, end in _spans(blob, 0, len(blob)):
        yield number, blob[start:end]


def _locations(blob: memoryview, message: str, depth: int = 0) -> Iterator[str]:
    if depth > _DEPTH_LIMIT:
        raise Malformed
    if message == "entry":
        pair = {number: bytes(value).decode("utf-8", "replace") for number, value in _fields(blob)}
        if pair.get(1) == "location":
            yield pair.get(2, "")
        return
    inner = _FIELDS[message]
    for number, value in _fields(blob):
        if number in inner:
            yield from _locations(value, inner[number], depth + 1)


def external_files(model: Path) -> list[Path]:
    """The external data files of `model`, sorted by name; [] where it holds everything itself.

    Raises:
        WeightsError: not an ONNX file, a data file is missing, or its name leads out of the model's folder.
    """
    blob = memoryview(read_file(model, MODEL_BYTES, "check the path in the card", "", WeightsError))
    try:
        names = sorted(set(_locations(blob, "model")))
    except Malformed:
        raise WeightsError(
            f"{model.name}: not an ONNX model, or truncated", "export or copy it again"
        ) from None
    folder = model.parent.resolve()
    found = []
    for name in names:
        path = Path(name)
        if not name or "\0" in name or path.is_absolute() or "\\" in name or not _inside(model.parent, path):
            raise WeightsError(
                f"{model.name}: its external data '{name[:80]}' lies outside the model's folder",
                "data files must lie beside the model; do not run a model you do not trust",
            )
        if not os.path.isfile(folder / path):
            raise WeightsError(
                f"{model.name}: needs the file '{name[:80]}' beside it, which is missing", "copy both"
            )
        found.append(folder / path)
    return found


def _inside(parent: Path, path: Path) -> bool:
    """Whether `path`, relative to the model's folder, ends there, or is a link of a Hugging Face cache.

    Such a cache keeps `<repository>/snapshots/<revision>/...` as links into `<repository>/blobs`.
    """
    folder = parent.resolve()
    if _below(folder, path):
        return True
    if ".." in path.parts:
        return False
    for at in (folder, *folder.parents):
        if at.parent.name == "snapshots":
            return _below(at.parent.parent / "blobs", folder / path)
    return False


def _below(folder: Path, path: Path) -> bool:
    try:
        return (folder / path).resolve().is_relative_to(folder)
    except (OSError, RuntimeError, ValueError):  # too long, links in a ring
        return False


def with_free_batch(model: Path) -> bytes | None:
    """The model with a free batch where an input states 0 faces; None where it has external data.

    `dim_value: 0` of the first axis becomes an unnamed axis, which takes as many bytes. Nothing else is changed.
    """
    if external_files(model):
        return None
    blob = bytearray(read_file(model, MODEL_BYTES, "check the path in the card", "", WeightsError))
    view = memoryview(blob)
    for place in _first_axes(view):
        if bytes(view[place : place + 2]) == b"\x08\x00":
            view[place : place + 2] = b"\x12\x00"
    view.release()
    return bytes(blob)


def _first_axes(view: memoryview) -> list[int]:
    """Where the content of the first axis stands, for every input of the graph: an offset of two bytes each."""
    found = []
    # model.graph, graph.input, value.type, type.tensor, tensor.shape, shape.dim
    for graph, at in _parts(view, 0, len(view), 7):
        for value, start in _parts(view, at, graph, 11):
            for kind, second in _parts(view, start, value, 2):
                for tensor, third in _parts(view, second, kind, 1):
                    for shape, fourth in _parts(view, third, tensor, 2):
                        dims = _parts(view, fourth, shape, 1)
                        found += [dims[0][1]] if dims and dims[0][0] - dims[0][1] == 2 else []
    return found


def _parts(view: memoryview, start: int, end: int, number: int) -> list[tuple[int, int]]:
    """(end, start) of every field `number` of the message in view[start:end]."""
    return [(last, first) for found, first, last in _spans(view, start, end) if found == number]


def model_sha256(model: Path) -> str:
    """sha256 hex of the model; with external data, of the hashes of all its files by name."""
    extra = external_files(model)
    if not extra:
        return file_sha256(model)
    parts = [file_sha256(model), *(f"{path.name}:{file_sha256(path)}" for path in extra)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
