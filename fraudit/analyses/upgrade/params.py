"""Parameters of the upgrade analysis: `--param upgrade.pairs=50,500`."""

from __future__ import annotations

from dataclasses import dataclass

NAME, TITLE = "upgrade", "Upgrade without enrolling again"


@dataclass(frozen=True, slots=True)
class Params:
    """How the old enrolments are translated, and at which operating points the loss is judged.

    Attributes:
        pairs: pictures shown to both models that the translator is fitted to, at least 20 each; all there are as well.
        share: of the people that the translator may see, in (0, 1); the others choose thresholds or are judged.
        fmr: FMR targets of verification, in (0, 1).
        fpir: FPIR targets of 1:N search, in (0, 1); the smallest that can be resolved is judged.
        margin: rise of FNMR over new enrolments that counts as no loss, a share in (0, 1).
        most: searches of one person at most.
        network: whether a small network over the regression is tried where there are 1,000 pictures.
    """

    pairs: tuple[int, ...] = (50, 100, 200, 500, 1000, 2000)
    share: float = 0.4
    fmr: tuple[float, ...] = (1e-2, 1e-3)
    fpir: tuple[float, ...] = (1e-1, 1e-2)
    margin: float = 0.01
    most: int = 10
    network: bool = True

    def __post_init__(self) -> None:
        if any(n < 20 for n in self.pairs):
            raise ValueError(f"pairs: expected numbers of at least 20, found {list(self.pairs)}")
        for name, values in (
            ("share", (self.share,)),
            ("fmr", self.fmr),
            ("fpir", self.fpir),
            ("margin", (self.margin,)),
        ):
            if not values or any(not 0 < value < 1 for value in values):
                raise ValueError(f"{name}: expected shares between 0 and 1, found {list(values)}")
        if self.most < 1:
            raise ValueError(f"most: expected at least 1, found {self.most}")
