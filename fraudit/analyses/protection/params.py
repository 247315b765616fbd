"""Parameters of the protection analysis."""

from __future__ import annotations

from dataclasses import dataclass

NAME, TITLE = "protection", "Template protection"

LEAST_PEOPLE = 50  # with two pictures: fewer say nothing of linkability
FACES = 32  # turned into pictures


@dataclass(frozen=True, slots=True)
class Params:
    """Which schemes, under which key, on how many people.

    Attributes:
        schemes: names of schemes, with parameters after a colon as in `polyprotect:overlap=2`.
        key: of everybody where all share one, from 0 to 2^63 - 1.
        fmr: operating point at which matches count, in (0, 1).
        people: with two pictures or more, in each half at most. most: pictures of one of them.
        pairs: impostor pairs at most.
        attacked: vectors that are recovered, of as many people.
        learnt: vectors that an attacker learns from, his own drawn ones among them.
        mlp: also learn a perceptron where the linear inverse is not exact.
        faces: recovered vectors turned into pictures, for each scheme and attacker; 0 for none.
        steps: of the inverter's sampler; its own by default.
    """

    schemes: tuple[str, ...] = (
        "identity",
        "int8",
        "pca",
        "projection",
        "biohashing",
        "polyprotect:overlap=0",
        "polyprotect",
        "iom",
    )
    key: int = 1
    fmr: float = 1e-2
    people: int = 300
    most: int = 4
    pairs: int = 100_000
    attacked: int = 300
    learnt: int = 3000
    mlp: bool = True
    faces: int | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        if not self.schemes:
            raise ValueError("schemes: expected at least one, found none")
        if isinstance(self.key, bool) or not 0 <= self.key < 2**63:
            raise ValueError(f"key: expected a whole number from 0 to 2^63 - 1, found {self.key}")
        if not 0 < self.fmr < 1:
            raise ValueError(f"fmr: expected a rate in (0, 1), found {self.fmr}")
        if self.most < 2:
            raise ValueError(f"most: expected at least 2 pictures of a person, found {self.most}")
        if min(self.people, self.attacked) < LEAST_PEOPLE // 2:
            raise ValueError(
                f"people and attacked: expected at least {LEAST_PEOPLE // 2}, found {self.people}, {self.attacked}"
            )
        if self.learnt < 200 or self.pairs < 1000:
            raise ValueError(
                f"learnt: expected at least 200, pairs at least 1000; found {self.learnt} and {self.pairs}"
            )
        if self.faces is not None and self.faces < 0:
            raise ValueError(f"faces: expected at least 0, found {self.faces}")
