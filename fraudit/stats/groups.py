"""Error rates of demographic groups over all pairs of a set, with identity-level variances.

Over all pairs within a group a false-match rate is a U-statistic. With R_s the summed residuals (match minus
rate) of all pairs that involve person s, the identity-level variance of Fogliato et al. (arXiv 2306.01198)
is at most sum_s R_s^2 / P^2, which is what is used: it needs counts a face alone, so that 10^8 pairs can be
streamed without a list of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.errors import InsufficientData
from fraudit.stats.fairness import CrossGroup, GroupRate, fdr, garbe, inequity_rate, max_over_geomean
from fraudit.stats.intervals import rule_of_three, wilson, z_value
from fraudit.stats.pairs import count_matches, impostor_histogram
from fraudit.types import F64, I64, Bool, Interval


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


def _clustered(group: str, matches: F64, pairs: F64, subjects: I64, total: int, hits: int) -> GroupRate:
    """Rate over `total` pairs from per-face counts f64[N] of the faces on either side."""
    rate = hits / total
    codes = np.unique(subjects, return_inverse=True)[1].ravel()
    people = int(codes.max()) + 1
    residual = np.bincount(codes, weights=matches - rate * pairs)
    variance = float(residual @ residual) / total**2
    n_free = min(people, total)
    if hits in (0, total) or variance <= 0:
        bound = rule_of_three(n_free)
        variance = (bound / z_value(0.95)) ** 2
        interval = Interval(0.0, bound, 0.95, f"rule of three on {n_free} people")
        if hits:
            interval = Interval(1 - bound, 1.0, 0.95, interval.method)
        return GroupRate(group, hits, total, people, rate, variance, interval)
    n_eff = max(1.0, rate * (1 - rate) / variance)
    method = f"Wilson, identity-clustered, effective n {n_eff:.0f} of {total} pairs"
    return GroupRate(group, hits, total, people, rate, variance, wilson(rate, n_eff, 0.95, method))


def impostor_rates(
    unit: NDArray[np.floating], subjects: I64, groups: NDArray[np.str_], threshold: float, ok: Bool
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
    counts = count_matches(unit, subjects, threshold, groups, use)
    names = [str(g) for g in counts.groups if g != ""]
    column = {g: i for i, g in enumerate(counts.groups)}
    within: list[GroupRate] = []
    shape = (len(names), len(names))
    cells: list[list[list[float | None]]] = [[[None] * shape[0] for _ in names] for _ in range(3)]
    n = np.zeros(shape, np.int64)
    for a, first in enumerate(names):
        for b in range(a, len(names)):
            i, j = column[first], column[names[b]]
            total, hits = int(counts.pairs[i, j]), int(counts.matches[i, j])
            n[a, b] = n[b, a] = total
            if not total:
                continue
            in_first, in_second = use & (groups == first), use & (groups == names[b])
            rows = np.flatnonzero(in_first if a == b else in_first | in_second)
            other = np.where(in_first[rows], j, i)
            found = _clustered(
                first,
                counts.face_matches[rows, other].astype(float),
                counts.face_pairs[rows, other].astype(float),
                subjects[rows],
                total,
                hits,
            )
            for k, value in enumerate((found.rate, found.interval.low, found.interval.high)):
                cells[k][a][b] = cells[k][b][a] = value
            if a == b:
                within.append(found)
    if not within:
        raise InsufficientData("no impostor pair within any group")
    tables = [tuple(tuple(row) for row in table) for table in cells]
    return tuple(within), CrossGroup(tuple(names), tables[0], tables[1], tables[2], n)


@dataclass(frozen=True, slots=True)
class OwnThreshold:
    """The threshold one group would need for the target FMR.

    Attributes:
        value: cosine; low, high: thresholds at the ends of the FMR's interval (a test turned around).
        n: impostor pairs within the group. resolvable: n >= 3 / target.
    """

    group: str
    value: float
    low: float
    high: float
    n: int
    resolvable: bool


def own_threshold(
    group: str, unit: NDArray[np.floating], subjects: I64, target_fmr: float, ok: Bool
) -> OwnThreshold:
    """Threshold for `target_fmr` among impostor pairs of these faces alone.

    Raises:
        InsufficientData: no impostor pair.
    """
    scores = impostor_histogram(unit, subjects, ok)
    value = scores.threshold(target_fmr)
    everyone = np.full(len(subjects), "all")
    rate = impostor_rates(unit, subjects, everyone, value, ok)[0][0]
    spread = z_value(0.95) * float(np.sqrt(rate.variance))
    most = min(1.0, target_fmr + spread)
    least = max(target_fmr**2 / most, 1 / scores.n)  # symmetric on a log scale: a rate has no room below 0
    return OwnThreshold(
        group, value, scores.threshold(most), scores.threshold(least), scores.n, scores.n >= 3 / target_fmr
    )


def _draws(rates: tuple[GroupRate, ...], count: int, rng: np.random.Generator) -> F64:
    """f64[count,G]: each group's rate from a Jeffreys posterior on its effective counts."""
    columns = []
    for g in rates:
        n_eff = max(1.0, g.rate * (1 - g.rate) / g.variance) if 0 < g.rate < 1 else float(g.subjects)
        columns.append(rng.beta(g.rate * n_eff + 0.5, (1 - g.rate) * n_eff + 0.5, count))
    return np.stack(columns, axis=1)


