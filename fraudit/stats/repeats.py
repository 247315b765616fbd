"""Which pairs of a set whose pictures are said to show different people look like one person all the same.

Nobody is named, so nothing can be proved. But most of a picture's cosines are with other people; one that lies above
everything that their shape explains stands out. The fence is each picture's own, since some people are alike to many
(children): adaptive score normalisation (Matejka et al., Interspeech 2017) in quantiles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from fraudit.errors import InsufficientData
from fraudit.types import F64, Bool

SAMPLED = 2000  # pictures that each one's bulk is taken from
NEAR, FAR = 0.25, 0.05  # upper shares of a picture's pairs between which the slope of its tail is taken
EXPECTED = 0.05  # pairs above the fence that a set without repeats is allowed
LEAST = 40  # pictures
BLOCK = 1024


@dataclass(frozen=True, slots=True)
class Repeats:
    """Pairs that look like one person: how many, of how many, in how many pictures."""

    count: int
    pairs: int
    pictures: int


def bulk_fences(rows: NDArray[np.floating], rng: np.random.Generator) -> F64:
    """f64[N] for every picture: the cosine above which its pairs are outliers of its own bulk.

    Args:
        rows: f32[N,D] unit vectors.

    The tail of arctanh of the cosines is a normal one through their upper `NEAR` and `FAR` quantiles, taken so far that
    `EXPECTED` pairs of the whole set would pass. It holds where a picture shows the same person as fewer than `FAR` of
    the others. A group of alike people stands out too where it is smaller than that. Measured where nobody is shown
    twice (60 to 2,000 pictures): some pair is counted in 7 % of sets, in 8 to 34 % where a tenth or more are alike.
    """
    n = len(rows)
    chosen = np.arange(n) if n <= SAMPLED else np.sort(rng.choice(n, SAMPLED, replace=False))
    z_near, z_far, z = (-float(special.ndtri(p)) for p in (NEAR, FAR, 2 * EXPECTED / (n * (n - 1))))
    fences = np.empty(n)
    for start in range(0, n, BLOCK):
        part = np.arange(start, min(start + BLOCK, n))
        cosines = rows[part] @ rows[chosen].T
        cosines[part[:, None] == chosen[None]] = -1  # with itself
        near, far = np.arctanh(
            np.clip(np.quantile(cosines, [1 - NEAR, 1 - FAR], axis=1), -0.999999, 0.999999)
        )
        fences[part] = np.tanh(far + (z - z_far) * (far - near) / (z_far - z_near))
    return fences


def likely_repeats(unit: NDArray[np.floating], ok: Bool, rng: np.random.Generator) -> Repeats:
    """Count the pairs of all pictures that lie above the fences of both.

    Args:
        unit: f32[N,D] unit vectors. ok: bool[N], whether there is a vector.
    Raises:
        InsufficientData: fewer than `LEAST` pictures have one.
    """
    rows = unit[ok]
    n = len(rows)
    if n < LEAST:
        raise InsufficientData(f"{n} pictures have a vector, at least {LEAST} are needed")
    fences = bulk_fences(rows, rng).astype(rows.dtype)
    each = np.zeros(n, np.int64)
    for start in range(0, n, BLOCK):
        part = np.arange(start, min(start + BLOCK, n))
        hit = rows[part] @ rows.T >= np.maximum(fences[part][:, None], fences[None])
        hit[np.arange(len(part)), part] = False
        each[part] = hit.sum(1)
    return Repeats(int(each.sum()) // 2, n * (n - 1) // 2, int((each > 0).sum()))
