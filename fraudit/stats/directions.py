"""Directions of attributes in the space of unit ID vectors (ID3PM, sec. 4.3), with people as the unit.

A direction is the difference of two groups, between people or within people (`fraudit.stats.contrasts`). Whether
it exists, and which principal axes it goes with, is one test: the same draws of labels or signs. Its own noise
makes an estimated direction longer than the true one and turns it; lengths and angles are freed of that noise
(a squared length less the sum of squared deviations of people, as in a U-statistic), and intervals are delete-one
intervals over people (jackknife; Efron and Stein, Annals of Statistics 9(3), 1981) with Student's t.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from fraudit.errors import InsufficientData
from fraudit.stats.axes import eigh
from fraudit.stats.contrasts import FOUND_LEVEL, Contrast, PersonRows, null_weights, person_rows, tail_share
from fraudit.stats.fairness import holm
from fraudit.stats.intervals import LEAST_PEOPLE
from fraudit.types import F32, F64, I64, Bool, Interval

DRAWS = 2000
BLOCK = 256  # people at a time


@dataclass(frozen=True, slots=True)
class Direction:
    """One attribute's direction.

    Attributes:
        contrast: its groups. unit: f64[D]. gap: norm of the difference of the two groups' means of unit vectors.
        p, p_adjusted: of no direction at all, plain and after Holm.
        stability: cosine to expect between the directions of two halves of the people; its interval, or why none.
        people, faces: in the high and the low group; within people both counts of people are the same people.
    """

    contrast: Contrast
    unit: F64
    gap: float
    p: float
    p_adjusted: float
    stability: float
    stability_interval: Interval | None
    interval_missing: str
    people: tuple[int, int]
    faces: tuple[int, int]

    @property
    def exists(self) -> bool:
        """Whether labels that have nothing to do with the faces would not give it (Holm)."""
        return self.p_adjusted < FOUND_LEVEL

    @property
    def count(self) -> int:
        """People it is computed from, each once."""
        return self.people[0] if self.contrast.within else sum(self.people)


@dataclass(frozen=True, slots=True)
class Correlation:
    """A principal axis and an attribute: r over people, or within people, of the same two groups.

    Attributes:
        axis: 1-based. share: of the variance. r: point-biserial over people's mean faces; within people of what
            each person's two mean faces differ from their middle. p_adjusted: at least that of the direction.
    """

    axis: int
    share: float
    contrast: str
    within: bool
    r: float
    interval: Interval | None
    interval_missing: str
    p_adjusted: float
    people: int


@dataclass(frozen=True, slots=True)
class Study:
    """All directions of a face set.

    Attributes:
        cosines, low, high: f64[M,M] with intervals, freed of noise, of pairs of directions that both exist; NaN
            for others, and bounds NaN where too few people carry an interval.
        p: f64[M,M], of orthogonal directions, Holm over the pairs of different attributes; 1 for the others.
        tested: bool[M,M], pairs of different attributes whose directions exist. axes: correlations.
    """

    directions: tuple[Direction, ...]
    cosines: F64
    low: F64
    high: F64
    p: F64
    tested: Bool
    axes: tuple[Correlation, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """What the figures of one contrast need.

    Attributes:
        difference: f64[D], of the groups. moves: f32[K,D], by which it is more than without each person.
            sizes: f64[K], people in each one's group.
        scores: f64[K,A], people along the axes. norms, along: f64[B], f64[B,A], null draws' length and axes.
    """

    rows: PersonRows
    difference: F64
    moves: F32
    sizes: F64
    scores: F64
    norms: F64
    along: F64
    everything: bool

    @property
    def effective(self) -> float:
        """Kish's effective number of people, by their weights: 4 / (1/n1 + 1/n2) between people."""
        w = np.abs(self.rows.weights)
        return float(w.sum() ** 2 / (w**2).sum())


