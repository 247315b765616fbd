"""Parameters of the evidence analysis."""

from __future__ import annotations

from dataclasses import dataclass

NAME, TITLE = "evidence", "Evidence"


@dataclass(frozen=True)
class Params:
    """What is looked for, and how much of it is listed.

    Attributes:
        fmrs: FMR targets; the smallest that the data resolve gives the threshold of every error rate here.
        near: cosine at or above which two pictures may be one; it is raised where different pictures come as near.
        nearest: share of each picture's strangers that the judge finds nearest, in (0, 1).
        by: attributes within whose groups strangers are taken; the usual demographic ones by default.
        when: attribute with the age, the date or the year of each picture; `date`, `year` or `age` by default.
        listed: entries of every list, at most; all are counted.
        shown: rows of every gallery, where pictures may be shown.
    """

    fmrs: tuple[float, ...] = (1e-3, 1e-2)
    near: float = 0.99
    nearest: float = 0.01
    by: tuple[str, ...] = ()
    when: str = ""
    listed: int = 20
    shown: int = 6

    def __post_init__(self) -> None:
        if not self.fmrs or any(not 0 < f < 1 for f in self.fmrs):
            raise ValueError(f"fmrs: expected FMR targets between 0 and 1, found {list(self.fmrs)}")
        if not 0.9 < self.near < 1:
            raise ValueError(f"near: expected a cosine between 0.9 and 1, found {self.near:g}")
        if not 0 < self.nearest < 1:
            raise ValueError(f"nearest: expected a share between 0 and 1, found {self.nearest:g}")
        if self.listed < 1 or self.shown < 0:
            raise ValueError("listed: expected at least 1; shown: at least 0")
