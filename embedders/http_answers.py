"""What goes to a remote black box and what comes back; every answer is untrusted until it is f32[N,D]."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fraudit.embedders.http_paths import Nothing, parse_path, walk
from fraudit.errors import DataError, UsageError
from fraudit.files.doors import BROKEN
from fraudit.redact import excerpt
from fraudit.types import F32, U8


@dataclass(frozen=True, slots=True)
class Shape:
    """How requests and answers look; the keys of a card of kind http (docs/cards.md).

    Attributes:
        request: json (base64 pictures), npy (u8[N,H,W,3] RGB), multipart (one file each) or raw (one picture is the
            whole body).
        image_format: png or jpeg; jpeg_quality: 1..100.
        images_key: dotted key of the list (json), or the part's name (multipart).
        image_key: where not '', every picture is an object with the base64 text under this key.
        image_list: whether JSON carries a list of pictures; False: one picture a request, not in a list.
        image_prefix: before the base64 text, such as `data:image/png;base64,`.
        fields: more keys of the JSON body, or form fields.
        response_format: json or npy.
        response: path to the vectors (`http_paths.parse_path`), '' for the answer itself.
    """

    request: str = "json"
    image_format: str = "png"
    jpeg_quality: int = 95
    images_key: str = "images"
    image_key: str = ""
    image_list: bool = True
    image_prefix: str = ""
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


def picture_text(data: bytes, shape: Shape) -> Any:
    """A picture's file as JSON carries it: text, or an object with the text."""
    text = shape.image_prefix + base64.b64encode(data).decode("ascii")
    return {shape.image_key: text} if shape.image_key else text


def form(shape: Shape, files: list[tuple[str, str, bytes]], secrets: Mapping[str, str]) -> dict[str, Any]:
    """Keyword arguments of a multipart request with (part's name, file's name, bytes)."""
    kind = f"image/{shape.image_format}"
    parts = [(key, (f"{name}.{shape.image_format}", data, kind)) for key, name, data in files]
    return {"files": parts, "data": {**{k: _plain(v) for k, v in (shape.fields or {}).items()}, **secrets}}


def _plain(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def json_body(shape: Shape, places: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    """Keyword arguments of a JSON request: the fields, `places` (dotted key -> value) and the secrets."""
    root: dict[str, Any] = json.loads(json.dumps(dict(shape.fields or {}), default=str))
    for key, value in {**places, **secrets}.items():
        place(root, key, value, "the card")
    return {"content": json.dumps(root).encode(), "headers": {"Content-Type": "application/json"}}


def body(images: Sequence[U8] | U8, shape: Shape, secrets: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Keyword arguments of an httpx request that carries `images`.

    Args:
        secrets: more fields, with their values from the environment.
    """
    hidden = secrets or {}
    if shape.request == "npy":
        out = io.BytesIO()
        np.save(out, np.asarray(images), allow_pickle=False)
        return {"content": out.getvalue(), "headers": {"Content-Type": "application/x-npy"}}
    files = [encode_picture(image, shape.image_format, shape.jpeg_quality) for image in images]
    if shape.request == "raw":
        return {"content": files[0], "headers": {"Content-Type": f"image/{shape.image_format}"}}
    if shape.request == "multipart":
        return form(shape, [(shape.images_key, str(i), data) for i, data in enumerate(files)], hidden)
    texts = [picture_text(data, shape) for data in files]
    return json_body(shape, {shape.images_key: texts if shape.image_list else texts[0]}, hidden)


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


def vectors_of(content: bytes, shape: Shape, count: int, dim: int, where: str) -> F32:
    """f32[count,dim] of an answer's bytes; a row of NaN where null or an empty list says that there is no face.

    Raises:
        DataError: not JSON (or npy), no vectors at the path, another count or dimension, not finite.
    """
    try:
        if shape.response_format == "npy":
            found = np.load(io.BytesIO(content), allow_pickle=False)
        else:
            found = walk(json.loads(content), parse_path(shape.response, where), where)
    except BROKEN as error:
        kind = shape.response_format.upper()
        raise DataError(f"{where}: the answer is not {kind}: {excerpt(content, 80)}") from error
    if isinstance(found, Nothing) and count > 1:
        raise DataError(
            f"{where}: null or an empty list where {count} vectors were expected",
            "check response in the card; batch_size = 1 asks for one picture at a time",
        )
    found, empty = _without_empty(found, count, dim)
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
    vectors[empty] = np.nan
    return vectors


def _without_empty(found: Any, count: int, dim: int) -> tuple[Any, list[int]]:
    """(the answer with zeros for pictures without a face, their rows)."""
    if count == 1 and _is_empty(found):
        return [[0.0] * dim], [0]
    if not isinstance(found, list) or len(found) != count:
        return found, []
    empty = [row for row, one in enumerate(found) if _is_empty(one)]
    return [[0.0] * dim if _is_empty(one) else one for one in found], empty


def _is_empty(value: Any) -> bool:
    return value is None or isinstance(value, Nothing) or (isinstance(value, list) and not value)