def study(
    unit: NDArray[np.floating],
    subjects: I64,
    found: list[Contrast],
    rng: np.random.Generator,
    *,
    axes: int = 5,
    level: float = 0.95,
) -> Study:
    """Directions, their stability, cosines and the principal axes they go with.

    Args:
        unit: f32[N,D] unit vectors. subjects: i64[N]. found: contrasts over the same faces.
    Raises:
        InsufficientData: no contrast.
    """
    if not found:
        raise InsufficientData("no attribute has two groups of enough people")
    rows = np.asarray(unit, np.float64)
    rows = rows - rows.mean(axis=0)
    values, vectors = eigh(rows.T @ rows)
    count = min(axes, len(values))
    share, basis = values[::-1][:count] / values.sum(), vectors[:, ::-1][:, :count]
    draws = max(DRAWS, 40 * len(found))  # so that Holm can reach the level
    parts = [_part(c, rows, basis, subjects, draws, rng) for c in found]
    gaps = np.array([np.linalg.norm(p.difference) for p in parts])
    p = np.array([tail_share(x.norms, g, x.everything) for x, g in zip(parts, gaps, strict=True)])
    adjusted = holm(p)
    people = len(np.unique(subjects))
    directions = tuple(
        Direction(
            c,
            x.difference / max(gap, 1e-300),
            float(gap),
            float(plain),
            float(corrected),
            *_stability(x, people, level),
            x.rows.groups,
            x.rows.faces,
        )
        for c, x, gap, plain, corrected in zip(found, parts, gaps, p, adjusted, strict=True)
    )
    return Study(
        directions, *_angles(directions, parts, level), _axes(directions, parts, share, basis, level)
    )


def _part(
    contrast: Contrast, rows: F64, basis: F64, subjects: I64, draws: int, rng: np.random.Generator
) -> _Part:
    who = person_rows(contrast, subjects)
    faces = np.asarray(who.pick @ rows)
    weights = who.weights
    moves, sizes = np.empty(faces.shape, np.float32), np.ones(len(faces))
    for side in (1, -1):
        at = who.sides == side
        n = int(at.sum())
        if n:
            moves[at] = side * (faces[at] - faces[at].mean(axis=0)) / max(n - 1, 1)
            sizes[at] = n
    null, everything = null_weights(who, draws, rng)
    moved = null.astype(np.float32) @ faces.astype(np.float32)
    norms = np.sqrt(np.einsum("bd,bd->b", moved, moved, dtype=np.float64))
    along = (moved @ basis.astype(np.float32)).astype(np.float64)
    return _Part(who, weights @ faces, moves, sizes, faces @ basis, norms, along, everything)


def freedom(influence: F64) -> F64:
    """f64[..]: Satterthwaite's degrees of freedom of a sum of squares of f64[K,..] contributions of people.

    2 Var^2 / Var(Var), at most K - 1: few where few people make up the variance.
    """
    second, fourth = (influence**2).sum(axis=0), (influence**4).sum(axis=0)
    k = (influence != 0).sum(axis=0)
    spread = np.maximum(fourth - second**2 / np.maximum(k, 1), 1e-300)
    with np.errstate(invalid="ignore", over="ignore"):
        found = 2 * second**2 / spread
    return np.asarray(np.clip(np.nan_to_num(found, posinf=np.inf), 1, np.maximum(k - 1, 1)), np.float64)


def _half(influence: F64, level: float) -> F64:
    """f64[..] half widths of intervals of figures to which people contribute f64[K,..]."""
    error = np.sqrt((influence**2).sum(axis=0))
    return np.asarray(error * special.stdtrit(freedom(influence), 0.5 + level / 2))


def _too_few(effective: float) -> str:
    """Why there is no interval, or ''."""
    if effective >= LEAST_PEOPLE:
        return ""
    return f"{effective:.1f} effective people carry it; at least {LEAST_PEOPLE:.0f} are needed"


def _variance_without(squares: F64, part: _Part) -> tuple[float, F64]:
    """(variance of a difference, f64[K] without each person), from f64[K] squared moves or parts of them."""
    n, total, without = part.sizes, 0.0, np.zeros(len(squares))
    for side in (1, -1):
        at = part.rows.sides == side
        if at.any():
            size = n[at][0]
            own = float(squares[at].sum()) * (size - 1) / size
            total += own
            # own is S / (n (n - 1)) of squares S about the mean, of which a person takes (n - 1) n times hers.
            left = (own - squares[at]) * size / max(size - 2, 1)
            without[at] += left - own
    return total, np.maximum(total + without, 1e-12 * total)


