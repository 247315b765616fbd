"""Principal components of ID vectors: spectrum, effective rank, and what verification loses when vectors shrink.

ID3PM, sec. 5.4 and supplementary Figs. 14 and 15. A vector x (unit length) is projected onto the first d axes
around the mean m: x_d = m + A_d' A_d (x - m). What lies outside the axes is the same for everybody, so that d
numbers are stored a template, and d = D gives the full vector's cosine again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fraudit.errors import InsufficientData
from fraudit.stats.axes import eigh, eigvalsh
from fraudit.stats.intervals import Shares, require_people, t_value
from fraudit.stats.jackknife import LEAST_GROUPS, jackknife_variance
from fraudit.stats.verification import OperatingPoint, tar_at_far
from fraudit.types import F32, F64, I64, Bool, Interval, PairList


@dataclass(frozen=True, slots=True)
class Pca:
    """Principal axes of N vectors.

    Attributes:
        mean: f64[D].
        axes: f64[D,D], rows are axes by falling variance.
        variances: f64[D], falling, divided by N - 1.
        n: vectors it was fitted on.
    """

    mean: F64
    axes: F64
    variances: F64
    n: int


def fit_pca(vectors: F32) -> Pca:
    """PCA of f32[N,D]. Raises InsufficientData for fewer than two vectors."""
    if len(vectors) < 2:
        raise InsufficientData(f"PCA needs at least 2 vectors; found {len(vectors)}")
    x = np.asarray(vectors, np.float64)
    mean = x.mean(axis=0)
    centred = x - mean
    values, axes = eigh(centred.T @ centred / (len(x) - 1))
    return Pca(mean, axes[:, ::-1].T.copy(), np.maximum(values[::-1], 0.0), len(x))


def entropy_rank(variances: F64) -> float:
    """exp of the entropy of the normalised spectrum (Roy and Vetterli, EUSIPCO 2007): D where all are equal."""
    p = variances / variances.sum()
    p = p[p > 0]
    return float(np.exp(-(p * np.log(p)).sum()))


def participation_ratio(variances: F64) -> float:
    """(sum of variances)^2 / sum of their squares: D where all are equal."""
    return float(variances.sum() ** 2 / (variances**2).sum())


def explained(variances: F64) -> F64:
    """f64[D]: share of the variance in the first 1, 2, ..., D axes."""
    return np.cumsum(variances) / variances.sum()


def dims_for(variances: F64, share: float) -> int:
    """Fewest axes that hold `share` of the variance."""
    return _fewest(explained(variances), share)


def _fewest(held: F64, share: float) -> int:
    """The first d from which on f64[D] `held`, the share of d axes, is `share` at least; D where it never is."""
    below = np.flatnonzero(held < share - 1e-12)
    return min(int(below[-1]) + 2, len(held)) if len(below) else 1


SHARES = (0.90, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Figures of a spectrum, each (value, interval): entropy rank, participation ratio, axes for 90, 95, 99 %.

    Where too few people carry the faces there are no intervals, and `reason` says so.
    """

    variances: F64
    entropy_rank: tuple[float, Interval | None]
    participation: tuple[float, Interval | None]
    dims: dict[float, tuple[int, Interval | None]]
    n: int
    people: int
    reason: str = ""


SPECTRUM_GROUPS = 20
SPECTRUM_SETS = "of sets of this size, their pictures as unevenly spread over people"


