"""Parameters of the quality analysis."""

from __future__ import annotations

from dataclasses import dataclass

NAME, TITLE = "quality", "Quality"


@dataclass(frozen=True)
class Params:
    """Which qualities, on which pictures, and how they are judged.

    Attributes:
        file: table of OFIQ (`--quality ofiq.csv`), one row a picture.
        columns: numeric columns of the set that are qualities; by default all with more than 10 different values but
            demographic ones and dates.
        lower: measures of which a lower value is better, as they are named in the report.
        fmr: FMR of the threshold; by default 1e-3, or the smallest of 1e-2 and 1e-1 that the impostor pairs resolve.
        faces: pictures that are measured at most, whole people drawn at random (of stored vectors all are used).
        measure: measure sharpness, brightness, contrast, resolution and pose in the pictures, and ask the detector for
            its confidence.
        stability: pictures of which lightly corrupted copies are shown to the model at most; 0: none.
        cut: the measure whose cut is judged by group; by default the one that gains most on the other half of the
            people.
        by: attributes whose groups lose pictures; the usual demographic ones by default.
    """

    file: str = ""
    columns: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()
    fmr: float | None = None
    faces: int = 4000
    measure: bool = True
    stability: int = 1000
    cut: str = ""
    by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.fmr is not None and not 0 < self.fmr < 1:
            raise ValueError(f"fmr: expected an FMR between 0 and 1, found {self.fmr:g}")
        if self.faces < 1 or self.stability < 0:
            raise ValueError("faces: expected at least 1; stability: at least 0")
