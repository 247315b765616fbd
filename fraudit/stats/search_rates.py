"""Intervals of FPIR and FNIR that draw both the searchers and the enrolled people anew.

A search has an error because of its person and because of who is enrolled. To first order a rate is a sum over people
(Hoeffding), and its variance has two ways, as that of a table whose rows and columns are both random (Owen, "The
pigeonhole bootstrap", Annals of Applied Statistics 1, 2007; Cameron, Gelbach and Miller, J. Business and Economic
Statistics 29, 2011):

    Var = sum_p a_p^2  (searchers)  +  sum_e b_e^2  (enrolled people)  -  sum_pe c_pe^2  (counted twice),

a_p: residuals of person p's searches; b_e: by how much the rate falls without enrolled person e, that is the share of
searches in which e alone makes the error (delete-one jackknife; a resampled gallery would hold 63 % of the people
and find fewer candidates); c_pe: that share by pair of people. In mated searches a person is both, and a_p + b_p is
squared. The interval is Korn and Graubard's at the effective number of searches (`fraudit.stats.intervals`).

Where all searches end alike there is no design effect to measure. The searchers' part is then Clopper and Pearson's
bound without evidence, and what the enrolled people add is joined to it as an independent variance (MOVER).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fraudit.errors import InsufficientData, UsageError
from fraudit.stats.identification import Search, false_positives, misses
from fraudit.stats.intervals import (
    Difference,
    Shares,
    effective_interval,
    require_people,
    stated_design,
    steady_design,
    t_value,
    z_value,
)
from fraudit.stats.paired import carrying, widened, with_tails
from fraudit.types import F64, I64, Bool, Interval


@dataclass(frozen=True, slots=True)
class SearchRate:
    """An error rate over searches.

    Attributes:
        value: errors / n. errors, n: searches. people: who searched. enrolled: people in the gallery.
        interval: or None with the reason in `missing`. n_eff: independent searches that would be as uncertain.
    """

    value: float
    errors: int
    n: int
    people: int
    enrolled: int
    interval: Interval | None
    missing: str
    n_eff: float


@dataclass(frozen=True, slots=True)
class Causes:
    """Events of searches, and those that one enrolled person alone makes.

    Attributes:
        events: f64[J], 1 for an error (or differences of two). searcher: i64[J].
        row, entry: i64[C], search and enrolled person of an error that would not be there without the latter.
        weight: f64[C], +1 (or -1 in differences). people: i64[N], the enrolled.
    """

    events: F64
    searcher: I64
    row: I64
    entry: I64
    weight: F64
    people: I64


def fpir_causes(found: Search, threshold: float) -> Causes:
    """Non-mated searches with a candidate at or above `threshold`; one cause where it is the only one."""
    use = ~found.mated
    events = false_positives(found, threshold)
    alone = np.flatnonzero(events & (found.second[use] < threshold))
    entry = found.people[found.top_entry[use][alone]]
    return Causes(
        events.astype(np.float64), found.searcher[use], alone, entry, np.ones(len(alone)), found.people
    )


def fnir_causes(found: Search, threshold: float = -np.inf, rank: int | None = 1) -> Causes:
    """Mated searches that miss; causes where exactly `rank` people are ahead of a mate at or above `threshold`.

    Raises:
        UsageError: `rank` beyond the depth of the search.
    """
    if rank is not None and rank > found.depth:
        raise UsageError(
            f"people ahead of a mate were kept to rank {found.depth}; found rank {rank}",
            "search with a larger 'depth'",
        )
    mated = found.mated
    events = misses(found, threshold, rank).astype(np.float64)
    row = np.cumsum(mated) - 1
    if rank is None:
        use = np.zeros(len(found.close_search), bool)
    else:
        at = found.close_search
        known = (found.mate_score[at] >= threshold) & np.isfinite(found.mate_score[at])
        use = known & (found.rank[at] == rank + 1)
    entry = found.people[found.close_entry[use]]
    ones = np.ones(int(use.sum()))
    return Causes(events, found.searcher[mated], row[found.close_search[use]], entry, ones, found.people)


def subset(causes: Causes, rows: Bool) -> Causes:
    """The searches bool[J] `rows` alone."""
    number = np.cumsum(rows) - 1
    use = rows[causes.row]
    return Causes(
        causes.events[rows],
        causes.searcher[rows],
        number[causes.row[use]],
        causes.entry[use],
        causes.weight[use],
        causes.people,
    )


def less(second: Causes, first: Causes) -> Causes:
    """Events of the second less those of the first, over the same searches and enrolled people.

    Raises:
        InsufficientData: other searches, or other enrolled people.
    """
    if not np.array_equal(first.searcher, second.searcher) or not np.array_equal(first.people, second.people):
        raise InsufficientData(
            "a paired difference needs the same searches among the same enrolled people twice"
        )
    return Causes(
        second.events - first.events,
        first.searcher,
        np.concatenate([second.row, first.row]),
        np.concatenate([second.entry, first.entry]),
        np.concatenate([second.weight, -first.weight]),
        first.people,
    )


@dataclass(frozen=True, slots=True)
class TwoWay:
    """Variance of the mean of a `Causes`' events.

    Attributes:
        variance, freedom: of the mean. more: part of the variance that the enrolled people add.
        shares: of the searches, by person. erring: people with an event or without one, whichever are fewer.
        sums: f64[K], what each person `keys` i64[K] adds to the mean's error.
    """

    variance: float
    more: float
    freedom: float
    shares: Shares
    erring: float
    keys: I64
    sums: F64


def two_way(causes: Causes) -> TwoWay:
    """The variance of the module's docstring, corrected for searchers with a large share of the searches."""
    v, n = causes.events, len(causes.events)
    if not n:
        raise InsufficientData("a rate needs at least one search; found none")
    keys, at = np.unique(np.concatenate([causes.searcher, causes.people, causes.entry]), return_inverse=True)
    at = at.ravel()
    who, enrolled, entry = np.split(at, [n, n + len(causes.people)])
    of = np.bincount(who, minlength=len(keys)).astype(np.float64)
    shares = Shares.of(of)
    own = np.bincount(who, v - v.mean(), len(keys)) / n / np.sqrt(shares.expected)
    cause = np.bincount(entry, causes.weight, len(keys)) / n
    count = len(causes.people)
    cause[enrolled] -= cause[enrolled].mean()
    cause[enrolled] *= np.sqrt(count / max(count - 1, 1))
    cells = np.unique(who[causes.row] * len(keys) + entry, return_inverse=True)[1].ravel()
    twice = float(np.square(np.bincount(cells, causes.weight) / n).sum()) if len(cells) else 0.0
    first = float(own @ own)
    more = max(float(cause @ cause) + 2 * float(own @ cause) - twice, 0.0)
    present = shares_present(shares)
    total = first + more
    freedom = present.freedom
    if more and v.min() < v.max():  # else the variance sets no design effect, and its freedom no quantile
        part = first or 1 / n**2
        freedom = (part + more) ** 2 / (part**2 / present.freedom + more**2 / carrying(cause))
    # Few people, above all few hubs, may carry the whole variance: as in `fraudit.stats.paired.sums_difference`.
    if first:
        freedom = min(freedom, 3 * carrying(own + cause))
    freedom = max(1.0, freedom)
    differ = np.bincount(who, v != np.round(v.mean()) if v.min() >= 0 else v != 0, len(keys))
    erring = float(min((differ > 0).sum(), (differ < of).sum()))
    return TwoWay(total, more, freedom, present, erring, keys, own + cause)