def _stability(part: _Part, people: int, level: float) -> tuple[float, Interval | None, str]:
    """(cosine between halves, interval, why none) of a set of `people`.

    Let B be |v|^2 less the noise along v, and T the noise across it, the rest of the trace of v's covariance.
    Halves have the signal B - T and each the noise 2 T across, so that the cosine is (B - T) / (B + T) =
    tanh(log(B / T) / 2). That logarithm without each person of the set, whether or not he or she takes part,
    gives the interval.
    """
    d, v = part.moves.astype(np.float64), part.difference
    size = float(v @ v)
    if size <= 0:
        return 0.0, None, "the two groups do not differ"
    towards, squares = d @ v, (d**2).sum(axis=1)
    along, along_without = _variance_without(towards**2 / size, part)
    across, across_without = _variance_without(squares - towards**2 / size, part)
    if across <= 1e-12 * size:
        return 1.0, None, "all people differ alike"
    least = 1e-6 * size
    middle = 0.5 * np.log(max(size - along, least) / across)
    signal = np.maximum(size - 2 * towards + squares - along_without, least)
    without = np.full(max(people, len(d)), middle)
    without[: len(d)] = 0.5 * np.log(signal / across_without)
    missing = _too_few(part.effective)
    if missing:
        return float(np.tanh(middle)), None, missing
    each = without - without.mean()
    half = float(_half(each, level))
    method = f"delete-one over {len(each)} people, t with {float(freedom(each)):.0f} df"
    low, value, high = (float(np.tanh(middle + step)) for step in (-half, 0.0, half))
    return value, Interval(low, high, level, method), ""


def _angles(
    directions: tuple[Direction, ...], parts: list[_Part], level: float
) -> tuple[F64, F64, F64, F64, Bool]:
    """(cosines, low, high, p, tested), each [M,M], of directions that exist."""
    m = len(parts)
    cosines, low, high = (np.full((m, m), np.nan) for _ in range(3))
    p, tested = np.ones((m, m)), np.zeros((m, m), bool)
    there = [
        i for i in range(m) if directions[i].exists and directions[i].stability > 0
    ]  # else no length is left
    if not there:
        return cosines, low, high, p, tested
    v = np.stack([parts[i].difference for i in there])
    inner, each = _inner([parts[i] for i in there], v)
    size = np.diag(inner)
    scale = np.sqrt(np.outer(size, size))
    cosine, each = inner / scale, each / scale
    own = np.einsum("iaa->ia", each)
    below, above = _fieller(cosine, each, (own[:, :, None] + own[:, None, :]) / 2, level)
    few = [bool(_too_few(parts[i].effective)) for i in there]
    below[few] = below[:, few] = above[few] = above[:, few] = np.nan
    grid = np.ix_(there, there)
    cosines[grid], low[grid], high[grid] = np.clip(cosine, -1, 1), below, above
    low[there, there] = high[there, there] = cosines[there, there] = 1.0
    names = [directions[i].contrast.attribute for i in there]
    tested[grid] = [[a != b for b in names] for a in names]
    error = np.sqrt((each**2).sum(axis=0))
    z = np.abs(cosine) / np.maximum(error, 1e-300)
    plain = np.full((m, m), np.nan)
    plain[grid] = 2 * special.stdtr(freedom(each), -z)
    a, b = np.nonzero(np.triu(tested, 1))
    if len(a):
        p[a, b] = p[b, a] = holm(plain[a, b])
    return cosines, low, high, p, tested


def _fieller(cosine: F64, each: F64, scale: F64, level: float) -> tuple[F64, F64]:
    """Bounds f64[M,M] of ratios of which people move the numerator by f64[P,M,M] `each`, the denominator by `scale`.

    All c that cosine - c, with the error that it would have if c were true, does not exclude (Fieller, Journal of
    the Royal Statistical Society B 16(2), 1954); NaN where that may be any, the lengths being hardly known.
    """
    t2 = special.stdtrit(freedom(each - cosine * scale), 0.5 + level / 2) ** 2
    a = 1 - t2 * (scale**2).sum(axis=0)
    b = cosine - t2 * (each * scale).sum(axis=0)
    root = np.sqrt(np.maximum(b**2 - a * (cosine**2 - t2 * (each**2).sum(axis=0)), 0))
    divisor = np.where(a > 1e-9, a, np.nan)
    low, high = ((b + side * root) / divisor for side in (-1.0, 1.0))
    return np.clip(low, -1, 1), np.clip(high, -1, 1)


