"""Attack success of reconstructions, and how alike samples of one ID vector are: plain arrays in, rates out.

Type I: the reconstruction matches the picture whose template was inverted. Type II: it matches another
picture of the same person (Mai et al., IEEE TPAMI 41(5), 2019). A reconstruction without a vector matches
nothing.

Chance is what strangers get: the rate at which reconstructions of other people match the same pictures. Success
counts as far as it exceeds chance. The interval of the difference joins those of the two rates (MOVER: Zou and
Donner, Statistics in Medicine 27, 2008) with their correlation through common people.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from fraudit.errors import InsufficientData
from fraudit.stats.estimates import Estimate
from fraudit.stats.folds import fold_accuracy
from fraudit.stats.intervals import (
    PairClusters,
    clustered_mean,
    clustered_rate,
    interval_or_reason,
)
from fraudit.stats.pairs import angular
from fraudit.stats.strangers import Trials, strangers_interval
from fraudit.types import F64, I64, U8, Bool, Interval


def tally(events: ArrayLike, left: ArrayLike, right: ArrayLike, level: float = 0.95) -> Estimate:
    """Share of bool[P] events over pairs of subjects `left`, `right` i64[P], with its interval or why it has none.

    Raises:
        InsufficientData: no comparison.
    """
    found = np.asarray(events, bool)
    if not len(found):
        raise InsufficientData("no comparison to count")
    a, b = np.asarray(left), np.asarray(right)
    people = len(np.unique(np.concatenate([a, b])))
    interval, reason = interval_or_reason(lambda: clustered_rate(found, a, b, level))
    return Estimate(float(found.mean()), interval, len(found), people, reason)


def tally_at(trials: Trials, real: Trials, level: float = 0.95) -> Estimate:
    """Share of trials of strangers that match, with the error of the threshold (`strangers_interval`).

    Raises:
        InsufficientData: no comparison.
    """
    plain = tally(trials.events, trials.made, trials.shown, level)
    interval, reason = interval_or_reason(lambda: strangers_interval(trials, real, level))
    return replace(plain, interval=interval, reason=reason)


def success(scores: ArrayLike, threshold: float, left: ArrayLike, right: ArrayLike) -> Estimate:
    """Share of f64[P] similarities >= threshold with its interval; NaN (no vector) never matches.

    Args:
        left, right: i64[P] subjects of both sides; equal where it is one person.
    Raises:
        InsufficientData: no comparison, or too few people for an interval.
    """
    found = tally(np.asarray(scores, np.float64) >= threshold, left, right)
    if found.interval is None:
        raise InsufficientData(found.reason)
    return found


def mean_of(values: ArrayLike, people: ArrayLike, level: float = 0.95) -> Estimate:
    """Mean of f64[N] values, NaN left out, with an interval clustered by person or why it has none.

    Raises:
        InsufficientData: no value.
    """
    v, p = np.asarray(values, np.float64), np.asarray(people)
    good = np.isfinite(v)
    if not good.any():
        raise InsufficientData("nobody has a value")
    interval, reason = interval_or_reason(lambda: clustered_mean(v[good], p[good], level))
    return Estimate(float(v[good].mean()), interval, int(good.sum()), len(np.unique(p[good])), reason)


def mover(
    parts: tuple[Estimate, Estimate], correlation: float, method: str
) -> tuple[float, Interval | None, str]:
    """First less second of two figures in [0, 1] or [-1, 1], from their intervals (Zou and Donner, 2008).

    Returns:
        (difference, interval or None, why there is none).
    """
    first, second = parts
    value = first.value - second.value
    if first.interval is None or second.interval is None:
        return value, None, first.reason or second.reason
    a, b = first.interval, second.interval

    def reach(one: float, other: float) -> float:
        return float(np.sqrt(max(one**2 + other**2 - 2 * correlation * one * other, 0.0)))

    low = value - reach(first.value - a.low, b.high - second.value)
    high = value + reach(a.high - first.value, second.value - b.low)
    return value, Interval(max(low, -1.0), min(high, 1.0), a.level, method), ""


def excess(own: Trials, strange: Trials, level: float = 0.95) -> Estimate:
    """Success less chance: the share of `own` trials that match, less that of `strange` ones.

    Args:
        own: reconstructions against pictures of the person. strange: of other people against the same pictures.
    Raises:
        InsufficientData: no trial on a side.
    """
    one = tally(own.events, own.made, own.shown, level)
    chance = tally(strange.events, strange.made, strange.shown, level)
    method = "success less chance by MOVER, identity-clustered, paired"
    value, interval, reason = mover((one, chance), _correlation(own, strange), method)
    return Estimate(value, interval, one.n, one.people, reason)


def _correlation(own: Trials, strange: Trials) -> float:
    """Correlation in [0, 1] of the two rates' errors, which share people."""
    clusters = PairClusters(
        np.concatenate([own.made, strange.made]), np.concatenate([own.shown, strange.shown])
    )
    first = np.append((own.events - own.events.mean()) / len(own.events), np.zeros(len(strange.events)))
    second = np.append(
        np.zeros(len(own.events)), (strange.events - strange.events.mean()) / len(strange.events)
    )
    a, b = clusters.sum_variance(first), clusters.sum_variance(second)
    if min(a, b) <= 0:
        return 0.0
    shared = (a + b - clusters.sum_variance(first - second)) / 2
    return float(np.clip(shared / np.sqrt(a * b), 0.0, 1.0))


