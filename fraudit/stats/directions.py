"""Directions of attributes in the space of unit ID vectors (ID3PM, sec. 4.3), with people as the unit.

A direction is the difference of two group means, each a mean over people of each person's mean face: somebody
with a hundred pictures counts once. Whether there is a direction at all is tested by dealing the labels of
whole people to other people, so that faces of one person stay together under the null too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from fraudit.errors import InsufficientData
from fraudit.stats.fairness import holm
from fraudit.stats.intervals import z_value
from fraudit.types import F64, I64, Bool, Interval

MOST_WORDS = 8


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two groups of faces.

    Attributes:
        name: unique, such as `smiling` or `race: asian`. attribute: it comes from. how: in words.
        high, low: bool[N]. values: f64[N] to correlate with; NaN where unknown.
    """

    name: str
    attribute: str
    how: str
    high: Bool
    low: Bool
    values: F64


def contrasts(
    attributes: Mapping[str, NDArray[np.generic]], subjects: I64, least: int = 5
) -> tuple[list[Contrast], list[str]]:
    """(contrasts, why others were left out).

    Two groups are contrasted as they are; of three to eight words each against the others; of numbers the
    faces at or above the 90th with those at or below the 10th percentile. Both groups need `least` people.
    """
    found: list[Contrast] = []
    skipped: list[str] = []
    for name, raw in attributes.items():
        array = np.asarray(raw)
        if array.dtype.kind in "fiub":
            numbers = array.astype(np.float64)
            known = np.unique(numbers[np.isfinite(numbers)])
            if len(known) < 2:
                skipped.append(f"{name} has one value alone")
                continue
            if len(known) == 2:
                low, high = numbers == known[0], numbers == known[1]
                parts = [(name, f"{known[1]:g} minus {known[0]:g}", high, low, numbers)]
            else:
                ends = np.nanpercentile(numbers, [10, 90])
                how = f"at least {ends[1]:g} minus at most {ends[0]:g} (90th, 10th percentile)"
                parts = [(name, how, numbers >= ends[1], numbers <= ends[0], numbers)]
        else:
            words = np.array([str(v) for v in array])
            there = words != ""
            labels = sorted({str(w) for w in words[there]})
            if not 2 <= len(labels) <= MOST_WORDS:
                skipped.append(f"{name} has {len(labels)} groups")
                continue
            parts = []
            for label in labels if len(labels) > 2 else labels[1:]:
                high, low = words == label, there & (words != label)
                how = f"{label} minus {labels[0] if len(labels) == 2 else 'the others'}"
                each = np.where(high, 1.0, np.where(low, 0.0, np.nan))
                parts.append((f"{name}: {label}", how, high, low, each))
        for title, how, high, low, numbers in parts:
            people = [len(np.unique(subjects[side])) for side in (high, low)]
            if min(people) < least:
                skipped.append(f"{title}: {people[0]} and {people[1]} people, fewer than {least} in a group")
            else:
                found.append(Contrast(title, name, how, high, low, numbers))
    return found, skipped


def _side(mask: Bool, codes: I64, weight: F64) -> F64:
    """f64[N] weights of the faces of one group: every person (weighing `weight` f64[people]) counts once."""
    faces = np.bincount(codes[mask], minlength=len(weight))
    person = np.where(faces > 0, weight, 0.0)
    total = person.sum()
    if total <= 0:
        return np.zeros(len(mask))
    share = person / np.maximum(faces, 1) / total
    return np.where(mask, share[codes], 0.0)


def difference_weights(contrast: Contrast, codes: I64, weight: F64) -> F64:
    """f64[N] w such that w @ unit is the difference of the two group means over people."""
    return _side(contrast.high, codes, weight) - _side(contrast.low, codes, weight)


def deal(subjects: I64, count: int, rng: np.random.Generator) -> I64:
    """i64[count,N]: face whose labels each face gets when whole people's labels are dealt to other people.

    Labels run on over the borders where people have different numbers of faces, so they stay together.
    """
    order = np.argsort(subjects, kind="stable")
    _, first, size = np.unique(subjects[order], return_index=True, return_counts=True)
    blocks = [order[f : f + s] for f, s in zip(first, size, strict=True)]
    out = np.empty((count, len(subjects)), np.int64)
    for row in out:
        row[order] = np.concatenate([blocks[i] for i in rng.permutation(len(blocks))])
    return out


