"""Parameters of the inversion audit."""

from __future__ import annotations

from dataclasses import dataclass

NAME, TITLE = "inversion", "Inversion risk"


@dataclass(frozen=True, slots=True)
class Params:
    """Options of the inversion audit.

    Attributes:
        faces: faces to invert once each. pairs: genuine pairs of the replacement protocol.
        people, samples: pictures of one vector, for diversity and guidance: `samples` for each of `people`.
        fmrs: operating points, loosest first; success is told at the strictest that can be resolved.
        guidance: of all reconstructions, by default what the inverter states.
        guidances: of the sweep; empty for none. varieties: whether likeness is measured against variety.
        steps: of the sampler; the inverter's own by default.
        refine: rounds in which every reconstruction but the sweep's is shown to the audited model and its vector
            corrected, as an attacker could who may ask it; 0 for none.
        by: attributes for success per group; by default the usual demographic ones of the set.
        min_people: groups with fewer people are named and not judged.
        training: sets the inverter was trained on, to look for memorised faces.
        training_faces: faces of each training set that are searched at most.
        neighbours: k of precision and recall.
        scale: share of the sizes above; by default 1, or what an inverter asks for that takes long (`share`).
        shown: sources in the gallery.
    """

    faces: int = 300
    pairs: int = 200
    people: int = 20
    samples: int = 8
    fmrs: tuple[float, ...] = (1e-2, 1e-3)
    guidance: float | None = None
    guidances: tuple[float, ...] = (1.0, 2.0)
    varieties: bool = True
    steps: int | None = None
    refine: int = 0
    by: tuple[str, ...] = ()
    min_people: int = 10
    training: tuple[str, ...] = ()
    training_faces: int = 20_000
    neighbours: int = 3
    scale: float | None = None
    shown: int = 7

    def __post_init__(self) -> None:
        if not self.fmrs or not all(0 < f < 1 for f in self.fmrs):
            raise ValueError(f"fmrs: expected rates in (0, 1), found {self.fmrs}")
        if self.refine < 0:
            raise ValueError(f"refine: expected at least 0 rounds, found {self.refine}")
        if self.samples < 2:
            raise ValueError(f"samples: expected at least 2, found {self.samples}")
        if min((self.guidance or 0.0, *self.guidances)) < 0:
            raise ValueError(f"guidances: expected >= 0, found {self.guidance} and {self.guidances}")
        if self.scale is not None and not 0 < self.scale <= 1:
            raise ValueError(f"scale: expected a share in (0, 1], found {self.scale}")
