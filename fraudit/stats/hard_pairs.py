"""Error rates of pairs that are hard by something else than the model's own scores: alike strangers, years between.

Strangers that another model finds most alike are a harder and fairer test than strangers at random: the model's own
nearest ones are those that it errs on. `hard_strangers` lists them within demographic groups; `fnmr_by_years` cuts the
genuine pairs by the years between both pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.errors import InsufficientData, UsageError
from fraudit.stats.fairness import holm
from fraudit.stats.intervals import clustered_rate, interval_or_reason
from fraudit.stats.pairs import pair_cosines
from fraudit.stats.rate_changes import Change, rate_change
from fraudit.stats.rates import GroupRate, genuine_sums, group_rates
from fraudit.types import F64, I64, Bool, Interval

NEAREST = 0.01
MOST_HARD = 500_000
YEARS: tuple[float, ...] = (0, 1, 2, 5, 10, 20)
ROWS = 512


def nearest_strangers(
    judge: NDArray[Any],
    subjects: I64,
    ok: Bool | None = None,
    *,
    groups: ArrayLike | None = None,
    share: float = NEAREST,
    most: int = MOST_HARD,
    seed: int = 0,
) -> tuple[I64, I64]:
    """(left, right) i64[P], left < right: for every picture the `share` of strangers that the judge finds nearest.

    Args:
        judge: f32[N,D] unit vectors of another model. subjects: i64[N]. ok: bool[N], whether there is a vector.
        groups: N labels; strangers are then of the same group, pictures without a label ('') take no part.
        share: in (0, 1); each picture has at least one. most: a seeded sample is drawn of more pairs.
    Raises:
        UsageError: a share outside (0, 1). InsufficientData: no picture has a stranger in its group.
    """
    if not 0 < share < 1:
        raise UsageError(f"the share of nearest strangers lies between 0 and 1; found {share:g}")
    there = np.ones(len(judge), bool) if ok is None else np.asarray(ok, bool).copy()
    labels = np.zeros(len(judge), np.int64)
    if groups is not None:
        words = np.asarray(groups).astype(str)
        there &= words != ""
        labels = np.unique(words, return_inverse=True)[1].ravel().astype(np.int64)
    n, keys = len(judge), []
    for group in np.unique(labels[there]):
        who = np.flatnonzero(there & (labels == group))
        rows, people = np.ascontiguousarray(judge[who], np.float32), subjects[who]
        for start in range(0, len(who), ROWS):
            part = slice(start, start + ROWS)
            cosines = rows[part] @ rows.T
            own = people[part][:, None] == people[None]
            cosines[own] = -np.inf
            number = np.ceil(share * (~own).sum(axis=1)).astype(np.int64)
            largest = int(number.max())
            if not largest:
                continue
            top = np.argpartition(-cosines, min(largest, len(who) - 1), axis=1)[:, :largest]
            value = np.take_along_axis(cosines, top, axis=1)
            top = np.take_along_axis(top, np.argsort(-value, axis=1, kind="stable"), axis=1)
            use = np.arange(largest)[None] < number[:, None]
            a, b = np.broadcast_to(who[part][:, None], top.shape)[use], who[top[use]]
            keys.append(np.unique(np.minimum(a, b) * n + np.maximum(a, b)))
    if not keys:
        raise InsufficientData("no picture has a stranger in its own group")
    found = np.unique(np.concatenate(keys))
    if len(found) > most:
        found = np.sort(np.random.default_rng([seed, 46]).choice(found, most, replace=False))
    return found // n, found % n


@dataclass(frozen=True, slots=True)
class HardFmr:
    """FMR of the strangers that another model finds alike.

    Attributes:
        rate: FMR. interval: or None with the reason in `missing`. matches, pairs, people: counts. left, right: i64[P].
    """

    rate: float
    interval: Interval | None
    missing: str
    matches: int
    pairs: int
    people: int
    left: I64
    right: I64


def hard_fmr(
    unit: NDArray[Any],
    subjects: I64,
    left: I64,
    right: I64,
    threshold: float,
    ok: Bool | None = None,
    level: float = 0.95,
) -> HardFmr:
    """FMR of the model's unit vectors f32[N,D] at `threshold` over pairs of `nearest_strangers`.

    Pairs in which the model has no vector (`ok`) never match, as everywhere.

    Raises:
        InsufficientData: no pair.
    """
    if not len(left):
        raise InsufficientData("no pair of strangers")
    hit = pair_cosines(unit, left, right, ok) >= threshold
    a, b = subjects[left], subjects[right]
    around, why = interval_or_reason(lambda: clustered_rate(hit, a, b, level))
    people = len(np.unique(np.concatenate([a, b])))
    return HardFmr(float(hit.mean()), around, why, int(hit.sum()), len(hit), people, left, right)


@dataclass(frozen=True, slots=True)
class ByYears:
    """FNMR by the years between the two pictures of a genuine pair.

    Attributes:
        rates: of each bin that has pairs, in order, named `0 to 1`, `20 and more`.
        changes: bin name -> its FNMR less that of the first bin, on the same people's sums. p_holm: bin -> corrected.
        unknown: pairs without both ages or dates.
    """

    rates: tuple[GroupRate, ...]
    changes: dict[str, Change]
    p_holm: dict[str, float]
    unknown: int


def years_between(when: ArrayLike, left: I64, right: I64) -> F64:
    """f64[P]: years between the pictures of each pair, from ages or decimal years f64[N] (NaN unknown)."""
    t = np.asarray(when, np.float64)
    return np.asarray(np.abs(t[left] - t[right]), np.float64)


def fnmr_by_years(
    errors: ArrayLike, years: ArrayLike, people: I64, *, edges: Sequence[float] = YEARS, level: float = 0.95
) -> ByYears:
    """FNMR in bins of years between pictures.

    Args:
        errors: bool[P], genuine pairs. years: f64[P], NaN unknown. people: i64[P].
        edges: rising; a bin holds its lower edge, the last one everything from its edge on.
    Raises:
        UsageError: edges that do not rise from 0. InsufficientData: no pair with known years.
    """
    cuts = np.asarray(edges, np.float64)
    if not len(cuts) or cuts[0] != 0 or (np.diff(cuts) <= 0).any():
        raise UsageError("bins of years begin with 0 and rise")
    e, gap = np.asarray(errors, bool), np.asarray(years, np.float64)
    known = ~np.isnan(gap)
    if not known.any():
        raise InsufficientData("no genuine pair has the age or date of both pictures")
    at = np.searchsorted(cuts, gap, side="right") - 1
    names = [f"{a:g} to {b:g}" for a, b in pairwise(cuts)] + [f"{cuts[-1]:g} and more"]
    masks = {name: known & (at == k) for k, name in enumerate(names)}
    masks = {name: mask for name, mask in masks.items() if mask.any()}
    rates = group_rates([genuine_sums(n, e[m], people[m]) for n, m in masks.items()], level)
    first, *others = masks
    changes = {n: rate_change(e, masks[first], masks[n], people, people, level)[2] for n in others}
    adjusted = holm([c.p for c in changes.values()]) if changes else np.empty(0)
    return ByYears(
        rates, changes, {n: float(p) for n, p in zip(changes, adjusted, strict=True)}, int((~known).sum())
    )
