"""d' of several models on the same pairs, compared person by person.

d' = (mean genuine - mean impostor) / (standard deviation of impostors) over all pairs of the faces: the spread of
impostors alone (Glass 1976), since that of genuine pairs is mostly a few hard or mislabelled pictures and makes the
paired comparison far noisier. What each person adds is the jackknife's pseudo-value, K d' - (K - 1) d'(without the
person) (Tukey 1958), which carries the pairs with others too. Differences of pseudo-values of two models change sign
with equal chance where neither is better: the largest studentised mean over all candidates is compared with its
distribution over sign flips of people, the same for all (max-t: Westfall and Young 1993), so that it stays right for
how many were tried.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fraudit.errors import InsufficientData
from fraudit.stats.verification import auc
from fraudit.types import F32, F64, I64

LEAST_PEOPLE = 20  # below, sign flips cannot reach the levels that findings need


@dataclass(frozen=True, slots=True)
class Separation:
    """d' of one model: its value, f64[K] each person's pseudo-value, and the AUC over the same pairs."""

    value: float
    people: F64
    auc: float


def separation(unit: F32, subjects: I64, least: int = LEAST_PEOPLE) -> Separation:
    """d' over all pairs of f32[N,D] unit vectors (rows of zeros: no vector, a cosine of 0) of i64[N] subjects.

    Raises:
        InsufficientData: fewer than `least` people with two faces or more.
    """
    known, codes = np.unique(subjects, return_inverse=True)
    k, counts = len(known), np.bincount(codes)
    if (counts >= 2).sum() < least:
        raise InsufficientData(
            f"{(counts >= 2).sum()} people with two pictures; to tell two wirings apart takes {least}"
        )
    order = np.argsort(codes, kind="stable")
    rows = unit[order].astype(np.float32, copy=False)
    scores = (rows @ rows.T).astype(np.float64)
    np.fill_diagonal(scores, 0.0)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    pairs = np.outer(counts, counts).astype(float) - np.diag(counts)
    sums, squares = (
        np.add.reduceat(np.add.reduceat(power, starts, axis=0), starts, axis=1)
        for power in (scores, scores**2)
    )
    moments = np.stack([pairs, sums, squares])  # [3,K,K], each pair twice
    own = np.stack([np.diag(m) for m in moments])  # [3,K]
    all_genuine = own.sum(axis=1)
    all_impostor = moments.sum(axis=(1, 2)) - all_genuine
    value = float(_d_prime(all_genuine[:, None], all_impostor[:, None])[0])
    others = 2 * (moments.sum(axis=2) - own)
    without = _d_prime(all_genuine[:, None] - own, all_impostor[:, None] - others)
    return Separation(value, k * value - (k - 1) * without, _auc(scores, codes[order]))


def _auc(scores: F64, codes: I64) -> float:
    """The share of (genuine, impostor) pairs in which the genuine score is the higher one, ties as half."""
    left, right = np.triu_indices(len(codes), 1)
    every = scores[left, right]
    same = codes[left] == codes[right]
    return auc(every[same], every[~same])


def _d_prime(genuine: F64, impostor: F64) -> F64:
    """f64[M] from f64[3,M] counts, sums and sums of squares; 0 where nothing varies."""
    away = genuine[1] / genuine[0] - impostor[1] / impostor[0]
    spread = np.sqrt(np.maximum(impostor[2] / impostor[0] - (impostor[1] / impostor[0]) ** 2, 0.0))
    return np.asarray(np.where(spread > 1e-9, away / np.maximum(spread, 1e-9), 0.0))


@dataclass(frozen=True, slots=True)
class Gain:
    """How much better a candidate's d' is: relative to the stated one's, with its simultaneous bound and p.

    Attributes:
        share: (d' of the candidate - d') / d'. low, high: bounds of the share that hold for all candidates at once.
        p: corrected for all candidates (max-t), one-sided.
    """

    share: float
    low: float
    high: float
    p: float


def gains(
    base: Separation,
    candidates: list[Separation],
    rng: np.random.Generator,
    level: float = 0.95,
    draws: int = 9999,
) -> list[Gain]:
    """The gain of each candidate over `base` on the same people, all tested together."""
    if not candidates:
        return []
    away = np.stack([c.people - base.people for c in candidates])  # [C,K]
    count = away.shape[1]
    mean = away.mean(axis=1)
    error = np.maximum(away.std(axis=1, ddof=1) / np.sqrt(count), 1e-9)
    centred = away - mean[:, None]
    flipped, null = _flips(away, centred, rng, draws)
    squares = (away**2).mean(axis=1)
    spread = np.sqrt(np.maximum(squares - flipped**2, 1e-18) / (count - 1))
    largest = (flipped / spread).max(axis=1)
    observed = mean / error
    p = (1 + (largest[:, None] >= observed).sum(axis=0)) / (draws + 1)
    both = np.sqrt(np.maximum((centred**2).mean(axis=1) - null**2, 1e-18) / (count - 1))
    reach = float(np.quantile((np.abs(null) / both).max(axis=1), level))
    scale = max(base.value, 0.1)  # a wiring that separates nothing has no share to speak of
    values = np.array([c.value - base.value for c in candidates])
    return [
        Gain(float(v / scale), float((v - reach * e) / scale), float((v + reach * e) / scale), float(q))
        for v, e, q in zip(values, error, p, strict=True)
    ]


def _flips(away: F64, centred: F64, rng: np.random.Generator, draws: int) -> tuple[F64, F64]:
    """f64[draws,C] twice: means of f64[C,K] rows under sign flips of the K people, the same flips for both."""
    parts = []
    for start in range(0, draws, 5000):
        signs = (
            rng.integers(0, 2, (min(5000, draws - start), away.shape[1]), np.int8).astype(np.float64) * 2 - 1
        )
        parts.append(np.stack([signs @ away.T, signs @ centred.T]) / away.shape[1])
    flipped, null = np.concatenate(parts, axis=1)
    return flipped, null
