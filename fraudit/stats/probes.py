"""Probes: what can be read from vectors, judged on people the probe has never seen.

Folds are identity-disjoint throughout, and every person weighs the same in training and in judging, however many
pictures there are: a person with w = 1 / pictures a face. Numbers are read by ridge regression (R2 out of fold),
classes by ridge regression on 0/1, one class against the rest, which is a regularised linear discriminant (Hastie,
Tibshirani and Friedman, The Elements of Statistical Learning, 4.3): AUC and balanced accuracy. Ridge needs of each
fold only its weighted moments, so that training again without any one or two folds is cheap, for many targets at
once; `fraudit.stats.jackknife` makes intervals of it.

Control task (Hewitt and Liang 2019, adapted): every identity gets one random label for all its faces. With
identity-disjoint folds it cannot be learnt, so that its score shows what chance looks like on these people.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from fraudit.errors import InsufficientData
from fraudit.stats.axes import eigh
from fraudit.stats.jackknife import LEAST_GROUPS, Jackknifed, jackknife_variance, joint_variance, without_each
from fraudit.types import F32, F64, I64, Bool, Interval

# Ridge penalties, times the mean squared singular value of the training part; the largest answers the mean.
PENALTIES: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e4)
PARTS = 4


def identity_folds(subjects: ArrayLike, folds: int, seed: int = 0) -> I64:
    """i64[N] fold of each face: no person in two folds, numbers of people that differ by one at most.

    Raises:
        InsufficientData: fewer people than folds.
    """
    people, codes = np.unique(np.asarray(subjects), return_inverse=True)
    if len(people) < folds:
        raise InsufficientData(f"{folds} identity-disjoint folds need as many people; found {len(people)}")
    # The same order whatever `folds`, so that 4 K folds are quarters of K folds.
    of_person = np.random.default_rng([seed, 41]).permutation(len(people)) % folds
    return np.asarray(of_person[codes.ravel()], np.int64)


def fold_parts(subjects: ArrayLike, folds: int, seed: int = 0) -> I64:
    """i64[N]: up to PARTS parts of each of the `identity_folds`; part b lies in fold b % folds."""
    people = len(np.unique(np.asarray(subjects)))
    return identity_folds(subjects, folds * min(PARTS, people // folds), seed)


def person_weights(subjects: ArrayLike) -> F64:
    """f64[N]: a face's weight, the same sum for every person; 1 on average."""
    codes, counts = np.unique(np.asarray(subjects), return_inverse=True, return_counts=True)[1:]
    return np.asarray(len(codes) / (len(counts) * counts[codes.ravel()]), np.float64)


