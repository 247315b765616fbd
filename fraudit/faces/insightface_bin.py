"""insightface's verification sets (`lfw.bin`, `agedb_30.bin`, ...): a pickle of encoded pictures and labels.

The pickle is read by a machine that knows bytes, lists and numbers; arrays are made of their bytes here, never by
numpy's own unpickling, which trusts what a file says of them. Anything else that it asks for is refused by name.
"""

from __future__ import annotations

import hashlib
import io
import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.errors import DataError
from fraudit.faces.decode import picture_size
from fraudit.faces.draft import Draft
from fraudit.files.doors import BIN_BYTES, read_file
from fraudit.types import ARCFACE_112, F32, I64, PairList
from fraudit.weights.restricted_pickle import MALFORMED, Bounded, Call, Interpreter

FOLDS = 10
_ALIGNED = (112, 112)


# Plain kinds of numbers and texts by numpy's code; an array is made of bytes of one of them and of nothing else.
_CODE = re.compile(r"[biufSU]\d{1,9}")
_NUMBERS = {"b1", "u1", "i1", "u2", "i2", "f2", "u4", "i4", "f4", "u8", "i8", "f8"}


def _said(text: Any) -> str:
    if not isinstance(text, (str, bytes)):
        raise pickle.UnpicklingError(f"expected text, found {type(text).__name__}")
    return text.decode("latin-1") if isinstance(text, bytes) else text


def _encode_latin1(text: Any, codec: Any = "latin1") -> bytes:
    # Protocol 2 of Python 3 writes bytes as _codecs.encode(text, "latin1").
    if _said(codec).lower().replace("-", "") not in ("latin1", "iso88591"):
        raise pickle.UnpicklingError(f"the codec {_said(codec)[:40]} is refused")
    return _said(text).encode("latin-1")


def _bytes(*values: Any) -> bytes:
    # bytes() is how protocol 2 writes no bytes at all; bytes(10**10) would fill the memory.
    if values and not isinstance(values[0], bytes):
        raise pickle.UnpicklingError(f"bytes of a {type(values[0]).__name__}")
    return values[0] if values else b""