def group_gap(first: Estimate, second: Estimate) -> Estimate:
    """Excess of one group less that of another, from the figures of two groups without common people."""
    value, interval, reason = mover(
        (first, second), 0.0, "difference of two groups by MOVER, identity-clustered"
    )
    return Estimate(value, interval, first.n + second.n, first.people + second.people, reason)


def other_pairs(made: I64, shown: I64, usable: Bool, limit: int, rng: np.random.Generator) -> tuple[I64, I64]:
    """(i, j) i64[P]: reconstructions i of other people beside pictures j; a seeded sample of them beyond `limit`.

    Every picture keeps the same number of them in the sample, so that pictures weigh as they do in success.

    Args:
        made: i64[N], shown: i64[M], subjects. usable: bool[M], pictures that count.
    """
    columns = np.flatnonzero(usable)
    allowed = made[:, None] != shown[columns][None]
    if allowed.sum() > limit:
        draw = np.where(allowed, rng.random(allowed.shape), 2.0)
        kept = np.argsort(draw, axis=0)[: max(1, limit // len(columns))]
        chosen = np.zeros_like(allowed)
        np.put_along_axis(chosen, kept, True, axis=0)
        allowed &= chosen
    i, at = np.nonzero(allowed)
    return i, columns[at]


def other_picture(subjects: I64, rows: I64, usable: Bool, rng: np.random.Generator) -> I64:
    """i64[len(rows)]: for each face of `rows` a random other usable face of the same person, -1 for none."""
    order = np.flatnonzero(usable)[np.argsort(subjects[usable], kind="stable")]
    known, first, count = np.unique(subjects[order], return_index=True, return_counts=True)
    found = np.full(len(rows), -1, np.int64)
    for i, row in enumerate(rows):
        at = int(np.searchsorted(known, subjects[row]))
        if at == len(known) or known[at] != subjects[row]:
            continue
        own = order[first[at] : first[at] + count[at]]
        own = own[own != row]
        if len(own):
            found[i] = rng.choice(own)
    return found


def spread_people(
    subjects: I64, rows: I64, count: int, rng: np.random.Generator, most: int | None = None
) -> I64:
    """`count` of `rows`, sorted: one face a person first, people with several faces before the others.

    So the sample has as many people as it can, and as many of them as possible have another picture. With `most`
    nobody has more faces in it: a few people of many pictures would carry the rates.
    """
    shuffled = rng.permutation(rows)
    order = shuffled[np.argsort(subjects[shuffled], kind="stable")]
    _, first, size = np.unique(subjects[order], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(first, size)
    alone = np.repeat(size == 1, size)
    chosen = np.lexsort((rng.random(len(order)), alone, rank))
    chosen = chosen[rank[chosen] < (most or len(order))][:count]
    return np.sort(order[chosen])


def sample_spread(unit: F64, samples: int, ok: Bool) -> F64:
    """f64[N]: mean pairwise angular distance among the `samples` unit rows of each of N sources.

    Args:
        unit: f64[N*samples,D], source by source. ok: bool[N*samples]; sources with fewer than two are NaN.
    """
    out = np.full(len(unit) // samples, np.nan)
    for i in range(len(out)):
        part = slice(i * samples, (i + 1) * samples)
        rows = unit[part][ok[part]]
        if len(rows) > 1:
            out[i] = angular(rows @ rows.T)[np.triu_indices(len(rows), 1)].mean()
    return out


def pixel_spread(pictures: U8, samples: int) -> F64:
    """f64[N]: mean pairwise RMS difference of pixels among the `samples` pictures of each of N sources."""
    out = np.zeros(len(pictures) // samples)
    i, j = np.triu_indices(samples, 1)
    for n in range(len(out)):
        part = pictures[n * samples : (n + 1) * samples].reshape(samples, -1).astype(np.float32)
        out[n] = np.sqrt(((part[i] - part[j]) ** 2).mean(axis=1)).mean()
    return out


def pairwise_distance(values: F64, samples: int) -> F64:
    """f64[N]: mean pairwise Euclidean distance among the `samples` rows of each of N sources, f64[N*K,C]."""
    i, j = np.triu_indices(samples, 1)
    groups = np.asarray(values, np.float64).reshape(-1, samples, values.shape[1])
    return np.asarray(np.linalg.norm(groups[:, i] - groups[:, j], axis=2).mean(axis=1))


@dataclass(frozen=True, slots=True)
class Replacement:
    """Accuracy over the folds with identity-clustered interval or the reason; thresholds from the other folds."""

    accuracy: float
    std: float
    interval: Interval | None
    reason: str
    n: int
    folds: int


def replacement(scores: ArrayLike, same: ArrayLike, fold: ArrayLike, left: I64, right: I64) -> Replacement:
    """Fold accuracy of f64[P] scores (ID3PM, Table 2); `left`, `right` i64[P] are subjects."""
    found = fold_accuracy(scores, same, fold)
    interval, reason = interval_or_reason(lambda: PairClusters(left, right).rate_interval(found.correct))
    value = float(found.correct.mean())
    return Replacement(value, found.std, interval, reason, len(found.correct), len(found.accuracy))
