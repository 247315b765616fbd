"""Whether two runs are of numerically the same model, and how alike both models see the same face.

One tolerance holds everywhere in comparisons and gates: `SAME`, in cosine. Two models are numerically the same where
no face has a cosine below 1 - SAME with itself under the other model, or every pair's score agrees within SAME.
Another file, another precision or another machine stays far inside (fp16: about 1e-5); another crop, channel order
or 8-bit weights lie far outside. Then figures differ only by pairs that rounding moves over a threshold, and every
difference of figures that follow from the vectors counts as none. Figures of other pictures (robustness, inversion)
count as equal where they differ by two pairs at most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fraudit.compare.evidence import digest_of
from fraudit.compare.values import Evidence, Side, Sketch
from fraudit.errors import InsufficientData
from fraudit.formatting import number
from fraudit.stats.same_face import face_cosines, low_cosine, mean_cosine, projections, sketch_cosines
from fraudit.types import F64, I64, Interval

SAME = 1e-4
ENOUGH_PAIRS = 100  # scores speak for the whole model only where there are some


@dataclass(frozen=True, slots=True)
class SameFace:
    """Cosines of the same faces under both models.

    Attributes:
        cosines: f64[N]. subjects: i64[N]. exact: False where they are estimates from a baseline's sketch, whose mean
            alone means something. faces: N.
    """

    cosines: F64
    subjects: I64
    exact: bool

    @property
    def faces(self) -> int:
        """How many faces both models gave a vector for."""
        return len(self.cosines)

    @property
    def words(self) -> str:
        """One sentence."""
        head = f"The same face has a mean cosine of {_cosine(self.cosines.mean())} under both models"
        if not self.exact:
            return f"{head} (estimated from the baseline's sketch of {self.faces:,} faces)."
        quantiles = np.quantile(self.cosines, [0.5, 0.01, 0])
        median, low, least = (_cosine(float(q)) for q in quantiles)
        return f"{head} (median {median}, 1st percentile {low}, minimum {least}; {self.faces:,} faces)."

    def figure(self, which: str, level: float = 0.95) -> tuple[float, Interval]:
        """(value, interval) of `mean`, `median`, `p1` or `min`.

        Raises:
            InsufficientData: only a sketch is known, or too few people for an interval.
        """
        if which == "mean":
            return mean_cosine(self.cosines, self.subjects, level)
        if not self.exact:
            raise InsufficientData(
                "a baseline keeps enough for the mean alone", "give the base run's folder: --base RUN"
            )
        if which == "min":
            least = float(self.cosines.min())
            return least, Interval(least, least, level, "of these faces, not of others")
        return low_cosine(self.cosines, self.subjects, {"median": 0.5, "p1": 0.01}[which], level)


def _cosine(value: float) -> str:
    return number(value, 4 if value < 0.99995 else 6)


def same_face(base: Evidence, new: Evidence) -> SameFace:
    """Cosines of the same faces.

    Raises:
        InsufficientData: other faces, another dimension, or no vectors on either side.
    """
    if not base.people_digest or base.people_digest != new.people_digest:
        raise InsufficientData("the runs hold no vectors of the same faces")
    first, second = base.vectors, new.vectors
    if first is not None and second is not None:
        both = first.ok & second.ok
        if not both.any():
            raise InsufficientData("no face has a vector in both runs")
        return SameFace(face_cosines(first.unit[both], second.unit[both]), second.subjects[both], True)
    whole, kept = (second, base.sketch) if second is not None else (first, new.sketch)
    if whole is None or kept is None:
        raise InsufficientData("neither run holds vectors", "give the folder of a run")
    return _sketched(whole.unit, whole.ok, whole.subjects, kept)


def _sketched(unit: np.ndarray, ok: np.ndarray, subjects: I64, kept: Sketch) -> SameFace:
    if unit.shape[1] != kept.dim:
        raise InsufficientData(f"vectors of {kept.dim} and {unit.shape[1]} numbers have no cosine")
    own = projections(unit, kept.rows)
    both = ok[kept.rows]
    if not both.any():
        raise InsufficientData("no face has a vector in both runs")
    return SameFace(sketch_cosines(kept.values[both], own[both]), subjects[kept.rows][both], False)


def _lost(evidence: Evidence) -> str:
    if evidence.vectors is not None:
        return digest_of(~evidence.vectors.ok)
    return evidence.sketch.lost if evidence.sketch is not None else ""


def same_model(base: Side, new: Side) -> str:
    """Why both runs are of numerically the same model, in words; '' where they are not, or nothing tells.

    A fingerprint alone proves nothing, because a remote service may change behind its card.
    """
    first, second = base.evidence, new.evidence
    if "" != _lost(first) != _lost(second) != "":
        return ""
    try:
        found = same_face(first, second)
    except InsufficientData:
        found = None
    # An estimate from a sketch is spread as chi-squared: the largest of 2,000 is about five times the mean.
    if found is not None and float(found.cosines.min()) >= 1 - SAME:
        return f"the same face has a cosine of at least {number(1 - SAME, 4)} under both models"
    a, b = first.pairs, second.pairs
    if a is None or b is None or first.pairs_digest != second.pairs_digest or len(a) < ENOUGH_PAIRS:
        return ""
    if np.allclose(a.score, b.score, rtol=0, atol=SAME, equal_nan=True):
        return f"every pair's score agrees within {SAME:g}"
    return ""
