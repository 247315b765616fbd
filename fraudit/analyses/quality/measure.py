"""What discarding bad pictures gives: curves and areas on judged people, a cut chosen on the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fraudit.analyses.quality.measures import Quality, gather, whole_people, without_pictures
from fraudit.analyses.quality.params import Params
from fraudit.analyses.shared.attributes import demographic_groups
from fraudit.analyses.shared.operating import Genuine, genuine_at, usable_threshold
from fraudit.errors import InsufficientData, UsageError, suggest
from fraudit.stats.discard import Measures, compare_measures, discard_curve
from fraudit.stats.discard_cut import JudgedCut, choose_cut, judge_cut
from fraudit.stats.intervals import clustered_rate, interval_or_reason
from fraudit.types import I64, Bool, Interval

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

FAMILY = 0.05  # of naming a gain, or a best measure, where no measure says anything


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that was measured.

    Attributes:
        genuine: all pairs at the threshold. pictures, pairs, errors, people: of those judged. fnmr, interval,
            reason: of all judged pairs.
        qualities: name -> quality. left_out: words -> why. measures: curves on the judged pairs.
        cuts: name -> its cut, judged. no_cut: name -> why it has none. chosen: the measure whose cut is told, or ''.
        measured: pictures, on both halves. sampled: pictures of people with two, of which these are a part.
    """

    genuine: Genuine
    pictures: int
    pairs: int
    errors: int
    people: int
    fnmr: float
    interval: Interval | None
    reason: str
    qualities: Mapping[str, Quality]
    left_out: Mapping[str, str]
    measures: Measures
    cuts: Mapping[str, JudgedCut]
    no_cut: Mapping[str, str]
    chosen: str
    measured: int
    sampled: int


def rows_of(context: AnalysisContext, params: Params, genuine: Genuine) -> tuple[I64, int]:
    """(pictures that are measured, pictures in genuine pairs).

    Raises:
        UsageError: fewer than one picture.
    """
    if params.faces < 1 or params.stability < 0:
        raise UsageError("quality.faces: expected at least 1, and quality.stability at least 0")
    rows = np.unique(np.concatenate([genuine.left, genuine.right]))
    if without_pictures(context, rows):
        return rows, len(rows)
    most = context.max_faces(params.faces)
    return whole_people(context.faces.subjects, rows, most, context.rng("quality/faces")), len(rows)


def measure_quality(context: AnalysisContext, params: Params) -> Found:
    """All figures of the section.

    Raises:
        InsufficientData: no threshold, no genuine pair among the judged people, no quality that varies.
        UsageError: a parameter out of range. DataError: OFIQ's file.
    """
    threshold = usable_threshold(context, params.fmr, "quality.fmr")
    g = genuine_at(context, threshold)
    rows, there = rows_of(context, params, g)
    inside = np.zeros(len(context.faces), bool)
    inside[rows] = True
    drawn = inside[g.left] & inside[g.right]
    judged = drawn & g.judged
    if not judged.any():
        raise InsufficientData("no genuine pair of people on whom the threshold was not chosen")
    qualities, left_out = gather(context, params, rows)
    if not qualities:
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out.items()) or "no numeric column"
        raise InsufficientData(f"there is no quality that varies ({why})")
    if params.cut and params.cut not in qualities:
        raise UsageError(
            f"quality.cut: no measure is called '{params.cut}'",
            f"{suggest(params.cut, qualities)}known: {', '.join(qualities)}",
        )
    values = {name: q.values for name, q in qualities.items()}
    left, right, errors = g.left[judged], g.right[judged], g.errors[judged]
    context.progress(f"discarding by {len(values)} measures")
    measures = compare_measures(values, errors, left, right, g.subjects, family=FAMILY)
    who = g.subjects[left]
    interval, reason = interval_or_reason(lambda: clustered_rate(errors, who, who))
    cuts, no_cut, gains = _cuts(context, params, qualities, g, inside, drawn)
    if params.cut in no_cut:
        left_out[f"cut on {params.cut}"] = f"none is chosen ({no_cut[params.cut]})"
    chosen = params.cut or max(gains, key=lambda name: gains[name], default="")
    return Found(
        g,
        int(inside[~g.held].sum()),
        int(judged.sum()),
        int(errors.sum()),
        len(np.unique(who)),
        float(errors.mean()),
        interval,
        reason,
        qualities,
        left_out,
        measures,
        cuts,
        no_cut,
        chosen if chosen in cuts else "",
        len(rows),
        there,
    )


def _cuts(
    context: AnalysisContext,
    params: Params,
    qualities: Mapping[str, Quality],
    g: Genuine,
    inside: Bool,
    drawn: Bool,
) -> tuple[dict[str, JudgedCut], dict[str, str], dict[str, float]]:
    """(cuts judged, why others are missing, share of the FNMR that each measure removes on the calibration half)."""
    cuts: dict[str, JudgedCut] = {}
    no_cut: dict[str, str] = {}
    gains: dict[str, float] = {}
    groups = demographic_groups(context.faces, params.by)
    held, errors, left, right = g.held & inside, g.errors[drawn], g.left[drawn], g.right[drawn]
    own = held[left] & held[right]
    for name, q in qualities.items():
        cut = choose_cut(q.values, errors, left, right, held)
        if cut is None:
            no_cut[name] = "no cut helps there"
            continue
        try:
            cuts[name] = judge_cut(
                cut, q.values, errors, left, right, g.subjects, inside & ~g.held, labels=groups
            )
            curve = discard_curve(q.values, errors, left, right, g.subjects, only=own)
            gains[name] = curve.gain.value / max(float(curve.fnmr[0]), 1e-12)
        except InsufficientData as error:
            no_cut[name] = error.message
    return cuts, no_cut, gains
