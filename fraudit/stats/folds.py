"""The fold accuracy protocol in three modes (ten folds in LFW).

The threshold of a fold is chosen on the other folds alone. Where a face has no vector the pair counts as
`different people`. All modes are vectorised over thresholds; 6,000 pairs take well under a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.errors import InsufficientData, UsageError
from fraudit.stats.pairs import angular, pair_cosines
from fraudit.types import F64, I64, Bool, PairList, unit_rows

Mode = Literal["exact", "insightface", "facenet"]
MODES: tuple[Mode, ...] = ("exact", "insightface", "facenet")

PROVENANCE: dict[str, str] = {
    "exact": "cosine; threshold: every observed score of the training folds, the highest of the best",
    "insightface": "squared L2 of normalised flip-sums; thresholds 0..4 step 0.01, the first of the best "
    "(insightface recognition/arcface_torch/eval/verification.py)",
    "facenet": "arccos(cosine)/pi of concatenated flips, mean of the training folds subtracted; "
    "thresholds 0..4 step 0.01, the first of the best (facenet src/lfw.py, distance_metric 1, subtract_mean)",
}
# The grid of both reference codes, rounding of its 0.01 steps included.
GRID: F64 = np.arange(0, 4, 0.01)


@dataclass(frozen=True, slots=True)
class FoldAccuracy:
    """Accuracy of every fold.

    Attributes:
        mode: protocol.
        accuracy, thresholds: f64[K] by fold, in the mode's own comparison (similarity for `exact`, else
            distance).
        counts: i64[K] pairs a fold. missing: pairs without a score.
        correct: bool[P], pairs decided right at the threshold of their fold.
        provenance: how the thresholds were chosen.
    """

    mode: Mode
    accuracy: F64
    thresholds: F64
    counts: I64
    missing: int
    correct: Bool
    provenance: str

    @property
    def mean(self) -> float:
        """Share of all pairs decided right: the mean over folds, each weighted by its pairs.

        Where folds are equal, as LFW's are, this is the mean that both reference codes print. It is the rate whose
        interval is known, so a value always lies inside its interval.
        """
        return float(self.correct.mean())

    @property
    def std(self) -> float:
        """Population standard deviation over folds, as both reference codes print it."""
        return float(self.accuracy.std())


def ten_folds(
    mode: Mode,
    vectors: NDArray[Any],
    pairs: PairList,
    mirrored: NDArray[Any] | None = None,
    ok: Bool | None = None,
) -> FoldAccuracy:
    """Accuracy by fold: as many as `pairs.fold` names.

    Args:
        mode: `exact`, `insightface` or `facenet`.
        vectors: f32[N,D] as the model gives them, not normalised.
        pairs: indices into the rows of `vectors`.
        mirrored: f32[N,D] of the mirrored faces; needed by `insightface` and `facenet`.
        ok: bool[N], False where a face has no vector.
    Raises:
        UsageError: unknown mode, or mirrored vectors missing. InsufficientData: fewer than two folds.
    """
    if mode not in MODES:
        raise UsageError(f"unknown fold mode '{mode}'", f"choose of {', '.join(MODES)}")
    if mode != "exact" and mirrored is None:
        raise UsageError(f"mode '{mode}' needs the vectors of the mirrored faces", "or use mode 'exact'")
    usable = np.ones(len(vectors), bool) if ok is None else np.asarray(ok, bool)
    if mode == "exact":
        scores = pair_cosines(unit_rows(np.asarray(vectors, np.float64)), pairs.left, pairs.right, usable)
        return fold_accuracy(scores, pairs.same, pairs.fold)
    flipped = np.asarray(mirrored, np.float64)
    plain = np.asarray(vectors, np.float64)
    gone = ~(usable[pairs.left] & usable[pairs.right])
    codes, sizes = _folds(pairs.fold)
    if mode == "insightface":
        unit = unit_rows(plain + flipped)
        distance = np.square(unit[pairs.left] - unit[pairs.right]).sum(axis=1)
        distances = np.broadcast_to(distance, (len(sizes), len(distance)))
    else:
        distances = _facenet_distances(
            np.concatenate([plain, flipped], axis=1), pairs, codes, len(sizes), gone
        )
    return _grid_accuracy(mode, np.where(gone, np.inf, distances), pairs.same, codes, sizes, int(gone.sum()))


def _folds(fold: I64) -> tuple[I64, I64]:
    codes = np.unique(np.asarray(fold), return_inverse=True)[1].ravel().astype(np.int64)
    sizes = np.bincount(codes)
    if len(sizes) < 2 or np.min(fold) < 0:
        raise InsufficientData(
            f"accuracy needs at least two folds of pairs; found {len(sizes)}",
            "four people or more, two of them with two pictures, are enough for two folds",
        )
    return codes, sizes


def _facenet_distances(rows: F64, pairs: PairList, codes: I64, k: int, gone: Bool) -> F64:
    """f64[K,P]: distances after subtraction of the mean of the K-1 training folds' faces, for each fold."""
    out = np.empty((k, len(pairs)))
    left, right = pairs.left, pairs.right
    # Faces weigh as often as they occur in pairs; sums per fold give every training mean.
    sums, faces = np.zeros((k, rows.shape[1])), np.zeros(k)
    for side in (left, right):
        np.add.at(sums, codes[~gone], rows[side[~gone]])
        faces += np.bincount(codes[~gone], minlength=k)
    for f in range(k):
        mean = (sums.sum(axis=0) - sums[f]) / max(faces.sum() - faces[f], 1)
        unit = unit_rows(rows - mean)
        cosine = np.einsum("pd,pd->p", unit[left], unit[right])
        out[f] = angular(cosine)
    return out