def spectrum(vectors: F32, people: I64, rng: np.random.Generator, level: float = 0.95) -> Spectrum:
    """Spectrum of f32[N,D] with intervals from a jackknife over groups of people.

    The spectrum of few faces is steeper than that of many, and so is that of faces of which few people have most: the
    figures meant are those expected of sets of this size whose pictures are as unevenly spread over people. Each of
    20 groups of people, dealt by `rng` so that pictures are spread evenly, is left out in turn (Kott, J. Official
    Statistics 17, 2001); Student's t with as many degrees of freedom as the people allow. Axes for a share of the
    variance are whole numbers, which a jackknife cannot follow: theirs are the numbers d at which the interval of the
    share that d axes hold reaches the one asked (Woodruff, JASA 47, 1952). Meant are the fewest axes that hold it in
    the mean over such sets.

    Raises:
        InsufficientData: vectors that are all the same.
    """
    codes = np.unique(people, return_inverse=True)[1].ravel()
    sizes = np.bincount(codes)
    shares = Shares.of(sizes)
    pca = fit_pca(vectors)
    if pca.variances.sum() <= 1e-12:
        raise InsufficientData("all vectors are the same: there is no spectrum")
    found, held = _figures(pca.variances), explained(pca.variances)
    counts = {share: dims_for(pca.variances, share) for share in SHARES}
    try:
        require_people(shares)
    except InsufficientData as few:
        none: dict[float, tuple[int, Interval | None]] = {share: (d, None) for share, d in counts.items()}
        rank, ratio = (float(value) for value in found)
        return Spectrum(pca.variances, (rank, None), (ratio, None), none, len(codes), len(sizes), few.message)
    x = np.asarray(vectors, np.float64) - pca.mean
    groups = min(SPECTRUM_GROUPS, len(sizes))
    shuffled = rng.permutation(len(sizes))
    group_of = np.empty(len(sizes), np.int64)
    group_of[shuffled[np.argsort(-sizes[shuffled], kind="stable")]] = np.arange(len(sizes)) % groups
    own = group_of[codes]
    square, total = x.T @ x, x.sum(axis=0)
    deleted, deleted_held = np.empty((groups, len(found))), np.empty((groups, len(held)))
    for g in range(groups):
        gone = x[own == g]
        n = len(x) - len(gone)
        mean = (total - gone.sum(axis=0)) / n
        values = eigvalsh((square - gone.T @ gone) / n - np.outer(mean, mean))[::-1]
        kept = np.maximum(values, 0.0)
        deleted[g], deleted_held[g] = _figures(kept), explained(kept)
    freedom = min(groups - 1.0, shares.freedom)
    t = t_value(level, freedom)
    half, half_held = (
        t * np.sqrt([jackknife_variance(column) for column in of.T]) for of in (deleted, deleted_held)
    )
    method = f"jackknife over {groups} groups of {len(sizes)} people, t {freedom:.0f}; {SPECTRUM_SETS}"

    def ranked(k: int) -> tuple[float, Interval]:
        ends = np.clip([found[k] - half[k], found[k] + half[k]], 1, len(held))
        return float(found[k]), Interval(float(ends[0]), float(ends[1]), level, method)

    dims: dict[float, tuple[int, Interval | None]] = {}
    for share, d in counts.items():
        low, high = (_fewest(held + half_held, share), _fewest(held - half_held, share))
        dims[share] = (d, Interval(float(low), float(high), level, f"{method}; where the share is reached"))
    return Spectrum(pca.variances, ranked(0), ranked(1), dims, len(x), len(sizes))


def _figures(variances: F64) -> F64:
    return np.array([entropy_rank(variances), participation_ratio(variances)])


def sweep_dims(dim: int) -> list[int]:
    """1, 2, 4, ... and `dim`."""
    return sorted({2**k for k in range(dim.bit_length()) if 2**k <= dim} | {dim})


def project(vectors: F32, pca: Pca, d: int) -> F32:
    """f32[N,D] -> f32[N,D]: projection onto the first d axes around the mean."""
    axes = pca.axes[:d]
    return ((np.asarray(vectors, np.float64) - pca.mean) @ axes.T @ axes + pca.mean).astype(np.float32)


