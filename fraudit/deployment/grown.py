"""An operating point of 1:N search with more people enrolled than the set can show: extrapolated, an estimate."""

from __future__ import annotations

from fraudit.deployment.asked import Asked
from fraudit.deployment.galleries import Galleries
from fraudit.errors import InsufficientData, UsageError
from fraudit.formatting import fmr_words, interval, percent
from fraudit.policy import OperatingPoint, Rate
from fraudit.stats.grown_thresholds import Grown, grown_threshold, lowest_kept
from fraudit.stats.growth import BackTest, Counts, Extrapolation, extrapolate, fnir_counts, fpir_counts
from fraudit.stats.identification import Search
from fraudit.stats.promises import measured_cost


def grown_point(found: Galleries, target: float, asked: Asked, people: int) -> OperatingPoint:
    """The threshold for a FPIR with `asked.people` enrolled, or why there is none.

    Args:
        found: galleries of as many people as can be tried. people: of both halves.
    """
    name = f"fpir={fmr_words(target)},people={asked.people}"
    grown = _chosen(found, target, asked)
    if grown.threshold is None or grown.found is None:
        needed, most = found.needed(asked.people), found.enrolled
        reason = (
            f"not resolvable: a gallery of {asked.people:,} people on each half needs {needed:,} people, there are "
            f"{found.people:,}; no extrapolation from {most:,} enrolled: {grown.reason}"
        )
        return OperatingPoint(
            name,
            "fpir",
            target,
            asked.confidence,
            None,
            reason,
            None,
            grown.smallest,
            None,
            None,
            "",
            "",
            people,
            asked.people,
        )
    judge = found.searched(True, grown.threshold)
    rate, verdict, unjudged = _judged(judge, grown.threshold, target, asked)
    cost, how = _cost(found, judge, grown.threshold, asked)
    said = [
        f"an estimate, no promise: extrapolated from {found.enrolled:,} people enrolled by a model of growth "
        f"({tested(grown.found.test)})",
        *unjudged,
        *how,
    ]
    hubs = found.estimate(grown.threshold)
    return OperatingPoint(
        name,
        "fpir",
        target,
        asked.confidence,
        grown.threshold,
        "",
        grown.bound,
        grown.smallest,
        rate,
        cost,
        verdict,
        "",
        people,
        asked.people,
        (),
        "; ".join([*said, *([hubs] if hubs else [])]),
    )


def tested(test: BackTest) -> str:
    """`fitted on 40 people it predicts 3.1 % (2.0 to 4.4 %) for 160, and 3.3 % was measured`."""
    ends = interval(test.interval.low, test.interval.high, as_percent=True)
    return (
        f"fitted on {test.fitted:,.0f} people it predicts {percent(test.predicted)} ({ends}) for {test.people:,}, and "
        f"{percent(test.measured)} was measured"
    )


def _chosen(found: Galleries, target: float, asked: Asked) -> Grown:
    if asked.every_group:
        return Grown(None, "growth is not modelled for each group (--every-group)", 1.0, 1.0, None)
    lowest = lowest_kept(found.searched(False), target)
    return grown_threshold(found.searched(False, lowest), target, asked.people, asked.confidence)


def _rate_of(found: Extrapolation, of: Counts) -> Rate:
    ends, people = found.interval, len(set(of.searcher.tolist()))
    return Rate(found.value, ends.low, ends.high, ends.level, len(of.searcher), people)


def _judged(
    judge: Search, threshold: float, target: float, asked: Asked
) -> tuple[Rate | None, str, list[str]]:
    """(extrapolated FPIR of the judged half, verdict, why there is none)."""
    try:
        of = fpir_counts(judge, threshold)
        both = extrapolate(of, asked.people, asked.confidence)
        one = extrapolate(of, asked.people, 2 * asked.confidence - 1).interval
    except InsufficientData as error:
        return None, "", [f"the other half could not judge it: {error.message}"]
    verdict = "broken" if one.low > target else "holds" if one.high <= target else "not contradicted"
    return _rate_of(both, of), verdict, []


def _cost(found: Galleries, judge: Search, threshold: float, asked: Asked) -> tuple[Rate | None, list[str]]:
    """(FNIR with so many enrolled, or with those who were tried, and which)."""
    try:
        of = fnir_counts(judge, threshold)
        return _rate_of(extrapolate(of, asked.people, asked.confidence), of), []
    except (InsufficientData, UsageError):
        cost = Rate.of(measured_cost(found.judge, threshold, asked.confidence), asked.confidence)
        return cost, [f"FNIR is that with {found.enrolled:,} people enrolled"] if cost else []
