"""The genuine pairs of a set at one threshold, chosen on the impostor pairs of people who are not judged."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fraudit.errors import InsufficientData, UsageError
from fraudit.formatting import fmr_words
from fraudit.stats.pairs import pair_cosines
from fraudit.types import F64, I64, Bool

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext
    from fraudit.audit.thresholds import Threshold

USUAL = (1e-3, 1e-2, 1e-1)  # FMR targets, the first one that the impostor pairs resolve is taken


@dataclass(frozen=True, slots=True)
class Genuine:
    """All genuine pairs of the audit at one threshold.

    Attributes:
        threshold: chosen on the calibration half. held: bool[N], pictures of that half.
        left, right: i64[P], pictures. scores: f64[P], NaN where one has no vector. errors: bool[P], no match.
        subjects: i64[N].
    """

    threshold: Threshold
    held: Bool
    left: I64
    right: I64
    scores: F64
    errors: Bool
    subjects: I64

    @property
    def judged(self) -> Bool:
        """bool[P]: pairs of people on whom the threshold was not chosen."""
        return ~(self.held[self.left] | self.held[self.right])


def usable_threshold(context: AnalysisContext, asked: float | None, parameter: str) -> Threshold:
    """The threshold for the FMR `asked`, or for the smallest of `USUAL` that is resolved.

    Raises:
        UsageError: an FMR outside (0, 1). InsufficientData: too few impostor pairs for it (rule of three).
    """
    if asked is not None and not 0 < asked < 1:
        raise UsageError(f"{parameter}: expected an FMR between 0 and 1, found {asked:g}")
    found = [context.threshold(fmr) for fmr in (USUAL if asked is None else (asked,))]
    good = next((t for t in found if t.resolvable), None)
    if good is None:
        last = found[-1]
        raise InsufficientData(
            f"FMR {fmr_words(last.fmr_target)} needs {math.ceil(3 / last.fmr_target):,} impostor pairs to choose a "
            f"threshold on, there are {last.n_impostor:,}",
            f"use more people, or a larger --param {parameter}",
        )
    return good


def genuine_at(context: AnalysisContext, threshold: Threshold) -> Genuine:
    """Every genuine pair that rates are measured on, at `threshold`.

    Raises:
        InsufficientData: nobody is identified, or nobody has two pictures.
    """
    pairs = context.rate_pairs()
    found = context.embeddings()
    left, right = pairs.left[pairs.same], pairs.right[pairs.same]
    scores = pair_cosines(found.unit(), left, right, found.ok)
    errors = ~(scores >= threshold.value)
    held = np.asarray(context.calibration_mask(), bool)
    return Genuine(threshold, held, left, right, scores, errors, context.faces.subjects)
