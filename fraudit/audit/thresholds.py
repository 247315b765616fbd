"""Decision thresholds, and where they come from in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fraudit.formatting import fmr_words
from fraudit.stats.calibration import DISTINCT, Calibration


@dataclass(frozen=True, slots=True)
class Threshold:
    """A decision threshold and where it comes from.

    Attributes:
        value: cosine similarity; a pair matches at or above it.
        fmr_target: the FMR asked for.
        fmr_achieved: the FMR at `value` on the calibration pairs.
        n_impostor: impostor pairs it was chosen on.
        resolvable: whether the rule of three holds, n_impostor >= 3 / fmr_target.
        provenance: one line for a report.
        missing: why there is no threshold; `value` and `fmr_achieved` are then NaN.
    """

    value: float
    fmr_target: float
    fmr_achieved: float
    n_impostor: int
    resolvable: bool
    provenance: str
    missing: str = ""


def threshold_of(found: Calibration, fmr: float, identified: bool = True) -> Threshold:
    """The threshold for `fmr` of a calibration, and where it comes from in words."""
    value, n = found.threshold(fmr), len(found.impostor)
    achieved = float(np.mean(found.impostor >= value))
    chosen = f"chosen for FMR {fmr_words(fmr)} on {n:,}"
    if found.left is not None:
        words = f"{chosen} impostor pairs that the set declares and that are not judged"
    elif identified:
        words = (
            f"{chosen} impostor pairs among {len(found.rows):,} faces of {len(np.unique(found.people)):,} people "
            "that are not judged"
        )
    else:
        words = (
            f"{chosen} pairs among {len(found.rows):,} pictures that are not judged; {DISTINCT}, too high where people "
            "occur twice"
        )
    return Threshold(value, fmr, achieved, n, n >= 3 / fmr, f"{words} (achieved {achieved:.2g})")
