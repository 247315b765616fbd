"""Parameters of the comparison of inversion methods."""

from __future__ import annotations

from dataclasses import dataclass

NAME, TITLE = "rivals", "Inversion methods compared"
QUESTIONS = 400  # a picture, where nothing was said


@dataclass(frozen=True, slots=True)
class Params:
    """Options of the comparison of inversion methods.

    Attributes:
        methods: which, by name; empty for all that can be run. inverters: folders of trained inverters besides.
        people: whose template is inverted, one each. samples: pictures of each.
        questions: that an attack may ask the black box for a picture; left open, 400 of a model that runs here and none
            of a service, which may charge for them. pool: faces shown to it beforehand, for all.
        pictures: that an attack may draw with a diffusion network in all; each takes tenths of a second.
        fmrs: operating points. steps: of ID3PM's sampler, its own by default.
        local: model of the attacker's own, a name or card, for attacks that see scores alone.
        generator: file of a generator of the attacker's own, for latent search.
        shown: people on the contact sheet.
    """

    methods: tuple[str, ...] = ()
    inverters: tuple[str, ...] = ()
    people: int = 12
    samples: int = 2
    questions: int | None = None
    pool: int = 1000
    pictures: int = 600
    fmrs: tuple[float, ...] = (1e-2, 1e-3)
    steps: int | None = None
    local: str | None = None
    generator: str | None = None
    shown: int = 6

    def __post_init__(self) -> None:
        if not self.fmrs or not all(0 < f < 1 for f in self.fmrs):
            raise ValueError(f"fmrs: expected rates in (0, 1), found {self.fmrs}")
        for name, least in (("people", 2), ("samples", 2), ("questions", 1), ("pool", 2), ("pictures", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name}: expected at least {least}, found {value}")
