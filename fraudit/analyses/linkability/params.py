"""Parameters of the linkability analysis: `--param linkability.pairs=0,50,500`."""

from __future__ import annotations

from dataclasses import dataclass

NAME, TITLE = "linkability", "Two leaked databases"


@dataclass(frozen=True, slots=True)
class Params:
    """What the attacker knows, and at which rate of false links the search is judged.

    Attributes:
        pairs: pictures of which the attacker has both models' vectors: 0 (vectors compared as they are, where both
            models have as many numbers) or at least 20; all there are as well.
        share: of the people whose pictures the attacker may have, in (0, 1); the others are in the databases.
        fpir: FPIR target of the search for a person, in (0, 1).
        network: whether the attacker tries a small network over the regression, given 1,000 pictures.
    """

    pairs: tuple[int, ...] = (0, 50, 100, 200, 500, 1000, 2000)
    share: float = 0.4
    fpir: float = 1e-2
    network: bool = True

    def __post_init__(self) -> None:
        if any(n < 20 and n != 0 for n in self.pairs):
            raise ValueError(f"pairs: expected 0 or numbers of at least 20, found {list(self.pairs)}")
        for name, value in (("share", self.share), ("fpir", self.fpir)):
            if not 0 < value < 1:
                raise ValueError(f"{name}: expected a share between 0 and 1, found {value}")
