"""Parameters of the compression analysis."""

from __future__ import annotations

from dataclasses import dataclass

NAME, TITLE = "compression", "Compression"

FARS = (1e-3, 1e-2, 1e-1)
RECONSTRUCTIONS = 2  # people, where inverting is asked for


@dataclass(frozen=True, slots=True)
class Params:
    """Options of the compression analysis.

    Attributes:
        margin: loss of TAR, as a share, that a shorter template may cost (0.01 is one point).
        far: FAR of the TAR; by default the smallest of 1e-3, 1e-2, 1e-1 with 30 false matches expected.
        leak: attributes to read from the projected vectors; `auto` takes up to two usual ones, `none` none.
        by: attribute whose groups are compared; `auto` takes a usual one where present, `none` none.
        group_floor: people below which nothing is said of a group.
        max_pairs: verification pairs where the set declares none.
        reconstructions: people whose projected vectors are inverted where an inverter exists; by default 2 in an
            audit with the inversion section, else none.
    """

    margin: float = 0.01
    far: float | None = None
    leak: tuple[str, ...] = ("auto",)
    by: str = "auto"
    group_floor: int = 10
    max_pairs: int = 12_000
    reconstructions: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.margin < 1:
            raise ValueError(f"margin: expected a share in (0, 1), found {self.margin}")
        if self.far is not None and not 0 < self.far < 1:
            raise ValueError(f"far: expected a rate in (0, 1), found {self.far}")
