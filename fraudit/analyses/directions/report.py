"""The direction analysis as metrics, tables and findings; computes no rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fraudit.analyses.directions.measure import Morph, Path, Pictured, Reach, half_way, kept_along
from fraudit.analyses.directions.params import Params
from fraudit.analyses.shared.counted import counted_metric
from fraudit.analyses.shared.words import interval_and_people, interval_ends, judge_key, judge_name, slug
from fraudit.formatting import fmr_words, number, percent
from fraudit.formatting import interval as interval_words
from fraudit.stats.contrasts import FOUND_LEVEL
from fraudit.stats.directions import Correlation, Direction, Study
from fraudit.stats.family import FAMILY_LEVEL
from fraudit.types import Column, Finding, Interval, Metric, Severity, Table

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext
    from fraudit.audit.thresholds import Threshold

ALIKE_MEDIUM, ALIKE_LOW, MORPH_MEDIUM = 0.5, 0.25, 0.1
METHOD = (
    "A direction is the difference of the mean unit vectors of two groups (ID3PM, sec. 4.3), every person weighing "
    "the same. Where pictures of one person differ in the label at least half as often as pictures of two people, "
    "and enough people have both, it is the mean over these people of what each differs from him- or herself, "
    "tested by changing the sign of whole people's differences; else the difference between the means of people, "
    "tested by dealing labels to other people with about as many pictures (both Holm over attributes). Stability "
    "is the cosine to expect between directions of two halves of the people. Cosines of directions that exist are "
    "freed of the sample's noise, which turns directions apart, and tested with Student's t over people (Holm over "
    "pairs). Axes are tested with the same draws as the direction, and go with no attribute that has none. "
    "Intervals: delete-one over people. How far a vector can move until its cosine to itself falls below the "
    "threshold is closed form; with an inverter, pictures of moved vectors are shown to every judge. Paths between "
    "people are slerp."
)


def spread_words(values: tuple[float, float]) -> str:
    """`0.91 to 0.97`."""
    return interval_words(*values)


def bounds_words(interval: Interval | None, missing: str) -> str:
    """`0.91 to 0.97`, or why there is no interval."""
    return spread_words((interval.low, interval.high)) if interval else f"no interval: {missing}"


def _stability_words(d: Direction) -> str:
    """Two decimals, or the three of an interval that is narrow enough to have them."""
    interval = d.stability_interval
    return number(d.stability, 3 if interval and interval.high - interval.low < 0.02 else 2)


def people_words(d: Direction) -> str:
    """`15 people with both`, or `40 and 23 people`."""
    return f"{d.count:,} people with both" if d.contrast.within else "{:,} and {:,} people".format(*d.people)


def significant(study: Study) -> list[tuple[int, int]]:
    """Pairs of existing directions that are not orthogonal (Holm 5 %), the largest cosine first."""
    m = len(study.directions)
    pairs = [(a, b) for a in range(m) for b in range(a + 1, m) if study.p[a, b] < FOUND_LEVEL]
    return sorted(pairs, key=lambda ab: -abs(study.cosines[ab]))


def pair_interval(study: Study, a: int, b: int) -> Interval | None:
    """Of the cosine of two directions; None where too few people carry one."""
    low, high = float(study.low[a, b]), float(study.high[a, b])
    method = "delete-one over people, Student's t, freed of noise"
    return Interval(low, high, 0.95, method) if np.isfinite(low) else None


def findings(
    study: Study, reaches: Sequence[Reach], pictured: Pictured | None, threshold: Threshold
) -> list[Finding]:
    """The headline first; severities by the rules of docs/severity.md."""
    there = sorted((d for d in study.directions if d.exists), key=lambda d: -d.stability)
    m = len(study.directions)
    found = []
    if there:
        d = there[0]
        bounds = bounds_words(d.stability_interval, d.interval_missing)
        names = ", ".join(f"'{x.contrast.name}'" for x in there[:6]) + (" ..." if len(there) > 6 else "")
        found.append(
            Finding(
                "info",
                f"{len(there)} of {m} attributes have a direction in the ID vectors ({names}; tests over people, "
                f"Holm 5 %). Surest: '{d.contrast.name}', to be found again on other people with cosine "
                f"{_stability_words(d)} ({bounds}; halves of {people_words(d)}).",
                tuple(f"directions.{slug(x.contrast.name)}.stability" for x in there[:6]),
                "directions.found",
            )
        )
    else:
        most = max(d.count for d in study.directions)
        found.append(
            Finding(
                "info",
                f"None of {m} attributes has a direction that unrelated labels would not have (tests over people, "
                f"Holm 5 %; at most {most:,} people).",
                (),
                "directions.none",
            )
        )
    found += [f for f in (_entangled(study), _axis(study)) if f]
    sure = {d.contrast.name for d in there}
    moved = [r for r in reaches if r.direction in sure]
    if moved:
        r = max(moved, key=lambda x: x.kept.value)
        found.append(
            Finding(
                "info",
                f"Moved by the whole gap between the groups of '{r.direction}', {percent(r.kept.value)} of vectors "
                f"still match themselves at FMR {fmr_words(threshold.fmr_target)} "
                f"({interval_and_people(r.kept, 'faces')}).",
                (f"directions.{slug(r.direction)}.kept",),
                "directions.kept",
            )
        )
    found += [f for f in (_morph_finding(p) for p in (pictured.paths if pictured else ())) if f]
    return found


def answer(study: Study) -> str:
    """The section in plain words."""
    names = [f"'{d.contrast.name}'" for d in study.directions if d.exists]
    if not names:
        return "None of those labelled here was found in the vectors."
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{listed} {'moves' if len(names) == 1 else 'each move'} the vector one way, the same for other people."


def _entangled(study: Study) -> Finding | None:
    pairs = significant(study)
    if not pairs:
        return None
    a, b = pairs[0]
    first, second = study.directions[a].contrast.name, study.directions[b].contrast.name
    value, interval = float(study.cosines[a, b]), pair_interval(study, a, b)
    level: Severity = "info"
    if interval and study.p[a, b] < FAMILY_LEVEL:
        least = interval.low if value > 0 else -interval.high
        level = "medium" if least >= ALIKE_MEDIUM else "low" if least >= ALIKE_LOW else "info"
    bounds = f"95 % interval {bounds_words(interval, '')}" if interval else "too few people for an interval"
    return Finding(
        level,
        f"The directions of '{first}' and '{second}' have cosine {number(value)} ({bounds}, Holm-corrected p < "
        f"{FAMILY_LEVEL if study.p[a, b] < FAMILY_LEVEL else 0.05:g}): moving along one "
        f"{'raises' if value > 0 else 'lowers'} the other.",
        (f"directions.cosine.{slug(first)}.{slug(second)}",),
        "directions.entangled",
    )


def _axis(study: Study) -> Finding | None:
    axes = [c for c in study.axes if c.p_adjusted < FOUND_LEVEL]
    if not axes:
        return None
    c = max(axes, key=lambda x: abs(x.r))
    return Finding(
        "info",
        f"Principal axis {c.axis} ({percent(c.share)} of the variance) goes with '{c.contrast}': r "
        f"{number(c.r)} {'within' if c.within else 'over'} people ({bounds_words(c.interval, c.interval_missing)}; "
        f"{c.people:,} people{' with both' if c.within else ''}, corrected for all axes and attributes).",
        (f"directions.axis{c.axis}.{slug(c.contrast)}",),
        "directions.axis",
    )


def _morph_finding(path: Path) -> Finding | None:
    share = half_way(path)
    if share is None or not path.threshold.resolvable:
        return None
    level: Severity = "medium" if share.interval and share.interval.low >= MORPH_MEDIUM else "info"
    judge = "the model itself" if path.own else f"another model ({path.judge})"
    return Finding(
        level,
        f"{percent(share.value)} of pictures made half way between two people match both for {judge} at FMR "
        f"{fmr_words(path.threshold.fmr_target)} ({interval_and_people(share, 'pairs')}).",
        (f"directions.morph.{judge_key(path.judge, path.own)}",),
        "directions.morph",
        "Take enrolment pictures yourself, or check those handed in for morphing: one picture may pass for two people."
        if level != "info"
        else "",
    )


def metrics(
    study: Study,
    reaches: Sequence[Reach],
    morph: Morph | None,
    pictured: Pictured | None,
    reason: str,
    params: Params,
    unknown: str = "",
) -> list[Metric]:
    """Stability, reach, cosines that count, axes that count, morphs, and walks by every judge.

    Args:
        unknown: why there is no threshold, so that nothing matches or does not.
    """
    found = []
    for d in study.directions:
        found.append(
            Metric(
                f"directions.{slug(d.contrast.name)}.stability",
                d.stability,
                n=d.count,
                n_unit="people",
                interval=d.stability_interval,
                interval_missing=d.interval_missing,
                label=f"Cosine of the direction of '{d.contrast.name}' between halves of the people",
            )
        )
    if unknown:
        found += [
            Metric(
                f"directions.{slug(d.contrast.name)}.kept",
                None,
                missing=unknown,
                n_unit="faces",
                label=f"Vectors that match themselves after the whole gap of '{d.contrast.name}'",
            )
            for d in study.directions
        ]
    for r in reaches:
        label = f"Vectors that match themselves after the whole gap of '{r.direction}', FMR {fmr_words(params.fmr)}"
        found.append(
            counted_metric(f"directions.{slug(r.direction)}.kept", r.kept, "", label, n_unit="faces")
        )
    for a, b in significant(study)[:10]:
        first, second = study.directions[a].contrast.name, study.directions[b].contrast.name
        interval = pair_interval(study, a, b)
        found.append(
            Metric(
                f"directions.cosine.{slug(first)}.{slug(second)}",
                float(study.cosines[a, b]),
                n_unit="people",
                n=min(study.directions[a].count, study.directions[b].count),
                interval=interval,
                interval_missing="" if interval else "too few people carry both directions",
                label=f"Cosine of the directions of '{first}' and '{second}'",
            )
        )
    for c in study.axes:
        if c.p_adjusted < FOUND_LEVEL:
            kind = "within people" if c.within else "over people"
            label = f"Correlation of principal axis {c.axis} with '{c.contrast}', {kind}"
            found.append(
                Metric(
                    f"directions.axis{c.axis}.{slug(c.contrast)}",
                    c.r,
                    n=c.people,
                    interval=c.interval,
                    interval_missing=c.interval_missing,
                    n_unit="people",
                    label=label,
                )
            )
    text = f"Half-way vectors that match both people at FMR {fmr_words(params.fmr)}"
    found.append(
        counted_metric(
            "directions.morph.vector",
            morph.share if morph else None,
            unknown or "no pair of different people is judged",
            text,
            n_unit="pairs",
            better="lower",
        )
    )
    text = "Pictures from half-way vectors that match both people"
    if pictured is None or not pictured.paths:
        missing = reason if pictured is None else "no pair of different people is judged"
        found.append(Metric("directions.morph.self", None, missing=missing, better="lower", label=text))
        return found
    for p in pictured.paths:
        label = f"{text} at FMR {fmr_words(params.fmr)} by {judge_name(p.judge, p.own)}"
        found.append(
            counted_metric(
                f"directions.morph.{judge_key(p.judge, p.own)}",
                half_way(p),
                unknown or "no path",
                label,
                n_unit="pairs",
                better="lower",
            )
        )
    for w in pictured.walks:
        for at, gap in enumerate(w.gaps):
            kept = None if unknown else kept_along(w, at)
            name = f"directions.{slug(w.direction)}.{judge_key(w.judge, w.own)}.pictures_kept@gaps={gap:g}"
            label = f"Pictures {gap:g} gaps along '{w.direction}' that match the source by {judge_name(w.judge, w.own)}"
            found.append(counted_metric(name, kept, unknown, label, n_unit="pictures"))
    return found


def tables(study: Study, reaches: Sequence[Reach]) -> list[Table]:
    """Directions; the attributes of each principal axis."""
    reach = {r.direction: r for r in reaches}
    rows = []
    for d in study.directions:
        r = reach.get(d.contrast.name)
        median = float(np.median(r.limits)) if r else None
        rows.append(
            {
                "name": d.contrast.name,
                "how": d.contrast.how,
                "people": f"{d.count:,} with both" if d.contrast.within else "{:,} / {:,}".format(*d.people),
                "gap": d.gap,
                "p": d.p_adjusted,
                "stability": d.stability,
                "interval": interval_ends(d.stability_interval),
                "kept": r.kept.value if r else None,
                "n": r.kept.n if r else None,
                "limit": None if median is None or np.isinf(median) else median,
            }
        )
    columns: tuple[Column, ...] = (
        Column("name", "Attribute"),
        Column("how", "Contrast"),
        Column("people", "People"),
        Column("gap", "Gap", "number", 3),
        Column("p", "p, Holm", "number", 3),
        Column("stability", "Stability", "number", 2),
        Column("interval", "95 %", "interval", 2),
        Column("kept", "Kept", "percent", 1),
        Column("n", "Faces", "integer"),
        Column("limit", "Gaps to another", "number", 2),
    )
    caption = (
        "People: of the two groups, or those with both, who are compared with themselves. "
        "Gap: length of the difference between the groups' mean unit vectors. Kept: vectors that still match "
        "themselves when moved by it towards the other group. Gaps to another: median "
        "distance, in gaps, at which they no longer do."
    )
    found = [Table("directions", "Directions of attributes", columns, tuple(rows), caption)]
    best: dict[int, list[Correlation]] = {}
    for c in study.axes:
        best.setdefault(c.axis, []).append(c)
    rows = [
        {
            "axis": c.axis,
            "share": c.share,
            "name": c.contrast,
            "r": c.r,
            "interval": interval_ends(c.interval),
            "p": c.p_adjusted,
            "n": c.people,
            "kind": "within people" if c.within else "between people",
        }
        for axis in sorted(best)
        for c in sorted(best[axis], key=lambda x: -abs(x.r))[:3]
    ]
    columns = (
        Column("axis", "Axis", "integer"),
        Column("share", "Variance", "percent", 1),
        Column("name", "Attribute"),
        Column("kind", "Compared"),
        Column("r", "r", "number", 2),
        Column("interval", "95 %", "interval", 2),
        Column("p", "p, corrected", "number", 3),
        Column("n", "People", "integer"),
    )
    text = (
        "The three attributes that go most with each axis; p over all axes and attributes, and never below that of "
        "the attribute's direction."
    )
    return [*found, Table("directions_axes", "Principal axes", columns, tuple(rows), text)]


def caveats(
    context: AnalysisContext,
    skipped: Sequence[str],
    threshold: Threshold,
    pictured: Pictured | None,
    reason: str,
    params: Params,
) -> list[str]:
    """What a reader must know before believing the figures."""
    found = [
        "A direction says that labels and vectors go together in this set; labels that go together among people "
        "(beard and male) share a direction even where the model keeps them apart.",
        f"Threshold: {threshold.provenance}.",
    ]
    if not (threshold.resolvable or threshold.missing):
        found.append(
            f"FMR {fmr_words(params.fmr)} is not resolvable on {threshold.n_impostor:,} impostor pairs."
        )
    if not context.faces.identified:
        found.append(
            "The set names no identities: every picture counts as its own person, so p is too small and stability too "
            "high where people occur twice."
        )
    found += [note] if (note := context.repeat_note()) else []
    found += [f"Left out: {text}." for text in skipped[:12]]
    if pictured is None:
        found.append(f"Nothing was inverted: {reason}.")
    elif pictured.scale < 1:
        found.append(f"Fewer pictures than by default: {percent(pictured.scale)} (directions.scale).")
    return found
