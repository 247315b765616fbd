"""The robustness section: headline, caveats and method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fraudit.analyses.robustness.findings import EVIDENCE, few
from fraudit.analyses.robustness.measure import NO_GENUINE, Grid, harm
from fraudit.analyses.robustness.params import Params
from fraudit.audit.pair_scores import NEEDS_VECTORS
from fraudit.formatting import fmr_words, group_words, percent
from fraudit.perturb.base import Corruption
from fraudit.stats.robustness import Comparisons
from fraudit.types import Finding

if TYPE_CHECKING:
    from fraudit.audit.pair_scores import PairScores
    from fraudit.audit.thresholds import Threshold

NO_SIMILARITY = f"similarity to the clean picture {NEEDS_VECTORS}"
WHOLE = (
    "The black box is shown whole pictures and finds the face itself: corruptions act on the picture, and errors of an "
    "alignment of ours are not among them."
)


def headline(grid: Grid, comparisons: Comparisons, found: Sequence[Finding]) -> str:
    """One sentence: the worst corruption, with what is known of it, or why nothing can be said."""
    worst = max(grid.corruptions, key=lambda c: harm(grid, c.name))
    clean = comparisons.clean_fnmr
    if clean is None:
        return f"{worst.label} moves vectors farthest from those of the clean pictures; FNMR needs genuine pairs."
    if not any(f.rule in EVIDENCE for f in found):
        return next((f.text for f in found if f.rule == "robustness.unresolved"), found[0].text)
    mean = float(np.mean([rate.value for s in grid.severities if (rate := grid.cells[worst.name, s].fnmr)]))
    return (
        f"{worst.label} does most harm: mean FNMR {percent(mean)} over severities "
        f"{', '.join(map(str, grid.severities))}, against {percent(clean.value)} on clean pictures"
        f"{_shares(grid, worst)}."
    )


def answer(grid: Grid, comparisons: Comparisons, found: Sequence[Finding]) -> str:
    """The section in plain words."""
    clean = comparisons.clean_fnmr
    if clean is None:
        return "Not known: no clean pair of one person could be judged."
    harmful = [f for f in found if f.rule in EVIDENCE]
    if not harmful:
        return "Not shown otherwise: no disturbance of the picture makes it miss more people beyond doubt."
    worst = max(grid.corruptions, key=lambda c: harm(grid, c.name))
    top = max(grid.severities)
    rate = grid.cells[worst.name, top].fnmr
    if rate is None:
        return "No: disturbing the picture makes it miss more people beyond doubt."
    # One finding counts faces that are not found, another one those that are not recognised; some do both.
    counts = [f.text.split(" corruptions")[0] for f in found if f.rule == "robustness.count"]
    count = max(counts, key=lambda words: int(words.split()[0]), default="")
    least = "at least " if len(counts) > 1 else ""
    lead = (
        f"No: {least}{count} ways to disturb a picture make it miss"
        if count
        else "No: one disturbance makes it miss"
    )
    return (
        f"{lead} more people beyond doubt. {worst.label} at its strongest takes the misses from "
        f"{percent(clean.value)} to {percent(rate.value)}."
    )


def _shares(grid: Grid, corruption: Corruption) -> str:
    """How much of a corruption's mean increase is faces not found, and how much faces not recognised, or ''."""
    if grid.split is None or grid.clean_sums is None or grid.pairs is None:
        return ""
    at = next(k for k, c in enumerate(grid.corruptions) if c.name == corruption.name)
    gone, unknown = (
        100 * float((sums[at].mean(axis=0) - grid.clean_sums).sum() / grid.pairs.sum()) for sums in grid.split
    )
    return f"; {gone:+.1f} points are faces not found, {unknown:+.1f} faces found but not recognised"


def small_groups(sizes: Mapping[str, int], floor: int) -> tuple[str, ...]:
    """Which groups are too small for a grid of their own. `sizes`: group -> people."""
    said = group_words(sizes)
    small = [f"{said[group]} ({count})" for group, count in sizes.items() if count < max(floor, 2)]
    if not small:
        return ()
    return (f"No grid for groups of fewer than {floor} people: {', '.join(small)}.",)


def caveats(
    grid: Grid, comparisons: Comparisons, threshold: Threshold, redetect: bool, params: Params
) -> tuple[str, ...]:
    """What limits the figures."""
    found = []
    if not threshold.resolvable:
        found.append(
            f"The threshold for FMR {fmr_words(threshold.fmr_target)} rests on {threshold.n_impostor:,} impostor "
            "pairs; the rule "
            f"of three asks for {3 / threshold.fmr_target:,.0f}."
        )
    if comparisons.clean_fnmr is None:
        found.append(f"FNMR is missing: {NO_GENUINE}.")
    elif few(comparisons):
        found.append(f"FNMR has no interval: {few(comparisons)}. More: `--param robustness.probes=N`.")
    elif comparisons.clean_fnmr.people < 30:
        found.append(
            f"Only {comparisons.clean_fnmr.people} people have probes here; intervals are wide. "
            "More: `--param robustness.probes=N`."
        )
    if params.where == "picture" and not redetect:
        found.append(
            "Failures to acquire are not measured: the landmarks are declared by the set, so no detector "
            "has to find "
            "the corrupted face."
        )
    if params.where == "aligned":
        found.append("Failures to acquire are not measured: the aligned face was corrupted.")
    if redetect and grid.split is not None:
        found.append(
            "Part of these losses is the detector's, which looks at every corrupted picture; `--param "
            "robustness.where=aligned` corrupts the aligned face instead and measures recognition alone."
        )
    return tuple(found)


def method(
    comparisons: Comparisons, threshold: Threshold, redetect: bool, params: Params, scores: PairScores
) -> str:
    """How it was measured, in a few sentences."""
    if scores.sampled:
        place = "the whole picture" if scores.whole else "the picture before alignment"
        return (
            f"Corruptions act on {place}; every corrupted probe is compared with one mate and one stranger, clean. "
            f"Threshold {threshold.value:.4g}: {threshold.provenance}. A pair without a score does not match."
        )
    place = "the aligned face" if params.where == "aligned" else "the picture before alignment"
    finder = (
        "a detector looks at every corrupted picture; where it finds no face, the probe matches nobody"
        if redetect
        else "the five points of the clean picture are kept"
    )
    pairs = comparisons.pairs
    return (
        f"Corruptions act on {place}; {finder}. {len(pairs.probes)} corrupted probes are compared with "
        "clean enrolments "
        f"of the same person ({int(pairs.same.sum()):,} pairs) and of others "
        f"({int((~pairs.same).sum()):,}), all outside "
        f"the half of the people on which the threshold {threshold.value:.4f} was {threshold.provenance}. "
        "Intervals are "
        "identity-clustered; findings use intervals that hold for all cells at once (FNMR: max-t over sign flips of "
        "people; FMR: Bonferroni). "
        "Severities: "
        "docs/corruptions.md."
    )
