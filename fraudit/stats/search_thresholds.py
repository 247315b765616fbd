"""Thresholds for an FPIR, chosen on some people and judged on others, and how certain they are.

chosen = choose(calibration, target=0.01)
fpir_rate(judged, chosen.value)       # the achieved FPIR, of this threshold as it is
fnir_at_target(judged, chosen, rank=1)  # FNIR where FPIR is the target: the threshold's uncertainty included
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fraudit.errors import InsufficientData
from fraudit.stats.identification import Search, fnir, fpir, fpir_threshold
from fraudit.stats.intervals import Difference
from fraudit.stats.search_rates import (
    SearchRate,
    difference,
    fnir_causes,
    fnir_rate,
    fpir_causes,
    fpir_rate,
    two_way,
)
from fraudit.stats.thresholds import with_threshold
from fraudit.types import F64

RULE_OF_THREE = 3.0


@dataclass(frozen=True, slots=True)
class Resolution:
    """Whether there are enough non-mated searches to speak of an FPIR target.

    Attributes:
        n: non-mated searches. needed: for the target, by the rule of three. resolved: n >= needed.
        smallest: FPIR that n searches resolve.
    """

    n: int
    needed: int
    resolved: bool
    smallest: float


def resolution(found: Search, target: float) -> Resolution:
    """Rule of three: no false positive in 3 / target searches bounds FPIR by the target with 95 % confidence."""
    n = int((~found.mated).sum())
    needed = int(np.ceil(RULE_OF_THREE / target - 1e-9))
    return Resolution(n, needed, n >= needed, min(1.0, RULE_OF_THREE / n) if n else 1.0)


@dataclass(frozen=True, slots=True)
class SearchThreshold:
    """A threshold for an FPIR target.

    Attributes:
        target: FPIR. value: lowest candidate score whose FPIR on the calibration side is at most the target (inf:
            none). calibration: FPIR there, with its interval. resolution: of the calibration side.
        low, high: thresholds between which the one for the target lies (None with the reason in `missing`).
    """

    target: float
    value: float
    calibration: SearchRate
    resolution: Resolution
    low: float | None
    high: float | None
    missing: str


def choose(calibration: Search, target: float, level: float = 0.95) -> SearchThreshold:
    """The threshold for `target`, and the thresholds at both ends of its FPIR's interval on these people.

    Raises:
        UsageError: target outside (0, 1). InsufficientData: no non-mated search.
    """
    value = fpir_threshold(calibration, target)
    enough = resolution(calibration, target)
    found = fpir_rate(calibration, value, level)
    if found.interval is None:
        return SearchThreshold(target, value, found, enough, None, None, found.missing)
    if not np.isfinite(value) or not enough.resolved:
        reason = (
            f"{enough.n:,} searches of people who are not enrolled cannot resolve FPIR {target:g}; "
            f"{enough.needed:,} are needed"
        )
        return SearchThreshold(target, value, found, enough, None, None, reason)
    # FPIR steps; what was reached lies at or below the target, and the ends are moved to lie about the target.
    shift = target / found.value if found.value > 0 else 1.0
    most = min(found.interval.high * shift, 1 - 1e-9)
    least = min(found.interval.low * shift, target)
    low = min(fpir_threshold(calibration, max(most, target)), value)
    high = fpir_threshold(calibration, least) if least >= 1 / enough.n else _beyond(calibration, least)
    return SearchThreshold(target, value, found, enough, low, max(high, value), "")


def _beyond(calibration: Search, share: float) -> float:
    """The score that a `share` below one in all non-mated searches would reach: exponential tail.

    The mean excess of the upper tenth of the best scores goes on (the generalised Pareto distribution with shape 0:
    Coles, An Introduction to Statistical Modeling of Extreme Values, 2001).
    """
    best = np.sort(calibration.top[~calibration.mated])
    best = best[np.isfinite(best)]
    tail_size = max(2, round(0.1 * len(best)))
    excess = float(np.mean(best[-tail_size:] - best[-tail_size]))
    return float(best[-1] + excess * np.log(1 / (len(best) * max(share, 1e-12))))


def _with_threshold(found: SearchRate, ends: tuple[float, float]) -> SearchRate:
    if found.interval is None:
        return found
    return replace(found, interval=with_threshold(found.interval, found.value, *ends))


def fnir_at_target(
    judged: Search, chosen: SearchThreshold, rank: int | None = 1, level: float = 0.95
) -> SearchRate:
    """FNIR at the chosen threshold; the interval is of the FNIR where FPIR is the target (MOVER).

    Raises:
        InsufficientData: no mated search.
    """
    found = fnir_rate(judged, chosen.value, rank, level)
    if chosen.low is None or chosen.high is None:
        return replace(found, interval=None, missing=chosen.missing)
    return _with_threshold(found, (fnir(judged, chosen.low, rank), fnir(judged, chosen.high, rank)))


def fpir_at_target(judged: Search, chosen: SearchThreshold, level: float = 0.95) -> SearchRate:
    """Achieved FPIR; the interval is of the FPIR of thresholds chosen like this one, so that the target is in it.

    Raises:
        InsufficientData: no non-mated search.
    """
    found = fpir_rate(judged, chosen.value, level)
    if chosen.low is None or chosen.high is None:
        return replace(found, interval=None, missing=chosen.missing)
    return _with_threshold(found, (fpir(judged, chosen.low), fpir(judged, chosen.high)))


def tail(calibration: Search, judged: Search, chosen: SearchThreshold, rank: int | None = 1) -> F64:
    """f64[K]: what each calibration person adds to the error of the judged FNIR through the threshold.

    A threshold whose FPIR here is e above that of all people lies at a true FPIR e lower, and FNIR moves by -e
    dFNIR/dFPIR; the slope is taken over a step of the FPIR's own standard error.

    Raises:
        InsufficientData: the target is not resolved.
    """
    if chosen.low is None:
        raise InsufficientData(chosen.missing)
    sums = two_way(fpir_causes(calibration, chosen.value)).sums
    n = int((~calibration.mated).sum())
    step = max(float(np.sqrt(sums @ sums)), 1.5 / n, 0.02 * chosen.target)
    ends = [max(chosen.target - step, chosen.target / 4), min(chosen.target + step, 1 - 1e-9)]
    at = [fnir(judged, fpir_threshold(calibration, end), rank) for end in ends]
    return np.asarray(-(at[1] - at[0]) / (ends[1] - ends[0]) * sums, np.float64)


@dataclass(frozen=True, slots=True)
class RuleDifference:
    """Second enrolment rule less the first, over the same searches among the same people.

    Attributes:
        fnir: where both have the target FPIR (thresholds' uncertainty included).
        fpir: achieved, of thresholds chosen like these: 0 where both rules keep the target on other people.
    """

    fnir: Difference
    fpir: Difference


def compare_rules(
    first: tuple[Search, Search],
    second: tuple[Search, Search],
    target: float,
    rank: int | None = 1,
    level: float = 0.95,
) -> RuleDifference:
    """Two enrolment rules, each given by its (calibration, judged) searches, at one FPIR target.

    Raises:
        InsufficientData: not the same searches and people, too few people, or a target that is not resolved.
    """
    chosen = [choose(pair[0], target, level) for pair in (first, second)]
    tails = [tail(*pair, at, rank) for pair, at in zip((first, second), chosen, strict=True)]
    sums = [
        two_way(fpir_causes(pair[0], at.value)).sums for pair, at in zip((first, second), chosen, strict=True)
    ]
    missed = [fnir_causes(pair[1], at.value, rank) for pair, at in zip((first, second), chosen, strict=True)]
    wrong = [fpir_causes(pair[1], at.value) for pair, at in zip((first, second), chosen, strict=True)]
    return RuleDifference(
        difference(missed[0], missed[1], (tails[0], tails[1]), level),
        difference(wrong[0], wrong[1], (-sums[0], -sums[1]), level),
    )