def shares_present(shares: Shares) -> Shares:
    """Without people who have no search."""
    use = shares.weight > 0
    return Shares(shares.weight[use], shares.expected[use])


def rate(causes: Causes, level: float = 0.95, least: float = 1.0) -> SearchRate:
    """The share of events with its two-way interval, or the reason why there is none.

    Args:
        least: design effect that is known from elsewhere, below which that of these searches is not trusted.
    Raises:
        InsufficientData: no search.
    """
    found = two_way(causes)
    n, value = len(causes.events), float(causes.events.mean())
    unit = value * (1 - value) / n
    stated = stated_design(found.shares.weight * n)
    design = steady_design(max(least, found.variance / unit if unit > 0 else 1.0), found.erring, stated)
    interval, missing = None, ""
    try:
        require_people(found.shares)
        made = effective_interval(value, n, design, found.freedom, level, "", stated)
        text = f"Clopper-Pearson, searchers and enrolled people, effective n {n / design:,.0f} of {n:,} searches, "
        interval = Interval(made.low, made.high, level, f"{text}t {found.freedom:.0f}")
        if unit == 0 and found.more:
            wide = widened(Difference(value, interval), found.more, "enrolled people joined").interval
            interval = Interval(max(wide.low, 0.0), min(wide.high, 1.0), level, wide.method)
    except InsufficientData as error:
        missing = error.message
    errors = int(causes.events.sum())
    return SearchRate(
        value, errors, n, len(found.shares.weight), len(causes.people), interval, missing, n / design
    )


