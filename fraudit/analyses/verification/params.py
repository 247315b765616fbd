"""Options of the verification analysis."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Params:
    """Options of the verification analysis.

    Attributes:
        modes: fold protocols: `exact` (always computed, so that runs stay comparable), `insightface`, `facenet`.
            The last two embed every face mirrored too.
        fars: FAR targets of TAR@FAR, read off the ROC of all pairs.
        fmrs: FMR targets whose thresholds are chosen on the calibration people and judged on the others.
        bins: of the score histograms.
        points: of the DET curve, about.
    """

    modes: tuple[str, ...] = ("exact",)
    fars: tuple[float, ...] = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
    fmrs: tuple[float, ...] = (1e-2, 1e-3)
    bins: int = 60
    points: int = 160

    def __post_init__(self) -> None:
        known = ("exact", "insightface", "facenet")
        if not self.modes or not set(self.modes) <= set(known):
            raise ValueError(f"modes: expected some of {', '.join(known)}, found {self.modes}")
        for name, rates in (("fars", self.fars), ("fmrs", self.fmrs)):
            if not rates or not all(0 < rate < 1 for rate in rates):
                raise ValueError(f"{name}: expected rates in (0, 1), found {rates}")
        if self.bins < 5 or self.points < 10:
            raise ValueError(f"bins and points: expected at least 5 and 10, found {self.bins}, {self.points}")


@dataclass(frozen=True, slots=True)
class Asked:
    """Nothing of its own: `scorer.verification` says how many pairs every run asks about."""
