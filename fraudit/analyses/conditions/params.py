"""Parameters of the conditions analysis."""

from __future__ import annotations

from dataclasses import dataclass


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
