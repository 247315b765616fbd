"""Operating points of verification that a run did not print, from the scores and vectors it stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from fraudit.analyses.verification.paired import judged_at
from fraudit.compare.evidence import Thresholds
from fraudit.compare.points import point_of
from fraudit.compare.values import Events, Key, Side, Sums
from fraudit.errors import InsufficientData
from fraudit.stats.calibration import calibration_half
from fraudit.stats.intervals import clustered_rate, interval_or_reason
from fraudit.stats.operating import ScoredPairs, all_pairs_fmr
from fraudit.types import Metric


def _spelt(value: float) -> str:
    """`1e-3` for 0.001, as metric names spell rates."""
    mantissa, exponent = f"{value:.6e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def key_of(kind: str, target: float) -> Key:
    """The metric's key, spelt as a run spells it."""
    return f"verification.{kind}@{'far' if kind == 'tar' else 'fmr'}={_spelt(target)}", ""


def _not_printed(side: Side, names: Iterable[str]) -> tuple[list[float], list[float]]:
    """(FMR targets, FAR targets) among `names` that the side has no figure of."""
    fmrs: list[float] = []
    fars: list[float] = []
    for kind, target in filter(None, map(point_of, names)):
        known = side.metrics.get(key_of(kind, target))
        if known is None:
            (fars if kind == "tar" else fmrs).append(target)
    return sorted(set(fmrs)), sorted(set(fars))


def points(side: Side, names: Iterable[str]) -> Side:
    """The side with the operating points that rules name and its run did not print, as far as it stored enough.

    FNMR and FMR at a threshold of other people need the vectors; TAR at FAR needs the scores of the pairs. Templates
    have TAR alone. What the data cannot resolve, or a baseline no longer holds, stays unknown.
    """
    fmrs, fars = _not_printed(side, names)
    metrics = dict(side.metrics)
    evidence = side.evidence
    pairs = evidence.pairs
    if fars and pairs is not None and pairs.same.any():
        left, right, _ = pairs.people()
        scored = ScoredPairs(pairs.score, pairs.same, left, right)
        for far in fars:
            try:
                point, found = scored.tar_at_far(far)
            except InsufficientData:
                continue
            if point.resolvable:
                metrics[key_of("tar", far)] = Metric(
                    key_of("tar", far)[0],
                    point.tar_all,
                    n=point.n_genuine_all,
                    n_unit="genuine pairs",
                    interval=found,
                    better="higher",
                    label=f"TAR at FAR {_spelt(far)}",
                )
    if (
        not fmrs
        or evidence.templates  # vectors of single pictures say nothing of theirs
        or evidence.vectors is None
        or evidence.vectors.declared is not None
    ):
        return replace(side, metrics=metrics)
    events, sums = dict(evidence.events), dict(evidence.sums)
    seed = int(side.plan.get("seed") or 0)
    try:
        thresholds = Thresholds(evidence.vectors, seed)
    except InsufficientData:
        return replace(side, metrics=metrics)
    for fmr in fmrs:
        if len(thresholds.calibration.impostor) * fmr >= 3:
            try:
                made = _judged_point(side, thresholds, fmr, seed)
            except InsufficientData:
                continue
            for metric, found_events, found_sums in made:
                key = (metric.name, "")
                metrics.setdefault(key, metric)
                if found_events is not None:
                    events.setdefault(key, found_events)
                if found_sums is not None:
                    sums.setdefault(key, found_sums)
    return replace(side, metrics=metrics, evidence=replace(evidence, events=events, sums=sums))


def _judged_point(
    side: Side, thresholds: Thresholds, fmr: float, seed: int
) -> list[tuple[Metric, Events | None, Sums | None]]:
    """FNMR and FMR at the threshold for `fmr`, each with its evidence."""
    fnmr_key, fmr_key = key_of("fnmr", fmr), key_of("fmr", fmr)
    events: dict[Key, Events] = {}
    sums: dict[Key, Sums] = {}
    judged_at(thresholds, seed, [(fmr, fnmr_key)], [(fmr, fmr_key)], events, sums)
    vectors = thresholds.vectors
    others = ~calibration_half(vectors.subjects, seed)
    value = thresholds.at(fmr)[0]
    own = sums[fmr_key]
    interval, unsure = interval_or_reason(
        lambda: all_pairs_fmr(vectors.unit[others], vectors.subjects[others], value, vectors.ok[others])[2]
    )
    made: list[tuple[Metric, Events | None, Sums | None]] = [
        (
            Metric(
                fmr_key[0],
                own.rate,
                n=own.n,
                n_unit="impostor pairs",
                interval=interval,
                interval_missing=unsure,
                better="lower",
                label=f"FMR reached at the threshold for FMR {_spelt(fmr)}",
            ),
            None,
            own,
        )
    ]
    found = events.get(fnmr_key)
    if found is not None and len(found.events):
        bounds, why = interval_or_reason(lambda: clustered_rate(found.events, found.left, found.right))
        made.append(
            (
                Metric(
                    fnmr_key[0],
                    float(np.mean(found.events)),
                    n=len(found.events),
                    n_unit="genuine pairs",
                    interval=bounds,
                    interval_missing=why,
                    better="lower",
                    label=f"FNMR at the threshold for FMR {_spelt(fmr)}",
                ),
                found,
                None,
            )
        )
    return made