def _inner(parts: list[_Part], v: F64) -> tuple[F64, F64]:
    """(f64[M,M] inner products of true differences, without bias; f64[P,M,M] what each person adds to them)."""
    people = np.unique(np.concatenate([x.rows.people for x in parts]))
    places = [np.searchsorted(people, x.rows.people) for x in parts]
    m = len(parts)
    shrink = np.zeros((len(people), m))  # of delete-one moves to deviations whose squares sum to the variance
    for a, (x, place) in enumerate(zip(parts, places, strict=True)):
        shrink[place, a] = np.sqrt((x.sizes - 1) / x.sizes)
    each, cross = np.zeros((len(people), m, m)), np.zeros((m, m))
    for start in range(0, len(people), BLOCK):
        block = np.zeros((min(BLOCK, len(people) - start), m, v.shape[1]), np.float32)
        for a, (x, place) in enumerate(zip(parts, places, strict=True)):
            use = (place >= start) & (place < start + BLOCK)
            block[place[use] - start, a] = x.moves[use]
        products = np.matmul(block, block.transpose(0, 2, 1)).astype(np.float64)
        towards = (block @ v.T.astype(np.float32)).astype(np.float64)
        each[start : start + BLOCK] = towards + towards.transpose(0, 2, 1) - 2 * products
        own = shrink[start : start + BLOCK]
        cross += np.einsum("iab,ia,ib->ab", products, own, own)
    return v @ v.T - cross, each


def _axes(
    directions: tuple[Direction, ...], parts: list[_Part], share: F64, basis: F64, level: float
) -> tuple[Correlation, ...]:
    """Correlations; p over all axes and attributes, and never below that of the direction itself.

    Within an attribute the largest of the axes' standardised statistics is compared (Westfall and Young, 1993),
    over attributes Bonferroni.
    """
    out = []
    for direction, part in zip(directions, parts, strict=True):
        spread = np.maximum(np.sqrt((part.along**2).mean(axis=0)), 1e-300)
        observed = np.abs(part.difference @ basis) / spread
        largest = (np.abs(part.along) / spread).max(axis=1)
        r, z, deleted = _correlation(part.scores, part.rows)
        k = len(deleted)
        each = (deleted - deleted.mean(axis=0)) * np.sqrt((k - 1) / k)
        half, df, missing = _half(each, level), freedom(each), _too_few(part.effective)
        for axis in range(len(share)):
            p = min(1.0, len(parts) * tail_share(largest, float(observed[axis]), part.everything))
            interval = None
            if not missing:
                low, high = (float(np.tanh(z[axis] + side * half[axis])) for side in (-1, 1))
                method = f"Fisher's z, delete-one over {k} people, t with {df[axis]:.0f} df"
                interval = Interval(low, high, level, method)
            out.append(
                Correlation(
                    axis + 1,
                    float(share[axis]),
                    direction.contrast.name,
                    direction.contrast.within,
                    float(r[axis]),
                    interval,
                    missing,
                    max(p, direction.p_adjusted),
                    direction.count,
                )
            )
    return tuple(out)


def _correlation(scores: F64, rows: PersonRows) -> tuple[F64, F64, F64]:
    """(r f64[A], Fisher's z f64[A], z without each person f64[K,A]) of people's scores f64[K,A]."""
    total, squares = scores.sum(axis=0), (scores**2).sum(axis=0)
    k = len(scores)
    if rows.within:
        r = total / np.sqrt(np.maximum(k * squares, 1e-300))
        left = (total - scores) / np.sqrt(np.maximum((k - 1) * (squares - scores**2), 1e-300))
    else:
        high = (rows.sides > 0).astype(float)[:, None]

        def point_biserial(n: F64, one: F64, s: F64, s1: F64, q: F64) -> F64:
            """Pearson's r from people, those in the high group, sums of scores, of theirs, and squares."""
            both = (n * s1 - one * s) / np.sqrt(np.maximum(one * (n - one), 1e-300))
            return np.asarray(both / np.sqrt(np.maximum(n * q - s**2, 1e-300)))

        n, one, own = np.array(float(k)), np.array(high.sum()), (high * scores).sum(axis=0)
        r = point_biserial(n, one, total, own, squares)
        left = point_biserial(n - 1, one - high, total - scores, own - high * scores, squares - scores**2)
    limit = 1 - 1e-9
    return r, np.arctanh(np.clip(r, -limit, limit)), np.arctanh(np.clip(left, -limit, limit))


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
