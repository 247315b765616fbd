"""Calibration of scores to log-likelihood ratios, and how well a calibration does.

Cllr (Brümmer and du Preez, "Application-independent evaluation of speaker detection", Computer Speech and Language 20,
2006) is the cost in bits of taking the ratios at their word, averaged over all priors and costs:

    Cllr = 1/2 mean_genuine log2(1 + 1/LR) + 1/2 mean_impostor log2(1 + LR)

0 is perfect, 1 what a system costs that says nothing. minCllr is the same with the best monotone calibration in
hindsight (pool adjacent violators, PAV); Cllr - minCllr is lost by calibration. The empirical cross-entropy spreads
Cllr over prior odds (Ramos and Gonzalez-Rodriguez, "Reliable support: measuring calibration of likelihood ratios",
Forensic Science International 230, 2013).

No ratio is infinite: those beyond what the number of people can tell are cut (as Vergeer et al., Science and Justice
56, 2016, cut those beyond the data). To PAV one more person who is never recognised, and one more pair of people who
match at the highest score, are added at both ends (Laplace's rule, in people rather than pictures); the slope of the
logistic kind is held by a ridge so small that it matters where scores are separated alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from fraudit.errors import InsufficientData
from fraudit.stats.intervals import interval_or_reason, t_value
from fraudit.stats.odds import MOST_KNOTS, LogOdds
from fraudit.stats.operating import ScoredPairs
from fraudit.types import F64, Bool, Interval

PRIOR_LOG10_ODDS = (-4.0, 4.0, 81)  # of the cross-entropy's curve: from, to, points
STEPS = 100  # of Newton's method at most
RIDGE = 0.01  # over the people: of the squared slope in units of spread, so that separated scores have a finite one


def bits(llrs: ArrayLike, same: ArrayLike, log_odds: float = 0.0) -> F64:
    """f64[P]: cost in bits of each f64[P] log-likelihood ratio (natural log) at prior `log_odds`; bool[P] genuine.

    NaN (no score) stays NaN.
    """
    s = np.asarray(llrs, np.float64) + log_odds
    with np.errstate(invalid="ignore"):
        return np.asarray(np.logaddexp(0.0, np.where(np.asarray(same, bool), -s, s)) / np.log(2))


def cllr(llrs: ArrayLike, same: ArrayLike) -> float:
    """Cllr of f64[P] log-likelihood ratios (natural log) of bool[P] genuine pairs.

    Raises:
        InsufficientData: no genuine or no impostor pair.
    """
    y = np.asarray(same, bool)
    if not y.any() or y.all():
        raise InsufficientData("Cllr needs genuine and impostor pairs")
    cost = bits(llrs, y)
    return float((cost[y].mean() + cost[~y].mean()) / 2)


def best_llrs(scores: ArrayLike, same: ArrayLike) -> F64:
    """f64[P]: log-likelihood ratios of the best monotone calibration of these very scores (PAV); may be infinite."""
    s, y = np.asarray(scores, np.float64), np.asarray(same, bool)
    levels, codes = np.unique(s, return_inverse=True)
    codes = codes.ravel()
    genuine, impostor = (np.bincount(codes, part, len(levels)) / part.sum() for part in (y, ~y))
    return np.asarray(special.logit(_pooled(genuine, impostor))[codes])


def _pooled(genuine: F64, impostor: F64) -> F64:
    """f64[L] rising share of genuine weight by PAV, over L scores in order."""
    from sklearn.isotonic import isotonic_regression

    weight = genuine + impostor
    return np.asarray(
        isotonic_regression(genuine / weight, sample_weight=weight, y_min=0, y_max=1), np.float64
    )


def cross_entropy(llrs: ArrayLike, same: ArrayLike, log_odds: ArrayLike) -> F64:
    """f64[K] empirical cross-entropy in bits at f64[K] prior log odds (natural log); at 0 it is Cllr."""
    y = np.asarray(same, bool)
    found = []
    for at in np.asarray(log_odds, np.float64).ravel():
        prior, cost = float(special.expit(at)), bits(llrs, y, float(at))
        found.append(prior * cost[y].mean() + (1 - prior) * cost[~y].mean())
    return np.asarray(found)


@dataclass(frozen=True, slots=True)
class _Trained:
    """Scores with a class weight of one half each.

    Attributes:
        scores: f64[L] rising. genuine, impostor: f64[L] weights. people: with genuine pairs. pairs: of people (Kish).
    """

    scores: F64
    genuine: F64
    impostor: F64
    people: float
    pairs: float

    @classmethod
    def of(cls, pairs: ScoredPairs) -> _Trained:
        use, y = pairs.scored, pairs.same
        s, same = pairs.scores[use], y[use]
        people = float(len(np.unique(pairs.left[use & y])))
        low, high = (f(pairs.left[use & ~y], pairs.right[use & ~y]) for f in (np.minimum, np.maximum))
        sizes = np.unique(np.stack([low, high]), axis=1, return_counts=True)[1].astype(np.float64)
        levels, codes = np.unique(s, return_inverse=True)
        codes = codes.ravel()
        genuine, impostor = (np.bincount(codes, part, len(levels)) / part.sum() for part in (same, ~same))
        return cls(levels, genuine / 2, impostor / 2, people, float(sizes.sum() ** 2 / (sizes @ sizes)))

    def with_ends(self) -> tuple[F64, F64]:
        """(f64[L] genuine, f64[L] impostor) weights with one more person, and one more pair of people, at both ends."""
        genuine, impostor = self.genuine.copy(), self.impostor.copy()
        for end in (0, -1):
            genuine[end] += 0.5 / self.people
            impostor[end] += 0.5 / self.pairs
        return genuine, impostor

    @property
    def limits(self) -> tuple[float, float]:
        """Log-likelihood ratios that so many people can tell."""
        return -float(np.log(self.people + 1)), float(np.log(self.pairs + 1))


def fit_logistic(pairs: ScoredPairs) -> LogOdds:
    """Affine calibration by logistic regression, both classes weighing the same (prior one half: Cllr is its loss).

    A slope below 0 is put to 0: a higher score never means less alike.
    """
    made = _Trained.of(pairs)
    centre, scale = float(made.scores.mean()), float(made.scores.std()) or 1.0
    x, ridge = (made.scores - centre) / scale, RIDGE / made.people
    weight = made.genuine + made.impostor

    def loss(at: F64) -> float:
        llr = at[0] * x + at[1]
        cost = made.genuine @ np.logaddexp(0, -llr) + made.impostor @ np.logaddexp(0, llr)
        return float(cost) + ridge / 2 * float(at[0]) ** 2

    at = np.array([1.0, 0.0])
    for _ in range(STEPS):
        p = special.expit(at[0] * x + at[1])
        gap, curve = weight * p - made.genuine, weight * p * (1 - p)
        gradient = np.array([gap @ x + ridge * at[0], gap.sum()])
        if np.abs(gradient).max() < 1e-11:
            break
        bend = np.array([[curve @ (x * x) + ridge, curve @ x], [curve @ x, curve.sum()]]) + 1e-12 * np.eye(2)
        step, now, share = np.linalg.solve(bend, gradient), loss(at), 1.0
        while share > 1e-9 and loss(at - share * step) > now:  # too far: half of it
            share /= 2
        at = at - share * step
    low, high = made.limits
    if at[0] <= 0:
        return LogOdds("logistic", low, high)
    slope = float(at[0] / scale)
    return LogOdds("logistic", low, high, slope, float(at[1]) - slope * centre)


def fit_isotonic(pairs: ScoredPairs) -> LogOdds:
    """Monotone calibration: PAV with one more person at both ends, straight lines between the middles of its blocks."""
    made = _Trained.of(pairs)
    genuine, impostor = made.with_ends()
    pooled = _pooled(genuine, impostor)
    starts = np.flatnonzero(np.diff(pooled, prepend=-1.0) > 1e-12)
    weight = genuine + impostor
    middles = np.add.reduceat(weight * made.scores, starts) / np.add.reduceat(weight, starts)
    low, high = made.limits
    llrs = np.clip(special.logit(pooled[starts]), low, high)
    keep = np.unique(np.linspace(0, len(starts) - 1, min(len(starts), MOST_KNOTS)).round().astype(int))
    knots = tuple(map(float, middles[keep])), tuple(map(float, np.maximum.accumulate(llrs[keep])))
    return LogOdds("isotonic", low, high, scores=knots[0], llrs=knots[1])


WIDE = 4.0  # upper end over lower end: the figure is known to a factor of two either way at best
LEAST_FITTED = (
    30  # people with genuine pairs: with fewer, minCllr's fit to them is off by more than its interval holds
)


@dataclass(frozen=True, slots=True)
class Cost:
    """A Cllr with its interval, or the reason why it has none."""

    value: float
    interval: Interval | None
    missing: str

    @property
    def apart(self) -> float:
        """Upper end over lower end; 1 without an interval, infinity where the lower one is 0."""
        if self.interval is None or self.interval.high <= 0:
            return 1.0
        return self.interval.high / self.interval.low if self.interval.low > 0 else float("inf")

    @property
    def too_wide(self) -> bool:
        """Whether the interval is too wide to use the figure (`WIDE`)."""
        return self.apart > WIDE


def _influence(pairs: ScoredPairs, cost: F64) -> F64:
    """f64[P] summing to the error of the mean over both classes of f64[P] costs in bits; 0 without a score."""
    influence = np.zeros(len(cost))
    for part in (pairs.scored & pairs.same, pairs.scored & ~pairs.same):
        influence[part] = (cost[part] - cost[part].mean()) / (2 * part.sum())
    return influence


def _even(pairs: ScoredPairs, influence: F64) -> float:
    """Degrees of freedom left by how unevenly people contribute: a few costly mistakes decide a Cllr."""
    codes = np.unique(np.concatenate([pairs.left, pairs.right]), return_inverse=True)[1].reshape(2, -1)
    sums = np.bincount(codes[0], influence)
    other = np.bincount(codes[1], np.where(pairs.same, 0.0, influence))
    squares = (
        np.pad(sums, (0, max(0, len(other) - len(sums)))) + np.pad(other, (0, max(0, len(sums) - len(other))))
    ) ** 2
    fourth = float(squares @ squares)
    return max(1.0, 2 * float(squares.sum()) ** 2 / fourth - 1) if fourth > 0 else np.inf


def _one_more(pairs: ScoredPairs, cost: F64) -> float:
    """By how much one more person like the costliest would raise Cllr: its tail is longer than it looks."""
    use = pairs.scored & pairs.same
    codes = np.unique(pairs.left[use], return_inverse=True)[1].ravel()
    counts = np.bincount(codes)
    worst = float((np.bincount(codes, cost[use]) / counts).max())
    return worst / (2 * len(counts))


def cllr_with_interval(pairs: ScoredPairs, llrs: F64, level: float = 0.95) -> Cost:
    """Cllr of f64[P] ratios of these pairs, clustered by people; on the scale of its logarithm, since it is above 0.

    Few people cause most of it. Degrees of freedom fall where people contribute unevenly, and the variance holds one
    more person like the costliest.

    For minCllr the ratios of `best_llrs` are taken as given: to first order, what minimises does not move the minimum.
    """
    use = pairs.scored
    value = cllr(llrs[use], pairs.same[use])
    cost = bits(llrs, pairs.same)
    influence = _influence(pairs, cost)

    def make() -> Interval:
        pairs.clusters.require()
        error = np.sqrt(pairs.clusters.sum_variance(influence) + _one_more(pairs, cost) ** 2)
        freedom = min(pairs.clusters.freedom(influence), _even(pairs, influence))
        half = t_value(level, freedom) * float(error)
        step = min(half / value, 50.0) if value > 0 else 0.0
        method = f"delta method on the logarithm, identity-clustered, t {freedom:.0f}"
        return Interval(value * float(np.exp(-step)), value * float(np.exp(step)), level, method)

    return Cost(value, *interval_or_reason(make))


@dataclass(frozen=True, slots=True)
class CrossEntropy:
    """Curves over the prior: f64[K] `log10_odds`, and bits of the calibration, of the best one, and of no evidence."""

    log10_odds: F64
    system: F64
    best: F64
    neutral: F64


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A calibration that was chosen and fitted on one half of the people and judged on the other.

    Attributes:
        odds: the calibration. why: it and not the other kind. held_out: Cllr of each kind on people of the choosing
            half that it was not fitted on, for the choice alone.
        cllr, min_cllr: on the judged half. curve: cross-entropy there.
        n_genuine, n_impostor, people: judged.
    """

    odds: LogOdds
    why: str
    held_out: dict[str, float]
    cllr: Cost
    min_cllr: Cost
    curve: CrossEntropy
    n_genuine: int
    n_impostor: int
    people: int


