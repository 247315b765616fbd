"""Words, metrics, tables, figures and film strips of the direction analysis; computes no rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.analyses.inversion.words import counted_metric, key, said, slug, who
from fraudit.analyses.verification.words import rate
from fraudit.formatting import interval as interval_words
from fraudit.formatting import number, percent
from fraudit.stats.contrasts import FOUND_LEVEL
from fraudit.stats.directions import Correlation, Direction, Study
from fraudit.stats.family import FAMILY_LEVEL
from fraudit.stats.inversion import Figure as Counted
from fraudit.stats.inversion import tally
from fraudit.types import (
    Column,
    Finding,
    Gallery,
    GalleryItem,
    GalleryRow,
    Interval,
    Metric,
    Severity,
    Table,
)

if TYPE_CHECKING:
    from fraudit.analyses.directions import Params
    from fraudit.analyses.directions.measure import Morph, Path, Pictured, Reach

ALIKE_MEDIUM, ALIKE_LOW, MORPH_MEDIUM = 0.5, 0.25, 0.1
STRIPS = 3
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
    study: Study, reaches: Sequence[Reach], pictured: Pictured | None, threshold: Any
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
                f"{d.stability:.2f} ({bounds}; halves of {people_words(d)}).",
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
                f"still match themselves at FMR {rate(threshold.fmr_target)} ({said(r.kept, 'faces')}).",
                (f"directions.{slug(r.direction)}.kept",),
                "directions.kept",
            )
        )
    found += [f for f in (_morph_finding(p) for p in (pictured.paths if pictured else ())) if f]
    return found


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
        f"{'0.007' if study.p[a, b] < FAMILY_LEVEL else '0.05'}): moving along one "
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


def middle(path: Path) -> Counted | None:
    """Share of pictures from half-way vectors that match both people; None without a path."""
    if not len(path.people) or path.threshold.missing:
        return None
    at = path.first.shape[1] // 2
    both = np.fmin(path.first[:, at], path.second[:, at])
    both[~np.isfinite(path.first[:, at] + path.second[:, at])] = np.nan
    return tally(both >= path.threshold.value, path.people[:, 0], path.people[:, 1])


def _morph_finding(path: Path) -> Finding | None:
    share = middle(path)
    if share is None or not path.threshold.resolvable:
        return None
    level: Severity = "medium" if share.interval and share.interval.low >= MORPH_MEDIUM else "info"
    judge = "the model itself" if path.own else f"another model ({path.judge})"
    return Finding(
        level,
        f"{percent(share.value)} of pictures made half way between two people match both for {judge} at FMR "
        f"{rate(path.threshold.fmr_target)} ({said(share, 'pairs')}).",
        (f"directions.morph.{key(path.judge, path.own)}",),
        "directions.morph",
    )


def metrics(
    study: Study, reaches: Sequence[Reach], morph: Morph | None, pictured: Pictured | None, reason: str,
    params: Params, unknown: str = "",
) -> list[Metric]:  # fmt: skip
    """Stability, reach, cosines that count, axes that count, morphs, and walks by every judge.

    Args:
        unknown: why there is no threshold, so that nothing matches or does not.
    """
    found = []
    for d in study.directions:
        found.append(
            Metric(
                f"directions.{slug(d.contrast.name)}.stability", d.stability, n=d.count, n_unit="people",
                interval=d.stability_interval, interval_missing=d.interval_missing,
                label=f"Cosine of the direction of '{d.contrast.name}' between halves of the people",
            )
        )  # fmt: skip
    if unknown:
        found += [
            Metric(f"directions.{slug(d.contrast.name)}.kept", None, missing=unknown, n_unit="faces",
                   label=f"Vectors that match themselves after the whole gap of '{d.contrast.name}'")
            for d in study.directions
        ]  # fmt: skip
    for r in reaches:
        label = (
            f"Vectors that match themselves after the whole gap of '{r.direction}', FMR {rate(params.fmr)}"
        )
        found.append(
            counted_metric(f"directions.{slug(r.direction)}.kept", r.kept, "", label, n_unit="faces")
        )
    for a, b in significant(study)[:10]:
        first, second = study.directions[a].contrast.name, study.directions[b].contrast.name
        interval = pair_interval(study, a, b)
        found.append(
            Metric(
                f"directions.cosine.{slug(first)}.{slug(second)}", float(study.cosines[a, b]), n_unit="people",
                n=min(study.directions[a].count, study.directions[b].count), interval=interval,
                interval_missing="" if interval else "too few people carry both directions",
                label=f"Cosine of the directions of '{first}' and '{second}'",
            )
        )  # fmt: skip
    for c in study.axes:
        if c.p_adjusted < FOUND_LEVEL:
            kind = "within people" if c.within else "over people"
            label = f"Correlation of principal axis {c.axis} with '{c.contrast}', {kind}"
            found.append(
                Metric(f"directions.axis{c.axis}.{slug(c.contrast)}", c.r, n=c.people, interval=c.interval,
                       interval_missing=c.interval_missing, n_unit="people", label=label)
            )  # fmt: skip
    text = f"Half-way vectors that match both people at FMR {rate(params.fmr)}"
    found.append(
        counted_metric(
            "directions.morph.vector", morph.share if morph else None,
            unknown or "no pair of different people is judged", text, n_unit="pairs", better="lower",
        )
    )  # fmt: skip
    text = "Pictures from half-way vectors that match both people"
    if pictured is None or not pictured.paths:
        missing = reason if pictured is None else "no pair of different people is judged"
        found.append(Metric("directions.morph.self", None, missing=missing, better="lower", label=text))
        return found
    for p in pictured.paths:
        label = f"{text} at FMR {rate(params.fmr)} by {who(p.judge, p.own)}"
        found.append(
            counted_metric(f"directions.morph.{key(p.judge, p.own)}", middle(p), unknown or "no path", label,
                           n_unit="pairs", better="lower")
        )  # fmt: skip
    for w in pictured.walks:
        for at, gap in enumerate(w.gaps):
            kept = None if unknown else tally(w.source[:, at] >= w.threshold.value, w.people, w.people)
            name = f"directions.{slug(w.direction)}.{key(w.judge, w.own)}.pictures_kept@gaps={gap:g}"
            label = (
                f"Pictures {gap:g} gaps along '{w.direction}' that match the source by {who(w.judge, w.own)}"
            )
            found.append(counted_metric(name, kept, unknown, label, n_unit="pictures"))
    return found


def _ends(interval: Interval | None) -> list[float] | None:
    return [interval.low, interval.high] if interval else None


def tables(study: Study, reaches: Sequence[Reach]) -> list[Table]:
    """Directions; the attributes of each principal axis."""
    reach = {r.direction: r for r in reaches}
    rows = []
    for d in study.directions:
        r = reach.get(d.contrast.name)
        median = float(np.median(r.limits)) if r else None
        rows.append(
            {
                "name": d.contrast.name, "how": d.contrast.how,
                "people": f"{d.count:,} with both" if d.contrast.within else "{:,} / {:,}".format(*d.people),
                "gap": d.gap, "p": d.p_adjusted, "stability": d.stability,
                "interval": _ends(d.stability_interval),
                "kept": r.kept.value if r else None, "n": r.kept.n if r else None,
                "limit": None if median is None or np.isinf(median) else median,            }
        )  # fmt: skip
    columns: tuple[Column, ...] = (
        Column("name", "Attribute"), Column("how", "Contrast"), Column("people", "People"),
        Column("gap", "Gap", "number", 3), Column("p", "p, Holm", "number", 3),
        Column("stability", "Stability", "number", 2), Column("interval", "95 %", "interval", 2),
        Column("kept", "Kept", "percent", 1), Column("n", "Faces", "integer"),
        Column("limit", "Gaps to another", "number", 2),
    )  # fmt: skip
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
        {"axis": c.axis, "share": c.share, "name": c.contrast, "r": c.r,
         "interval": _ends(c.interval), "p": c.p_adjusted, "n": c.people,
         "kind": "within people" if c.within else "between people"}
        for axis in sorted(best) for c in sorted(best[axis], key=lambda x: -abs(x.r))[:3]
    ]  # fmt: skip
    columns = (
        Column("axis", "Axis", "integer"), Column("share", "Variance", "percent", 1),
        Column("name", "Attribute"), Column("kind", "Compared"), Column("r", "r", "number", 2),
        Column("interval", "95 %", "interval", 2), Column("p", "p, corrected", "number", 3),
        Column("n", "People", "integer"),
    )  # fmt: skip
    text = (
        "The three attributes that go most with each axis; p over all axes and attributes, and never below that of "
        "the attribute's direction."
    )
    return [*found, Table("directions_axes", "Principal axes", columns, tuple(rows), text)]


def galleries(context: Any, params: Params, pictured: Pictured | None) -> list[Gallery]:
    """Film strips with the measured similarity under each frame; only where pictures may be shown."""
    if pictured is None or not context.show_pictures:
        return []
    made = []
    judges = sorted(pictured.paths, key=lambda p: p.own)
    if judges:
        p, frames = judges[0], judges[0].first.shape[1]
        rows = []
        for n in range(min(STRIPS, len(p.people))):
            items = []
            for f in range(frames):
                lines = tuple(
                    "no vector" if not np.isfinite(v) else f"{'first' if s == 0 else 'second'} {v:.2f}"
                    for s, v in enumerate((p.first[n, f], p.second[n, f]))
                )
                name = context.save_picture(pictured.path_pictures[n * frames + f])
                items.append(GalleryItem(name, f"frame {f + 1} of {frames}: {', '.join(lines)}", lines))
            rows.append(GalleryRow(f"pair {n + 1}", tuple(items)))
        text = f"From one person's vector to another's (slerp). Cosine to both by {who(p.judge, p.own)}."
        made.append(Gallery("directions_paths", "Between two people", text, tuple(rows)))
    ranked = sorted(pictured.walks, key=lambda w: w.own)
    rows, gaps = [], None
    for name, pictures in pictured.strips.items():
        w = next(x for x in ranked if x.direction == name)
        gaps = w.gaps
        items = []
        for at, gap in enumerate(w.gaps):
            value = w.source[0, at]
            line = f"{value:.2f}" if np.isfinite(value) else "no vector"
            alt = f"{gap:g} gaps along {name}: cosine to the source {line}"
            items.append(GalleryItem(context.save_picture(pictures[at]), alt, (line,)))
        rows.append(GalleryRow(name, tuple(items)))
    if rows and gaps is not None:
        text = (
            "One face moved towards the other group of each attribute. Under each: cosine to the source by "
            f"{who(ranked[0].judge, ranked[0].own)}."
        )
        columns = tuple(f"{g:g} gaps" for g in gaps)
        made.append(Gallery("directions_walks", "Along directions", text, tuple(rows), columns))
    return made


def caveats(
    context: Any,
    skipped: Sequence[str],
    threshold: Any,
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
        found.append(f"FMR {rate(params.fmr)} is not resolvable on {threshold.n_impostor:,} impostor pairs.")
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
