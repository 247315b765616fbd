"""What a black box answers to the same faces in other company, and what its vectors look like. Arrays alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fraudit.types import F32, F64, I64, U8, Bool

FLAT = ("black", "grey", "white", "noise")
SAME_COLUMN = 0.99999  # correlation of two dimensions that are one
STILL = 1e-5  # a dimension varies by less than this part of what dimensions vary by: constant
MOST_DIMENSIONS = 4096  # above, no dimension is compared with every other


def unlike(one: F32, other: F32) -> F64:
    """f64[N]: 1 - cosine of rows of f32[N,D] and f32[N,D]; 1 where one of them is zero, NaN where one is not finite."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    both = np.all(a == b, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        found = 1 - (a * b).sum(axis=1) / lengths
    found = np.where(both, 0.0, np.where(lengths == 0, 1.0, np.maximum(found, 0)))
    finite = np.isfinite(a).all(axis=1) & np.isfinite(b).all(axis=1)
    return np.asarray(np.where(finite, found, np.nan), np.float64)


def moved_rows(expected: F32, found: F32, least: float) -> int:
    """How many rows of `found` f32[N,D] are another row of `expected` (1 - cosine below `least`), and not their own."""
    count = 0
    for row in range(len(found)):
        apart = unlike(expected, np.repeat(found[row : row + 1], len(expected), axis=0))
        if np.isfinite(apart).all() and apart[row] >= least and apart.min() < least:
            count += 1
    return count


def flat_pictures(size: tuple[int, int]) -> U8:
    """u8[4,h,w,3]: black, grey, white and noise, as FLAT names them; always the same."""
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    return np.stack([*(np.full((*size, 3), value, np.uint8) for value in (0, 128, 255)), noise])


def shifted(crops: U8) -> U8:
    """u8[N,h,w,3] moved one pixel to the right; the first column is repeated."""
    return np.ascontiguousarray(np.concatenate([crops[:, :, :1], crops[:, :, :-1]], axis=2))


@dataclass(frozen=True, slots=True)
class Shape:
    """What the vectors of a set look like.

    Attributes:
        n, dim: vectors and dimensions. dead: dimensions that are 0 in every vector. constant: that never change and
            are not 0. twins: pairs of dimensions that are the same up to scale, None where not looked for.
        strangers: median cosine of two people's vectors, NaN with fewer than two people.
        norm: least, median and largest length.
    """

    n: int
    dim: int
    dead: int
    constant: int
    twins: int | None
    strangers: float
    norm: tuple[float, float, float]


def shape_of(vectors: F32, people: I64, ok: Bool, rng: np.random.Generator, pairs: int = 20_000) -> Shape:
    """The shape of the usable rows of f32[N,D]; `pairs` pairs of two people are drawn for the cosine."""
    rows, who = vectors[ok].astype(np.float64), people[ok]
    deviation = rows.std(axis=0)
    usual = float(np.sqrt((deviation**2).mean()))
    still = deviation <= STILL * usual if usual > 0 else np.ones(rows.shape[1], bool)
    dead = still & (np.abs(rows).max(axis=0) == 0)
    twins: int | None = None
    if len(rows) >= 20 and rows.shape[1] <= MOST_DIMENSIONS:
        moving = rows[:, ~still]
        scaled = (moving - moving.mean(axis=0)) / deviation[~still]
        correlation = np.abs(scaled.T @ scaled) / len(rows)
        twins = int(np.triu(correlation >= SAME_COLUMN, 1).any(axis=0).sum())
    left, right = rng.integers(0, len(rows), (2, pairs))
    two = who[left] != who[right]
    lengths = np.linalg.norm(rows, axis=1)
    unit = rows / lengths[:, None]
    cosines = (unit[left[two]] * unit[right[two]]).sum(axis=1)
    return Shape(
        len(rows),
        rows.shape[1],
        int(dead.sum()),
        int((still & ~dead).sum()),
        twins,
        float(np.median(cosines)) if len(cosines) else float("nan"),
        (float(lengths.min()), float(np.median(lengths)), float(lengths.max())),
    )
