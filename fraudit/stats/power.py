"""What size of damage a paired test would find, tried on the pairs and people of a run itself.

A candidate is made from the run: another model of the same quality shares two thirds of its errors (models measured on
LFW shared 0.75 to 0.97), and damage is planted on top, in all people or in one person in ten. Scores are dealt anew,
with noise by person where one picture is in several pairs: the errors that models do not share cluster too. The very
interval that judges a real candidate judges the planted one. Other people would give such candidates another change
by chance: a normal one, of the standard error that the interval itself states. Nothing is assumed of how pairs
cluster but that harder people are hit harder (exponential factors), so a plan is as good as the run is like those to
come.

For a rate over all pairs only sums by person are known (`planted_sums`). There harm is of pairs of people, so that a
tenth of the people is a hundredth of the pairs, and the harm of a sample varies with the square of who is in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special
from scipy.optimize import brentq

from fraudit.errors import InsufficientData
from fraudit.stats import verification as v
from fraudit.stats.intervals import Difference, paired_difference, z_value
from fraudit.stats.operating import ScoredPairs, tar_difference
from fraudit.stats.paired import accuracy_difference, curve_difference, sums_difference, widened, with_tails
from fraudit.types import F64, I64, Bool, Interval

Damage = Literal["all", "tenth"]
TENTH = 0.1
SHARED = 2 / 3  # of its errors, another model of the same quality shares with the old one
POWER = 0.8
# Planned above what is promised, since the plan is itself an estimate from one run.
PLANNED = 0.87

# (rng, mean size, damage, what other people would give by chance as a standard normal deviate) -> a candidate
Planted = Callable[[np.random.Generator, float, Damage, float], Difference]
Equal = Callable[[np.random.Generator, float, Damage], Difference]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Planted candidates: f64[K] changes (worse is positive) and both bounds of their intervals.

    `accusing`: the lower bound at the level that all rules share; `clearing`: the upper bound of the usual interval.
    """

    change: F64
    accusing: F64
    clearing: F64

    def accused(self, limit: float) -> float:
        """Share of candidates whose change is shown to exceed `limit`, smoothed over the few that were tried."""
        return _share(self.accusing - limit)

    def cleared(self, limit: float) -> float:
        """Share of candidates that are shown to keep `limit`."""
        return _share(limit - self.clearing)

    def clears(self, share: float) -> float:
        """The smallest limit that a `share` of these candidates is shown to keep."""
        spread = float(self.clearing.std(ddof=1))
        return float(
            max(self.clearing.mean() + special.ndtri(share) * spread, np.quantile(self.clearing, share))
        )


def _share(margin: F64) -> float:
    spread = float(margin.std(ddof=1))
    smooth = float(special.ndtr(margin.mean() / spread)) if spread > 0 else float(margin.mean() >= 0)
    return min(smooth, float((margin >= 0).mean()) + 0.05)


def _hit(rng: np.random.Generator, left: I64, right: I64, size: float, damage: Damage) -> Bool:
    """bool[P], pairs hit by damage of mean `size`: by people of their own proneness, or one person in ten alone."""
    people = int(max(left.max(), right.max())) + 1
    if damage == "all":
        proneness = size * rng.exponential(size=people)
    else:
        proneness = np.where(rng.random(people) < TENTH, size / TENTH, 0.0)
    chance = np.minimum((proneness[left] + proneness[right]) / 2, 1.0)
    return np.asarray(rng.random(len(left)) < chance)


def planted_rates(
    errors: ArrayLike, left: ArrayLike, right: ArrayLike, tail_variance: float, level: float
) -> Planted:
    """Candidates against bool[P] errors on pairs of people i64[P], each with an interval of `level`.

    `tail_variance`: of what the choice of the run's threshold adds to its error rate.
    """
    old = np.asarray(errors, bool)
    one, other = _codes(left, right)

    def equal(rng: np.random.Generator, size: float, damage: Damage) -> Difference:
        new = old & (rng.random(len(old)) < SHARED)
        lost = int(old.sum() - new.sum())
        prone = np.where(old, 0.0, rng.exponential(size=int(one.max()) + 1)[one])
        if lost and (prone > 0).sum() > lost:
            new[rng.choice(len(old), lost, replace=False, p=prone / prone.sum())] = True
        found = paired_difference(old, new | _damaged(rng, one, other, size, damage), one, other, level)
        # Two thresholds, chosen by models that share part of what they get wrong.
        return (
            widened(found, 2 * (1 - SHARED) * tail_variance, "thresholds included")
            if tail_variance
            else found
        )

    return _by_chance(equal)


def _damaged(rng: np.random.Generator, left: I64, right: I64, size: float, damage: Damage) -> Bool:
    return _hit(rng, left, right, size, damage) if size else np.zeros(len(left), bool)


