"""People who are likely one person under two names.

Two people are compared by the mean cosine of their pictures over the root of both people's mean cosines within: an
estimate of the cosine of what is constant in each, freed of the pictures' noise (Spearman's correction for
attenuation, 1904). About 1 for one person, near 0 for strangers, and in between for relatives, however consistent
each person's pictures are. A pair is flagged where it lies beyond what strangers reach (the fences of both, from the
shape of each one's own cosines, `fraudit.stats.repeats`) and is as alike as two parts of one person: at or above the
`PART_QUANTILE` of people whose pictures were split at random into parts of about these sizes.

Expected false flags: were all flagged pairs one person, their likeness would be spread as that of the split people;
half of them would lie above its median, where relatives hardly come. So the true ones are about
(1 - PART_QUANTILE) / 0.5 times the pairs above the median, and the rest of the flags is false (Storey, JRSS B 64, 2002,
takes the share of nulls from p values in the same way). For a handful of flags this is a rough figure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.errors import InsufficientData
from fraudit.stats.label_errors import person_means
from fraudit.stats.pairs import BLOCK, linked_people
from fraudit.stats.repeats import EXPECTED, bulk_fences
from fraudit.types import F64, I64, Bool

PART_QUANTILE = 0.10
SIZES = (1, 2, 4)  # smaller part of a split: 1, 2 to 3, 4 or more
LEAST_PEOPLE = 40
LEAST_SPLITS = 20
SHRINK = 3.0  # pairs' worth of the set's mean in a person's mean cosine within
SPLITS = 2000  # people that are split


@dataclass(frozen=True, slots=True)
class TwoNames:
    """Pairs of people who look like one.

    Attributes:
        first, second: i64[K], subjects, the likeliest pair first. likeness: f64[K], about 1 for one person.
        compared: pairs of people. splits: people whose pictures were split for the reference.
        expected_false: flags expected to be two people. merged: i64[N], subjects with flagged people made one number.
    """

    first: I64
    second: I64
    likeness: F64
    compared: int
    splits: int
    expected_false: float
    merged: I64

    @property
    def false_share(self) -> float:
        """Expected share of false ones among the flagged, in [0, 1]; 0 where none is flagged."""
        return min(1.0, self.expected_false / len(self.first)) if len(self.first) else 0.0


@dataclass(frozen=True, slots=True)
class _Parts:
    """People, or parts of people: mean vectors f32[K,D], f64[K] mean cosine within (shrunk), i64[K] pictures."""

    means: NDArray[np.float32]
    within: F64
    sizes: I64


def _parts(rows: NDArray[Any], codes: I64, count: int, usual: float) -> _Parts:
    means = person_means(rows, codes, count)
    n = np.bincount(codes, minlength=count).astype(np.float64)
    square = np.einsum("kd,kd->k", means, means, dtype=np.float64) * n**2
    pairs = n * (n - 1) / 2
    within = ((square - n) / 2 + SHRINK * usual) / (pairs + SHRINK)
    return _Parts(means, np.maximum(within, usual / 4), n.astype(np.int64))


def _usual_within(rows: NDArray[Any], codes: I64, count: int) -> float:
    """Mean over people with two pictures or more of their mean cosine within."""
    means = person_means(rows, codes, count)
    n = np.bincount(codes, minlength=count).astype(np.float64)
    several = n > 1
    square = np.einsum("kd,kd->k", means, means, dtype=np.float64)
    return float(((square * n**2 - n) / np.maximum(n * (n - 1), 1))[several].mean())


def _stratum(smaller: I64) -> I64:
    return np.searchsorted(np.array(SIZES[1:]), smaller, side="right").astype(np.int64)


def _split_likeness(rows: NDArray[Any], codes: I64, count: int, usual: float, seed: int) -> tuple[F64, I64]:
    """(f64[M] likeness of two random parts of one person, i64[M] stratum of the smaller part)."""
    rng = np.random.default_rng([seed, 43])
    order = np.lexsort((rng.random(len(codes)), codes))
    n = np.bincount(codes, minlength=count)
    place = np.empty(len(codes), np.int64)
    place[order] = np.arange(len(codes)) - np.repeat(np.cumsum(n) - n, n)
    values, strata = [], []
    for at, size in enumerate(SIZES):
        able = np.flatnonzero(n >= 2 * size)
        if len(able) > SPLITS:
            able = rng.choice(able, SPLITS, replace=False)
        if not len(able):
            continue
        index = np.full(count, -1)
        index[able] = np.arange(len(able))
        use = index[codes] >= 0
        part = np.where(size < 4, size, n // 2)
        second = place[use] >= part[codes[use]]
        found = _parts(rows[use], 2 * index[codes[use]] + second, 2 * len(able), usual)
        cosine = np.einsum("kd,kd->k", found.means[::2], found.means[1::2], dtype=np.float64)
        values.append(cosine / np.sqrt(found.within[::2] * found.within[1::2]))
        strata.append(np.full(len(able), at))
    return np.concatenate(values), np.concatenate(strata).astype(np.int64)


def two_names(
    unit: NDArray[Any], subjects: I64, ok: Bool | None = None, *, seed: int = 0, block: int = BLOCK
) -> TwoNames:
    """Flag pairs of people as alike as two parts of one person; all pairs of people, by tiles.

    Args:
        unit: f32[N,D] unit vectors. subjects: i64[N]. ok: bool[N], whether there is a vector.
    Raises:
        InsufficientData: fewer than `LEAST_PEOPLE` people, or fewer than `LEAST_SPLITS` with two pictures.
    """
    keep = np.arange(len(unit)) if ok is None else np.flatnonzero(ok)
    rows = np.ascontiguousarray(unit[keep], np.float32)
    known, codes = np.unique(subjects[keep], return_inverse=True)
    codes, count = codes.ravel().astype(np.int64), len(known)
    several = int((np.bincount(codes, minlength=count) > 1).sum())
    if count < LEAST_PEOPLE or several < LEAST_SPLITS:
        raise InsufficientData(
            f"people under two names: {count} people, {several} with two pictures or more; at least {LEAST_PEOPLE} "
            f"and {LEAST_SPLITS} are needed"
        )
    usual = _usual_within(rows, codes, count)
    if usual <= 0:
        raise InsufficientData(
            "pictures of one person are not alike for this model: no reference for one person"
        )
    people = _parts(rows, codes, count, usual)
    halves, strata = _split_likeness(rows, codes, count, usual, seed)
    limits, medians = [], []
    for at in range(len(SIZES)):
        own = halves[strata == at]
        own = own if len(own) >= LEAST_SPLITS else halves
        limits.append(float(np.quantile(own, PART_QUANTILE)))
        medians.append(float(np.median(own)))
    flat = people.means / np.linalg.norm(people.means, axis=1, keepdims=True)
    fences = bulk_fences(flat, np.random.default_rng([seed, 44])).astype(np.float32)
    limit, median = np.array(limits, np.float32), np.array(medians, np.float32)
    root = np.sqrt(people.within).astype(np.float32)
    kept: list[tuple[I64, I64, F64, Bool]] = []
    for start in range(0, count, block):
        part = np.arange(start, min(start + block, count))
        apart = flat[part] @ flat[start:].T >= np.maximum(fences[part][:, None], fences[None, start:])
        apart &= part[:, None] < np.arange(start, count)[None]
        i, j = np.nonzero(apart)
        i, j = part[i], j + start
        cosine = np.einsum("kd,kd->k", people.means[i], people.means[j], dtype=np.float64)
        likeness = cosine / (root[i] * root[j])
        stratum = _stratum(np.minimum(people.sizes[i], people.sizes[j]))
        alike = likeness >= limit[stratum]
        kept.append((i[alike], j[alike], likeness[alike], (likeness >= median[stratum])[alike]))
    first, second, likeness, upper = (np.concatenate(x) for x in zip(*kept, strict=True))
    order = np.argsort(-likeness, kind="stable")
    first, second, likeness = first[order], second[order], likeness[order]
    true = (1 - PART_QUANTILE) / 0.5 * float(upper.sum())
    expected = float(np.clip(len(first) - true, min(EXPECTED, len(first)), len(first)))
    one = linked_people(count, first, second)
    merged = np.asarray(subjects, np.int64).copy()
    merged[keep] = known[np.unique(one, return_index=True)[1]][one][codes]
    return TwoNames(
        known[first],
        known[second],
        likeness,
        count * (count - 1) // 2,
        int((strata == 0).sum()),
        expected,
        merged,
    )