@dataclass(frozen=True, slots=True)
class _Fit:
    """Principal axes of a training part: values f64[R] rising, axes f32[D,R], centre f64[D], weight, folds used."""

    values: F64
    axes: F32
    centre: F64
    used: tuple[int, ...]

    def gain(self, penalty: float) -> F32:
        """f32[R]: what a projection is multiplied by; `penalty` is in mean squared singular values."""
        unit = float(self.values.mean()) if len(self.values) else 1.0
        return (1.0 / (self.values + penalty * unit)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Moments:
    """Of T targets by fold: cross f64[K,D,T] (weight x target), sums f64[K,T]."""

    cross: F64
    sums: F64


@dataclass(frozen=True, slots=True)
class Answers:
    """Predictions of the faces of one fold by one training part.

    Attributes:
        predicted: f32[n,T]. base: f64[T], the training part's means. middle: f64[T], half way between the mean
            predictions of a class and of the rest (targets of 0/1). chosen: f64[T], penalties.
    """

    predicted: F32
    base: F64
    middle: F64
    chosen: F64


class RidgeFolds:
    """Ridge regression out of fold for any number of targets on the same faces.

    Args:
        vectors: f32[N,D]. fold: i64[N], 0..K-1, at least four folds. weights: f64[N], such as `person_weights`.
    """

    def __init__(self, vectors: NDArray[Any], fold: I64, weights: F64) -> None:
        self.fold, self.weights = fold, weights
        self.folds = int(fold.max()) + 1
        if self.folds < 4:
            raise InsufficientData(f"ridge regression needs at least 4 folds; found {self.folds}")
        rows = np.asarray(vectors, np.float64)
        self._x = rows - np.average(rows, axis=0, weights=weights)
        self.rows = [np.flatnonzero(fold == k) for k in range(self.folds)]
        weighted = self._x * weights[:, None]
        self._sums = np.stack([weighted[r].sum(axis=0) for r in self.rows])
        self._squares = np.stack([self._x[r].T @ weighted[r] for r in self.rows])
        self._weight = np.array([weights[r].sum() for r in self.rows])
        self._fits: dict[frozenset[int], _Fit] = {}
        self._outer: dict[tuple[int, frozenset[int]], F32] = {}

    def fit(self, *left_out: int) -> _Fit:
        """Axes of all folds but these."""
        key = frozenset(left_out)
        if key not in self._fits:
            used = [f for f in range(self.folds) if f not in key]
            weight = self._weight[used].sum()
            centre = self._sums[used].sum(axis=0) / weight
            inner = self._squares[used].sum(axis=0) - weight * np.outer(centre, centre)
            values, axes = eigh(inner)
            keep = values > max(float(values[-1]), 0.0) * 1e-9
            self._fits[key] = _Fit(values[keep], axes[:, keep].astype(np.float32), centre, tuple(used))
        return self._fits[key]

    def outer(self, judged: int, *left_out: int) -> F32:
        """f32[n,R]: faces of fold `judged` in the axes of all folds but `left_out`."""
        key = judged, frozenset(left_out)
        if key not in self._outer:
            fit = self.fit(*left_out)
            self._outer[key] = (self._x[self.rows[judged]] - fit.centre).astype(np.float32) @ fit.axes
        return self._outer[key]

    def moments(self, targets: NDArray[Any]) -> _Moments:
        """Of targets [N,T]."""
        weighted = np.asarray(targets, np.float64) * self.weights[:, None]
        cross = np.stack([self._x[r].T @ weighted[r] for r in self.rows])
        return _Moments(cross, np.stack([weighted[r].sum(axis=0) for r in self.rows]))

    def projected(self, moments: _Moments, *left_out: int) -> tuple[F32, F64, float]:
        """(f32[R,T] of the centred targets of all folds but these, f64[T] their means, weight)."""
        fit = self.fit(*left_out)
        used = list(fit.used)
        weight = float(self._weight[used].sum())
        sums = moments.sums[used].sum(axis=0)
        cross = moments.cross[used].sum(axis=0) - np.outer(fit.centre, sums)
        return fit.axes.T @ cross.astype(np.float32), sums / weight, weight

    def predict(self, targets: NDArray[Any]) -> dict[tuple[int, ...], Answers]:
        """(j,) -> fold j read by the others; (j, g) -> fold j read by all but j and g, for targets [N,T].

        The penalty is the one with the least squared error over the other folds, each predicted without itself
        and j: identity-disjoint, chosen for every column without its judged fold (and for (j, g) without
        judging g).
        """
        moments = self.moments(targets)
        known = np.asarray(targets, np.float32)
        count = known.shape[1]
        errors = np.zeros((self.folds, self.folds, len(PENALTIES), count))
        parts: dict[tuple[int, ...], tuple[F32, F64, float]] = {}
        for j in range(self.folds):
            parts[j,] = self.projected(moments, j)
            for g in range(j + 1, self.folds):
                parts[j, g] = parts[g, j] = self.projected(moments, j, g)
        for (judged, other), (z, mean, _) in ((k, v) for k, v in parts.items() if len(k) == 2):
            # without `other` and itself: what chooses the penalty of fold `other`
            rows = self.rows[judged]
            rest = known[rows] - mean.astype(np.float32)
            outer, fit = self.outer(judged, judged, other), self.fit(judged, other)
            weights = self.weights[rows].astype(np.float32)
            for at, penalty in enumerate(PENALTIES):
                off = rest - outer @ (fit.gain(penalty)[:, None] * z)
                errors[other, judged, at] = np.einsum("n,nt,nt->t", weights, off, off)
        found: dict[tuple[int, ...], Answers] = {}
        for key, (z, mean, weight) in parts.items():
            judged, fit = key[0], self.fit(*key)
            total = errors[judged].sum(axis=0) - (errors[judged, key[1]] if len(key) == 2 else 0.0)
            chosen = np.array(PENALTIES)[np.argmin(total, axis=0)]
            gains = np.stack([fit.gain(p) for p in PENALTIES], axis=1)[:, np.argmin(total, axis=0)]
            steps = gains * z
            predicted = self.outer(judged, *key) @ steps + mean.astype(np.float32)
            own = mean * weight
            with np.errstate(divide="ignore", invalid="ignore"):
                shift = 0.5 * (steps * z).sum(axis=0) * (1 / own - 1 / (weight - own))
            found[key] = Answers(predicted, mean, mean + np.nan_to_num(shift), chosen)
        return found

    def truncated(self, target: NDArray[Any], dims: list[int], penalty: float) -> dict[tuple[int, ...], F32]:
        """(j,) and (j, g) as in `predict` -> f32[len(dims),n]: f64[N] less its mean, read from the first d axes."""
        moments = self.moments(np.asarray(target)[:, None])
        found: dict[tuple[int, ...], F32] = {}
        keys = [(j,) for j in range(self.folds)]
        pairs = [(j, g) for j in range(self.folds) for g in range(self.folds) if j != g]
        for key in [*keys, *pairs]:
            z, _, _ = self.projected(moments, *key)
            steps = (self.fit(*key).gain(penalty) * z[:, 0])[::-1]
            run = np.cumsum(self.outer(key[0], *key)[:, ::-1] * steps, axis=1)
            last = run.shape[1] - 1
            found[key] = np.stack([run[:, min(d - 1, last)] for d in dims])
        return found


def control_labels(
    values: NDArray[Any], subjects: ArrayLike, draws: int, rng: np.random.Generator
) -> NDArray[Any]:
    """Control tasks [N,draws]: every identity gets the value of a random person's random face, for all its faces."""
    codes = np.unique(np.asarray(subjects), return_inverse=True)[1].ravel()
    weights = person_weights(subjects)
    drawn = rng.choice(len(values), size=(int(codes.max()) + 1, draws), p=weights / weights.sum())
    return np.asarray(values[drawn][codes])


@dataclass(frozen=True, slots=True)
class Chance:
    """The mean score of control tasks, which are independent draws.

    Attributes:
        value: mean. spread: standard deviation of one draw. error: standard error of the mean. interval: t over draws.
    """

    value: float
    spread: float
    error: float
    interval: Interval

    @classmethod
    def of(cls, scores: ArrayLike, level: float = 0.95) -> Chance:
        """From f64[draws], at least two."""
        drawn = np.asarray(scores, np.float64)
        value, spread = float(drawn.mean()), float(drawn.std(ddof=1))
        error = spread / float(np.sqrt(len(drawn)))
        half = float(special.stdtrit(len(drawn) - 1, 0.5 + level / 2)) * error
        method = f"t over {len(drawn)} control tasks"
        return cls(value, spread, error, Interval(value - half, value + half, level, method))


# -- scores, every person weighing the same


def weighted_r2(truth: NDArray[Any], predicted: NDArray[Any], base: NDArray[Any], weights: F64) -> float:
    """R2 of f64[N] predictions against the training folds' mean.

    Raises:
        InsufficientData: the truth does not vary.
    """
    total = float(weights @ (truth - base) ** 2)
    if total <= 0:
        raise InsufficientData("R2 needs values that vary")
    return float(1 - weights @ (truth - predicted) ** 2 / total)


def weighted_auc(positive: Bool, score: NDArray[Any], weights: F64) -> float:
    """Area under the ROC of f64[N] scores, faces weighing f64[N]; ties count half.

    Raises:
        InsufficientData: one of the two classes is empty.
    """
    yes, no = weights[positive].sum(), weights[~positive].sum()
    if yes <= 0 or no <= 0:
        raise InsufficientData("an AUC needs both classes")
    order = np.argsort(score, kind="stable")
    first = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
    w, hit = weights[order], positive[order]
    above = np.add.reduceat(w * hit, first)
    beside = np.add.reduceat(w * ~hit, first)
    return float((above * (np.cumsum(beside) - beside / 2)).sum() / (yes * no))


def weighted_balanced_accuracy(labels: I64, decided: I64, classes: int, weights: F64) -> float:
    """Mean over classes of the share of their faces that are decided rightly.

    Raises:
        InsufficientData: a class is empty.
    """
    right = np.bincount(labels, weights * (labels == decided), classes)
    total = np.bincount(labels, weights, classes)
    if (total <= 0).any():
        raise InsufficientData("balanced accuracy needs faces of every class")
    return float((right / total).mean())


def mean_auc(labels: I64, scores: NDArray[Any], weights: F64) -> float:
    """AUC of f[N,C] scores; two classes: of the second; more: mean of one against the rest."""
    classes = range(1, 2) if scores.shape[1] == 2 else range(scores.shape[1])
    return float(np.mean([weighted_auc(labels == c, scores[:, c], weights) for c in classes]))


Parts = Mapping[tuple[int, ...], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Judge:
    """Scores with everybody and without each group of people.

    Attributes:
        fold: i64[N], folds 0..K-1 that are the groups. block: i64[N], parts of folds. weights: f64[N].
        steady: training has no chance of its own, so that what depends on two groups at once can be told.
    """

    fold: I64
    block: I64
    weights: F64
    steady: bool = True

    @property
    def groups(self) -> int:
        """K."""
        return int(self.fold.max()) + 1

    def gather(self, parts: Parts, without: int | None = None) -> NDArray[Any]:
        """Rows of all folds (but one, whose rows are NaN) from one array a fold."""
        some = next(iter(parts.values()))
        found = np.full((len(self.fold), *some.shape[1:]), np.nan)
        for j in range(self.groups):
            if j != without:
                found[self.fold == j] = parts[j,] if without is None else parts[j, without]
        return found

    def estimate(
        self, figure: Callable[[NDArray[Any], Bool], float], parts: Parts, floor: float, ceiling: float,
        adds: bool = True,
    ) -> Jackknifed:  # fmt: skip
        """Of a figure of the answers [n,...] for the faces that are judged, and of which they are, bool[N].

        Args:
            parts: (j,) -> answers [n,...] of the faces of fold j by all others; (j, g) -> by all but j and g.
            adds: whether the figure is a mean over faces, each with its own answer. An AUC compares answers of
                different folds, so that what two groups do together cannot be told from fold to fold.
        """
        everyone = np.ones(len(self.fold), bool)
        full = self.gather(parts)

        def without(g: int) -> float:
            kept = self.fold != g
            return figure(self.gather(parts, g)[kept], kept)

        value = figure(full, everyone)
        coarse, fine = (
            jackknife_variance(
                without_each(int(of.max()) + 1, lambda g, of=of: figure(full[of != g], of != g))  # type: ignore[misc]
            )
            for of in (self.fold, self.block)
        )
        deleted = without_each(self.groups, without)
        together = None
        if adds and self.steady and self.groups >= LEAST_GROUPS:
            changes = np.zeros((self.groups, self.groups))
            for j in range(self.groups):
                rows = self.fold == j
                for g in (g for g in range(self.groups) if g != j):
                    other = full.copy()
                    other[rows] = parts[j, g]
                    changes[j, g] = figure(other, everyone) - value
            together = joint_variance(changes)
        return Jackknifed.of(value, deleted, floor, ceiling, (coarse, fine), together=together)

    def r2(self, truth: NDArray[Any], parts: Parts) -> Jackknifed:
        """R2 of f64[N] by (prediction, training mean) [n,2] a fold."""

        def figure(answers: NDArray[Any], kept: Bool) -> float:
            return weighted_r2(truth[kept], answers[:, 0], answers[:, 1], self.weights[kept])

        return self.estimate(figure, parts, -np.inf, 1.0)

    def auc(self, labels: I64, parts: Parts) -> Jackknifed:
        """AUC of i64[N] classes by [n,C] scores a fold."""

        def figure(answers: NDArray[Any], kept: Bool) -> float:
            return mean_auc(labels[kept], answers, self.weights[kept])

        return self.estimate(figure, parts, 0.0, 1.0, adds=False)

    def balanced_accuracy(self, labels: I64, parts: Parts) -> Jackknifed:
        """Balanced accuracy of i64[N] classes by [n,C] scores a fold, of which the highest decides."""
        classes = int(labels.max()) + 1

        def figure(answers: NDArray[Any], kept: Bool) -> float:
            decided = answers.argmax(axis=1)
            return weighted_balanced_accuracy(labels[kept], decided, classes, self.weights[kept])

        return self.estimate(figure, parts, 0.0, 1.0)


def within_person_share(vectors: NDArray[Any], values: F64, subjects: ArrayLike, fold: I64) -> Jackknifed:
    """Share of the vectors' variance within people that one attribute explains linearly.

    Vectors and attribute are centred per person; with c_p the mean of a z over a person's faces and s_p that of
    a^2, the squared slope is taken between different people only, sum_{p != q} c_p . c_q / sum_{p != q} s_p s_q,
    so that noise adds nothing: where the attribute explains nothing it is 0 on average, and may fall below 0.
    The interval leaves out people by `fold`, i64[N].

    Raises:
        InsufficientData: the attribute differs within fewer than 10 people.
    """
    people, codes, counts = np.unique(np.asarray(subjects), return_inverse=True, return_counts=True)
    codes = codes.ravel()
    order = np.argsort(codes, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])

    def means(x: NDArray[Any]) -> F64:
        return np.asarray(np.add.reduceat(x[order], starts, axis=0) / counts[:, None], np.float64)

    a = np.asarray(values, np.float64)[:, None]
    z = np.asarray(vectors, np.float64)
    a, z = a - means(a)[codes], z - means(z)[codes]
    squares = means(a**2)[:, 0]
    varied = int((squares > 1e-12 * max(float(squares.max()), 1e-300)).sum()) if squares.any() else 0
    if varied < 10:
        raise InsufficientData(f"it differs within {varied} people; at least 10 are needed")
    slopes, total = means(z * a), means((z**2).sum(axis=1, keepdims=True))[:, 0]
    of_person = np.zeros(len(people), np.int64)
    of_person[codes] = fold

    def share(without: int | None) -> float:
        kept = of_person != (-1 if without is None else without)
        c, s = slopes[kept], squares[kept]
        below = s.sum() ** 2 - (s**2).sum()
        if below <= 0 or total[kept].sum() <= 0:
            raise InsufficientData("it differs within too few people")
        slope = ((c.sum(axis=0) ** 2).sum() - (c**2).sum()) / below
        return float(slope * s.sum() / total[kept].sum())

    deleted = without_each(int(fold.max()) + 1, share)
    return Jackknifed.of(share(None), deleted, -np.inf, 1.0)