def _fitted(pairs: ScoredPairs, found: Cost) -> Cost:
    """minCllr without an interval where it was fitted to so few people that an interval would not hold."""
    people = len(np.unique(pairs.left[pairs.scored & pairs.same]))
    if found.interval is None or people >= LEAST_FITTED:
        return found
    return Cost(found.value, None, f"fitted to {people} people, at least {LEAST_FITTED} are needed")


def _part(pairs: ScoredPairs, mask: Bool) -> ScoredPairs:
    return ScoredPairs(pairs.scores[mask], pairs.same[mask], pairs.left[mask], pairs.right[mask])


FITS = {"logistic": fit_logistic, "isotonic": fit_isotonic}


def held_out_cllr(pairs: ScoredPairs, seed: int = 0) -> tuple[dict[str, float], float]:
    """(Cllr of each kind fitted on half of these people and applied to the others, both ways; error of the difference).

    Raises:
        InsufficientData: a half without genuine or impostor pairs.
    """
    known = np.unique(np.concatenate([pairs.left, pairs.right]))
    first = np.random.default_rng([seed, 21]).permutation(known)[: len(known) // 2]
    one, two = (np.isin(side, first) for side in (pairs.left, pairs.right))
    halves = [_part(pairs, one & two), _part(pairs, ~one & ~two)]
    sums = dict.fromkeys(FITS, 0.0)
    variance = 0.0
    for train, test in (halves, halves[::-1]):
        use = test.scored
        costs = {kind: bits(fit(train).llr(test.scores), test.same) for kind, fit in FITS.items()}
        for kind, cost in costs.items():
            sums[kind] += sum(float(cost[use & part].mean()) / 2 for part in (test.same, ~test.same))
        variance += test.clusters.sum_variance(_influence(test, costs["isotonic"] - costs["logistic"]))
    return {kind: total / 2 for kind, total in sums.items()}, float(np.sqrt(variance)) / 2


def calibrate(choose: ScoredPairs, judge: ScoredPairs, seed: int = 0, level: float = 0.95) -> Calibrated:
    """The kind that does better on held-out people of the choosing half, fitted on all of them, judged on the others.

    Logistic has two numbers and isotonic many: isotonic is taken where its held-out Cllr is lower by more than one
    standard error of the difference (the rule of Breiman et al., Classification and Regression Trees, 1984).

    Raises:
        InsufficientData: no genuine or impostor pair (by `ScoredPairs`).
    """
    try:
        held_out, error = held_out_cllr(choose, seed)
    except InsufficientData as problem:
        held_out, kind = {}, "logistic"
        why = f"logistic: too few people to hold any out ({problem.message})"
    else:
        kind = "isotonic" if held_out["isotonic"] + error < held_out["logistic"] else "logistic"
        why = " and ".join(f"{name} {value:.4f}" for name, value in held_out.items())
        why = f"{kind}: held-out Cllr {why}, standard error of the difference {error:.4f}"
    odds = FITS[kind](choose)
    use = judge.scored
    llrs, best = odds.llr(judge.scores), np.full(len(judge.scores), np.nan)
    best[use] = best_llrs(judge.scores[use], judge.same[use])
    at = np.linspace(*PRIOR_LOG10_ODDS[:2], int(PRIOR_LOG10_ODDS[2]))
    same = judge.same[use]
    curves = [
        cross_entropy(each, same, at * np.log(10))
        for each in (llrs[use], best[use], np.zeros(int(use.sum())))
    ]
    return Calibrated(
        odds,
        why,
        held_out,
        cllr_with_interval(judge, llrs, level),
        _fitted(judge, cllr_with_interval(judge, best, level)),
        CrossEntropy(at, *curves),
        int(same.sum()),
        int((~same).sum()),
        judge.clusters.n_subjects,
    )
