"""Which half of the people thresholds are chosen on, and the threshold itself (docs/adr/0005).

An audit does this while it runs; a comparison does it again from the vectors a run left behind, so both use
these functions and draw the same people.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.errors import InsufficientData
from fraudit.stats.verification import fmr_threshold
from fraudit.types import F32, F64, I64, Bool

CALIBRATION_FACES = 4000  # all pairs among them: 8 million scores, 64 MB


def labelled_rng(seed: int, label: str) -> np.random.Generator:
    """A generator of its own for every use, so that one analysis never shifts another's draws."""
    return np.random.default_rng([seed, zlib.crc32(label.encode())])


def calibration_half(subjects: ArrayLike, seed: int) -> Bool:
    """bool[N]: faces of the seeded half of the people i64[N] that thresholds are chosen on."""
    people = np.unique(np.asarray(subjects))
    chosen = labelled_rng(seed, "calibration").permutation(people)[: len(people) // 2]
    return np.isin(subjects, chosen)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Impostor scores among the calibration half.

    Attributes:
        rows: i64[M] faces. people: i64[M] their subjects. impostor: f64[P] cosines of all their impostor pairs.
    """

    rows: I64
    people: I64
    impostor: F64

    def threshold(self, fmr: float) -> float:
        """The lowest observed cosine whose FMR is at most `fmr`."""
        return float(fmr_threshold(self.impostor, fmr))


def calibrate(unit: F32 | NDArray[np.floating], subjects: ArrayLike, ok: Bool, seed: int) -> Calibration:
    """Score the calibration half (at most `CALIBRATION_FACES` of its faces).

    Args:
        unit: f32[N,D] unit vectors. subjects: i64[N]. ok: bool[N], whether there is a vector.
    Raises:
        InsufficientData: no impostor pair among them.
    """
    labels = np.asarray(subjects, np.int64)
    rows = np.flatnonzero(calibration_half(labels, seed) & ok)
    if len(rows) > CALIBRATION_FACES:
        rows = np.sort(labelled_rng(seed, "threshold").choice(rows, CALIBRATION_FACES, replace=False))
    people = labels[rows]
    chosen = unit[rows]
    upper = np.triu(people[:, None] != people[None, :], k=1)
    impostor: F64 = (chosen @ chosen.T)[upper].astype(np.float64)
    if len(impostor) == 0:
        raise InsufficientData("no impostor pair in the calibration half", "use a set with more people")
    return Calibration(rows, people, impostor)