@dataclass(frozen=True, slots=True)
class Direction:
    """One attribute's direction.

    Attributes:
        contrast: its groups. unit: f64[D]. gap: norm of the difference of the two means of unit vectors.
        p, p_adjusted: of no direction at all (people dealt), plain and after Holm.
        stability: cosine between the directions of two halves of the people, mean over splits; its interval.
        people, faces: in the high and the low group.
    """

    contrast: Contrast
    unit: F64
    gap: float
    p: float
    p_adjusted: float
    stability: float
    stability_interval: Interval
    people: tuple[int, int]
    faces: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Correlation:
    """A principal axis and an attribute: Pearson's r over n faces of `people`."""

    axis: int
    share: float
    contrast: str
    r: float
    interval: Interval
    p_adjusted: float
    n: int
    people: int


@dataclass(frozen=True, slots=True)
class Study:
    """All directions of a face set.

    Attributes:
        cosines, low, high: f64[M,M] with intervals. p: f64[M,M], of orthogonal directions, Holm over the pairs
            of different attributes that both have a direction; 1 for the others.
        null: |cosine| that unrelated attributes exceed in one pair or more in 5 % of worlds.
        tested: bool[M,M], pairs of different attributes. axes: correlations. deals: permutations.
    """

    directions: tuple[Direction, ...]
    cosines: F64
    low: F64
    high: F64
    p: F64
    null: float
    tested: Bool
    axes: tuple[Correlation, ...]
    deals: int


def _unit(rows: F64) -> F64:
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)