def summary_intervals(
    fmrs: tuple[GroupRate, ...],
    fnmrs: tuple[GroupRate, ...] | None,
    alpha: float,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> dict[str, tuple[float, Interval]]:
    """Fairness summaries with intervals: `max_over_geomean_fmr`, and with FNMRs `fdr`, `ir`, `garbe`.

    Intervals are percentiles over draws of every group's rate from a Jeffreys posterior on its
    identity-clustered effective counts; groups share no people, so they are drawn independently.

    Raises:
        InsufficientData: fewer than two groups.
    """
    x = np.array([g.rate for g in fmrs])
    floor_x = np.array([g.floored for g in fmrs])
    xs = _draws(fmrs, draws, rng)
    method = f"percentiles of {draws} draws of each group's clustered sampling distribution"
    tail = [(1 - level) / 2, (1 + level) / 2]
    found: dict[str, tuple[float, Interval]] = {}

    def add(name: str, value: float, drawn: F64) -> None:
        low, high = (float(q) for q in np.quantile(drawn, tail))
        found[name] = (value, Interval(min(low, value), max(high, value), level, method))

    if x.max() > 0:
        geomean = np.exp(np.log(xs).mean(1))
        add("max_over_geomean_fmr", max_over_geomean(x, floor_x), xs.max(1) / geomean)
    if fnmrs is not None:
        y = np.array([g.rate for g in fnmrs])
        floor_y = np.array([g.floored for g in fnmrs])
        ys = _draws(fnmrs, draws, rng)
        add("fdr", fdr(x, y, alpha), np.array([fdr(a, b, alpha) for a, b in zip(xs, ys, strict=True)]))
        add("garbe", garbe(x, y, alpha), np.array([garbe(a, b, alpha) for a, b in zip(xs, ys, strict=True)]))
        if x.max() > 0 and y.max() > 0:
            drawn = (xs.max(1) / xs.min(1)) ** alpha * (ys.max(1) / ys.min(1)) ** (1 - alpha)
            add("ir", inequity_rate(x, y, alpha, floor_x, floor_y), drawn)
    return found


def join_labels(parts: list[ArrayLike]) -> NDArray[np.str_]:
    """Intersection of groups: `black, female`; '' where any part is unknown."""
    columns = [np.asarray(p).astype(np.str_) for p in parts]
    known = np.all([c != "" for c in columns], axis=0)
    return np.array(
        [", ".join(row) if k else "" for row, k in zip(zip(*columns, strict=True), known, strict=True)],
        dtype=np.str_,
    )
