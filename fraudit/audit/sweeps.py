"""What the report's explorer needs: error rates of the stored pairs at many thresholds, as artifacts of the run.

An analysis that knows rates at a threshold leaves them here at all thresholds of the sweep: of all pairs, of groups, of
searches. The report draws what it finds (`fraudit.report.explorer`), so that it computes no rate itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fraudit.audit.evidence import score_set
from fraudit.audit.template_pairs import (
    compares_templates,
    first_pictures,
    kept_pairs,
    template_score_set,
)
from fraudit.errors import InsufficientData
from fraudit.files.store import write_text_atomic
from fraudit.formatting import fmr_words
from fraudit.stats import verification as v
from fraudit.stats.calibration import calibration_half
from fraudit.stats.promises import smallest_promise
from fraudit.stats.sweeps import Sweep, SweptPairs, plain_threshold, sweep_thresholds
from fraudit.stats.tails import tail_without_matches
from fraudit.types import F64, I64, Bool, Interval

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

SCHEMA, VERSION = "fraudit-explorer", 1
BINS = 60
TARGETS = (1e-1, 1e-2, 1e-3, 1e-4)  # FMR targets whose thresholds lie on the sweep
MOST_GROUPS = 14  # of all attributes; the page holds no more


@dataclass(frozen=True, slots=True)
class StoredPairs:
    """The pairs of scores.csv as `fraudit scores` reads them, or those of templates where the set lists such pairs.

    Attributes:
        scores: f64[P]. same: bool[P]. left, right: i64[P] people. left_face, right_face: i64[P], of
            templates one picture each.
        people_known: whether the set names them.
    """

    scores: F64
    same: Bool
    left: I64
    right: I64
    left_face: I64
    right_face: I64
    people_known: bool

    def swept(self, use: Bool | None = None) -> SweptPairs:
        """The pairs, or those that bool[P] marks, ready for a sweep."""
        if use is None:
            return SweptPairs(self.scores, self.same, self.left, self.right)
        return SweptPairs(self.scores[use], self.same[use], self.left[use], self.right[use])


def stored_pairs(context: AnalysisContext) -> StoredPairs:
    """The pairs that the run leaves behind, repeated rows once. Raises InsufficientData where there are none."""
    of_templates, templates = compares_templates(context), context.faces.templates
    found = (template_score_set if of_templates else score_set)(context).unique()
    left, right, known = found.people()
    if of_templates:
        assert templates is not None
        at = dict(zip(templates.names, first_pictures(context).tolist(), strict=True))
    else:
        at = {name: index for index, name in enumerate(context.faces.ids)}
    one, two = (
        np.array([at[name] for name in side.tolist()], np.int64) for side in (found.left, found.right)
    )
    return StoredPairs(found.score, found.same, left, right, one, two, known)


def named_thresholds(context: AnalysisContext, pairs: StoredPairs) -> list[tuple[str, float]]:
    """(`eer` or an FMR target such as `fmr=1e-3`, threshold): those the report speaks of.

    Raises:
        InsufficientData: no genuine or no impostor pair has a score.
    """
    equal = v.eer(*v.split(pairs.scores, pairs.same)).threshold
    found = [("eer", equal)] if np.isfinite(equal) else []
    if compares_templates(context):  # thresholds of single pictures say nothing of theirs
        return found
    for target in context.scores.operating_points(TARGETS):
        try:
            chosen = context.scores.threshold(target)
        except InsufficientData:
            continue
        if chosen.resolvable and np.isfinite(chosen.value):
            found.append((f"fmr={fmr_words(target)}", float(chosen.value)))
    return found


def thresholds_of(context: AnalysisContext, pairs: StoredPairs) -> F64:
    """f64[K]: the thresholds of every sweep of this run. Raises InsufficientData."""
    wanted = [threshold for _, threshold in named_thresholds(context, pairs)]
    return sweep_thresholds(*v.split(pairs.scores, pairs.same), wanted, work=len(pairs.scores))


def save_pairs(context: AnalysisContext) -> None:
    """Rates of all stored pairs, their histograms and the thresholds that the report speaks of; none without pairs."""
    try:
        pairs = stored_pairs(context)
        thresholds, swept = thresholds_of(context, pairs), pairs.swept()
    except InsufficientData:
        return
    genuine, impostor = v.split(pairs.scores, pairs.same)
    ordered = np.unique(pairs.scores[~np.isnan(pairs.scores)])
    marks = [
        {"name": name, "at": int(np.searchsorted(thresholds, plain_threshold(value, ordered)))}
        for name, value in named_thresholds(context, pairs)
    ]
    document = {
        "box": context.scores.name,
        "people_known": pairs.people_known,
        "people": len(np.unique([pairs.left, pairs.right])),
        "fmr": _rates(swept.sweep("fmr", thresholds)),
        "fnmr": _rates(swept.sweep("fnmr", thresholds)),
        "histogram": v.score_histogram(genuine, impostor, BINS),
        "marks": marks,
        "vectors": context.scores.vectors,
        "templates": compares_templates(context),
        "drawn_from": _drawn_from(context),
        "smallest": _smallest(context),
    }
    save_sweep(context, "pairs", thresholds, document)


def _smallest(context: AnalysisContext) -> float:
    """The smallest FMR that `fraudit threshold --run` can promise; 0 where it cannot choose from this run at all."""
    if not context.scores.vectors or not context.faces.identified or compares_templates(context):
        return 0.0
    half = calibration_half(context.faces.subjects, 0) & context.embeddings().ok  # 0: the command's own seed
    try:
        return smallest_promise(tail_without_matches(context.faces.subjects[half]))
    except InsufficientData:
        return 1.0


def _drawn_from(context: AnalysisContext) -> int:
    """Impostor pairs of templates that the kept ones were drawn from, 0 where all are kept."""
    templates = context.faces.templates
    if not compares_templates(context) or templates is None or templates.pairs is None:
        return 0
    listed = len(templates.pairs)
    return int((~templates.pairs.same).sum()) if listed > len(kept_pairs(context)) else 0


def save_groups(
    context: AnalysisContext, groups: Mapping[str, NDArray[np.str_]], least_people: int, least_genuine: int
) -> None:
    """Rates within the groups str[N] ('': unknown) of each attribute, among the stored pairs.

    Args:
        least_people, least_genuine: groups with fewer have no rates (no FNMR).
    """
    rows: list[dict[str, Any]] = []
    try:
        pairs = stored_pairs(context)
        thresholds, left_out = thresholds_of(context, pairs), 0
    except InsufficientData:
        return
    for attribute, labels in groups.items():
        left, right = labels[pairs.left_face], labels[pairs.right_face]
        for group in sorted(set(labels.tolist()) - {""}):
            use = (left == group) & (right == group)
            people = len(np.unique([pairs.left[use], pairs.right[use]]))
            if people < least_people or len(rows) >= MOST_GROUPS:
                left_out += 1
                continue
            swept, enough = pairs.swept(use), int((pairs.same & use).sum()) >= least_genuine
            rows.append(
                {
                    "attribute": attribute,
                    "group": group,
                    "people": people,
                    "fmr": _rates(swept.sweep("fmr", thresholds)),
                    "fnmr": _rates(swept.sweep("fnmr", thresholds) if enough else None),
                }
            )
    if rows:
        limits = {"least_people": least_people, "least_genuine": least_genuine, "left_out": left_out}
        save_sweep(context, "groups", thresholds, {"groups": rows, **limits})


def save_searches(
    context: AnalysisContext,
    thresholds: F64,
    n: int,
    people: int,
    enrolled: int,
    rates: list[tuple[int, Interval | None]],
) -> None:
    """FPIR at f64[K] thresholds of the sweep.

    Args:
        n, people: searches of people who are not enrolled, and how many these are. enrolled: people in the gallery.
        rates: (false alarms, interval of their share) at every threshold.
    """
    errors = np.array([count for count, _ in rates], np.int64)
    intervals = tuple(interval for _, interval in rates)
    document = {"people": people, "enrolled": enrolled, "fpir": _rates(Sweep(errors, n, intervals))}
    save_sweep(context, "searches", thresholds, document)


def _rates(found: Sweep | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "n": found.n,
        "errors": found.errors.tolist(),
        "low": [None if i is None else i.low for i in found.intervals],
        "high": [None if i is None else i.high for i in found.intervals],
        "missing": found.missing,
    }


def save_sweep(context: AnalysisContext, kind: str, thresholds: F64, document: Mapping[str, Any]) -> None:
    """Write one sweep into the run's artifacts."""
    whole = {
        "schema": SCHEMA,
        "version": VERSION,
        "kind": kind,
        "thresholds": thresholds.tolist(),
        **document,
    }
    path = context.run_dir / "artifacts" / f"explorer-{kind}.json"
    write_text_atomic(path, json.dumps(whole, allow_nan=False))