class _Dtype:
    """The kind of an array's elements, by its code alone; fields, subarrays and metadata are refused."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.order = _said(code).lstrip("|<>="), "|"
        if self.code == "bool":
            self.code = "b1"
        plain = self.code in _NUMBERS or (self.code[:1] in ("S", "U") and _CODE.fullmatch(self.code))
        if not plain and self.code not in ("O", "O8", "O4"):
            raise pickle.UnpicklingError(f"an array of dtype {self.code[:40]!r}")

    def from_pickle(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError("an array of a compound dtype")
        self.order = _said(state[1])
        if self.order not in ("|", "<", ">", "="):
            raise pickle.UnpicklingError("an unknown order of bytes")


class _Array:
    """An array as the pickle states it; `values` is made of its bytes, whose number must fit."""

    __slots__ = ("code", "data", "shape")

    def __init__(self, *_: Any) -> None:
        self.code = "u1"
        self.shape: tuple[int, ...] = (0,)
        self.data: bytes | list[Any] = b""

    def from_pickle(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("an array without shape, dtype and bytes")
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple) or len(shape) > 4:
            raise pickle.UnpicklingError("an array without shape, dtype and bytes")
        if not all(type(side) is int and 0 <= side < 2**40 for side in shape) or (fortran and len(shape) > 1):
            raise pickle.UnpicklingError("an array of an unusable shape")
        if dtype.code[0] == "O":
            if not isinstance(data, list) or len(data) != math.prod(shape):
                raise pickle.UnpicklingError("an array of objects without its objects")
            self.code, self.shape, self.data = "O", shape, data
            return
        data = data.encode("latin-1") if isinstance(data, str) else data
        size = np.dtype(dtype.code).itemsize
        if not isinstance(data, bytes) or not size or len(data) != math.prod(shape) * size:
            raise pickle.UnpicklingError(f"an array of shape {shape} whose bytes have another number")
        order = {">": ">", "<": "<"}.get(dtype.order, "")
        self.code, self.shape, self.data = order + dtype.code, shape, data

    def values(self) -> Any:
        """A list of the objects, or an array of plain numbers or texts."""
        if isinstance(self.data, list):
            return list(self.data)
        return np.frombuffer(self.data, self.code).reshape(self.shape)


def _scalar(dtype: Any, data: Any = b"") -> Any:
    if not isinstance(dtype, _Dtype) or dtype.code not in _NUMBERS:
        raise pickle.UnpicklingError("a number of no plain kind")
    found = _Array()
    found.from_pickle((1, (1,), dtype, False, data))
    return found.values()[0]


def _allowed() -> dict[tuple[str, str], Any]:
    found: dict[tuple[str, str], Any] = {("_codecs", "encode"): Call(_encode_latin1)}
    for builtins in ("builtins", "__builtin__"):
        found[builtins, "bytes"] = Call(_bytes)
    for core in ("numpy.core.multiarray", "numpy._core.multiarray"):
        found[core, "_reconstruct"] = Call(_Array)
        found[core, "scalar"] = Call(_scalar)
    found["numpy", "ndarray"], found["numpy", "dtype"] = Call(_Array), Call(_Dtype)
    return found


class _Restricted(Interpreter):
    _ALLOWED = _allowed()

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._ALLOWED[module, name]
        except KeyError:
            what = f"{module}.{name}"[:200]
            raise pickle.UnpicklingError(f"it asks for {what}, which no picture set needs") from None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to something outside the file")


def load_bin(path: Path) -> tuple[list[bytes], list[bool]]:
    """The encoded pictures and, per pair (2i, 2i+1), whether both show the same person.

    Raises:
        DataError: unreadable, not such a pickle, or twice as many pictures as labels are not there.
    """
    hint = "expected insightface's .bin: a pickle of (encoded pictures, issame)"
    data = read_file(path, BIN_BYTES)
    try:
        loaded = _Restricted(Bounded(io.BytesIO(data), len(data)), encoding="bytes").load()
    except pickle.UnpicklingError as error:
        raise DataError(f"{path}: refused as a picture set: {error}", hint) from error
    except MALFORMED as error:
        raise DataError(
            f"{path} is truncated or no pickle: {type(error).__name__}: {error}"[:400], hint
        ) from error
    if not isinstance(loaded, (list, tuple)) or len(loaded) != 2:
        raise DataError(f"{path}: expected two lists, found {type(loaded).__name__}", hint)
    pictures = [_as_bytes(item, path) for item in _as_list(loaded[0], path)]
    labels = _as_list(loaded[1], path)
    if len(pictures) != 2 * len(labels) or not labels:
        raise DataError(
            f"{path}: {len(pictures)} pictures for {len(labels)} pairs; expected twice as many", hint
        )
    if not all(isinstance(label, (bool, int, np.bool_, np.integer)) for label in labels):
        raise DataError(f"{path}: the labels are not true or false", hint)
    return pictures, [bool(label) for label in labels]


def _as_list(values: Any, path: Path) -> list[Any]:
    found = values.values() if isinstance(values, _Array) else values
    if isinstance(found, np.ndarray) and found.ndim >= 1:
        return list(found)
    if not isinstance(found, (list, tuple)):
        raise DataError(f"{path}: expected a list, found {type(values).__name__.strip('_').lower()}")
    return list(found)


def _as_bytes(item: Any, path: Path) -> bytes:
    if isinstance(item, bytes):
        return item
    if isinstance(item, _Array) and item.code == "u1":
        return bytes(item.data)
    if isinstance(item, np.ndarray) and item.dtype == np.uint8:
        return item.tobytes()
    raise DataError(f"{path}: expected encoded pictures, found {type(item).__name__.strip('_').lower()}")


def read_bin(path: Path) -> Draft:
    """The pairs of a .bin in ten folds of consecutive pairs, as its own evaluation splits them.

    Faces of 112x112 are insightface's aligned ones: they declare the ArcFace landmarks. Who is shown is not
    told: `identified` is False, and `subjects` joins what genuine pairs and equal files join.

    Raises:
        DataError: see `load_bin`.
    """
    pictures, same = load_bin(path)
    hashes = [hashlib.sha256(picture).hexdigest() for picture in pictures]
    landmarks = _declared(pictures)
    left = np.arange(0, len(pictures), 2, dtype=np.int64)
    fold = np.empty(len(same), np.int64)
    for number, part in enumerate(np.array_split(np.arange(len(same)), FOLDS)):
        fold[part] = number
    read: Callable[[int], bytes] = pictures.__getitem__
    return Draft(
        None,
        [f"{i:06d}" for i in range(len(pictures))],
        None,
        landmarks=landmarks,
        pairs=PairList(left, left + 1, np.array(same, bool), fold),
        subjects=_joined(hashes, same),
        read=read,
        identities=lambda: hashes,
    )


def _declared(pictures: list[bytes]) -> F32 | None:
    aligned = np.array([picture_size(picture) == _ALIGNED for picture in pictures])
    if not aligned.any():
        return None
    points = np.full((len(pictures), 5, 2), np.nan, np.float32)
    points[aligned] = ARCFACE_112
    return points


def _joined(hashes: list[str], same: list[bool]) -> I64:
    parent = list(range(len(hashes)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[str, int] = {}
    for i, content in enumerate(hashes):
        parent[root(i)] = root(first.setdefault(content, i))
    for pair, genuine in enumerate(same):
        if genuine:
            parent[root(2 * pair + 1)] = root(2 * pair)
    return np.unique([root(i) for i in range(len(hashes))], return_inverse=True)[1].astype(np.int64)
