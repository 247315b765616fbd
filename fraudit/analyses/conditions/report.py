"""The conditions analysis as metrics, tables and findings; computes no rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fraudit.analyses.conditions.measure import FAMILY, Found, Label, cells
from fraudit.analyses.conditions.params import NAME
from fraudit.analyses.shared.words import interval_ends, slug
from fraudit.formatting import fmr_words, number, percent, probability
from fraudit.formatting import interval as interval_words
from fraudit.stats.conditions import Cell, PairedCell
from fraudit.stats.family import LATER_LEVEL
from fraudit.stats.intervals import LEAST_PEOPLE
from fraudit.types import Column, Finding, Interval, Metric, Severity, Table, gravity

HIGH, MEDIUM = 0.20, 0.05  # lower bound of the increase of FNMR
METHOD = (
    "Labels that vary within people, their values two by two: genuine pairs with one picture in the one condition and "
    "one in the other, at one threshold chosen on other people. A cell is compared with the reference (the most common "
    "condition with itself, or the enrolled one) within people who have pairs in both: mean over people of their own "
    "difference, sign-flip test, Holm over the cells of all labels. Intervals of changes are Student's t over people "
    "and hold for all cells of all labels at once (95 %). FMR: impostor pairs of judged people, compared by "
    "identity-clustered sums. A face without a vector is an error and has no similarity."
)


def cell_words(label: Label, c: Cell) -> str:
    """`glasses enrolled, none seen`, or `glasses with none` where neither picture is the enrolled one."""
    if label.matrix.ordered:
        return f"{c.enrolled} enrolled, {c.seen} seen"
    return f"{c.enrolled} on both pictures" if c.enrolled == c.seen else f"{c.enrolled} with {c.seen}"


def _cell_metric(name: str, value: float | None, label: str, group: str, **more: Any) -> Metric:
    if value is None or value != value:
        more.pop("interval", None)
        why = more.pop("interval_missing", "") or "no pair"
        return Metric(f"{NAME}.{name}", None, missing=why, label=label, group=group)
    return Metric(f"{NAME}.{name}", value, label=label, group=group, **more)


def metrics(found: Found) -> Iterator[Metric]:
    """Every cell by its label; `group` names the cell."""
    for label in found.labels:
        key = slug(label.name)
        for c in cells(label.matrix):
            group = cell_words(label, c)
            yield _cell_metric(
                f"{key}.fnmr",
                c.rate,
                f"FNMR by {label.name}",
                group,
                n=c.pairs,
                n_unit="genuine pairs",
                interval=c.interval,
                interval_missing=c.missing,
                better="lower",
            )
            yield _cell_metric(
                f"{key}.similarity",
                c.similarity,
                f"mean similarity by {label.name}",
                group,
                n=c.pairs,
                n_unit="genuine pairs",
                interval=c.similarity_interval,
                better="higher",
                interval_missing="" if c.similarity_interval else c.missing or "too few people",
            )
            for kind, change, better in (
                ("fnmr_change", c.rate_change, "lower"),
                ("similarity_change", c.similarity_change, "higher"),
            ):
                if change is not None:
                    words = f"{kind.split('_')[0].replace('fnmr', 'FNMR')} less that of the reference, {label.name}"
                    yield _cell_metric(
                        f"{key}.{kind}",
                        change.value,
                        words,
                        group,
                        n=change.people,
                        n_unit="people",
                        interval=change.interval,
                        interval_missing=change.missing,
                        better=better,
                    )
        for c in cells(label.matrix, genuine=False):
            yield _cell_metric(
                f"{key}.fmr",
                c.rate,
                f"FMR by {label.name}",
                cell_words(label, c),
                n=c.pairs,
                n_unit="impostor pairs",
                interval=c.interval,
                interval_missing=c.missing,
                better="lower",
            )


def tables(found: Found) -> list[Table]:
    """Two a label: FNMR of every cell with its change, and similarity beside false matches."""
    return [t for label in found.labels for t in (_fnmr_table(found, label), _score_table(found, label))]


def _sides(label: Label) -> tuple[Column, Column]:
    one, two = ("enrolled", "seen") if label.matrix.ordered else ("one picture", "the other")
    return Column("enrolled", one), Column("seen", two)


def _fnmr_table(found: Found, label: Label) -> Table:
    rows: list[dict[str, Any]] = []
    for c in cells(label.matrix):
        key, r = (label.name, c.enrolled, c.seen), c.rate_change
        rows.append(
            {
                "enrolled": c.enrolled,
                "seen": c.seen,
                "fnmr": c.rate,
                "interval": interval_ends(c.interval),
                "pairs": f"{c.pairs:,} / {c.people:,}",
                "change": _value(r),
                "change_interval": interval_ends(r.interval) if r else None,
                "both": r.people if r else None,
                "p": probability(found.rate_p[key]) if key in found.rate_p else "the reference",
            }
        )
    return Table(
        f"conditions_{slug(label.name)}",
        f"FNMR by {label.name}",
        (
            *_sides(label),
            Column("fnmr", "FNMR", "percent"),
            Column("interval", "95 % interval", "interval"),
            Column("pairs", "pairs / people"),
            Column("change", "change within people", "points"),
            Column("change_interval", "interval for all cells", "interval"),
            Column("both", "people in both cells", "integer"),
            Column("p", "p, Holm"),
        ),
        tuple(rows),
        f"At the threshold for FMR {fmr_words(found.genuine.threshold.fmr_target)}. Changes are of people with "
        f"pairs in the cell and in the reference; fewer than {LEAST_PEOPLE:.0f} have no interval.",
    )


def _score_table(found: Found, label: Label) -> Table:
    rows: list[dict[str, Any]] = []
    for c in cells(label.matrix):
        key, s = (label.name, c.enrolled, c.seen), c.similarity_change
        other = label.matrix.impostor.get((c.enrolled, c.seen))
        false = other if other is not None and other.pairs else None
        rows.append(
            {
                "enrolled": c.enrolled,
                "seen": c.seen,
                "similarity": c.similarity,
                "change": _value(s),
                "p": probability(found.similarity_p[key]) if key in found.similarity_p else "the reference",
                "fmr": false.rate if false else None,
                "interval": interval_ends(false.interval) if false else None,
                "pairs": false.pairs if false else None,
                "fmr_p": probability(found.fmr_p[key]) if key in found.fmr_p else "",
            }
        )
    return Table(
        f"conditions_{slug(label.name)}_scores",
        f"Similarity and false matches by {label.name}",
        (
            *_sides(label),
            Column("similarity", "mean similarity", "number"),
            Column("change", "change within people", "number"),
            Column("p", "p, Holm"),
            Column("fmr", "FMR", "percent"),
            Column("interval", "95 % interval", "interval"),
            Column("pairs", "impostor pairs", "integer"),
            Column("fmr_p", "p, Holm"),
        ),
        tuple(rows),
    )


def _value(change: PairedCell | None) -> float | None:
    return change.value if change is not None and change.value == change.value else None


def findings(found: Found) -> list[Finding]:
    """Worst first; severities by the rules of docs/severity.md."""
    out: list[Finding] = []
    for label in found.labels:
        raised = [c for c in cells(label.matrix) if _raises(found, label, c)]
        if raised:
            out.append(_raise(found, label, raised))
        else:
            out += [f for f in (_similarity(found, label),) if f]
        out += [f for f in (_strangers(found, label),) if f]
    out.sort(key=gravity)
    if not any(f.rule == f"{NAME}.fnmr" for f in out):
        out.insert(0, _none(found))
    return out


def _raises(found: Found, label: Label, c: Cell) -> bool:
    change = c.rate_change
    return (
        change is not None
        and change.interval is not None
        and change.interval.low > 0
        and found.rate_p[label.name, c.enrolled, c.seen] <= LATER_LEVEL
    )


def severity_of(low: float) -> Severity:
    """By the lower bound of the increase of FNMR."""
    return "high" if low >= HIGH else "medium" if low >= MEDIUM else "low"


def _for_all(found: Found) -> str:
    return f"interval for all {found.tests} cells" if found.tests > 1 else "95 % interval"


def _points(interval: Interval) -> str:
    return f"{interval_words(100 * interval.low, 100 * interval.high)} points"


def _raise(found: Found, label: Label, raised: list[Cell]) -> Finding:
    worst = max(raised, key=lambda c: c.rate_change.interval.low)  # type: ignore[union-attr]
    change = worst.rate_change
    assert change is not None
    assert change.interval is not None
    reference = label.matrix.genuine[label.matrix.reference]
    more = f" {len(raised) - 1} more of its cells do too." if len(raised) > 1 else ""
    p = probability(found.rate_p[label.name, worst.enrolled, worst.seen])
    return Finding(
        severity_of(change.interval.low),
        f"{label.name}: FNMR is {percent(worst.rate)} for {cell_words(label, worst)} and {percent(reference.rate)} "
        f"for {cell_words(label, reference)}; within people it rises by {number(100 * change.value, 1)} points "
        f"({_for_all(found)} {_points(change.interval)}; {change.people:,} people, "
        f"{worst.pairs:,} genuine pairs; p {p} after Holm).{more}",
        (f"{NAME}.{slug(label.name)}.fnmr_change", f"{NAME}.{slug(label.name)}.fnmr"),
        f"{NAME}.fnmr",
        _enrol(label, worst),
    )


def _enrol(label: Label, worst: Cell) -> str:
    """Whether to enrol such a picture: where both pictures are of the condition that is seen, fewer pairs fail."""
    alike = next((c for c in cells(label.matrix) if c.enrolled == c.seen == worst.seen), None)
    if (
        worst.enrolled == worst.seen
        or alike is None
        or alike.rate is None
        or worst.rate is None
        or alike.rate >= worst.rate
    ):
        return "Ask for a picture of the usual condition where this is seen."
    return (
        f"Enrol a picture of '{worst.seen}' too: where both are, FNMR is {percent(alike.rate)} "
        f"({alike.pairs:,} pairs)."
    )


def answer(told: Sequence[Finding]) -> str:
    """The section in plain words."""
    raised = [f for f in told if f.rule == f"{NAME}.fnmr"]
    if not raised:
        return (
            "Not shown: none of those labelled here turns more of the right people away beyond doubt; the section says "
            "how large a rise is not ruled out."
        )
    names = ", ".join(f.text.split(":")[0] for f in raised)
    return f"Yes: {names} {'makes' if len(raised) == 1 else 'make'} it turn more of the right people away."


def _similarity(found: Found, label: Label) -> Finding | None:
    sure = [
        c
        for c in cells(label.matrix)
        if (s := c.similarity_change) is not None
        and s.value < 0
        and found.similarity_p[label.name, c.enrolled, c.seen] <= FAMILY
    ]
    if not sure:
        return None
    worst = min(sure, key=lambda c: c.similarity_change.value)  # type: ignore[union-attr]
    change = worst.similarity_change
    assert change is not None
    around = (
        f"{_for_all(found)} {interval_words(-change.interval.high, -change.interval.low)}; "
        if change.interval
        else ""
    )
    return Finding(
        "info",
        f"{label.name}: the similarity of genuine pairs is lower by {number(-change.value, 3)} for "
        f"{cell_words(label, worst)} ({around}{change.people:,} people), without a rise of FNMR beyond doubt.",
        (f"{NAME}.{slug(label.name)}.similarity_change",),
        f"{NAME}.similarity",
    )


def _strangers(found: Found, label: Label) -> Finding | None:
    sure = [
        c
        for c in cells(label.matrix, genuine=False)
        if c.fmr_change is not None
        and c.fmr_change.value > 0
        and found.fmr_p[label.name, c.enrolled, c.seen] <= FAMILY
    ]
    if not sure:
        return None
    worst = max(sure, key=lambda c: c.rate or 0.0)
    reference = label.matrix.impostor[label.matrix.reference]
    around = (
        f"95 % interval {interval_words(worst.interval.low, worst.interval.high, as_percent=True)}; "
        if worst.interval
        else ""
    )
    return Finding(
        "info",
        f"{label.name}: strangers match in {percent(worst.rate)} of their pairs for {cell_words(label, worst)} "
        f"({around}{worst.pairs:,} impostor pairs) and in {percent(reference.rate)} for {cell_words(label, reference)} "
        f"(p {probability(found.fmr_p[label.name, worst.enrolled, worst.seen])} after Holm).",
        (f"{NAME}.{slug(label.name)}.fmr",),
        f"{NAME}.fmr",
    )


def _none(found: Found) -> Finding:
    names = ", ".join(label.name for label in found.labels)
    pairs = int(found.genuine.judged.sum())
    errors = int(found.genuine.errors[found.genuine.judged].sum())
    compared = [
        c.rate_change for label in found.labels for c in cells(label.matrix) if c.rate_change is not None
    ]
    around = [c.interval for c in compared if c.interval is not None]
    most = (
        f" The intervals leave open a rise of up to {number(100 * max(i.high for i in around), 1)} points."
        if around
        else ""
    )
    return Finding(
        "info",
        f"No condition of {names} raises FNMR beyond doubt at FMR {fmr_words(found.genuine.threshold.fmr_target)} "
        f"({errors:,} errors of {pairs:,} genuine pairs).{most}",
        tuple(f"{NAME}.{slug(label.name)}.fnmr_change" for label in found.labels),
        f"{NAME}.none",
    )


def caveats(found: Found) -> list[str]:
    """What limits the section."""
    t = found.genuine.threshold
    out = [f"Threshold {number(t.value, 3)} {t.provenance}."]
    if found.further:
        out.append(
            f"Vary within people too, and were not looked at: {', '.join(found.further)} "
            "(--param conditions.by=...)."
        )
    for label in found.labels:
        if label.matrix.unknown:
            out.append(f"{label.name}: {label.matrix.unknown:,} genuine pairs have an unknown condition.")
    named = [f"{name} ({reason})" for name, reason in found.skipped.items()]
    if named:
        out.append(f"No conditions: {'; '.join(named)}.")
    return out
