"""Files of ID vectors: what a run leaves behind, and vectors that somebody has already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.errors import DataError
from fraudit.files.doors import open_arrays
from fraudit.files.store import write_atomic
from fraudit.types import F32, I64, Bool, FaceSet, PairList, unit_rows

NO_VECTOR = "no vector stored"


@dataclass(frozen=True, slots=True)
class Vectors:
    """vectors.npz: N faces. `declared`: the pairs of a set without identities (from scores.csv), else None.

    `unknown`: why no pair is known to be of two people, or ''.
    """

    ids: NDArray[np.str_]
    unit: F32
    ok: Bool
    subjects: I64
    attributes: Mapping[str, NDArray[Any]]
    declared: PairList | None = None
    unknown: str = ""


def read_vectors(path: Path) -> Vectors:
    """Read a run's vectors. Raises DataError where the file is no such thing."""
    with open_arrays(path, "is no vectors.npz of a run", "run the audit again") as data:
        vectors, ok = data["vectors"].astype(np.float32), data["ok"].astype(bool)
        ids, subjects = data["ids"].astype(np.str_), data["subjects"].astype(np.int64)
        named = {n.removeprefix("attribute."): data[n] for n in data.files if n.startswith("attribute.")}
        lengths = {len(column) for column in (ok, ids, subjects, *named.values())}
        if vectors.ndim != 2 or lengths != {len(vectors)} or not np.isfinite(vectors[ok]).all():
            raise DataError(
                f"{path} is no vectors.npz of a run: its arrays do not fit together", "run the audit again"
            )
        return Vectors(ids, unit_rows(vectors), ok, subjects, named)


GIVEN = "is no file of ID vectors"
GIVEN_HINT = "expected an .npz with `ids` (text) and `vectors` [N, D] (docs/formats.md)"


@dataclass(frozen=True, slots=True)
class GivenVectors:
    """Vectors that somebody has already: N unique ids, f32[N,D], bool[N] usable, N reasons ('' where usable)."""

    ids: tuple[str, ...]
    vectors: F32
    ok: Bool
    reasons: tuple[str, ...]


def read_given(path: Path) -> GivenVectors:
    """An .npz with `ids` and `vectors`, and maybe `ok` and `reasons`, as a run or `fraudit embed` leaves it.

    A vector that is zero or not finite is no vector; its reason says so.

    Raises:
        DataError: no such file, no ids, a wrong shape, or an id that stands twice.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder", "name the file in it, such as vectors.npz")
    with open_arrays(path, GIVEN, GIVEN_HINT) as data:
        lacking = [name for name in ("ids", "vectors") if name not in data.files]
        if lacking:
            found = ", ".join(data.files) or "nothing"
            raise DataError(f"{path} {GIVEN}: it has no `{lacking[0]}`, found {found}", GIVEN_HINT)
        ids, vectors = _ids(data["ids"], path), data["vectors"]
        if (
            vectors.dtype.kind not in "fiu"
            or vectors.ndim != 2
            or len(vectors) != len(ids)
            or vectors.shape[1] < 2
        ):
            raise DataError(
                f"{path}: expected vectors of {len(ids):,} ids, numbers [N, D], found {vectors.dtype}"
                f"{list(vectors.shape)}",
                GIVEN_HINT,
            )
        ok = data["ok"].astype(bool) if "ok" in data.files else np.ones(len(ids), bool)
        reasons = data["reasons"].astype(str) if "reasons" in data.files else np.full(len(ids), "")
        if ok.shape != (len(ids),) or reasons.shape != (len(ids),):
            raise DataError(f"{path}: expected `ok` and `reasons` of {len(ids):,} ids", GIVEN_HINT)
        with np.errstate(over="ignore"):
            rows = vectors.astype(np.float32)
    finite = np.isfinite(rows).all(axis=1)
    known = ok & finite & (np.abs(np.where(finite[:, None], rows, 0)).max(axis=1) > 0)
    told = [
        "" if good else str(reason) or (NO_VECTOR if not held else "the stored vector is zero or not finite")
        for good, held, reason in zip(known, ok, reasons, strict=True)
    ]
    return GivenVectors(ids, np.where(known[:, None], rows, 0).astype(np.float32), known, tuple(told))


def _ids(values: NDArray[Any], path: Path) -> tuple[str, ...]:
    """Unique texts. Raises DataError."""
    if values.ndim != 1 or values.dtype.kind not in "USiu" or not len(values):
        raise DataError(
            f"{path}: expected ids as text [N], found {values.dtype}{list(values.shape)}", GIVEN_HINT
        )
    ids = tuple(v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in values.tolist())
    if len(set(ids)) < len(ids):
        twice = next(name for name, count in Counter(ids).items() if count > 1)
        raise DataError(f"{path}: {len(ids) - len(set(ids)):,} ids stand twice, the first is '{twice}'")
    return ids


def write_vectors(
    path: Path, faces: FaceSet, vectors: np.ndarray, ok: np.ndarray, reasons: Sequence[str]
) -> None:
    """`ids` str[N], `vectors` f32[N,D], `ok` bool[N], `reasons` str[N], `subjects` i64[N], atomically.

    Attributes follow as `attribute.NAME`, so that groups can be compared without the pictures.
    """
    arrays: dict[str, Any] = {
        "ids": np.array(faces.ids, dtype=np.str_),
        "vectors": vectors,
        "ok": ok,
        "reasons": np.array(reasons, dtype=np.str_),
        "subjects": faces.subjects,
    }
    for name, values in faces.attributes.items():
        column = np.asarray(values)
        arrays[f"attribute.{name}"] = column.astype(np.str_) if column.dtype.kind == "O" else column
    write_atomic(path, lambda p: np.savez(p, **arrays))