def _by_chance(equal: Equal) -> Planted:
    """Candidates whose change varies as it would on other people, by the standard error of one without damage."""
    first = equal(np.random.default_rng([0, 7]), 0.0, "all").interval
    error = (first.high - first.low) / 2 / z_value(first.level)

    def plant(rng: np.random.Generator, size: float, damage: Damage, chance: float) -> Difference:
        moved = error * chance
        found = equal(rng, size, damage)
        ends = found.interval
        return Difference(
            found.value + moved, Interval(ends.low + moved, ends.high + moved, ends.level, ends.method)
        )

    return plant


def planted_scores(
    scores: ArrayLike,
    same: ArrayLike,
    left: ArrayLike,
    right: ArrayLike,
    fold: ArrayLike | None,
    figure: str,
    level: float,
) -> Planted:
    """As `planted_rates` for `eer`, `d_prime`, `accuracy` or `tar@far=X`, from f64[P] scores of the pairs.

    Another model deals the same scores to partly other pairs (`_Ranked`), so that its figure is the old one. A pair
    that is hit gets the score of two strangers. Changes are turned so that worse is positive.
    """
    base, genuine = np.asarray(scores, np.float64), np.asarray(same, bool)
    one, other = _codes(left, right)
    strangers = base[~genuine]
    first = ScoredPairs(base, genuine, one, other)
    own = _own_noise(first, float(figure.rpartition("=")[2]) if figure.startswith("tar") else None)
    own_pairs = np.bincount(one[genuine], minlength=int(max(one.max(), other.max())) + 1)
    pictures = np.maximum((1 + np.sqrt(1 + 8 * own_pairs)) / 2, 2.0)  # that many pairs are made of
    kinds = [
        _Ranked(base, np.flatnonzero(part & first.scored), one, other, pictures)
        for part in (genuine, ~genuine)
    ]

    def judge(new: F64) -> Difference:
        if figure in ("eer", "d_prime"):
            return curve_difference(first, ScoredPairs(new, genuine, one, other), figure, level)  # type: ignore[arg-type]
        if figure == "accuracy":
            if fold is None:
                raise InsufficientData("the scores come without folds")
            return accuracy_difference(base, new, genuine, fold, one, other, level)
        return tar_difference(base, new, genuine, one, other, float(figure.rpartition("=")[2]), level)

    def equal(rng: np.random.Generator, size: float, damage: Damage) -> Difference:
        new = base.copy()
        for kind in kinds:
            new[kind.at] = kind.again(rng, own)
        hit = np.flatnonzero(genuine & _damaged(rng, one, other, size, damage))
        new[hit] = rng.choice(strangers, len(hit))
        found = judge(new)
        if figure == "eer":
            return found
        ends = found.interval
        return Difference(-found.value, Interval(-ends.high, -ends.low, ends.level, ends.method))

    return _by_chance(equal)


class _Ranked:
    """Scores of one kind of pair as another model of the same quality would deal them: to partly other pairs.

    Models differ in what they make of a picture, and a picture is in several pairs: of c pictures of a person two pairs
    share one in 4 / (c + 1) of the cases, and then half of their noise. So 2 / (c + 1) of it is the person's.
    """

    def __init__(self, scores: F64, at: I64, left: I64, right: I64, pictures: F64) -> None:
        self.at, self._left, self._right = at, left[at], right[at]
        common = np.sqrt(2 / (pictures + 1))
        self._mine, self._theirs = common[self._left], common[self._right]
        self._alone = np.sqrt(1 - (self._mine**2 + self._theirs**2) / 2)
        self._people = len(pictures)
        self._sorted = np.sort(scores[at])
        ranks = np.argsort(np.argsort(scores[at], kind="stable"), kind="stable")
        self._deviate = special.ndtri((ranks + 0.5) / max(len(at), 1))

    def again(self, rng: np.random.Generator, own: float) -> F64:
        """f64[len(at)], the same scores dealt anew: a share `own` of what ranks them is the other model's."""
        person = rng.normal(size=self._people)
        both = self._mine * person[self._left] + self._theirs * person[self._right]
        both /= np.where(self._left == self._right, 2.0, np.sqrt(2.0))
        noise = both + self._alone * rng.normal(size=len(self.at))
        mixed = np.sqrt(1 - own) * self._deviate + np.sqrt(own) * noise
        out = np.empty(len(self.at))
        out[np.argsort(mixed, kind="stable")] = self._sorted
        return out


def _own_noise(pairs: ScoredPairs, far: float | None) -> float:
    """The share in [0, 1] of what ranks pairs that is a model's own, where models share `SHARED` of their misses.

    Misses at the threshold of a FAR (None: of the EER). Two normal deviates of correlation r are both below h with
    probability p - 2 T(h, sqrt((1 - r) / (1 + r))), p that of one, T Owen's function (Annals of Mathematical
    Statistics 27, 1956).
    """
    point = (
        v.eer(pairs.genuine, pairs.impostor)
        if far is None
        else v.tar_at_far(pairs.genuine, pairs.impostor, far)
    )
    n = int((pairs.same & pairs.scored).sum())
    missed = float((pairs.scores[pairs.same & pairs.scored] < point.threshold).sum())
    rate = min(max(missed, 1.0) / (n + 1), 0.5)
    h = float(special.ndtri(rate))
    a = float(brentq(lambda x: special.owens_t(h, x) - rate * (1 - SHARED) / 2, 0.0, 1.0))
    return 1 - ((1 - a * a) / (1 + a * a)) ** 2


