"""Parameters of the doctor."""

from __future__ import annotations

from dataclasses import dataclass

from fraudit.errors import UsageError, suggest

NAME, TITLE = "doctor", "Doctor"
AXES = ("channels", "normalisation", "template", "size", "output", "layout")


@dataclass(frozen=True)
class Params:
    """What is tried on the black box before its figures are believed.

    Attributes:
        faces: faces, one a person where there are so many, that are shown anew for the checks.
        wiring: also try other channel orders, normalisations and templates (`fraudit doctor` does).
        wiring_faces: faces on which the wirings are compared.
        wiring_axes: what is tried, with commas: channels, normalisation, template, size, output, layout; all by
            default. A service that may cost something is asked only where this names what to try.
        fix: file to which a card with the better wiring is written; the model must be a card.
    """

    faces: int = 16
    wiring: bool = False
    wiring_faces: int = 600
    wiring_axes: str = ""
    fix: str = ""

    def __post_init__(self) -> None:
        if not 4 <= self.faces <= 256:
            raise ValueError(f"faces: expected 4 to 256, found {self.faces}")
        if self.wiring_faces < 20:
            raise ValueError(f"wiring_faces: expected at least 20, found {self.wiring_faces}")
        for axis in self.axes:
            if axis not in AXES:
                raise UsageError(
                    f"wiring_axes: unknown '{axis}'", f"{suggest(axis, AXES)}known: {', '.join(AXES)}"
                )
        if self.fix and not self.wiring:
            raise ValueError("fix: needs wiring=true")

    @property
    def axes(self) -> tuple[str, ...]:
        """The parts of `wiring_axes`."""
        return tuple(axis.strip() for axis in self.wiring_axes.split(",") if axis.strip())