def rates_by_group(causes: Causes, groups: ArrayLike, level: float = 0.95) -> dict[str, SearchRate]:
    """Rate of the searches of each label in `groups` [J] (of the searcher), sorted; '' is left out.

    A small group tells little of its own variance. Its design effect is never below what all searches together
    imply for its numbers: the searchers' part grows with searches a person, that of the enrolled with searches.
    """
    labels = np.asarray(groups).astype(str)
    if labels.shape != causes.events.shape:
        raise InsufficientData(
            f"expected a group of each of {len(causes.events)} searches; found {labels.size}"
        )
    everyone = two_way(causes)
    n, value = len(labels), float(causes.events.mean())
    unit = value * (1 - value) / n
    own, more = ((everyone.variance - everyone.more) / unit, everyone.more / unit) if unit > 0 else (1.0, 0.0)
    deep = (
        n * float(everyone.shares.weight @ everyone.shares.weight) * n
    )  # searches of a search's own person, summed
    found = {}
    for name in sorted(set(labels.tolist()) - {""}):
        part = subset(causes, labels == name)
        count = np.unique(part.searcher, return_counts=True)[1].astype(np.float64)
        size = float(count @ count) / count.sum()
        least = (
            1 + max(own - 1, 0.0) * min((size - 1) / max(deep / n - 1, 1e-9), 1.0) + more * count.sum() / n
        )
        found[name] = rate(part, level, least)
    return found


def difference(
    first: Causes, second: Causes, tails: tuple[ArrayLike, ArrayLike] | None = None, level: float = 0.95
) -> Difference:
    """Second less first rate over the same searches among the same enrolled people (`paired_difference`).

    Args:
        tails: f64[K] twice, what each calibration person adds to each rate through its threshold
            (`fraudit.stats.search_thresholds.tail`); None: the thresholds as they are.

    Discordant searches with half a search added to each cell (Agresti and Min, Biometrics 61, 2005) at the effective
    number, Student's t; never beyond what the first rate leaves room for.

    Raises:
        InsufficientData: other searches, or too few people.
    """
    d = less(second, first)
    found = two_way(d)
    require_people(found.shares)
    v, n = d.events, len(d.events)
    spread = float(v.var())
    stated = stated_design(found.shares.weight * n)
    design = steady_design(found.variance * n / spread if spread > 0 else 1.0, found.erring, stated)
    n_eff = n / design
    up, down = float((v > 0).mean()) * n_eff + 0.5, float((v < 0).mean()) * n_eff + 0.5
    total = n_eff + 2
    centre = (up - down) / total
    half = (
        t_value(level, found.freedom)
        * float(np.sqrt(max((up + down) - (up - down) ** 2 / total, 0.0)))
        / total
    )
    if spread == 0:
        half = float(np.hypot(half, z_value(level) * np.sqrt(found.more)))
    value, base = float(v.mean()), rate(first, level).interval
    floor, room = (-base.high, 1 - base.low) if base else (-1.0, 1.0)
    text = (
        f"paired, searchers and enrolled people (Agresti-Min), effective n {n_eff:,.0f} of {n:,} searches, "
    )
    ends = max(min(value, centre - half), floor), min(max(value, centre + half), room)
    made = Difference(value, Interval(ends[0], ends[1], level, f"{text}t {found.freedom:.0f}"))
    return made if tails is None else with_tails(made, *tails)


def fpir_rate(found: Search, threshold: float, level: float = 0.95) -> SearchRate:
    """FPIR(N, T) at a given threshold."""
    return rate(fpir_causes(found, threshold), level)


def fnir_rate(
    found: Search, threshold: float = -np.inf, rank: int | None = 1, level: float = 0.95
) -> SearchRate:
    """FNIR(N, R, T) at a given threshold; CMC(R) is 1 less that without one."""
    return rate(fnir_causes(found, threshold, rank), level)
