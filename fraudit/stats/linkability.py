"""How well two protected or leaked templates can be told to be of one person: D(s) and D_sys.

Gomez-Barrero, Galbally, Rathgeb and Busch, "General Framework to Evaluate Unlinkability in Biometric Template
Protection Systems", IEEE Transactions on Information Forensics and Security 13, 2018. Of a score s of two templates,
one of each database, with LR(s) = p(s | mated) / p(s | non-mated) and omega the odds of a mated pair (1: worst case),

    D(s) = 0 where omega LR(s) <= 1, else 2 omega LR(s) / (1 + omega LR(s)) - 1
    D_sys = integral of p(s | mated) D(s) ds

0: nothing can be linked, 1: everything. With x = omega LR, D_sys is the mean over non-mated pairs of the convex
g(x) = x (x - 1)+ / (x + 1) / omega: an f-divergence. Estimated densities put into the integral give a value above 0
where nothing can be linked, since every chance difference counts as linkable. Its tangent at an estimated ratio is a
lower bound on average whatever that ratio is (Nguyen, Wainwright and Jordan, IEEE Trans. Information Theory 56, 2010):

    D_sys >= mean_mated a(x) + mean_non-mated b(x),  a = (x^2 + 2 x - 1) / (x + 1)^2,  b = -2 x^2 / (x + 1)^2 / omega

over scores with x > 1, and what is missed is of second order in the error of the ratio. So densities are estimated on
one half of the people, the bound is computed on the other half, both ways (cross-fitting), and the interval is that
of means over pairs that share people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fraudit.errors import InsufficientData, UsageError
from fraudit.stats.intervals import PairClusters, clopper_pearson, interval_or_reason, t_value, z_value
from fraudit.types import F64, I64, Bool, Interval

GRID = 1024  # points of a density
MARGIN = 4.0  # of the grid beyond the scores, in bandwidths
LEAST = 8  # people with a mated pair in each half


@dataclass(frozen=True, slots=True)
class Densities:
    """Densities of mated and of non-mated scores on one grid.

    Attributes:
        grid: f64[K] scores, evenly spaced. mated, non_mated: f64[K], above 0. omega: odds of a mated pair.
        ends: smallest and largest score seen; beyond them the grid holds no data.
    """

    grid: F64
    mated: F64
    non_mated: F64
    omega: float = 1.0
    ends: tuple[float, float] = (-np.inf, np.inf)

    @property
    def local(self) -> F64:
        """f64[K] in [0, 1]: D(s) on the grid."""
        return local_linkability(self.mated / self.non_mated, self.omega)

    def ratio(self, scores: ArrayLike) -> F64:
        """f64[P] likelihood ratios of f64[P] scores; beyond the grid those of its ends."""
        with np.errstate(divide="ignore"):
            logs = np.log(self.mated) - np.log(self.non_mated)
        return np.asarray(np.exp(np.interp(np.asarray(scores, np.float64), self.grid, logs)))


def local_linkability(ratios: ArrayLike, omega: float = 1.0) -> F64:
    """D(s), f64[P] in [0, 1], of f64[P] likelihood ratios >= 0 (inf: 1)."""
    x = omega * np.asarray(ratios, np.float64)
    return np.where(x > 1, 1 - 2 / (1 + x), 0.0)


def score_densities(mated: ArrayLike, non_mated: ArrayLike, people: float, omega: float = 1.0) -> Densities:
    """Gaussian kernel densities of f64[M] mated and f64[N] non-mated scores.

    Bandwidths are Silverman's (Density Estimation, 1986, 3.31) for as many independent scores as there are `people`.
    To both one more person is added whose score lies anywhere (Laplace's rule), so that no ratio is infinite and one
    that no data show is 1.

    Raises:
        InsufficientData: no mated or no non-mated score.
    """
    sides = [np.asarray(side, np.float64) for side in (mated, non_mated)]
    if not all(map(len, sides)):
        raise InsufficientData(
            f"linkability needs mated and non-mated scores; found {len(sides[0])} and {len(sides[1])}",
            "use a set in which people have two pictures or more",
        )
    widths = [_bandwidth(side, min(people, len(side))) for side in sides]
    low, high = (float(f(np.concatenate(sides))) for f in (np.min, np.max))
    span = max(high - low, 1e-9 * max(abs(low), abs(high), 1.0))
    room = MARGIN * min(max(widths), span) + 1e-3 * span
    grid = np.linspace(low - room, high + room, GRID)
    step = float(grid[1] - grid[0])
    found = []
    for side, width in zip(sides, widths, strict=True):
        counts = np.histogram(side, np.append(grid - step / 2, grid[-1] + step / 2))[0] / len(side)
        smooth = _smoothed(counts, width / step) / step
        found.append((people * smooth + 1 / (grid[-1] - grid[0])) / (people + 1))
    return Densities(grid, found[0], found[1], omega, (low, high))


def _bandwidth(scores: F64, count: float) -> float:
    spread = float(scores.std())
    middle = float(np.subtract(*np.quantile(scores, [0.75, 0.25]))) / 1.34
    return 0.9 * (min(spread, middle) if middle > 0 else spread) * max(count, 1.0) ** -0.2


def _smoothed(counts: F64, width: float) -> F64:
    """f64[K] counts under a Gaussian of `width` grid steps."""
    from scipy.ndimage import gaussian_filter1d

    return (
        np.asarray(gaussian_filter1d(counts, width, mode="constant", truncate=6.0)) if width > 0.3 else counts
    )


@dataclass(frozen=True, slots=True)
class Linkability:
    """D_sys with its interval, and the curve D(s).

    Attributes:
        value: D_sys in [0, 1]. raw: before it was cut to that range; below 0 where nothing speaks for a link.
        interval, missing: of people, or the reason why there is none.
        people: with a mated pair. mated, non_mated: pairs that the value was computed on.
        densities: over all pairs, for the curve D(s) alone.
    """

    value: float
    raw: float
    interval: Interval | None
    missing: str
    people: int
    mated: int
    non_mated: int
    densities: Densities


def system_linkability(
    scores: ArrayLike,
    left: ArrayLike,
    right: ArrayLike,
    *,
    omega: float = 1.0,
    level: float = 0.95,
    seed: int = 0,
) -> Linkability:
    """D_sys of pairs of templates, one of each database.

    Args:
        scores: f64[P], of any scale and direction; NaN (no template) is left out.
        left, right: i64[P], the person of each side; equal: a mated pair.
        omega: prior odds of a mated pair. level: of the interval. seed: which person falls into which half.

    Raises:
        InsufficientData: a half with fewer than `LEAST` people with a mated pair, or without a non-mated pair.
        UsageError: omega is not above 0.
    """
    if not omega > 0:
        raise UsageError(f"omega: expected odds above 0, found {omega}")
    s, a, b = np.asarray(scores, np.float64), np.asarray(left, np.int64), np.asarray(right, np.int64)
    use = ~np.isnan(s)
    s, a, b = s[use], a[use], b[use]
    mated = a == b
    people = np.unique(a[mated])
    first = _first_half(people, np.unique(np.concatenate([a, b])), seed)
    sides = np.isin(a, first), np.isin(b, first)
    halves = sides[0] & sides[1], ~sides[0] & ~sides[1]
    for half in halves:
        own = len(np.unique(a[half & mated]))
        if own < LEAST or not (half & ~mated).any():
            raise InsufficientData(
                f"linkability needs {LEAST} people with a mated pair, and a non-mated pair, in each half of the "
                f"people; found {own} people and {int((half & ~mated).sum())} non-mated pairs",
                "use a set with more people who have two pictures or more",
            )
    raw, seen, judged, influence = 0.0, 0.0, halves[0] | halves[1], np.zeros(len(s))
    for train, test in (halves, halves[::-1]):
        fitted = score_densities(s[train & mated], s[train & ~mated], len(np.unique(a[train & mated])), omega)
        share = float((test & mated).sum() / (judged & mated).sum())
        for kind, values in zip((True, False), _tangent(fitted, s), strict=True):
            part = test & (mated == kind)
            mean = float(values[part].mean())
            raw += share * mean
            seen += (1 - share) * float(values[train & (mated == kind)].mean())
            influence[part] = share * (values[part] - mean) / part.sum()
    # People the densities know give too high a bound, the others too low a one, by about as much.
    missed = max(0.0, (seen - raw) / 2)
    made = interval_or_reason(lambda: _interval(raw, missed, influence[judged], a[judged], b[judged], level))
    everything = score_densities(s[mated], s[~mated], len(people), omega)
    counts = (int((judged & mated).sum()), int((judged & ~mated).sum()))
    return Linkability(float(np.clip(raw, 0, 1)), raw, *made, len(people), *counts, everything)


def _first_half(mated: I64, everybody: I64, seed: int) -> I64:
    """Half of the people with a mated pair, and half of the others."""
    rng = np.random.default_rng([seed, 31])
    others = np.setdiff1d(everybody, mated)
    return np.concatenate([rng.permutation(part)[: len(part) // 2] for part in (mated, others)])


def _tangent(fitted: Densities, scores: F64) -> tuple[F64, F64]:
    """(f64[P], f64[P]): what each score adds as a mated and as a non-mated one."""
    x = fitted.omega * fitted.ratio(scores)
    above: Bool = x > 1
    square = (1 + x) ** 2
    as_mated = np.where(above, 1 - 2 / square, 0.0)
    as_other = np.where(above, -2 * x**2 / square, 0.0) / fitted.omega
    return as_mated, as_other


def _interval(raw: float, missed: float, influence: F64, left: I64, right: I64, level: float) -> Interval:
    """Clopper-Pearson's for (1 + D_sys) / 2 at the effective number of people, as for an AUC.

    `missed`: what errors of the densities are expected to cost; the upper end is higher by so much. Where nothing is
    linked both halves err to the same side (each finds the other's chance difference or both miss it), so that the
    larger of two normal deviates decides: the lower end is above 0 only where it is at sqrt(level) too.
    """
    clusters = PairClusters(left, right)
    clusters.require()
    people = len(np.unique(left[left == right]))
    freedom = clusters.freedom(influence)
    # One more person of whom nothing is linked moves the mean by so much: the tail of few is longer than it looks.
    variance = clusters.sum_variance(influence) + (max(raw, 0.0) / people) ** 2

    def ends(at: float, wanted: float) -> tuple[float, float]:
        middle = float(np.clip((1 + at) / 2, 0.0, 1.0))
        inner = min(max(middle, 0.5 / people), 1 - 0.5 / people)
        count = inner * (1 - inner) / (variance / 4) if variance > 0 else float(people)
        count *= (z_value(wanted) / t_value(wanted, freedom)) ** 2
        found = clopper_pearson(middle * count, count, wanted)
        return 2 * found.low - 1, 2 * found.high - 1

    low = ends(raw, level)[0] if ends(raw, level**0.5)[0] > 0 else 0.0
    high = ends(raw + missed, level)[1]
    value = float(np.clip(raw, 0.0, 1.0))
    method = (
        f"cross-fitted over two halves of the people, identity-clustered, {people:,} people, t {freedom:.0f}"
    )
    return Interval(min(low, value), max(float(np.clip(high, 0.0, 1.0)), value), level, method)