def study(
    unit: NDArray[np.floating],
    subjects: I64,
    found: list[Contrast],
    rng: np.random.Generator,
    *,
    axes: int = 5,
    splits: int = 40,
    draws: int = 100,
    level: float = 0.95,
) -> Study:
    """Directions, their stability, cosines and the principal axes they go with.

    Args:
        unit: f32[N,D] unit vectors. subjects: i64[N]. found: contrasts over the same faces.
        splits: random halves of the people. draws: bootstrap draws of people.
    Raises:
        InsufficientData: no contrast.
    """
    if not found:
        raise InsufficientData("no attribute has two groups of enough people")
    rows = np.asarray(unit, np.float64)
    known, codes = np.unique(subjects, return_inverse=True)
    codes = codes.ravel().astype(np.int64)
    people, m = len(known), len(found)
    everyone = np.ones(people)
    plain = np.stack([difference_weights(c, codes, everyone) for c in found]) @ rows
    gaps, units = np.linalg.norm(plain, axis=1), _unit(plain)

    count = int(min(2000, max(200, 40 * m)))  # so that Holm over m tests can reach 5 %
    dealt = deal(subjects, count, rng)
    tested = np.array([[a.attribute != b.attribute for b in found] for a in found])
    p, largest = np.ones(m), np.zeros(count)
    for a, c in enumerate(found):
        moved = np.stack(
            [
                _side(c.high[d], codes, everyone) - _side(c.low[d], codes, everyone)
                for d in dealt
            ]
        ) @ rows  # fmt: skip
        p[a] = (1 + int((np.linalg.norm(moved, axis=1) >= gaps[a]).sum())) / (count + 1)
        cosine = np.abs(_unit(moved) @ units.T)
        cosine[:, ~tested[a]] = 0
        largest = np.maximum(largest, cosine.max(axis=1))
    cosines = units @ units.T
    boot = np.empty((draws, m, m))
    for d in range(draws):
        weight = np.bincount(rng.integers(people, size=people), minlength=people).astype(np.float64)
        drawn = _unit(np.stack([difference_weights(c, codes, weight) for c in found]) @ rows)
        boot[d] = drawn @ drawn.T
    error = boot.std(axis=0, ddof=1)
    half = z_value(level) * error
    halves = np.empty((splits, m))
    for s in range(splits):
        first = np.zeros(people)
        first[rng.permutation(people)[: people // 2]] = 1
        one, two = (
            _unit(np.stack([difference_weights(c, codes, w) for c in found]) @ rows)
            for w in (first, 1 - first)
        )
        halves[s] = (one * two).sum(axis=1)
    adjusted = holm(p)
    p_pairs = _pair_p(cosines, error, tested & np.outer(adjusted < 1 - level, adjusted < 1 - level))
    directions = []
    for a, c in enumerate(found):
        mean = float(halves[:, a].mean())
        low, high = (float(q) for q in np.quantile(halves[:, a], [(1 - level) / 2, (1 + level) / 2]))
        method = f"percentiles over {splits} random halves of {people} people"
        directions.append(
            Direction(
                c, units[a], float(gaps[a]), float(p[a]), float(adjusted[a]), mean,
                Interval(min(low, mean), max(high, mean), level, method),
                (len(np.unique(subjects[c.high])), len(np.unique(subjects[c.low]))),
                (int(c.high.sum()), int(c.low.sum())),
            )
        )  # fmt: skip
    return Study(
        tuple(directions),
        cosines,
        np.clip(cosines - half, -1, 1),
        np.clip(cosines + half, -1, 1),
        p_pairs,
        float(np.quantile(largest, level)),
        tested,
        _axes(rows, subjects, found, dealt, axes, level),
        count,
    )


def _pair_p(cosines: F64, error: F64, use: Bool) -> F64:
    """f64[M,M], symmetric: z test of orthogonal directions with bootstrap errors, Holm over the pairs in `use`.

    Only two directions that exist have an angle; all other pairs get 1.
    """
    a, b = np.nonzero(np.triu(use, 1))
    out = np.ones_like(cosines)
    if len(a):
        z = np.abs(cosines[a, b]) / np.maximum(error[a, b], 1e-9)
        out[a, b] = out[b, a] = holm(2 * special.ndtr(-z))
    return out


def _axes(
    rows: F64, subjects: I64, found: list[Contrast], dealt: I64, count: int, level: float
) -> tuple[Correlation, ...]:
    centred = rows - rows.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    count = min(count, len(values))
    share = values[::-1][:count] / values.sum()
    scores = centred @ vectors[:, ::-1][:, :count]
    raw: list[tuple[int, Contrast, float, float, float, int, int]] = []
    for c in found:
        there = np.isfinite(c.values)
        x = _unit((c.values[there] - c.values[there].mean())[None])[0]
        n, people = int(there.sum()), len(np.unique(subjects[there]))
        moved = c.values[dealt]
        gone = ~np.isfinite(moved)
        # Dealt labels over all faces: what is unknown weighs nothing.
        mean = np.nanmean(moved, axis=1, keepdims=True)
        moved = _unit(np.where(gone, 0.0, moved - mean))
        for axis in range(count):
            y = scores[there, axis]
            r = float(x @ _unit((y - y.mean())[None])[0])
            full = scores[:, axis]
            null = moved @ _unit((full - full.mean())[None])[0]
            spread = max(float(null.std()), 1e-9)
            # The null of r is near normal; its spread under dealing carries the clustering.
            p = float(2 * special.ndtr(-abs(r) / spread))
            n_eff = float(np.clip(1 / spread**2 + 1, 4, n))
            raw.append((axis, c, r, p, n_eff, n, people))
    adjusted = holm(np.array([entry[3] for entry in raw]))
    out = []
    for (axis, c, r, _, n_eff, n, people), p in zip(raw, adjusted, strict=True):
        z, half = np.arctanh(np.clip(r, -0.999999, 0.999999)), z_value(level) / np.sqrt(max(n_eff - 3, 1))
        method = f"Fisher's z, effective n {n_eff:.0f} of {n} faces"
        interval = Interval(float(np.tanh(z - half)), float(np.tanh(z + half)), level, method)
        out.append(Correlation(axis + 1, float(share[axis]), c.name, r, interval, float(p), n, people))
    return tuple(out)


def moved_cosine(along: ArrayLike, amount: ArrayLike) -> F64:
    """Cosine of unit u to u + t d, for `along` = u d and `amount` = t: (1 + t c) / sqrt(1 + 2 t c + t^2)."""
    c, t = np.asarray(along, np.float64), np.asarray(amount, np.float64)
    return np.asarray((1 + t * c) / np.sqrt(np.maximum(1 + 2 * t * c + t**2, 1e-300)))


def amount_until(along: ArrayLike, threshold: float) -> F64:
    """f64[N]: how far a unit u may move along d until its cosine to itself falls to `threshold`; inf: for ever.

    u, d and u + t d lie in a plane. With theta = arccos(u d) between u and d and phi = arccos(threshold), the
    law of sines gives t = sin(phi) / sin(theta - phi) where phi < theta; else u + t d never turns by phi.
    """
    theta = np.arccos(np.clip(np.asarray(along, np.float64), -1, 1))
    phi = float(np.arccos(np.clip(threshold, -1, 1)))
    gap = theta - phi
    return np.where(gap > 1e-12, np.sin(phi) / np.sin(np.maximum(gap, 1e-12)), np.inf)


def morph_limit(threshold: float) -> float:
    """Cosine of two people above which the vector half way between them matches both at `threshold`.

    Half way along the great circle the angle to each end is theta / 2, and cos theta = 2 cos^2(theta / 2) - 1;
    for a threshold of 0 or less every pair does.
    """
    return 2 * threshold**2 - 1 if threshold > 0 else -1.0
