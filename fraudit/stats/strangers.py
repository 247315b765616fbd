"""False-match rates at a threshold that is itself an estimate.

A threshold is chosen for an FMR on one half of the people and judged on the other. What the judged half shows of
the FMR's own error is also true of the half it was chosen on, so that a rate of strangers at that threshold has
two errors: its own, and that of the FMR the threshold stands for. How the second moves the rate is taken from two
normal distributions of scores with one spread (the binormal ROC).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from fraudit.errors import InsufficientData
from fraudit.stats.intervals import PairClusters, effective_interval
from fraudit.types import I64, Bool, Interval

LEAST_STRANGERS = 20  # people among whom false matches are counted, below which an FMR has no interval


@dataclass(frozen=True, slots=True)
class Trials:
    """Comparisons of pictures of two people, or of one.

    Attributes:
        events: bool[P], what matched. made: i64[P], subject of the probe or of the template that was inverted.
        shown: i64[P], subject of the picture it is compared with.
    """

    events: Bool
    made: I64
    shown: I64


def _slope(rate: float, usual: float) -> float:
    """d rate / d FMR where the threshold moves: 1 for a rate that equals the FMR `usual`."""
    ends = np.clip([rate, usual], 1e-12, 1 - 1e-12)
    heights = np.exp(-(special.ndtri(ends) ** 2) / 2)
    return float(heights[0] / heights[1])


def strangers_interval(trials: Trials, real: Trials, level: float = 0.95) -> Interval:
    """Interval of the share of trials that match, the threshold's error included.

    Args:
        trials: comparisons of different people. real: comparisons of clean real pictures of different people at the
            same threshold; may be the same.
    Raises:
        InsufficientData: too few people, or no real pair matches.
    """
    people = len(np.unique(np.concatenate([real.made, real.shown])))
    if people < LEAST_STRANGERS:
        raise InsufficientData(
            f"{people} people: too few to tell how far a threshold is off that was chosen on as many others; "
            f"at least {LEAST_STRANGERS} are needed"
        )
    if not real.events.any():
        raise InsufficientData(
            "no real pictures of different people match at this threshold: how far it is off is not known"
        )
    clusters, others = PairClusters(trials.made, trials.shown), PairClusters(real.made, real.shown)
    clusters.require()
    n, rate, usual = len(trials.events), float(trials.events.mean()), float(real.events.mean())
    least = max(rate, 1 / n)
    spread = least * (1 - least) / n
    own = clusters.design(trials.events) * spread
    moved = _slope(least, usual) ** 2 * others.design(real.events) * usual * (1 - usual) / len(real.events)
    freedom = min(clusters.freedom(), others.freedom())
    return effective_interval(
        rate, n, (own + moved) / max(spread, 1e-300), freedom, level, " (threshold included)"
    )
