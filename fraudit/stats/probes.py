"""Probes: what can be read from vectors, judged on people the probe has never seen.

Folds are identity-disjoint throughout. Numbers are read by ridge regression (R2 out of fold), classes by
logistic regression (AUC, balanced accuracy). The ridge has a closed form in the training fold's principal
axes, so that a thousand relabelled targets cost a few matrix products a fold.

Control task (Hewitt and Liang 2019, adapted): every identity gets one random label for all its faces. With
identity-disjoint folds it cannot be learnt, so that its score shows what chance looks like on these people.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.errors import InsufficientData
from fraudit.types import F32, F64, I64, Bool, Interval

# Ridge penalties, times the mean squared singular value of the training part; the largest answers the mean.
PENALTIES: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e4)
TEST_PENALTIES: tuple[float, ...] = (1e-2, 1.0, 1e2)
STRENGTHS: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0)  # sklearn's C for vectors of unit RMS per axis
COLUMNS = 256  # relabelled targets at a time


def identity_folds(subjects: ArrayLike, folds: int, seed: int = 0) -> I64:
    """i64[N] fold of each face: no person in two folds, folds of about equal numbers of faces.

    Raises:
        InsufficientData: fewer people than folds.
    """
    people, codes, counts = np.unique(np.asarray(subjects), return_inverse=True, return_counts=True)
    if len(people) < folds:
        raise InsufficientData(f"{folds} identity-disjoint folds need as many people; found {len(people)}")
    shuffled = np.random.default_rng([seed, 41]).permutation(len(people))
    of_person = np.zeros(len(people), np.int64)
    load = np.zeros(folds, np.int64)
    for person in shuffled[np.argsort(-counts[shuffled], kind="stable")]:
        of_person[person] = int(np.argmin(load))
        load[of_person[person]] += counts[person]
    return np.asarray(of_person[codes.ravel()], np.int64)


class _Axes:
    """A training part in its principal axes: ridge for any penalty is a product of two thin matrices."""

    def __init__(self, train: NDArray[Any]) -> None:
        rows = train.astype(np.float64)
        self._centre = rows.mean(axis=0)
        rows -= self._centre
        values, axes = np.linalg.eigh(rows.T @ rows)
        keep = values > max(float(values[-1]), 0.0) * 1e-9
        self._size, self._axes = np.sqrt(values[keep]), axes[:, keep]
        self._inner = (rows @ self._axes / self._size).T.astype(np.float32)
        self._mean_square = float((self._size**2).mean()) if keep.any() else 1.0

    def project(self, known: F32) -> F32:
        """f32[R,T] of centred targets f32[rows,T]."""
        return self._inner @ known

    def outer(self, queries: NDArray[Any]) -> F32:
        """f32[Q,R] queries [Q,D] in these axes."""
        return ((queries - self._centre) @ self._axes).astype(np.float32)

    def gain(self, penalty: float) -> F32:
        """f32[R]: what a projection is multiplied by; `penalty` is in mean squared singular values."""
        return (self._size / (self._size**2 + penalty * self._mean_square)).astype(np.float32)


class RidgeFolds:
    """Ridge regression out of fold for any number of targets on the same faces.

    Args:
        vectors: f32[N,D]. fold: i64[N], at least three folds.
    """

    def __init__(self, vectors: NDArray[Any], fold: I64) -> None:
        self.fold, self._vectors = fold, vectors
        self._names = [int(k) for k in np.unique(fold)]
        self._held = {k: fold == k for k in self._names}
        self._fits = {k: _Axes(vectors[fold != k]) for k in self._names}
        self._outer = {k: self._fits[k].outer(vectors[self._held[k]]) for k in self._names}
        self._inner: dict[tuple[int, int], tuple[_Axes, F32]] = {}

    def _within(self, left_out: int, check: int) -> tuple[_Axes, F32]:
        """The fit without both folds, and `check` in its axes."""
        key = (min(left_out, check), max(left_out, check))
        if (left_out, check) not in self._inner:
            twin = self._inner.get((check, left_out))
            axes = twin[0] if twin else _Axes(self._vectors[~(self._held[key[0]] | self._held[key[1]])])
            self._inner[left_out, check] = axes, axes.outer(self._vectors[self._held[check]])
        return self._inner[left_out, check]

    def predict(self, targets: NDArray[Any]) -> tuple[F32, F32, F64]:
        """Out-of-fold predictions of targets [N,T].

        The penalty of a fold is the one with the least squared error over the other folds, each predicted from
        the rest: identity-disjoint, and chosen for every column without its judged fold.

        Returns:
            (f32[N,T] predictions, f32[N,T] means of the training folds, f64[folds,T] penalties chosen).
        """
        answer, base = (np.zeros(targets.shape, np.float32) for _ in range(2))
        chosen = np.zeros((len(self._names), targets.shape[1]))
        for place, k in enumerate(self._names):
            errors = np.zeros((len(PENALTIES), targets.shape[1]))
            for j in self._names:
                if j == k:
                    continue
                axes, outer = self._within(k, j)
                known = targets[~(self._held[k] | self._held[j])]
                mean = known.mean(axis=0)
                z = axes.project((known - mean).astype(np.float32))
                rest = (targets[self._held[j]] - mean).astype(np.float32)
                for row, penalty in enumerate(PENALTIES):
                    errors[row] += ((rest - outer @ (axes.gain(penalty)[:, None] * z)) ** 2).sum(axis=0)
            best = np.argmin(errors, axis=0)
            chosen[place] = np.array(PENALTIES)[best]
            known = targets[~self._held[k]]
            mean = known.mean(axis=0)
            gains = np.stack([self._fits[k].gain(penalty) for penalty in PENALTIES], axis=1)[:, best]
            z = self._fits[k].project((known - mean).astype(np.float32))
            answer[self._held[k]] = self._outer[k] @ (gains * z) + mean
            base[self._held[k]] = mean
        return answer, base, chosen

    def best_r2(self, columns: NDArray[Any], width: int) -> F64:
        """The highest out-of-fold R2 over `TEST_PENALTIES`, for each block of `width` columns: f64[T/width].

        Optimistic as an estimate, exact as the statistic of a permutation test, where relabelled targets get
        the same choice; its penalties do not depend on labels, so that a thousand relabellings stay cheap.
        """
        error = np.zeros((len(TEST_PENALTIES), columns.shape[1]))
        total = np.zeros(columns.shape[1])
        for k in self._names:
            known, asked = columns[~self._held[k]], columns[self._held[k]]
            mean = known.mean(axis=0, dtype=np.float64).astype(np.float32)
            z = self._fits[k].project(known - mean)
            rest = asked - mean
            total += np.einsum("nt,nt->t", rest, rest)
            for row, penalty in enumerate(TEST_PENALTIES):
                off = rest - self._outer[k] @ (self._fits[k].gain(penalty)[:, None] * z)
                error[row] += np.einsum("nt,nt->t", off, off)
        blocks = error.reshape(len(TEST_PENALTIES), -1, width).sum(axis=2)
        return np.asarray(1 - blocks.min(axis=0) / np.maximum(total.reshape(-1, width).sum(axis=1), 1e-30))


# -- chance


def control_labels(values: NDArray[Any], subjects: ArrayLike, draws: int, rng: np.random.Generator) -> Any:
    """Control tasks [N,draws]: every identity gets the value of a face drawn at random, for all its faces."""
    codes = np.unique(np.asarray(subjects), return_inverse=True)[1].ravel()
    return values[rng.integers(len(values), size=(int(codes.max()) + 1, draws))][codes]


def identity_permutations(subjects: ArrayLike, draws: int, rng: np.random.Generator) -> I64:
    """i64[draws,N]: `values[row]` relabels people, keeping what one person's faces have in common.

    Identities with equally many faces exchange their labels as blocks, and the order within a block is drawn:
    exact where labels say nothing of vectors. An identity alone with its number of faces keeps its block.
    """
    codes, counts = np.unique(np.asarray(subjects), return_inverse=True, return_counts=True)[1:]
    order = np.argsort(codes.ravel(), kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    found = np.empty((draws, len(order)), np.int64)
    for size in np.unique(counts):
        rows = order[starts[counts == size][:, None] + np.arange(size)]
        source = rng.permuted(np.tile(np.arange(len(rows)), (draws, 1)), axis=1)
        blocks = rng.permuted(rows[source], axis=2) if size > 1 else rows[source]
        found[:, rows.ravel()] = blocks.reshape(draws, -1)
    return found


def permutation_p(ridge: RidgeFolds, columns: F64, permutations: I64) -> tuple[float, float]:
    """(p value, its statistic `RidgeFolds.best_r2`): share of relabellings at least as high, itself counted.

    Args:
        columns: f64[N,C], the target: one column for a number, one a class else (their errors are summed).
    """
    width = columns.shape[1]

    labels = columns.astype(np.float32)
    observed = float(ridge.best_r2(labels, width)[0])
    step = max(1, COLUMNS // width)
    reached = 0
    for start in range(0, len(permutations), step):
        part = permutations[start : start + step]
        block = labels[part.T].reshape(len(labels), -1)
        reached += int((ridge.best_r2(block, width) >= observed - 1e-7).sum())
    return (1 + reached) / (1 + len(permutations)), observed


# -- logistic regression


def logistic_folds(vectors: F32, labels: I64, fold: I64, strengths: F64 | None = None) -> tuple[F64, F64]:
    """(f64[N,C] out-of-fold probabilities of class-balanced logistic probes, f64[K] chosen strengths).

    Args:
        labels: i64[N] classes 0..C-1. strengths: f64[K] to use; by default each fold chooses from `STRENGTHS`
            by log loss on one of its training folds, identity-disjoint like all others.
    """
    names, classes = np.unique(fold), int(labels.max()) + 1
    answer = np.full((len(labels), classes), 1.0 / classes)
    chosen = np.zeros(len(names))
    for k, name in enumerate(names):
        train = fold != name
        x = vectors - vectors[train].mean(axis=0)
        x /= np.float32(float(np.sqrt((x[train] ** 2).mean())) or 1.0)
        if strengths is not None:
            chosen[k] = strengths[k]
        else:
            inner = train & (fold != names[(k + 1) % len(names)]) if len(names) > 2 else train
            check = train & ~inner if len(names) > 2 else train
            losses = [
                _log_loss(_fit(x[inner], labels[inner], classes, c)(x[check]), labels[check])
                for c in STRENGTHS
            ]
            chosen[k] = STRENGTHS[int(np.argmin(losses))]
        answer[~train] = _fit(x[train], labels[train], classes, float(chosen[k]))(x[~train])
    return answer, chosen


def _fit(x: F32, labels: I64, classes: int, strength: float) -> Callable[[F32], F64]:
    from sklearn.linear_model import LogisticRegression

    present = np.unique(labels)
    if len(present) < 2:  # A control task can leave a training fold with one class.
        return lambda queries: np.full((len(queries), classes), 1.0 / classes)
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=200, tol=1e-3).fit(x, labels)

    def predict(queries: F32) -> F64:
        found = np.zeros((len(queries), classes))
        found[:, present] = model.predict_proba(queries)
        return found

    return predict


def _log_loss(probabilities: F64, labels: I64) -> float:
    """Class-balanced."""
    own = -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12))
    return float(np.mean([own[labels == c].mean() for c in np.unique(labels)]))


# -- scores with people drawn again


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score, its values over draws of people f64[B] and the percentile interval."""

    value: float
    draws: F64
    interval: Interval

    @classmethod
    def of(cls, value: float, draws: F64, level: float = 0.95) -> Estimate:
        """Draws in which the score is not defined are left out."""
        usable = draws[np.isfinite(draws)]
        if len(usable) < len(draws) / 2:
            raise InsufficientData(f"the score is defined in {len(usable)} of {len(draws)} draws of people")
        low, high = np.quantile(usable, [(1 - level) / 2, (1 + level) / 2])
        method = f"bootstrap over people of out-of-fold predictions, {len(usable)} draws, percentiles"
        return cls(value, draws, Interval(min(float(low), value), max(float(high), value), level, method))

    def scaled(self, factor: float, shift: float) -> Estimate:
        """factor * score + shift."""
        return Estimate.of(factor * self.value + shift, factor * self.draws + shift, self.interval.level)

    def at_least(self, floor: float) -> Estimate:
        """The score, or `floor` where it is lower."""
        return Estimate.of(max(self.value, floor), np.maximum(self.draws, floor), self.interval.level)

    def minus(self, other: Estimate) -> Estimate:
        """The paired difference: both sides over the same draws of people."""
        return Estimate.of(self.value - other.value, self.draws - other.draws, self.interval.level)


