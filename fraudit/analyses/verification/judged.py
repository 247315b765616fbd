"""Error rates at a threshold that was chosen on other people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fraudit.errors import InsufficientData
from fraudit.formatting import fmr_words
from fraudit.stats import verification as v
from fraudit.stats.estimates import Estimate, estimated
from fraudit.stats.intervals import Shares, clustered_rate, wide_words
from fraudit.stats.pairs import MAX_IMPOSTOR
from fraudit.stats.thresholds import (
    person_mean,
    person_rate,
    threshold_interval,
    with_threshold,
)
from fraudit.types import F64, I64, Better, Bool, Interval, Metric

if TYPE_CHECKING:
    from fraudit.audit.pair_scores import PairScores
    from fraudit.audit.thresholds import Threshold


def unresolved(target: float, n: int, unit: str) -> str:
    """Why a rate has no figure."""
    have = f"{n:,} are drawn" if n == MAX_IMPOSTOR else f"there are {n:,}"
    return f"Not resolvable: FMR {fmr_words(target)} would need {round(3 / target):,} {unit}; {have}"


@dataclass(frozen=True, slots=True)
class Judged:
    """Error rates at a threshold that was chosen on other people.

    Attributes:
        target: FMR. missing: why there are no rates. provenance: how the threshold was chosen.
        threshold: similarity. rates: over the judged genuine pairs.
        fnmr: at the threshold as it is. with_threshold: the same value, its interval holds for the choice too.
        per_person: every person weighs the same; people: how many.
        scored: FNMR of pairs with vectors, where some have none.
        fmr: reached at the threshold as it is, over n_impostor pairs. fmr_target: the same value, choice included.
        n_calibration: impostor pairs that the threshold was chosen on.
    """

    target: float
    missing: str = ""
    provenance: str = ""
    threshold: Estimate | None = None
    rates: v.Rates | None = None
    fnmr: Estimate | None = None
    with_threshold: Estimate | None = None
    per_person: Estimate | None = None
    people: int = 0
    scored: Estimate | None = None
    fmr: Estimate | None = None
    fmr_target: Estimate | None = None
    n_impostor: int = 0
    n_calibration: int = 0

    def metrics(self) -> list[Metric]:
        """Every figure with n and interval, or the reason it is missing."""
        at = f"@fmr={fmr_words(self.target)}"
        label = f"at the threshold for FMR {fmr_words(self.target)}"
        r, why = self.rates, self.missing
        genuine = r.n_genuine if r else 0
        acquired = genuine - (r.n_genuine_missing if r else 0)
        rows = [
            ("fnmr", self.fnmr, genuine, "genuine pairs", f"FNMR {label}"),
            (
                "fnmr_target",
                self.with_threshold,
                genuine,
                "genuine pairs",
                f"FNMR {label}, its choice included",
            ),
            (
                "fnmr_per_person",
                self.per_person,
                self.people,
                "people",
                f"FNMR a person, mean over people, {label}",
            ),
            ("fmr", self.fmr, self.n_impostor, "impostor pairs", f"FMR reached {label}"),
            (
                "fmr_target",
                self.fmr_target,
                self.n_impostor,
                "impostor pairs",
                f"FMR reached {label}, its choice included",
            ),
        ]
        if self.scored is not None:
            text = f"FNMR {label}, faces without a vector left out"
            rows.insert(3, ("fnmr_scored", self.scored, acquired, "genuine pairs with vectors", text))
        found = [
            metric(f"verification.{name}{at}", shown, why, n, unit, text, "lower")
            for name, shown, n, unit, text in rows
        ]
        if self.threshold is not None:
            text = f"Threshold for FMR {fmr_words(self.target)} ({self.provenance})"
            name, n = f"verification.threshold{at}", self.n_calibration
            found.append(metric(name, self.threshold, "", n, "calibration impostor pairs", text, "none"))
        return found


def metric(
    name: str, shown: Estimate | None, missing: str, n: int | None, unit: str, label: str, better: Better
) -> Metric:
    """A metric of what is shown, or of why nothing is."""
    if shown is None:
        return Metric(name, None, missing=missing or "not measured", better=better, label=label)
    return Metric(
        name,
        shown.value,
        n=n,
        n_unit=unit,
        interval=shown.interval,
        interval_missing=shown.reason,
        better=better,
        label=label,
    )


def share(events: Bool, left: I64, right: I64) -> Estimate:
    """The share of bool[P] events, clustered by people."""
    return estimated(float(np.mean(events)), lambda: clustered_rate(events, left, right))


def judge_at(scores: PairScores, target: float) -> Judged:
    """Rates at the threshold for `target` of the calibration people, over the pairs of the others."""
    try:
        threshold = scores.threshold(target)
    except InsufficientData as error:
        return Judged(target, error.message)
    if not threshold.resolvable:
        return Judged(target, unresolved(target, threshold.n_impostor, "calibration impostor pairs"))
    chosen, judged = scores.calibration(threshold), scores.judged()
    reached = scores.all_pairs_fmr(threshold.value)
    found = judged_rates(
        threshold,
        chosen.impostor,
        chosen.fmr,
        judged.scores,
        judged.pairs.same,
        judged.left,
        judged.right,
        (Estimate(reached.value, reached.interval, reason=reached.missing), reached.n) if reached else None,
    )
    return (
        replace(found, threshold=Estimate(threshold.value, reason=chosen.unsure)) if chosen.unsure else found
    )


def _chosen_too(
    figure: Estimate,
    chosen: Estimate,
    at_ends: Callable[[float], float],
    offset: float = 0.0,
    words: str = "",
) -> Estimate:
    """The same figure, its interval holding for the choice of the threshold too.

    Args:
        at_ends: threshold -> the rate there. offset: what to add to it (the figure less the rate at the threshold).
        words: of `with_threshold`.
    """
    if figure.interval is None or chosen.interval is None:
        return Estimate(figure.value, reason=figure.reason or chosen.reason)
    low, high = (at_ends(end) + offset for end in (chosen.interval.low, chosen.interval.high))
    return Estimate(figure.value, with_threshold(figure.interval, figure.value, low, high, words))


def judged_rates(
    threshold: Threshold,
    calibration: F64,
    fmr: Interval | str,
    scores: F64,
    same: Bool,
    left: I64,
    right: I64,
    reached: tuple[Estimate, int] | None = None,
) -> Judged:
    """Rates of judged pairs f64[P] (NaN: no score) at a threshold chosen on other people.

    Args:
        calibration: f64[C] impostor scores that it was chosen on. fmr: interval of their FMR, or why there is none.
        same: bool[P]. left, right: i64[P] people.
        reached: (FMR at the threshold as it is, pairs) over more pairs than these; else over these.
    """
    at = threshold.value
    chosen = (
        Estimate(at, reason=fmr)
        if isinstance(fmr, str)
        else Estimate(at, threshold_interval(calibration, fmr))
    )
    found = Judged(
        threshold.fmr_target,
        "",
        threshold.provenance,
        chosen,
        v.rates_at(scores, same, at),
        n_calibration=threshold.n_impostor,
    )
    impostor = ~same & ~np.isnan(scores)
    if impostor.any():
        strange = scores[impostor]
        matched = share(strange >= at, left[impostor], right[impostor])
        figure, n = reached or (matched, len(strange))
        offset = figure.value - matched.value
        faces = np.unique(np.r_[left[impostor], right[impostor]], return_counts=True)[1]
        words = wide_words("rate, choice included", Shares.of(faces).people - 1)
        target = _chosen_too(figure, chosen, lambda end: float(np.mean(strange >= end)), offset, words)
        found = replace(found, fmr=figure, fmr_target=target, n_impostor=n)
    if not same.any():
        return replace(found, missing="no genuine pair lies outside the calibration people")
    own, who = scores[same], left[same]
    fnmr = share(~(own >= at), who, who)
    mean, rates = person_mean(~(own >= at), who)
    known = ~np.isnan(own)
    return replace(
        found,
        fnmr=fnmr,
        people=len(rates),
        with_threshold=_chosen_too(fnmr, chosen, lambda end: float(np.mean(~(own >= end)))),
        per_person=estimated(mean, lambda: person_rate(~(own >= at), who)[1]),
        scored=share(~(own[known] >= at), who[known], who[known]) if 0 < known.sum() < len(own) else None,
    )
