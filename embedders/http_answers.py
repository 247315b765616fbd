"""What goes to a remote black box and what comes back; every answer is untrusted until it is f32[N,D]."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fraudit.doors import BROKEN
from fraudit.errors import DataError, UsageError
from fraudit.redact import excerpt, redact
from fraudit.types import F32, U8


@dataclass(frozen=True, slots=True)
class Shape:
    """How requests and answers look; the keys of a card of kind http (docs/cards.md).

    Attributes:
        request: json (base64 pictures in a list), npy (u8[N,H,W,3] RGB) or multipart (one file each).
        image_format: png or jpeg; jpeg_quality: 1..100.
        images_key: dotted key of the list (json), or the part's name (multipart).
        image_key: where not '', every picture is an object with the base64 text under this key.
        fields: more keys of the JSON body, or form fields.
        response_format: json or npy.
        response: dotted path to the vectors, `*` for every item of a list, '' for the answer itself.
    """

    request: str = "json"
    image_format: str = "png"
    jpeg_quality: int = 95
    images_key: str = "images"
    image_key: str = ""
    fields: Mapping[str, Any] | None = None
    response_format: str = "json"
    response: str = "embeddings"


def encode_picture(image: U8, image_format: str, quality: int) -> bytes:
    """u8[H,W,3] RGB as a PNG or JPEG file."""
    from PIL import Image

    out = io.BytesIO()
    if image_format == "png":
        Image.fromarray(image).save(out, "PNG", compress_level=1)
    else:
        Image.fromarray(image).save(out, "JPEG", quality=quality, subsampling=0)
    return out.getvalue()


def body(images: U8, shape: Shape) -> dict[str, Any]:
    """Keyword arguments of an httpx request that carries `images`."""
    if shape.request == "npy":
        out = io.BytesIO()
        np.save(out, images, allow_pickle=False)
        return {"content": out.getvalue(), "headers": {"Content-Type": "application/x-npy"}}
    files = [encode_picture(image, shape.image_format, shape.jpeg_quality) for image in images]
    if shape.request == "multipart":
        kind = f"image/{shape.image_format}"
        parts = [
            (shape.images_key, (f"{i}.{shape.image_format}", data, kind)) for i, data in enumerate(files)
        ]
        return {"files": parts, "data": {k: str(v) for k, v in (shape.fields or {}).items()}}
    texts: list[Any] = [base64.b64encode(data).decode("ascii") for data in files]
    if shape.image_key:
        texts = [{shape.image_key: text} for text in texts]
    root: dict[str, Any] = json.loads(json.dumps(dict(shape.fields or {}), default=str))
    place(root, shape.images_key, texts, "images_key")
    return {"content": json.dumps(root).encode(), "headers": {"Content-Type": "application/json"}}


def place(root: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Put `value` under the dotted `key` of `root`. Raises UsageError where another field is in its way."""
    *above, last = key.split(".")
    node = root
    for part in above:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            break
    if not isinstance(node, dict) or last in node or not all([*above, last]):
        raise UsageError(
            f"{where}: '{key[:80]}' is no free place in the request beside `fields`",
            "name another key, or take the field of that name out",
        )
    node[last] = value


def _walk(node: Any, path: list[str], where: str) -> Any:
    for at, key in enumerate(path):
        if key == "*":
            if not isinstance(node, list):
                raise DataError(f"{where}: expected a list at '*' of the response path")
            return [_walk(item, path[at + 1 :], where) for item in node]
        if isinstance(node, list) and key.isdigit() and int(key) < len(node):
            node = node[int(key)]
        elif isinstance(node, dict) and key in node:
            node = node[key]
        else:
            found = redact(", ".join(list(node)[:8])) if isinstance(node, dict) else type(node).__name__
            raise DataError(
                f"{where}: no '{key}' in the answer, found {found[:200]}",
                "state the path in the card: response = ...",
            )
    return node


def vectors_of(content: bytes, shape: Shape, count: int, dim: int, where: str) -> F32:
    """f32[count,dim] of an answer's bytes.

    Raises:
        DataError: not JSON (or npy), no vectors at the path, another count or dimension, not finite.
    """
    try:
        if shape.response_format == "npy":
            found = np.load(io.BytesIO(content), allow_pickle=False)
        else:
            found = _walk(json.loads(content), [k for k in shape.response.split(".") if k], where)
    except BROKEN as error:
        kind = shape.response_format.upper()
        raise DataError(f"{where}: the answer is not {kind}: {excerpt(content, 80)}") from error
    try:
        array = np.asarray(found)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{where}: vectors of unequal length; expected {count} of {dim} numbers") from error
    if count == 1 and array.shape == (dim,):
        array = array[None]
    if array.dtype.kind not in "fiu" or array.shape != (count, dim):
        raise DataError(
            f"{where}: the answer is {array.dtype} of shape {array.shape}; expected ({count}, {dim})",
            "check dim, batch_size and response in the card",
        )
    with np.errstate(over="ignore"):
        vectors = array.astype(np.float32)
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise DataError(f"{where}: the vector of face {row} of {count} in the batch is not finite")
    return vectors
