"""insightface's verification sets (`lfw.bin`, `agedb_30.bin`, ...): a pickle of encoded pictures and labels.

The pickle is read by a machine that knows bytes, lists, numbers and plain numpy arrays; anything else that
it asks for is refused by name.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.errors import DataError
from fraudit.faces.decode import picture_size
from fraudit.faces.draft import Draft
from fraudit.types import ARCFACE_112, F32, I64, PairList

FOLDS = 10
_ALIGNED = (112, 112)


def _encode_latin1(text: str, codec: str = "latin1") -> bytes:
    # Protocol 2 of Python 3 writes bytes as _codecs.encode(text, "latin1").
    if codec.lower().replace("-", "") not in ("latin1", "iso88591"):
        raise pickle.UnpicklingError(f"the codec {codec} is refused")
    return text.encode("latin-1")


def _allowed() -> dict[tuple[str, str], Any]:
    found: dict[tuple[str, str], Any] = {("_codecs", "encode"): _encode_latin1}
    for builtins in ("builtins", "__builtin__"):
        found[builtins, "bytes"] = bytes
    reconstruct = np.zeros(0).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    for core in ("numpy.core.multiarray", "numpy._core.multiarray"):
        found[core, "_reconstruct"] = reconstruct
        found[core, "scalar"] = scalar
    found["numpy", "ndarray"], found["numpy", "dtype"] = np.ndarray, np.dtype
    return found


class _Restricted(pickle.Unpickler):
    _ALLOWED = _allowed()

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no picture set needs") from None


def load_bin(path: Path) -> tuple[list[bytes], list[bool]]:
    """The encoded pictures and, per pair (2i, 2i+1), whether both show the same person.

    Raises:
        DataError: unreadable, not such a pickle, or twice as many pictures as labels are not there.
    """
    hint = "expected insightface's .bin: a pickle of (encoded pictures, issame)"
    try:
        data = path.read_bytes()
        loaded = _Restricted(io.BytesIO(data), encoding="bytes").load()
    except pickle.UnpicklingError as error:
        raise DataError(f"{path}: refused as a picture set: {error}", hint) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except (
        EOFError,
        ValueError,
        LookupError,
        AttributeError,
        TypeError,
        MemoryError,
        OverflowError,
    ) as error:
        raise DataError(f"{path} is truncated or no pickle: {error}", hint) from error
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
    if isinstance(values, np.ndarray) and values.ndim >= 1:
        return list(values)
    if not isinstance(values, (list, tuple)):
        raise DataError(f"{path}: expected a list, found {type(values).__name__}")
    return list(values)


def _as_bytes(item: Any, path: Path) -> bytes:
    if isinstance(item, (bytes, bytearray)):
        return bytes(item)
    if isinstance(item, np.ndarray) and item.dtype == np.uint8:
        return item.tobytes()
    raise DataError(f"{path}: expected encoded pictures, found {type(item).__name__}")


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
