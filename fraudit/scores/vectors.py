"""The ID vectors a run leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.errors import DataError
from fraudit.files.doors import open_arrays
from fraudit.types import F32, I64, Bool, PairList


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
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
        return Vectors(ids, unit, ok, subjects, named)
