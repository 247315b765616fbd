"""Parameters of the conditions analysis."""

from __future__ import annotations

from dataclasses import dataclass

NAME, TITLE = "conditions", "Conditions"


@dataclass(frozen=True)
class Params:
    """Which labels, and what is enrolled.

    Attributes:
        by: labels that vary within people; by default those that do, words for a picture's condition first.
        enrol: what is enrolled (`--enrol`): a condition such as `normal`, or LABEL=VALUE such as `glasses=0`. By
            default nothing is, and a pair counts for both orders.
        fmr: FMR of the threshold; by default 1e-3, or the smallest of 1e-2 and 1e-1 that the impostor pairs resolve.
        labels: labels that are looked at unasked, at most.
    """

    by: tuple[str, ...] = ()
    enrol: tuple[str, ...] = ()
    fmr: float | None = None
    labels: int = 6

    def __post_init__(self) -> None:
        if self.fmr is not None and not 0 < self.fmr < 1:
            raise ValueError(f"fmr: expected an FMR between 0 and 1, found {self.fmr:g}")
        if self.labels < 1:
            raise ValueError(f"labels: expected at least 1, found {self.labels}")
