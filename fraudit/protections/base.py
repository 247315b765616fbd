"""What every scheme needs: keys, random matrices of a key, scores, parameters in their range."""

from __future__ import annotations

import zlib

import numpy as np

from fraudit.errors import DataError, UsageError, suggest
from fraudit.stats.axes import qr
from fraudit.types import F32, F64

KEYS = 2**63  # keys are whole numbers in [0, KEYS)


def checked_key(key: int) -> int:
    """The key. Raises UsageError where it is no whole number in [0, 2^63)."""
    if isinstance(key, bool) or not isinstance(key, int | np.integer) or not 0 <= int(key) < KEYS:
        raise UsageError(f"key: expected a whole number from 0 to 2^63 - 1, found {key!r}")
    return int(key)


def key_rng(key: int, scheme: str) -> np.random.Generator:
    """The generator of a key; two schemes never draw the same. Raises UsageError."""
    return np.random.default_rng([checked_key(key), zlib.crc32(scheme.encode())])


def orthonormal(dim: int, count: int, rng: np.random.Generator) -> F64:
    """f64[dim,count], count <= dim: orthonormal columns, distributed as Haar's (Gram-Schmidt of Gaussian vectors)."""
    q, r = qr(rng.standard_normal((dim, count)))
    return np.asarray(q * np.where(np.diag(r) < 0, -1.0, 1.0))


def key_axes(key: int, scheme: str, option: str, dim: int, count: int) -> F64:
    """f64[dim,count or dim]: the orthonormal axes of a key.

    Raises:
        DataError: more axes than the vectors have dimensions; `option` names the parameter that asks for them.
    """
    if count > dim:
        raise DataError(
            f"{scheme}: {count} orthogonal axes need vectors of as many dimensions; found {dim}",
            f"choose {scheme}:{option}={dim} or less",
        )
    return orthonormal(dim, count or dim, key_rng(key, scheme))


def cosines(a: F32, b: F32) -> F32:
    """f32[N]: cosine of the rows of f32[N,E]; 0 where a row is zero."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    length = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    return ((x * y).sum(1) / np.where(length > 0, length, 1.0)).astype(np.float32)


def equal_share(a: F32, b: F32) -> F32:
    """f32[N]: share of equal entries, 1 less the normalised Hamming distance."""
    return np.asarray((a == b).mean(axis=1), np.float32)


def whole(name: str, value: float, low: int, high: int | None = None) -> int:
    """The parameter as a whole number. Raises UsageError outside [low, high]."""
    if int(value) != value or value < low or (high is not None and value > high):
        room = f"from {low} to {high}" if high is not None else f"of at least {low}"
        raise UsageError(f"{name}: expected a whole number {room}, found {value:g}")
    return int(value)


def only_known(scheme: str, given: dict[str, float], known: tuple[str, ...]) -> None:
    """Raises UsageError on a parameter that the scheme does not have."""
    for name in given:
        if name not in known:
            raise UsageError(
                f"the protection scheme '{scheme}' has no parameter '{name}'",
                f"{suggest(name, known)}known: {', '.join(known)}",
            )


def called(scheme: str, parameters: dict[str, float], usual: dict[str, float]) -> str:
    """The scheme's name with the parameters that differ from the usual ones: `polyprotect:overlap=2`."""
    return ":".join([scheme, *(f"{k}={v:g}" for k, v in parameters.items() if v != usual[k])])
