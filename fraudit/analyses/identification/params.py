"""Parameters of the identification analysis."""

from __future__ import annotations

from dataclasses import dataclass

NAME, TITLE = "identification", "Identification"

LEAST_ENROLLED = 20  # people: fewer say nothing of a search


@dataclass(frozen=True)
class Params:
    """What is searched for, among whom, and at which thresholds.

    Attributes:
        targets: FPIR targets in (0, 1); a threshold is chosen for each on people who are not judged.
        ranks: ranks of the cumulative match characteristic.
        people: also say what happens with so many people enrolled (0: do not).
        enrolled: pictures enrolled of a person, for the comparison of enrolment rules; the first is the usual one.
        share: of the people of each half who are enrolled, in (0, 1); the others are searched for in vain.
        most: searches of one person at most.
        by: attributes whose groups are shown; the usual demographic ones by default.
    """

    targets: tuple[float, ...] = (1e-1, 1e-2, 3e-3, 1e-3)
    ranks: tuple[int, ...] = (1, 5, 10, 20)
    people: int = 0
    enrolled: tuple[int, ...] = (1, 2, 3, 5)
    share: float = 2 / 3
    most: int = 10
    by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.targets or any(not 0 < t < 1 for t in self.targets):
            raise ValueError(f"targets: expected FPIR targets between 0 and 1, found {list(self.targets)}")
        if not self.ranks or min(self.ranks) < 1 or not self.enrolled or min(self.enrolled) < 1:
            raise ValueError("ranks and enrolled: expected whole numbers of at least 1")
        if not 0 < self.share < 1:
            raise ValueError(f"share: expected a share between 0 and 1, found {self.share:g}")
        if self.people < 0 or self.most < 1:
            raise ValueError(
                f"people: expected at least 0, most at least 1; found {self.people} and {self.most}"
            )