def planted_sums(
    rate: float,
    n: int,
    sums: ArrayLike,
    level: float,
    pairs: ArrayLike | None = None,
    tail: ArrayLike | None = None,
    *,
    paired: bool = True,
) -> Planted:
    """Candidates against a rate over all pairs of some people, from f64[S] residual sums by person over `n` pairs.

    Args:
        pairs: f64[S], pairs that involve each person; None: as many for everyone.
        tail: f64[S'], what each calibration person adds through the threshold.
        paired: whether two people make a match (FMR), so that damage of a tenth of the people is of pairs within
            that tenth (other damage of the same size is seen sooner); else each person has a rate of its own.

    The harm of two people is the product of what each is prone to (exponential where all are hit); that of a tenth is
    at most every pair within it. What other people would give by chance is drawn from the harm of the people at hand.
    """
    own = np.asarray(sums, np.float64)
    known = None if pairs is None else np.asarray(pairs, np.float64)
    faces = np.ones(len(own)) if known is None else known
    shares, least = faces / faces.sum(), max(rate, 1 / n)
    if own @ own < least / n:  # no match says nothing of who has them
        own = np.sqrt(least / n * shares)
    far = None if tail is None else np.asarray(tail, np.float64)

    def plant(rng: np.random.Generator, size: float, damage: Damage, chance: float) -> Difference:
        prone, most = rng.exponential(size=len(own)), 1.0
        if damage == "tenth":
            prone, most = (rng.random(len(own)) < TENTH) / TENTH, TENTH ** (2 if paired else 1)
        mean = min(size, most * (1 - rate))
        harm = shares * prone
        if paired:
            room = (1 - shares @ shares) / 2
            by_person, of = mean * harm * (harm.sum() - harm) / room, shares * (1 - shares) / room
            moved = float(by_person.sum()) / 2
        else:
            by_person, of = mean * harm, shares
            moved = float(by_person.sum())
        # Errors that one model makes and the other does not, more of them where there are more errors.
        own_share, grown = 2 * (1 - SHARED), mean / least
        away = np.sqrt(own_share + grown) * own * rng.choice([-1.0, 1.0], len(own))
        variance = float(away @ away)
        found = sums_difference(rate, rate + moved, 0 * own, away + by_person - moved * of, n, level, known)
        if far is not None:
            beyond = np.sqrt(own_share * (1 + grown) + grown**2) * far
            variance += float(beyond @ beyond)
            found = with_tails(found, 0 * far, beyond)
        by = chance * float(np.sqrt(variance))
        ends = found.interval
        return Difference(found.value + by, Interval(ends.low + by, ends.high + by, ends.level, ends.method))

    return plant


def _codes(left: ArrayLike, right: ArrayLike) -> tuple[I64, I64]:
    codes = np.unique(np.concatenate([np.ravel(left), np.ravel(right)]), return_inverse=True)[1]
    one, other = codes.reshape(2, -1).astype(np.int64)
    return one, other


def outcomes(
    plant: Planted, clear: Planted, size: float, damage: Damage, draws: int, seed: int = 0
) -> Outcomes:
    """`draws` planted candidates of damage `size`: `plant` gives the accusing, `clear` the clearing intervals.

    Chance is dealt in equal steps of probability: a few dozen random draws miss its mean and spread by a fifth.
    """
    rows = []
    chances = special.ndtri((np.random.default_rng([seed, 8]).permutation(draws) + 0.5) / draws)
    for at, chance in enumerate(chances.tolist()):
        harsh = plant(np.random.default_rng([seed, at]), size, damage, chance)
        usual = harsh if clear is plant else clear(np.random.default_rng([seed, at]), size, damage, chance)
        rows.append((harsh.value, harsh.interval.low, usual.interval.high))
    table = np.array(rows, np.float64)
    return Outcomes(table[:, 0], table[:, 1], table[:, 2])


def detected(plant: Planted, limit: float, damage: Damage, draws: int, seed: int = 0) -> float | None:
    """The smallest mean change that is shown to exceed `limit` with a power of at least `POWER`; None: no change is.

    Args:
        plant: candidates with intervals of the level that accuses.
    """
    low, high = 0.0, TENTH if damage == "tenth" else 0.9

    def power(size: float) -> tuple[float, float]:
        found = outcomes(plant, plant, size, damage, draws, seed)
        return found.accused(limit), float(found.change.mean())

    best = power(high)
    if best[0] < PLANNED:
        return None
    at = min(max(2 * limit, 1e-4), high)
    while at < high:
        found = power(at)
        if found[0] >= PLANNED:
            high, best = at, found
            break
        low, at = at, min(2 * at, high)
    for _ in range(4):
        middle = (low + high) / 2
        found = power(middle)
        if found[0] >= PLANNED:
            high, best = middle, found
        else:
            low = middle
    return best[1]
