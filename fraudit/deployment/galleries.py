"""Searches of each half of the people in a gallery of a stated size, for thresholds that keep a FPIR."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudit.deployment.shown import Shown
from fraudit.errors import InsufficientData
from fraudit.stats.calibration import labelled_rng
from fraudit.stats.gallery import MOST_SEARCHES, SearchPlan, enrol, plan_searches
from fraudit.stats.halves import Half
from fraudit.stats.hubs import hubs, positives
from fraudit.stats.identification import Search, search
from fraudit.types import I64, Bool

MOST_SHARE = 0.9  # of the people of a half who are enrolled: some have to be left who are not
HUBS_LEVEL = 0.05
LIMIT = (
    "the promise leaves one case open: where few enrolled people attract most false positives and the set shows none "
    "of them, the true FPIR exceeds its bound more often than the confidence says (in 11 to 24 % of simulated worlds "
    "with such people)"
)
FOUND = (
    "not promised, an estimate: few enrolled people attract more of the false positives than chance gives, and in "
    "simulated worlds with such people the true FPIR exceeds its bound in 11 to 24 % of cases"
)


@dataclass(frozen=True, slots=True)
class Side:
    """One half of the people: who searches whom.

    Attributes:
        gallery: i64[G], rows enrolled. asked: i64[S], rows that search.
    """

    gallery: I64
    asked: I64


def _side(plan: SearchPlan, shown: Shown, judged: bool, enrolled: int, seed: int) -> Side:
    """Trimmed to exactly `enrolled` people; those taken out neither are enrolled nor search."""
    rows = plan.gallery(judged)
    mated, others = plan.searches(judged, True), plan.searches(judged, False)
    people = np.unique(shown.people[rows])
    if len(people) > enrolled:
        rng = labelled_rng(seed, f"threshold.gallery.{int(judged)}")
        kept = rng.permutation(people)[:enrolled]
        rows, mated = rows[np.isin(shown.people[rows], kept)], mated[np.isin(shown.people[mated], kept)]
    return Side(rows, np.sort(np.concatenate([mated, others])))


@dataclass(frozen=True, slots=True)
class Galleries:
    """Both halves' searches.

    Attributes:
        choose, judge: halves for `promised_threshold`. enrolled: people in each gallery.
        searchers: people who are not enrolled and search, of each half.
    """

    choose: Half
    judge: Half
    enrolled: int
    searchers: tuple[int, int]
    _sides: tuple[Side, Side]
    _shown: Shown
    _seed: int

    @property
    def people(self) -> int:
        """People of the set."""
        return len(np.unique(self._shown.people))

    @staticmethod
    def needed(enrolled: int) -> int:
        """People whose halves can each hold a gallery of so many."""
        return 2 * int(np.ceil(enrolled / MOST_SHARE))

    def searched(self, judged: bool, above: float = np.inf) -> Search:
        """The searches of one half, with candidates from `above` on."""
        return _search(self._shown, self._sides[judged], self._seed, above=above)

    def hub_value(self, threshold: float) -> float | None:
        """Chance that false positives gather as much on few enrolled people, of both halves; None without any."""
        values = []
        for side in self._sides:
            try:
                found = positives(_search(self._shown, side, self._seed, above=threshold), threshold)
                values.append(hubs(found, self._seed).p_value)
            except InsufficientData:
                continue
        return min(1.0, len(values) * min(values)) if values else None

    def estimate(self, threshold: float | None) -> str:
        """Why the bound at this threshold is no promise; '' where nothing but the stated limit speaks against it."""
        value = None if threshold is None else self.hub_value(threshold)
        return f"{FOUND} (p = {value:.2g})" if value is not None and value < HUBS_LEVEL else ""


def _search(shown: Shown, side: Side, seed: int, above: float = np.inf) -> Search:
    rows, asked = side.gallery, side.asked
    gallery = enrol(shown.unit[rows], shown.people[rows], "mean", None, shown.ok[rows])
    return search(gallery, shown.unit[asked], shown.people[asked], ok=shown.ok[asked], above=above, seed=seed)


def _half(shown: Shown, side: Side, seed: int, groups: Mapping[str, Bool]) -> Half:
    found = _search(shown, side, seed)
    enrolled = len(found.people)
    returned = np.where(found.mated & (found.rank == 1), found.mate_score, np.nan)

    def of(use: Bool) -> Half:
        strangers, mates = use & ~found.mated, use & found.mated
        return Half.of_searches(
            found.top[strangers],
            found.searcher[strangers],
            returned[mates],
            found.searcher[mates],
            found.top_entry[strangers],
            enrolled,
        )

    whole = of(np.ones(len(side.asked), bool))
    parts = {name: (of, mask[side.asked]) for name, mask in groups.items() if mask[side.asked].any()}
    return whole.with_groups(parts) if parts else whole


def largest_gallery(shown: Shown) -> int:
    """People who can be enrolled on each half."""
    return int(MOST_SHARE * (len(np.unique(shown.people)) // 2))


def galleries(shown: Shown, people: int, seed: int, groups: Mapping[str, NDArray[np.bool_]]) -> Galleries:
    """Both halves, each with a gallery of `people` (0: half of its people), one picture enrolled a person.

    Args:
        groups: group -> bool[N] pictures; the searcher decides.
    Raises:
        InsufficientData: the set names nobody, or has too few people for such a gallery.
    """
    if shown.declared is not None:
        raise InsufficientData(
            f"1:N search needs to know who is shown; '{shown.faces.name}' declares pairs alone"
        )
    total = len(np.unique(shown.people))
    half = total // 2
    most = largest_gallery(shown)
    if people > most:
        raise InsufficientData(
            f"not resolvable: a gallery of {people:,} people on each half needs {Galleries.needed(people):,} people, "
            f"there are {total:,}; the largest gallery that can be tried is {most:,}"
        )
    share = min(MOST_SHARE, (people + 3) / half) if people else 0.5
    plan = plan_searches(shown.people, seed, enrolled_share=share, most=MOST_SEARCHES)
    enrolled = min(people, int(plan.people.min())) if people else int(plan.people.min())
    if people and enrolled < people:
        raise InsufficientData(
            f"not resolvable: a gallery of {people:,} people was asked for and {enrolled:,} can be enrolled"
        )
    sides = _side(plan, shown, False, enrolled, seed), _side(plan, shown, True, enrolled, seed)
    choose, judge = (_half(shown, side, seed, groups) for side in sides)
    searchers = len(choose.impostor.people), len(judge.impostor.people)
    return Galleries(choose, judge, enrolled, searchers, sides, shown, seed)
