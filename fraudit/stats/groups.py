"""Error rates of demographic groups over all pairs of a set, with identity-level variances.

Matches are streamed and kept as sums by pair of people, so that 10^8 pairs need no list; rates and their intervals
are those of `fraudit.stats.rates`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.errors import InsufficientData
from fraudit.stats.all_pairs import highest, sweep
from fraudit.stats.fairness import CrossGroup, cross_group
from fraudit.stats.pairs import BINS, ScoreHistogram
from fraudit.stats.rates import GroupRate, PersonSums, group_rates
from fraudit.types import F32, F64, I64, Bool, Interval

I32 = NDArray[np.int32]
MOST_WAITING = 4_000_000  # pairs of cells before they are summed


def label_groups(values: NDArray[np.generic], bins: int = 4) -> NDArray[np.str_]:
    """str[N] group of each face; '' where unknown.

    Words are kept. Numbers with at most six different values are kept as they are; others are cut at their
    quantiles into `bins` groups named `18 to 29`.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        return np.array([str(v) for v in array], dtype=np.str_)
    numbers = array.astype(np.float64)
    known = np.unique(numbers[np.isfinite(numbers)])
    if len(known) <= 6:
        return np.array([f"{v:g}" if np.isfinite(v) else "" for v in numbers], dtype=np.str_)
    cuts = np.unique(np.nanquantile(numbers, np.linspace(0, 1, bins + 1)[1:-1], method="lower"))
    codes = np.searchsorted(cuts, numbers, side="left")
    names = np.array(["" for _ in numbers], dtype=object)
    for code in range(len(cuts) + 1):
        part = (codes == code) & np.isfinite(numbers)
        if part.any():
            names[part] = f"{numbers[part].min():g} to {numbers[part].max():g}"
    return names.astype(np.str_)


def word_groups(name: str, labels: NDArray[np.str_]) -> NDArray[np.str_]:
    """`male` with the values 0 and 1 reads as `male` and `not male`; other labels stay."""
    if set(np.unique(labels)) <= {"", "0", "1"}:
        words = name.lower().replace("_", " ")
        return np.select([labels == "1", labels == "0"], [words, f"not {words}"], "").astype(np.str_)
    return labels


@dataclass(frozen=True, slots=True)
class _Cells:
    """Faces by person and group, and the matches between them.

    Attributes:
        person, group: i64[C] of each cell; a person whose label varies has several. faces: f64[C].
        left, right: i64[M], pairs of cells of different people with a match. matches: f64[M].
    """

    person: I64
    group: I64
    faces: F64
    left: I64
    right: I64
    matches: F64


