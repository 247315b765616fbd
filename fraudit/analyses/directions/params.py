"""Parameters of the direction analysis."""

from __future__ import annotations

from dataclasses import dataclass

NAME, TITLE = "directions", "Directions and interpolation"

PICTURED = 3  # directions, where inverting is asked for


@dataclass(frozen=True, slots=True)
class Params:
    """Options of the direction analysis.

    Attributes:
        by: attributes; all of the set by default. most: directions at most (the first of the set's order).
        faces: faces the directions are found on. least: people a group must have.
        axes: principal axes to relate to attributes.
        fmr: operating point at which somebody is another person; the next looser where not resolvable.
        pictured: directions that are inverted where an inverter exists, the surest first; by default 3 in an audit
            with the inversion section, else none, and no paths either.
        walkers: faces moved along each. gaps: how far, in gaps between the two groups.
        paths, frames: slerp paths between people. guidance, steps: of the inverter; its own by default.
        scale: share of walkers and paths; by default 1, or what an inverter asks for that takes long (`share`).
    """

    by: tuple[str, ...] = ()
    most: int = 20
    faces: int = 4000
    least: int = 5
    axes: int = 5
    fmr: float = 1e-3
    pictured: int | None = None
    walkers: int = 16
    gaps: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    paths: int = 16
    frames: int = 7
    guidance: float | None = None
    steps: int | None = None
    scale: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.fmr < 1:
            raise ValueError(f"fmr: expected a rate in (0, 1), found {self.fmr}")
        if self.frames < 3 or self.most < 1:
            raise ValueError(f"expected frames >= 3 and most >= 1, found {self.frames} and {self.most}")
        if min(self.gaps, default=0) < 0:
            raise ValueError(f"gaps: expected >= 0, found {self.gaps}")