def template_scores(unit: F32, pairs: PairList, pca: Pca, dims: Sequence[int]) -> F64:
    """f64[len(dims),P]: cosines of the projected vectors, from d numbers a face and one shared constant."""
    coordinates = np.asarray(unit, np.float64) @ pca.axes.T
    home = pca.axes @ pca.mean
    edges = [0, *dims]
    rest = np.array([float((home[d:] ** 2).sum()) for d in dims])[:, None]
    starts = edges[:-1]
    stop = edges[-1]
    norms = np.cumsum(np.add.reduceat(coordinates[:, :stop] ** 2, starts, axis=1), axis=1).T
    inner = np.empty((len(dims), len(pairs)))
    for low in range(0, len(pairs), 8192):
        part = slice(low, low + 8192)
        product = coordinates[pairs.left[part], :stop] * coordinates[pairs.right[part], :stop]
        inner[:, part] = np.cumsum(np.add.reduceat(product, starts, axis=1), axis=1).T
    return _cosine(inner + rest, norms[:, pairs.left] + rest, norms[:, pairs.right] + rest)


def _cosine(inner: F64, left: F64, right: F64) -> F64:
    length = np.sqrt(left * right)
    return np.divide(inner, length, out=np.zeros_like(inner), where=length > 0)


def int8_scales(unit: F32, pca: Pca, train: Bool) -> F64:
    """f64[D]: at d - 1 the step of int8 that holds the first d coordinates of faces `train` bool[N]."""
    peaks = np.abs(np.asarray(unit[train], np.float64) @ pca.axes.T).max(axis=0)
    return np.asarray(np.maximum.accumulate(peaks) / 127.0, np.float64)


def int8_scores(unit: F32, pairs: PairList, pca: Pca, dims: Sequence[int], scales: F64) -> list[F64]:
    """f64[P] for each d: cosines of the first d coordinates kept as int8 with one scale, `scales[d - 1]`."""
    coordinates = np.asarray(unit, np.float64) @ pca.axes.T
    home = (pca.axes @ pca.mean) ** 2
    found = []
    for d in dims:
        scale = float(scales[d - 1])
        codes = np.clip(np.rint(coordinates[:, :d] / scale), -127, 127) * scale
        rest = float(home[d:].sum())
        squares = (codes**2).sum(axis=1) + rest
        inner = np.einsum("pd,pd->p", codes[pairs.left], codes[pairs.right]) + rest
        found.append(_cosine(inner, squares[pairs.left], squares[pairs.right]))
    return found


def plain_code(unit: F32, code: str) -> F32:
    """f32[N,D] as `float32`, `float16` or `int8` (scaled to the vector's largest entry) would give it back."""
    if code == "float16":
        return unit.astype(np.float16).astype(np.float32)
    if code == "int8":
        largest = np.abs(unit).max(axis=1, keepdims=True)
        scale = np.where(largest > 0, largest / 127.0, 1.0)
        return (np.rint(unit / scale) * scale).astype(np.float32)
    return unit


def cosine_scores(vectors: F32, pairs: PairList) -> F64:
    """f64[P] cosines of f32[N,D], which need not have unit length."""
    x = np.asarray(vectors, np.float64)
    squares = (x**2).sum(axis=1)
    inner = np.einsum("pd,pd->p", x[pairs.left], x[pairs.right])
    return _cosine(inner, squares[pairs.left], squares[pairs.right])


