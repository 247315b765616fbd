"""What follows from the changes of error rates: the verdict, by bounds of intervals alone (docs/twins.md).

A condition is kept where its whole 95 % interval keeps the limit. It is broken where a bound breaks it at a level that
all conditions share (`each_of`: the gate's budget of 5 %). Else it is open, and the verdict says between what.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fraudit.compare.gate.judging import each_of
from fraudit.stats.family import LATER_LEVEL
from fraudit.stats.intervals import Difference
from fraudit.stats.twins import Way

State = Literal["kept", "broken", "open"]
LADDER = ("same", "interchangeable", "needs its own threshold", "different")
OPEN = "not enough evidence"
KNOWN = {  # (best, worst) places that the evidence allows
    (1, 2): "the old enrolments may stay; whether the old threshold may stay too is open",
    (1, 3): "the two are not numerically the same model; whether one may take the other's place is open",
    (2, 3): "the old threshold may not stay; whether the old enrolments may is open",
}


@dataclass(frozen=True, slots=True)
class Change:
    """A rate of the second model (or of a mixed gallery) less that of the first, against a limit.

    Attributes:
        rate: fnmr, fmr, or lost (share of faces that the second model alone fails to acquire). way: what decides.
        fmr: target of the thresholds, 0 for `lost`. first, second: rates. n: of what is in `unit`.
        usual: 95 %. accusing, harsh: at the levels that all conditions share, for the verdict and for a finding's
            severity. reason: why there is no interval. limit: the largest change that counts as none.
        group: of people, '' for all.
    """

    rate: str
    way: Way
    fmr: float
    first: float
    second: float
    n: int
    unit: str
    usual: Difference | None
    accusing: Difference | None
    harsh: Difference | None
    limit: float
    reason: str = ""
    group: str = ""

    @property
    def state(self) -> State:
        """Kept, broken or open."""
        if self.usual is None or self.accusing is None:
            return "open"
        if self.usual.interval.high <= self.limit:
            return "kept"
        return "broken" if self.accusing.interval.low > self.limit else "open"

    def people_needed(self, people: int) -> float:
        """How many people would about decide it, if the change stays what it is; `people` are there.

        Intervals shrink with the root of the people: what is between value and bound has to shrink to what is between
        value and limit. Infinity where the change lies at the limit, or nothing was measured.
        """
        if self.usual is None or self.accusing is None or self.usual.value == self.limit:
            return math.inf
        value = self.usual.value
        end = self.usual.interval.high if value < self.limit else self.accusing.interval.low
        return people * max(1.0, ((end - value) / (self.limit - value)) ** 2)

    @property
    def sure(self) -> bool:
        """Whether it is broken beyond the doubt that a finding of low or worse asks for."""
        return self.harsh is not None and self.harsh.interval.low > self.limit


def levels(tested: int) -> tuple[float, float, float]:
    """Two-sided levels of `usual`, `accusing` and `harsh` for so many conditions."""
    return 0.95, 1 - 2 * each_of(tested), 1 - 2 * LATER_LEVEL / max(tested, 1)


def together(changes: Sequence[Change]) -> State:
    """All kept, one broken, or open."""
    states = {change.state for change in changes}
    return "broken" if "broken" in states else "open" if "open" in states or not states else "kept"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Places on `LADDER`: the best and the worst that the evidence allows, equal where it decides.

    `sure`: whether what is worse than interchangeable is so beyond the doubt that a finding of low or worse asks for.
    """

    best: int
    worst: int
    sure: bool = False

    @property
    def word(self) -> str:
        """One of the ladder, or that there is not enough evidence."""
        return LADDER[self.best] if self.best == self.worst else OPEN

    @property
    def known(self) -> str:
        """The one thing that is known where the evidence does not decide; '' where it does."""
        return KNOWN.get((self.best, self.worst), "")

    def outcome(self, expected: str) -> State:
        """Whether at least `expected` of the ladder is shown: kept, broken or open."""
        at = LADDER.index(expected)
        return "kept" if self.worst <= at else "broken" if self.best > at else "open"


def judge(same: bool, alike: bool, place: Sequence[Change], own: Sequence[Change]) -> Verdict:
    """The verdict.

    Args:
        same: numerically one model. alike: vectors of one dimension, so that templates can be searched at all.
        place: conditions of taking the first model's place: its thresholds and its gallery stay.
        own: conditions where the gallery stays and thresholds are chosen again.
    """
    if same:
        return Verdict(0, 0)
    if not alike:
        return Verdict(3, 3, True)
    stays, chosen = together(place), together(own)
    sure = any(c.sure for c in place)
    if stays == "kept":
        return Verdict(1, 1)
    if chosen == "broken":
        worse = sure and any(c.sure for c in own)
        return Verdict(3, 3, worse) if stays == "broken" else Verdict(1, 3)
    best = 2 if stays == "broken" else 1
    return Verdict(best, 2 if chosen == "kept" else 3, sure)