def _grid_accuracy(
    mode: Mode, distances: F64, same: Bool, codes: I64, sizes: I64, missing: int
) -> FoldAccuracy:
    """Accuracy on the fixed grid; a pair matches when distance < threshold, as in both reference codes."""
    k, truth = len(sizes), np.where(same, 1, -1)
    accuracy, thresholds = np.empty(k), np.empty(k)
    correct = np.zeros(len(codes), bool)
    for f in range(k):
        # First grid index at which a pair matches; one more cell for pairs that never do.
        at = np.searchsorted(GRID, distances[f], "right")
        gain = np.zeros((2, len(GRID) + 1))
        for part, chosen in enumerate((codes != f, codes == f)):
            gain[part] = np.bincount(at[chosen], weights=truth[chosen], minlength=len(GRID) + 1)
        # Matching nobody is right for every impostor; each match adds one (genuine) or takes one (impostor).
        right = np.cumsum(gain[:, :-1], axis=1) + np.array(
            [[(~same & (codes != f)).sum()], [(~same & (codes == f)).sum()]]
        )
        best = int(np.argmax(right[0]))
        accuracy[f], thresholds[f] = right[1, best] / sizes[f], GRID[best]
        correct[codes == f] = ((distances[f] < GRID[best]) == same)[codes == f]
    return FoldAccuracy(mode, accuracy, thresholds, sizes, missing, correct, PROVENANCE[mode])


def fold_accuracy(scores: ArrayLike, same: ArrayLike, fold: ArrayLike) -> FoldAccuracy:
    """The `exact` mode on f64[P] similarities (NaN: no score), bool[P] labels and i64[P] folds.

    Raises:
        InsufficientData: fewer than two folds, or no score in the training folds.
    """
    s, y = np.asarray(scores, np.float64), np.asarray(same, bool)
    codes, sizes = _folds(np.asarray(fold))
    missing = np.isnan(s)
    filled = np.where(missing, -np.inf, s)
    accuracy, thresholds = np.empty(len(sizes)), np.empty(len(sizes))
    correct = np.zeros(len(codes), bool)
    order = np.argsort(-filled, kind="stable")
    ranked, truth, where = filled[order], y[order], codes[order]
    for f in range(len(sizes)):
        train = (where != f) & np.isfinite(ranked)
        if not train.any():
            raise InsufficientData(f"no pair outside fold {f} has a score")
        levels, t = ranked[train], truth[train]
        right = np.cumsum(np.where(t, 1, -1))
        last = np.append(levels[1:] != levels[:-1], True)  # ties match together
        best = int(np.argmax(np.where(last, right, -np.inf)))
        thresholds[f] = levels[best]
        correct[codes == f] = ((filled >= thresholds[f]) == y)[codes == f]
        accuracy[f] = float(correct[codes == f].mean())
    return FoldAccuracy(
        "exact", accuracy, thresholds, sizes, int(missing.sum()), correct, PROVENANCE["exact"]
    )
