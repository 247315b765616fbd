"""Two models on the same faces: what each, and a gallery of one searched with the other, decides on strangers.

Three kinds of scores of a pair (i, j): first model alone u_i . u_j, second alone v_i . v_j, and mixed u_i . v_j, a
template of the first model against a probe of the second. All pairs of different people are streamed and kept as
sums by person, as in `fraudit.stats.calibration.fmr_sums`, so that differences of rates are paired and clustered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fraudit.errors import InsufficientData
from fraudit.stats.calibration import Calibration
from fraudit.stats.pairs import BLOCK
from fraudit.types import F64, I64, Bool

Way = Literal["first", "kept", "mixed", "own", "mixed_own"]
# What decides: the first model at its threshold, the second at the first's threshold, a mixed gallery at the first's
# threshold, the second at its own, a mixed gallery at its own.
WAYS: tuple[Way, ...] = ("first", "kept", "mixed", "own", "mixed_own")
MIXED_FACES = 2000  # of a mixed calibration: 2 million pairs


@dataclass(frozen=True, slots=True)
class Cut:
    """Thresholds for one FMR target: of the first model, of the second, of first against second (NaN: none)."""

    target: float
    first: float
    second: float
    mixed: float

    def at(self, way: Way) -> float:
        """The threshold that decides."""
        return {"own": self.second, "mixed_own": self.mixed}.get(way, self.first)


@dataclass(frozen=True, slots=True)
class Matched:
    """FMR of one way over `n` pairs: f64[S] residual sums over n, and f64[S] pairs, by person (sorted)."""

    rate: float
    n: int
    sums: F64
    pairs: F64


@dataclass(frozen=True, slots=True)
class Crossed:
    """One cut on all pairs of strangers.

    Attributes:
        ways: by what decides. gained, lost: pairs that match only with the second, only with the first model, both at
            the first model's threshold.
    """

    cut: Cut
    ways: dict[Way, Matched]
    gained: int
    lost: int


def crossed(
    first: NDArray[Any], second: NDArray[Any], subjects: I64, cuts: Sequence[Cut], block: int = BLOCK
) -> list[Crossed]:
    """Every cut over all pairs i < j of different people.

    Args:
        first: f32[M,D], second: f32[M,E] unit rows of the same faces, all with a vector. Where E is not D, nothing is
            mixed and the second model has no cosine with the first. subjects: i64[M].
    Raises:
        InsufficientData: no pair of different people.
    """
    u, v = np.ascontiguousarray(first, np.float32), np.ascontiguousarray(second, np.float32)
    alike = u.shape[1] == v.shape[1]
    ways = WAYS if alike else ("first", "kept", "own")
    hits = np.zeros((len(cuts), len(WAYS), len(u)))
    paired = np.zeros(len(u))
    moved = np.zeros((len(cuts), 2), np.int64)
    for i in range(0, len(u), block):
        for j in range(i, len(u), block):
            a, b = slice(i, i + block), slice(j, j + block)
            use = subjects[a, None] != subjects[None, b]
            if i == j:
                use &= ~np.tri(len(use), dtype=bool)
            paired[a] += use.sum(axis=1)
            paired[b] += use.sum(axis=0)
            scores = {"first": u[a] @ u[b].T, "second": v[a] @ v[b].T}
            if alike:
                scores["mixed"] = u[a] @ v[b].T
            for score in scores.values():
                score[~use] = -np.inf
            for c, cut in enumerate(cuts):
                found: dict[str, Bool] = {}
                for way in ways:
                    kind = {"first": "first", "kept": "second", "own": "second"}.get(way, "mixed")
                    hit = found[way] = scores[kind] >= cut.at(way)
                    hits[c, WAYS.index(way), a] += hit.sum(axis=1)
                    hits[c, WAYS.index(way), b] += hit.sum(axis=0)
                moved[c] += [
                    int((found["kept"] & ~found["first"]).sum()),
                    int((found["first"] & ~found["kept"]).sum()),
                ]
    n = int(paired.sum()) // 2
    if not n:
        raise InsufficientData("no pair of different people")
    codes = np.unique(subjects, return_inverse=True)[1].ravel()
    of: F64 = np.bincount(codes, weights=paired).astype(np.float64)
    out = []
    for c, cut in enumerate(cuts):
        by: dict[Way, Matched] = {}
        for way in ways:
            own = np.bincount(codes, weights=hits[c, WAYS.index(way)])
            rate = float(own.sum() / 2 / n)
            by[way] = Matched(rate, n, np.asarray((own - rate * of) / n), of)
        out.append(Crossed(cut, by, int(moved[c, 0]), int(moved[c, 1])))
    return out


def mixed_calibration(
    first: NDArray[Any], second: NDArray[Any], subjects: I64, rows: I64, rng: np.random.Generator
) -> Calibration:
    """Scores of strangers u_i . v_j (i < j) among faces `rows` i64[M] (at most `MIXED_FACES`, drawn).

    Raises:
        InsufficientData: no pair of different people among them.
    """
    chosen = rows if len(rows) <= MIXED_FACES else np.sort(rng.choice(rows, MIXED_FACES, replace=False))
    people = subjects[chosen]
    left, right = np.nonzero(np.triu(people[:, None] != people[None, :], k=1))
    if not len(left):
        raise InsufficientData("no impostor pair in the calibration half", "use a set with more people")
    scores: F64 = (first[chosen] @ second[chosen].T)[left, right].astype(np.float64)
    return Calibration(chosen, people, scores, first[chosen], people[left], people[right])


def stranger_cosines(
    first: NDArray[Any], second: NDArray[Any], subjects: I64, count: int, rng: np.random.Generator
) -> tuple[F64, I64]:
    """(f64[K] cosines u_i . v_j of random pairs of different people, i64[K] the people of the u_i), K <= count."""
    i, j = (rng.integers(0, len(first), 2 * count) for _ in range(2))
    use = np.flatnonzero(subjects[i] != subjects[j])[:count]
    i, j = i[use], j[use]
    found: F64 = np.einsum("kd,kd->k", first[i], second[j], dtype=np.float64)
    return found, subjects[i]
