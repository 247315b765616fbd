"""Enrolled people who take more false positives than chance gives ("lambs"), and whose groups do.

Doddington et al., "Sheep, goats, lambs and wolves" (ICSLP 1998), named people who are easily taken for others. With
few false positives some people take several by chance alone. Here chance keeps every searcher's false positives
together (a person who is found with several pictures, or who finds many people, stays as he or she is) and deals
them to other enrolled people.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from fraudit.errors import DataError, InsufficientData
from fraudit.stats.calibration import labelled_rng
from fraudit.stats.identification import Search
from fraudit.stats.intervals import clustered_rate, interval_or_reason
from fraudit.types import F64, I64, Interval

WORST = 0.01
DRAWS = 499


@dataclass(frozen=True, slots=True)
class Positives:
    """False positives of the non-mated searches at one threshold, by searcher and enrolled person.

    Attributes:
        searcher: i64[C], person. entry: i64[C], index into the enrolled. count: i64[C], searches of that person
            that return that entry. enrolled: number of people in the gallery.
    """

    searcher: I64
    entry: I64
    count: I64
    enrolled: int

    @property
    def total(self) -> int:
        """False positives."""
        return int(self.count.sum())

    def by_entry(self) -> I64:
        """i64[N], false positives of each enrolled person."""
        return np.bincount(self.entry, self.count, self.enrolled).astype(np.int64)


def positives(found: Search, threshold: float) -> Positives:
    """False positives of the non-mated searches at `threshold`.

    Raises:
        UsageError: candidates from there on were not kept.
    """
    hits = found.candidates(threshold)
    use = ~found.mated[hits.search]
    who, entry = found.searcher[hits.search[use]], hits.entry[use]
    people, at = np.unique(who, return_inverse=True)
    size = max(len(found.people), 1)
    cells, count = np.unique(at.ravel() * size + entry, return_counts=True)
    none = np.empty(0, np.int64)
    return Positives(
        people[cells // size] if len(cells) else none, cells % size, count.astype(np.int64), len(found.people)
    )


@dataclass(frozen=True, slots=True)
class Hubs:
    """How much of the false positives the worst enrolled people take.

    Attributes:
        share: of the false positives that the `worst` enrolled people take who take most. total: false positives.
        worst: number of people (1 % of the enrolled, at least one). enrolled: people in the gallery.
        chance: mean of `share` where false positives fall on anybody. chance_low, chance_high: central 95 %.
        p_value: chance of a share as large or larger.
        held_out: share that people who are worst for one half of the searchers take of the other half's: without the
            selection that `share` has; `worst` / `enrolled` is expected of it by chance. interval: of it, by
            searchers, for these enrolled people; or None with the reason in `missing`.
        top: i64[worst], the people, worst first (index into the enrolled).
    """

    share: float
    total: int
    worst: int
    enrolled: int
    chance: float
    chance_low: float
    chance_high: float
    p_value: float
    held_out: float | None
    interval: Interval | None
    missing: str
    top: I64


def _dealt(found: Positives, rng: np.random.Generator) -> I64:
    """i64[C]: other entries for the cells, different ones for the cells of one searcher."""
    codes = np.unique(found.searcher, return_inverse=True)[1].ravel()
    many = np.bincount(codes)
    entry = rng.integers(0, found.enrolled, len(codes))
    for person in np.flatnonzero(many > found.enrolled / 8):
        cells = np.flatnonzero(codes == person)
        entry[cells] = rng.permutation(found.enrolled)[: len(cells)]
    while True:
        key = codes * found.enrolled + entry
        order = np.argsort(key, kind="stable")
        again = order[1:][np.diff(key[order]) == 0]
        if not len(again):
            return entry
        entry[again] = rng.integers(0, found.enrolled, len(again))


def _worst_share(counts: F64, worst: int) -> float:
    return float(np.partition(counts, len(counts) - worst)[-worst:].sum() / counts.sum())


def hubs(
    found: Positives, seed: int = 0, worst: float = WORST, draws: int = DRAWS, level: float = 0.95
) -> Hubs:
    """Share of the false positives that the worst enrolled people take, beside chance.

    Raises:
        InsufficientData: no false positive at this threshold.
    """
    if not found.total:
        raise InsufficientData("no false positive at this threshold: nobody takes more of them than others")
    rng = labelled_rng(seed, "search.hubs")
    size = max(1, round(worst * found.enrolled))
    counts = found.by_entry().astype(np.float64)
    share = _worst_share(counts, size)
    null = np.array(
        [
            _worst_share(
                np.bincount(_dealt(found, rng), found.count, found.enrolled).astype(np.float64), size
            )
            for _ in range(draws)
        ]
    )
    low, high = np.quantile(null, [0.025, 0.975])
    held, interval, missing = _held_out(found, size, rng, level)
    return Hubs(
        share,
        found.total,
        size,
        found.enrolled,
        float(null.mean()),
        float(low),
        float(high),
        float((1 + (null >= share - 1e-12).sum()) / (1 + draws)),
        held,
        interval,
        missing,
        np.argsort(-counts, kind="stable")[:size].astype(np.int64),
    )


def _held_out(
    found: Positives, size: int, rng: np.random.Generator, level: float
) -> tuple[float | None, Interval | None, str]:
    people, codes = np.unique(found.searcher, return_inverse=True)
    half = (rng.permutation(len(people)) % 2 == 0)[codes.ravel()]
    if half.all() or not half.any():
        return None, None, "false positives of one searcher alone"
    on = np.zeros(len(half), bool)
    for part in (half, ~half):
        counts = np.bincount(found.entry[part], found.count[part], found.enrolled)
        chosen = np.argsort(-(counts + rng.random(len(counts)) / 2), kind="stable")[:size]  # ties at random
        on[~part] = np.isin(found.entry[~part], chosen)
    events, who = np.repeat(on, found.count), np.repeat(found.searcher, found.count)
    interval, missing = interval_or_reason(lambda: clustered_rate(events, who, who, level))
    return float(events.mean()), interval, missing


@dataclass(frozen=True, slots=True)
class GroupShare:
    """Whose gallery entries take the false positives.

    Attributes:
        group: of the enrolled. share: of the false positives. of_gallery: share of the enrolled people.
        total: false positives of the group. enrolled: people of the group. interval: of `share`, or None with the
            reason in `missing`. p_value: of a difference from `of_gallery` as large, where groups play no part.
    """

    group: str
    share: float
    of_gallery: float
    total: int
    enrolled: int
    interval: Interval | None
    missing: str
    p_value: float


def group_shares(
    found: Positives,
    searcher_people: I64,
    groups: ArrayLike,
    seed: int = 0,
    draws: int = DRAWS,
    level: float = 0.95,
) -> tuple[GroupShare, ...]:
    """Share of the false positives that fall on each group of the enrolled, beside its share of the gallery.

    Args:
        searcher_people: i64[N], the enrolled (`Search.people`), whose numbers no searcher of `found` has.
        groups: str[N], '' for unknown: left out on both sides.

    The interval draws searchers and enrolled people anew (pairs that share a person are dependent). The test deals
    groups to other enrolled people; it is exact where nothing but the group tells them apart.

    Raises:
        DataError: not one group for every enrolled person. InsufficientData: no false positive on a known group.
    """
    labels = np.asarray(groups).astype(str)
    if labels.shape != (found.enrolled,):
        raise DataError(f"expected a group of each of {found.enrolled} enrolled people; found {labels.size}")
    known = labels != ""
    counts = np.where(known, found.by_entry(), 0).astype(np.float64)
    total = counts.sum()
    if not total:
        raise InsufficientData("no false positive on an enrolled person whose group is known")
    names = sorted(set(labels[known].tolist()))
    member = np.array([labels == name for name in names])[:, known]
    rng = labelled_rng(seed, "search.groups")
    own = counts[known]
    null = np.array([member @ rng.permutation(own) for _ in range(draws)]) / total
    cells = known[found.entry]
    entry, who = (
        np.repeat(found.entry[cells], found.count[cells]),
        np.repeat(found.searcher[cells], found.count[cells]),
    )
    out = []
    for i, name in enumerate(names):
        events = labels[entry] == name
        share, usual = float(events.mean()), float(member[i].mean())
        interval, missing = interval_or_reason(
            partial(clustered_rate, events, who, searcher_people[entry], level)
        )
        extreme = np.abs(null[:, i] - usual) >= abs(share - usual) - 1e-12
        out.append(
            GroupShare(
                name,
                share,
                usual,
                int(events.sum()),
                int(member[i].sum()),
                interval,
                missing,
                float((1 + extreme.sum()) / (1 + draws)),
            )
        )
    return tuple(out)