def binary_scores(unit: F32, pairs: PairList, mean: F64) -> F64:
    """f64[P]: 1 - 2 hamming / D of the signs around `mean`."""
    signs = np.where(np.asarray(unit, np.float64) >= mean, 1.0, -1.0).astype(np.float32)
    return np.einsum("pd,pd->p", signs[pairs.left], signs[pairs.right]).astype(np.float64) / unit.shape[1]


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to store a template, verified in folds.

    Attributes:
        name: such as `pca-64`, `int8`, `pca-64-int8`.
        d: numbers kept. size_bytes: of one template.
        scores: f64[P], each pair's score under what was fitted on the other folds; NaN without vectors.
        right: bool[P], the pair was decided rightly at the threshold of the training folds.
        point: TAR at the FAR target, read off the pooled scores.
        thresholds: f64[F], of best accuracy, for each test fold from the others.
        again: f32[F,P], row g: scores under what was fitted without fold g's people too, NaN for fold g's pairs;
            None where nothing is fitted.
    """

    name: str
    d: int
    size_bytes: int
    scores: F64
    right: Bool
    point: OperatingPoint
    thresholds: F64
    again: F32 | None = None

    @property
    def accepted(self) -> Bool:
        """bool[P]: at or above the threshold of `point`."""
        return np.asarray(self.scores >= self.point.threshold)


def judge(scores: F64, same: Bool, fold: I64) -> tuple[F64, Bool, F64]:
    """(pooled f64[P], right bool[P], thresholds f64[F]) of f64[F,P] scores, row f for the test fold f.

    NaN scores never match.

    The threshold of a fold comes from the other folds under the same row: that of best accuracy, the highest
    of the best.
    """
    codes = np.unique(fold, return_inverse=True)[1].ravel()
    right = np.zeros(len(same), bool)
    thresholds = np.empty(int(codes.max()) + 1)
    for f in range(len(thresholds)):
        test = codes == f
        row = scores[f]
        train = ~test & np.isfinite(row)
        if not (train & same).any() or not (train & ~same).any():
            raise InsufficientData(f"the folds besides fold {f} lack genuine or impostor pairs with a score")
        order = np.argsort(-row[train], kind="stable")
        levels, truth = row[train][order], same[train][order]
        gain = np.cumsum(np.where(truth, 1, -1))
        last = np.append(levels[1:] != levels[:-1], True)
        best = float(levels[int(np.argmax(np.where(last, gain, -np.inf)))])
        right[test] = (row[test] >= best) == same[test]
        thresholds[f] = best
    return scores[codes, np.arange(len(same))], right, thresholds


def training_faces(pairs: PairList, subjects: I64, f: int, n: int) -> Bool:
    """bool[N]: faces of the protocol whose people do not appear in fold `f`."""
    codes = np.unique(pairs.fold, return_inverse=True)[1].ravel()
    used, held = np.zeros(n, bool), np.zeros(n, bool)
    used[pairs.left], used[pairs.right] = True, True
    held[pairs.left[codes == f]], held[pairs.right[codes == f]] = True, True
    return used & ~np.isin(subjects, np.unique(subjects[held]))


CODES = ("float16", "int8", "binary")
UNFITTED = ("float32", "float16", "int8")


def sweep(
    unit: F32,
    ok: Bool,
    subjects: I64,
    pairs: PairList,
    far: float,
    dims: Sequence[int] | None = None,
    again: bool = True,
) -> dict[str, Variant]:
    """Every way to store a template, verified with PCA, means and scales fitted in the training folds only.

    Args:
        unit: f32[N,D]. ok: bool[N], faces that have a vector. subjects: i64[N].
        pairs: protocol with folds. far: FAR target.
        dims: numbers of axes; 1, 2, 4, ..., D by default.
        again: also fit without any two folds, which intervals need.
    Returns:
        name -> Variant: `float32` (the full vector), `pca-D`, the CODES, and `pca-D-int8`.
    Raises:
        InsufficientData: a fold's training side lacks faces or pairs.
    """
    dim = unit.shape[1]
    wanted = list(dims) if dims is not None else sweep_dims(dim)
    folds = len(np.unique(pairs.fold))
    sizes = {"float32": 4 * dim, "float16": 2 * dim, "int8": dim, "binary": -(-dim // 8)}
    sizes |= {f"pca-{d}": 4 * d for d in wanted} | {f"pca-{d}-int8": d for d in wanted}
    kept = {name: int(name.split("-")[1]) if name.startswith("pca") else dim for name in sizes}
    scores = {name: np.empty((folds, len(pairs))) for name in sizes}
    for code in ("float32", "float16", "int8"):
        scores[code][:] = cosine_scores(plain_code(unit, code), pairs)
    fits = _Fits(unit, ok, subjects, pairs)
    scales = []
    for f in range(folds):
        pca, train = fits.without(f)
        scales.append(int8_scales(unit, pca, train))
        for name, row in _fitted_scores(unit, pairs, pca, scales[f], wanted).items():
            scores[name][f] = row
    refitted = _refitted(unit, pairs, fits, wanted, scales) if again else {}
    gone = ~(ok[pairs.left] & ok[pairs.right])
    found = {}
    for name, rows in scores.items():
        rows[:, gone] = np.nan
        if name in refitted:
            refitted[name][:, gone] = np.nan
        pooled, right, thresholds = judge(rows, pairs.same, pairs.fold)
        point = tar_at_far(pooled[pairs.same], pooled[~pairs.same], far)
        found[name] = Variant(
            name, kept[name], sizes[name], pooled, right, point, thresholds, refitted.get(name)
        )
    return found


class _Fits:
    """PCA of the faces of a protocol without the people of some folds."""

    def __init__(self, unit: F32, ok: Bool, subjects: I64, pairs: PairList) -> None:
        self._x, self._codes = (
            np.asarray(unit, np.float64),
            np.unique(pairs.fold, return_inverse=True)[1].ravel(),
        )
        self.pairs, self.folds = pairs, int(self._codes.max()) + 1
        self._train = [training_faces(pairs, subjects, f, len(unit)) & ok for f in range(self.folds)]
        used = np.zeros(len(unit), bool)
        used[pairs.left], used[pairs.right] = True, True
        self._used = used & ok
        self._sum, self._square = self._x[self._used].sum(axis=0), self._x[self._used].T @ self._x[self._used]

    def of(self, fold: int) -> I64:
        """Pairs of a fold."""
        return np.flatnonzero(self._codes == fold)

    def without(self, *folds: int) -> tuple[Pca, Bool]:
        """(PCA, bool[N] the faces it is fitted on)."""
        train = np.all([self._train[f] for f in folds], axis=0)
        n = int(train.sum())
        if n < 2:
            raise InsufficientData(
                f"PCA for fold {folds[0]} needs at least 2 faces of other people; found {n}"
            )
        left_out = self._x[self._used & ~train]
        mean = (self._sum - left_out.sum(axis=0)) / n
        inner = (self._square - left_out.T @ left_out - n * np.outer(mean, mean)) / (n - 1)
        values, axes = eigh(inner)
        return Pca(mean, axes[:, ::-1].T.copy(), np.maximum(values[::-1], 0.0), n), train


def _fitted_scores(unit: F32, pairs: PairList, pca: Pca, scales: F64, dims: Sequence[int]) -> dict[str, F64]:
    """Scores of everything that is fitted: `binary`, `pca-D`, `pca-D-int8`."""
    found = {"binary": binary_scores(unit, pairs, pca.mean)}
    plain, small = template_scores(unit, pairs, pca, dims), int8_scores(unit, pairs, pca, dims, scales)
    for d, row, coded in zip(dims, plain, small, strict=True):
        found[f"pca-{d}"], found[f"pca-{d}-int8"] = row, coded
    return found


def _refitted(
    unit: F32, pairs: PairList, fits: _Fits, dims: Sequence[int], scales: Sequence[F64]
) -> dict[str, F32]:
    """name -> f32[F,P] as `Variant.again`, int8 steps kept; empty where folds are too few for a jackknife."""
    found: dict[str, F32] = {}
    if fits.folds < LEAST_GROUPS:
        return found
    for f in range(fits.folds):
        for g in range(f + 1, fits.folds):
            pca, _ = fits.without(f, g)
            rows = np.concatenate([fits.of(f), fits.of(g)])
            first = len(fits.of(f))
            faces, place = np.unique([pairs.left[rows], pairs.right[rows]], return_inverse=True)
            left, right = place.reshape(2, -1)
            part = PairList(left, right, pairs.same[rows], pairs.fold[rows])
            for name, row in _fitted_scores(unit[faces], part, pca, scales[f], dims).items():
                table = found.setdefault(name, np.full((fits.folds, len(pairs)), np.nan, np.float32))
                table[g, rows[:first]], table[f, rows[first:]] = row[:first], row[first:]
    return found
