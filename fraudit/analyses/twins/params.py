"""Parameters of the twins analysis: `--param twins.margin=0.005`."""

from __future__ import annotations

from dataclasses import dataclass

NAME, TITLE = "twins", "Twins"


@dataclass(frozen=True, slots=True)
class Params:
    """Options of the twins analysis (docs/twins.md has the rules).

    Attributes:
        fmrs: FMR targets whose thresholds are compared; one that the set cannot resolve is left out.
        margin: rise of FNMR, and share of faces lost, that still counts as none, in (0, 1).
        fmr_factor: by how much FMR may grow and still count as kept, above 1.
        by: attributes to compare groups by; by default the usual demographic ones that the set has.
        worst: how many of the faces that the models see most differently are named.
        reverse: the second model (`--other`) is the old one, and the audited model the new one.
    """

    fmrs: tuple[float, ...] = (1e-2, 1e-3, 1e-4, 1e-5)
    margin: float = 0.01
    fmr_factor: float = 2.0
    by: tuple[str, ...] = ()
    worst: int = 10
    reverse: bool = False

    def __post_init__(self) -> None:
        if not self.fmrs or not all(0 < fmr < 1 for fmr in self.fmrs):
            raise ValueError(f"fmrs: expected rates in (0, 1), found {self.fmrs}")
        if not 0 < self.margin < 1:
            raise ValueError(f"margin: expected a share in (0, 1), found {self.margin}")
        if not self.fmr_factor > 1:
            raise ValueError(f"fmr_factor: expected a factor above 1, found {self.fmr_factor}")
        if self.worst < 0:
            raise ValueError(f"worst: expected 0 or more, found {self.worst}")