class _CellCounts:
    """Matches of pairs of cells, summed as pairs are handed over.

    Args:
        subjects, codes: i64[N], person and group of each row.
    """

    def __init__(self, subjects: I64, codes: I64) -> None:
        self._many = int(codes.max()) + 1
        person = np.unique(subjects, return_inverse=True)[1].ravel()
        self._known, cell = np.unique(person * self._many + codes, return_inverse=True)
        self._cell: I64 = cell.ravel()
        self._parts: list[tuple[I64, I64]] = []
        self._waiting = 0

    def take(self, left: I32, right: I32, scores: F32) -> None:
        """Rows i32[K] of pairs that match."""
        one, two = self._cell[left], self._cell[right]
        keys = np.minimum(one, two) * len(self._known) + np.maximum(one, two)
        found, times = np.unique(keys, return_counts=True)
        self._parts.append((found, times.astype(np.int64)))
        self._waiting += len(found)
        if self._waiting > MOST_WAITING:
            self._merge()

    def _merge(self) -> None:
        keys, at = np.unique(np.concatenate([part[0] for part in self._parts]), return_inverse=True)
        counts = np.zeros(len(keys), np.int64)
        np.add.at(counts, at.ravel(), np.concatenate([part[1] for part in self._parts]))
        self._parts, self._waiting = [(keys, counts)], 0

    def result(self) -> _Cells:
        """Of what was taken."""
        size = len(self._known)
        none = np.empty(0, np.int64)
        self._parts.append((none, none))
        self._merge()
        keys, counts = self._parts[0]
        faces = np.bincount(self._cell, minlength=size).astype(np.float64)
        person, group = self._known // self._many, self._known % self._many
        return _Cells(person, group, faces, keys // size, keys % size, counts.astype(np.float64))


def _within(cells: _Cells, group: int, name: str) -> PersonSums | None:
    """Sums of the impostor pairs within one group."""
    own = cells.group == group
    faces = np.where(own, cells.faces, 0.0)
    part = own[cells.left] & own[cells.right]
    left, right, m = cells.left[part], cells.right[part], cells.matches[part]
    pairs = faces * (faces.sum() - faces)
    if not pairs.any():
        return None
    errors = np.bincount(left, m, len(faces)) + np.bincount(right, m, len(faces))
    squares = faces**2
    joint = (
        float(m @ m),
        float(m @ (faces[left] * faces[right])),
        float(squares.sum() ** 2 - (squares**2).sum()) / 2,
    )
    return PersonSums(name, errors[pairs > 0], pairs[pairs > 0], 2, joint)


def _between(cells: _Cells, one: int, two: int, name: str) -> PersonSums | None:
    """Sums of the impostor pairs with one face in each of two groups."""
    count = int(cells.person.max()) + 1
    first, second = (
        np.bincount(cells.person, np.where(cells.group == g, cells.faces, 0.0), count) for g in (one, two)
    )
    pairs = first * (second.sum() - second) + second * (first.sum() - first)
    if not pairs.any():
        return None
    ends = cells.group[cells.left], cells.group[cells.right]
    part = ((ends[0] == one) & (ends[1] == two)) | ((ends[0] == two) & (ends[1] == one))
    left, right, m = cells.person[cells.left[part]], cells.person[cells.right[part]], cells.matches[part]
    low, high = np.minimum(left, right), np.maximum(left, right)
    keys, at = np.unique(low * count + high, return_inverse=True)
    hits = np.bincount(at.ravel(), m, len(keys))
    low, high = keys // count, keys % count
    sizes = first[low] * second[high] + second[low] * first[high]
    # Over unordered pairs s < t of people: sum (f_s g_t + g_s f_t)^2.
    ff, gg, fg = float(first @ first), float(second @ second), float(first @ second)
    all_sizes = ff * gg + fg**2 - 2 * float((first**2) @ (second**2))
    errors = np.bincount(low, hits, count) + np.bincount(high, hits, count)
    return PersonSums(
        name, errors[pairs > 0], pairs[pairs > 0], 2, (float(hits @ hits), float(hits @ sizes), all_sizes)
    )


def impostor_rates(
    unit: NDArray[np.floating],
    subjects: I64,
    groups: NDArray[np.str_],
    threshold: float,
    ok: Bool,
    level: float = 0.95,
) -> tuple[tuple[GroupRate, ...], CrossGroup]:
    """(FMR within each group, FMR between all groups) over all impostor pairs at `threshold`.

    Args:
        unit: f32[N,D] unit vectors. subjects: i64[N]. groups: str[N]; '' is left out. ok: bool[N].
    Raises:
        InsufficientData: no group has an impostor pair.
    """
    use = ok & (groups != "")
    if use.sum() < 2:
        raise InsufficientData("no impostor pair within any group")
    names, codes = np.unique(groups[use], return_inverse=True)
    counted = _CellCounts(subjects[use], codes.ravel().astype(np.int64))
    place = np.cumsum(use) - 1
    sweep(
        unit,
        subjects,
        use,
        floor=threshold,
        take=lambda left, right, scores: counted.take(place[left], place[right], scores),
    )
    return _rates(counted.result(), tuple(map(str, names)), level)


def _rates(
    cells: _Cells, names: tuple[str, ...], level: float = 0.95
) -> tuple[tuple[GroupRate, ...], CrossGroup]:
    """Of the matches between cells of the groups `names`."""
    within: dict[tuple[int, int], PersonSums] = {}
    between: dict[tuple[int, int], PersonSums] = {}
    for a, name in enumerate(names):
        for b in range(a, len(names)):
            sums = _within(cells, a, name) if a == b else _between(cells, a, b, name)
            if sums is not None:
                (within if a == b else between)[a, b] = sums
    if not within:
        raise InsufficientData("no impostor pair within any group")
    return group_rates(list(within.values()), level), cross_group(names, within, between)


@dataclass(frozen=True, slots=True)
class OwnThreshold:
    """The threshold one group would need for the target FMR.

    Attributes:
        value: cosine; interval: thresholds at the ends of the FMR's interval (a test turned around), or None with
            the reason in `missing`. n: impostor pairs within the group. resolvable: n >= 3 / target.
    """

    group: str
    value: float
    interval: Interval | None
    missing: str
    n: int
    resolvable: bool


def own_threshold(
    group: str, unit: NDArray[np.floating], subjects: I64, target_fmr: float, ok: Bool
) -> OwnThreshold:
    """Threshold for `target_fmr` among impostor pairs of these faces alone.

    Raises:
        InsufficientData: no impostor pair.
    """
    found = highest(
        unit,
        subjects,
        target_fmr,
        ok,
        bins=BINS,
        floor_of=lambda counts: ScoreHistogram.of(counts).threshold(target_fmr),
    )
    if not found.pairs:
        raise InsufficientData("no pair of different subjects")
    scores, value = ScoreHistogram.of(found.counts), found.floor
    counted, place = _CellCounts(subjects[ok], np.zeros(int(ok.sum()), np.int64)), np.cumsum(ok) - 1
    counted.take(place[found.left], place[found.right], found.scores)
    rate = _rates(counted.result(), (group or "all",))[0][0]
    interval = None
    if rate.interval is not None:
        # The bin's FMR lies at or below the target; the ends are moved to lie about the target itself.
        shift = target_fmr / rate.rate if rate.errors else 1.0
        most, least = min(1.0, rate.interval.high * shift), max(rate.interval.low * shift, 1 / scores.n)
        ends = sorted([scores.threshold(most), scores.threshold(least), value])
        interval = Interval(ends[0], ends[2], 0.95, "the thresholds at the ends of the FMR's interval")
    return OwnThreshold(group, value, interval, rate.missing, scores.n, scores.n >= 3 / target_fmr)


def join_labels(parts: list[ArrayLike]) -> NDArray[np.str_]:
    """Intersection of groups: `black, female`; '' where any part is unknown."""
    columns = [np.asarray(p).astype(np.str_) for p in parts]
    known = np.all([c != "" for c in columns], axis=0)
    return np.array(
        [", ".join(row) if k else "" for row, k in zip(zip(*columns, strict=True), known, strict=True)],
        dtype=np.str_,
    )
