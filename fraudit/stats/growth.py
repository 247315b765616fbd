"""FPIR and FNIR against the number of enrolled people: smaller galleries exactly, larger ones by a model.

Smaller galleries need no draw. If c of N enrolled people are at or above the threshold in a search, n of them drawn
without replacement hold at least one with chance 1 - C(N - c, n) / C(N, n); the mean over searches is the mean FPIR
of all galleries of n people (rarefaction: Hurlbert, Ecology 52, 1971). People ahead of a mate give FNIR likewise.

For larger ones, let p be the chance that a stranger drawn at random is such a person in this search. Given p the
count is binomial, and a rate is the mean of 1 - (1 - p)^n over searches. If all p were equal this would be
1 - (1 - FMR)^n; it is not, since people differ (Grother and Phillips, "Models of large population recognition
performance", CVPR 2004, found that the binomial with one p fails for that reason). Two forms of how p differs are
taken through the same two points of the curve, the largest gallery fitted and a quarter of it:

    p ~ Beta(a, b)             (beta-binomial: Skellam, J. Royal Statistical Society B 10, 1948)
    probit(p) ~ Normal(m, s)   (scores normal around a mean of each searcher's own)

The prediction is the middle of both on the scale log(-log(1 - rate)). `back_test` fits up to a quarter of the people
and predicts all of them. The interval of an extrapolation holds what searchers and enrolled people leave open, the
whole difference of both forms, and how far the back-test was off (at least TOLERANCE), which grows with the square of
the logarithm of the factor, as the error of a line through two points of a curve does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from fraudit.errors import InsufficientData, UsageError
from fraudit.stats.calibration import labelled_rng
from fraudit.stats.growth_forms import by_both_forms
from fraudit.stats.identification import PARTS, Search, false_positives, misses
from fraudit.stats.intervals import Shares, require_people, t_value
from fraudit.types import F64, I64, Bool, Interval

STEP = 4.0  # between the two points a model goes through, and between fit and test
FARTHEST = 100.0  # times the people seen
TOLERANCE = 0.05  # a back-test off by less than this share of the rate passes however narrow its interval
NEAR_ONE = 0.99  # an upper end beyond is 1
LEAST_EVENTS = 10  # searchers with a candidate, below which nothing is fitted
LEAST_PEOPLE = 20  # enrolled
GROUPS = 20  # of searchers, in the jackknife


@dataclass(frozen=True, slots=True)
class Counts:
    """What decides a rate, by search.

    Attributes:
        counts: i64[J,PARTS], enrolled people of each part at or above the threshold (FPIR) or ahead of the mate.
        certain: bool[J], errors in a gallery of any size (mate below the threshold).
        pool: i64[PARTS], people of each part. own: 1 where the mate is always enrolled beside them, else 0.
        rank: people it takes. searcher: i64[J].
    """

    counts: I64
    certain: Bool
    pool: I64
    own: int
    rank: int
    searcher: I64

    @property
    def enrolled(self) -> int:
        """Number of people in the gallery."""
        return int(self.pool.sum())


def fpir_counts(found: Search, threshold: float) -> Counts:
    """For FPIR(n, T).

    Raises:
        UsageError: candidates from there on were not kept. InsufficientData: no non-mated search.
    """
    use = ~found.mated
    events = false_positives(found, threshold)
    if not len(events):
        raise InsufficientData("FPIR needs searches of people who are not enrolled; found none")
    hits = found.candidates(threshold)
    counts = np.zeros((len(use), PARTS), np.int64)
    np.add.at(counts, (hits.search, found.part[hits.entry]), 1)
    pool = np.bincount(found.part, minlength=PARTS)
    return Counts(counts[use], np.zeros(len(events), bool), pool, 0, 1, found.searcher[use])


def fnir_counts(found: Search, threshold: float = -np.inf, rank: int = 1) -> Counts:
    """For FNIR(n, R, T).

    Raises:
        InsufficientData: no mated search.
    """
    use = found.mated
    if not use.any():
        raise InsufficientData("FNIR needs searches of people who are enrolled; found none")
    pool = np.bincount(found.part, minlength=PARTS)
    return Counts(found.ahead[use], misses(found, threshold, None), pool, 1, rank, found.searcher[use])


def _at_least(counts: F64, pool: float, draw: float, rank: int) -> F64:
    """f64[J]: chance of at least `rank` of `counts` f64[J] marked ones among `draw` of `pool` (need not be whole)."""
    log = special.gammaln
    known, at = np.unique(counts, return_inverse=True)
    total = np.zeros(len(known))
    for k in range(rank):
        rest = pool - known - draw + k
        fits = (known >= k) & (rest >= -1e-9) & (draw >= k)
        c, r = np.where(fits, known, k), np.maximum(np.where(fits, rest, 0.0), 0.0)
        chance = (
            log(c + 1)
            - log(k + 1)
            - log(c - k + 1)
            + log(np.maximum(pool - c, 0) + 1)
            - log(r + 1)
            - log(pool + 1)
            + log(draw + 1)
            - log(max(draw - k, 0) + 1)
            + log(pool - draw + 1)
        )
        total += np.where(fits, np.exp(np.minimum(chance, 0.0)), 0.0)
    return np.asarray(np.clip(1 - total, 0, 1)[at.ravel()] * (counts >= rank), np.float64)


def _curve(of: Counts, people: F64, without: int | None = None) -> F64:
    """f64[J,n]: chance of an error that people make, in a random gallery of each size; one part left out.

    Without a part a gallery of `people` is that share smaller, so that all parts together shift nothing.
    """
    counts, pool = of.counts.sum(axis=1).astype(np.float64), float(of.enrolled)
    shrink = 1.0
    if without is not None:
        counts = counts - of.counts[:, without]
        shrink = 1 - of.pool[without] / pool
    left = pool * shrink
    return np.stack(
        [_at_least(counts, left - of.own, max(n * shrink - of.own, 0.0), of.rank) for n in people], axis=1
    )


def expected(of: Counts, people: Sequence[int]) -> F64:
    """f64[n]: the mean rate over all galleries of each size among the enrolled.

    Raises:
        UsageError: more people than are enrolled, or fewer than one.
    """
    sizes = np.array(people, np.float64)
    if len(sizes) and (sizes.max() > of.enrolled or sizes.min() < 1):
        raise UsageError(f"galleries between 1 and {of.enrolled} people can be drawn; found {list(people)}")
    return np.asarray(np.where(of.certain[:, None], 1.0, _curve(of, sizes)).mean(axis=0), np.float64)


@dataclass(frozen=True, slots=True)
class GrowthPoint:
    """A rate with `people` enrolled: the mean over all galleries of that size among those enrolled.

    Attributes:
        interval: drawing searchers and enrolled people anew; or None with the reason in `missing`. n: searches.
    """

    people: int
    value: float
    n: int
    interval: Interval | None
    missing: str


def measured(of: Counts, people: Sequence[int], level: float = 0.95) -> tuple[GrowthPoint, ...]:
    """The rate in smaller galleries, exact, each with an interval (with all enrolled: `fpir_rate`, `fnir_rate`).

    Raises:
        UsageError: as `expected`.
    """
    values, sizes = expected(of, people), np.array(people, np.float64)
    errors, missing = np.zeros(len(sizes)), ""
    shares = Shares.of(np.unique(of.searcher, return_counts=True)[1])
    freedom = min(shares.freedom, PARTS - 1.0)
    erring = len(np.unique(of.searcher[of.certain | (of.counts.sum(axis=1) >= of.rank)]))
    try:
        require_people(shares)
        if erring < LEAST_EVENTS:
            who = "person" if erring == 1 else "people"
            raise InsufficientData(
                f"{erring} {who} with an error: too few for an interval of smaller galleries"
            )
        replicates = _replicates(of, sizes)
        errors = np.sqrt(sum(_spread(_log_scale(part.mean_rate(of))) for part in replicates))
    except InsufficientData as error:
        missing = error.message
    out = []
    for n, value, spread in zip(people, values, errors, strict=True):
        reason = missing or ("" if 0 < value < 1 else "no error, or nothing else, in galleries of this size")
        half = float(t_value(level, freedom) * spread)
        interval = None if reason else _around(float(value), half, level, freedom)
        out.append(GrowthPoint(int(n), float(value), len(of.searcher), interval, reason))
    return tuple(out)


def _log_scale(rate: ArrayLike) -> F64:
    """log(-log(1 - rate))."""
    p = np.clip(np.asarray(rate, np.float64), 1e-300, 1 - 1e-12)
    return np.asarray(np.log(-np.log1p(-p)), np.float64)


def _from_log_scale(x: ArrayLike) -> F64:
    return np.asarray(-np.expm1(-np.exp(np.minimum(np.asarray(x, np.float64), 5.0))), np.float64)


def _around(value: float, half: float, level: float, freedom: float, what: str = "") -> Interval:
    x = float(_log_scale(value))
    low, high = _from_log_scale([x - half, x + half])
    high = 1.0 if high > NEAR_ONE else high
    text = f"jackknife over searchers and enrolled people, t {freedom:.0f}{what}"
    return Interval(min(float(low), value), max(float(high), value), level, text)


@dataclass(frozen=True, slots=True)
class _Replicates:
    """Without each group: f64[G,n] mean curve of searches that are no certain errors, f64[G] share of these."""

    share: F64
    open_share: F64

    def mean_rate(self, of: Counts) -> F64:
        return 1 - self.open_share[:, None] * (1 - self.share)


def _replicates(of: Counts, sizes: F64) -> tuple[_Replicates, _Replicates]:
    """The curve without each of GROUPS groups of searchers, and without each part of the enrolled."""
    full = _curve(of, sizes)
    people, at = np.unique(of.searcher, return_inverse=True)
    rng = labelled_rng(len(people), "search.growth")
    group = (rng.permutation(len(people)) % min(GROUPS, len(people)))[at.ravel()]
    free = ~of.certain
    rows = [free & (group != g) for g in range(int(group.max()) + 1)]
    open_share = np.array([1 - of.certain[group != g].mean() for g in range(int(group.max()) + 1)])
    mine = np.array([full[r].mean(axis=0) if r.any() else np.zeros(len(sizes)) for r in rows])
    filled = np.flatnonzero(of.pool)
    theirs = np.array([_curve(of, sizes, int(g))[free].mean(axis=0) for g in filled])
    return _Replicates(mine, open_share), _Replicates(theirs, np.full(len(filled), free.mean()))


def _spread(values: F64) -> F64:
    """Delete-a-group jackknife variance over axis 0."""
    count = len(values)
    return np.asarray((count - 1) / count * ((values - values.mean(axis=0)) ** 2).sum(axis=0), np.float64)


def _predict(points: F64, draws: F64, goal: float, rank: int, open_share: float) -> tuple[float, float]:
    """(prediction, half the difference of both forms) of the whole rate, on the log scale."""
    if not (points > 0).all() or points[1] >= 1 - 1e-9:
        raise InsufficientData("no error, or nothing else, in the galleries to be fitted")
    both = _log_scale(1 - open_share * (1 - by_both_forms(points, draws, goal, rank)))
    return float(both.mean()), float(abs(both[1] - both[0]) / 2)


@dataclass(frozen=True, slots=True)
class BackTest:
    """Prediction of the largest gallery from those of up to a quarter of its people.

    Attributes:
        fitted: people of the largest gallery fitted. people: predicted for. predicted, measured: rates.
        interval: of the prediction, for the searches at hand. passed: whether it holds the measured rate, or the
            prediction is off by at most TOLERANCE.
        binomial: 1 - (1 - FMR)^N, what equal people would give (for comparison; certain errors included).
        off: log-scale distance of prediction and measurement.
    """

    fitted: float
    people: int
    predicted: float
    interval: Interval
    measured: float
    passed: bool
    binomial: float
    off: float


def _require(of: Counts) -> None:
    if of.enrolled < LEAST_PEOPLE:
        raise InsufficientData(
            f"growth needs {LEAST_PEOPLE} enrolled people; found {of.enrolled}", "use more people"
        )
    hit = ~of.certain & (of.counts.sum(axis=1) >= of.rank)
    events = len(np.unique(of.searcher[hit]))
    if events < LEAST_EVENTS:
        raise InsufficientData(
            f"growth needs {LEAST_EVENTS} people whose search goes wrong because of somebody enrolled; found {events}",
            "use more people, or a lower threshold",
        )
    require_people(Shares.of(np.unique(of.searcher, return_counts=True)[1]))


def back_test(of: Counts, level: float = 0.95) -> BackTest:
    """Fit up to a quarter of the enrolled, predict all of them, and compare with what was measured.

    The prediction's error is a jackknife of the difference from the measurement (the same searches and people are in
    both), over groups of searchers and parts of the enrolled; half the difference of both forms is added.

    Raises:
        InsufficientData: too few people, or searchers with a candidate.
    """
    _require(of)
    n = float(of.enrolled)
    sizes = np.array([max(n / STEP**2, 1.0 + of.own), n / STEP, n])
    draws = sizes - of.own
    free = ~of.certain
    points, open_share = _curve(of, sizes)[free].mean(axis=0), float(free.mean())
    x, forms = _predict(points[:2], draws[:2], draws[2], of.rank, open_share)
    value = 1 - open_share * (1 - points[2])
    variance = 0.0
    for part in _replicates(of, sizes):
        shift = [
            _predict(p[:2], draws[:2], draws[2], of.rank, o)[0] - float(_log_scale(1 - o * (1 - p[2])))
            for p, o in zip(part.share, part.open_share, strict=True)
        ]
        variance += float(_spread(np.array(shift)))
    freedom = GROUPS - 1.0
    half = t_value(level, freedom) * float(np.sqrt(variance)) + forms
    interval = _around(float(_from_log_scale(x)), half, level, freedom, ", both forms")
    mean = float(of.counts.sum(axis=1)[free].mean()) / draws[2]
    equal = 1 - special.bdtr(of.rank - 1, int(draws[2]), min(mean, 1.0))
    off = abs(x - float(_log_scale(value)))
    passed = interval.low <= value <= interval.high or off <= TOLERANCE
    binomial = float(1 - open_share * (1 - equal))
    return BackTest(
        float(sizes[1]), of.enrolled, float(_from_log_scale(x)), interval, value, passed, binomial, off
    )


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """A rate with more people enrolled than were seen.

    Attributes:
        people: enrolled. value: rate. interval: searchers, enrolled people, both forms and the back-test's error.
        forms: rates by the beta-binomial and by the probit-normal form. test: the back-test it rests on.
    """

    people: int
    value: float
    interval: Interval
    forms: tuple[float, float]
    test: BackTest


def extrapolate(of: Counts, people: int, level: float = 0.95) -> Extrapolation:
    """The rate with `people` enrolled.

    Raises:
        UsageError: not more people than were seen. InsufficientData: the back-test fails, too few people or errors
            to fit, or more than FARTHEST times what was seen.
    """
    n = float(of.enrolled)
    if people <= n:
        raise UsageError(
            f"{people} people are no more than the {of.enrolled} enrolled", "smaller galleries are measured"
        )
    if people > FARTHEST * n:
        raise InsufficientData(
            f"{people:,} people are more than {FARTHEST:.0f} times the {of.enrolled:,} enrolled: too far to tell",
            f"ask for at most {int(FARTHEST * n):,}",
        )
    test = back_test(of, level)
    if not test.passed:
        raise InsufficientData(
            f"no extrapolation: fitted on {test.fitted:.0f} people the model predicts {test.predicted:.3g} "
            f"({test.interval.low:.3g} to {test.interval.high:.3g}) for {test.people:,}; "
            f"{test.measured:.3g} was measured"
        )
    sizes = np.array([n / STEP, n])
    draws, goal = sizes - of.own, float(people - of.own)
    free = ~of.certain
    points, open_share = _curve(of, sizes)[free].mean(axis=0), float(free.mean())
    x, forms = _predict(points, draws, goal, of.rank, open_share)
    variance = 0.0
    for part in _replicates(of, sizes):
        values = [
            _predict(p, draws, goal, of.rank, o)[0] for p, o in zip(part.share, part.open_share, strict=True)
        ]
        variance += float(_spread(np.array(values)))
    freedom = GROUPS - 1.0
    model = 2 * forms + max(test.off, TOLERANCE) * float(np.log(people / n) / np.log(STEP)) ** 2
    half = float(np.hypot(t_value(level, freedom) * np.sqrt(variance), model))
    value = float(_from_log_scale(x))
    each = 1 - open_share * (1 - by_both_forms(points, draws, goal, of.rank))
    interval = _around(value, half, level, freedom, ", both forms and the back-test's error")
    return Extrapolation(people, value, interval, (float(each[0]), float(each[1])), test)