def mean_of(estimates: list[Estimate]) -> Estimate:
    """Mean of scores over the same draws."""
    return Estimate.of(
        float(np.mean([e.value for e in estimates])), np.mean([e.draws for e in estimates], axis=0)
    )


class People:
    """Draws of the people of N faces: weights f64[B,P], the first row all ones (the figure itself)."""

    def __init__(self, subjects: ArrayLike, draws: int, rng: np.random.Generator) -> None:
        self.codes = np.unique(np.asarray(subjects), return_inverse=True)[1].ravel()
        self.count = int(self.codes.max()) + 1
        drawn = rng.multinomial(self.count, np.full(self.count, 1 / self.count), size=draws)
        self.weights: F64 = np.concatenate([np.ones((1, self.count)), drawn]).astype(np.float64)

    def sums(self, values: ArrayLike) -> F64:
        """f64[B+1] weighted sums of f64[N]."""
        return self.weights @ np.bincount(self.codes, np.asarray(values, np.float64), self.count)

    @staticmethod
    def _estimate(values: F64) -> Estimate:
        return Estimate.of(float(values[0]), values[1:])

    def r2(self, truth: NDArray[Any], predicted: NDArray[Any], base: NDArray[Any]) -> Estimate:
        """R2 of f64[N] predictions against the training folds' mean."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._estimate(1 - self.sums((truth - predicted) ** 2) / self.sums((truth - base) ** 2))

    def auc(self, labels: I64, scores: F64) -> Estimate:
        """Area under the ROC of f64[N,C] scores; more than two classes: mean of one against the rest."""
        classes = range(1, 2) if scores.shape[1] == 2 else range(scores.shape[1])
        return self._estimate(np.mean([self._auc(labels == c, scores[:, c]) for c in classes], axis=0))

    def _auc(self, positive: Bool, score: F64) -> F64:
        order = np.argsort(score, kind="stable")
        level = np.unique(score[order], return_inverse=True)[1].ravel()
        first = np.concatenate([[0], np.flatnonzero(np.diff(level)) + 1])
        hit, codes = positive[order], self.codes[order]
        found = np.empty(len(self.weights))
        for start in range(0, len(found), 64):
            w = self.weights[start : start + 64, codes]
            yes = np.add.reduceat(w * hit, first, axis=1)
            no = np.add.reduceat(w * ~hit, first, axis=1)
            below = np.cumsum(no, axis=1) - no / 2  # ties count half
            with np.errstate(invalid="ignore", divide="ignore"):
                found[start : start + 64] = (yes * below).sum(1) / (yes.sum(1) * no.sum(1))
        return found

    def balanced_accuracy(self, labels: I64, scores: F64) -> Estimate:
        """Mean over classes of the share of their faces that get the highest score for it."""
        right = scores.argmax(axis=1) == labels
        with np.errstate(invalid="ignore", divide="ignore"):
            recalls = [
                self.sums(right & (labels == c)) / self.sums(labels == c) for c in range(scores.shape[1])
            ]
        return self._estimate(np.mean(recalls, axis=0))


def within_person_share(vectors: NDArray[Any], values: F64, people: People) -> Estimate:
    """Share of the vectors' variance within people that one attribute explains linearly.

    Vectors and attribute are centred per person; with c_p = sum a z over a person's faces and s_p = sum a^2,
    the squared slope is taken between different people only, sum_{p != q} c_p . c_q / sum_{p != q} s_p s_q,
    so that noise adds nothing: where the attribute explains nothing it is 0 on average, and may fall below 0.

    Raises:
        InsufficientData: the attribute differs within fewer than 10 people.
    """
    counts = np.bincount(people.codes, minlength=people.count)

    def centred(x: F64) -> F64:
        sums = np.zeros((people.count, x.shape[1]))
        np.add.at(sums, people.codes, x)
        return x - (sums / counts[:, None])[people.codes]

    a = centred(np.asarray(values, np.float64)[:, None])[:, 0]
    z = centred(np.asarray(vectors, np.float64))
    squares = np.bincount(people.codes, a**2, people.count)
    varied = int((squares > 1e-12 * max(float(squares.max()), 1e-300)).sum()) if squares.any() else 0
    if varied < 10:
        raise InsufficientData(f"it differs within {varied} people; at least 10 are needed")
    order = np.argsort(people.codes, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    slopes = np.add.reduceat((z * a[:, None])[order], starts, axis=0)
    total = np.bincount(people.codes, (z**2).sum(axis=1), people.count)
    w = people.weights
    own = w**2
    with np.errstate(invalid="ignore", divide="ignore"):
        product = ((w @ slopes) ** 2).sum(axis=1) - own @ (slopes**2).sum(axis=1)
        slope = product / ((w @ squares) ** 2 - own @ squares**2)
        share = slope * (w @ squares) / (w @ total)
    return Estimate.of(float(share[0]), share[1:])
