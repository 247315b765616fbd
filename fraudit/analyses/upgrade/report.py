"""The upgrade analysis as metrics, a table and findings; computes no rate."""

from __future__ import annotations

from collections.abc import Iterator

from fraudit.analyses.shared.transfer import DRAW
from fraudit.analyses.upgrade.measure import Found, Point, Way
from fraudit.analyses.upgrade.params import NAME, Params
from fraudit.formatting import fmr_words, percent, points
from fraudit.formatting import interval as interval_words
from fraudit.stats.estimates import Estimate
from fraudit.stats.intervals import Difference
from fraudit.stats.search_rates import SearchRate
from fraudit.types import Column, Finding, Interval, Metric, Severity, Table

HIGH, MEDIUM, LOW = 0.10, 0.02, 0.005  # rise of FNMR over new enrolments
METHOD = (
    "The people are in three disjoint parts: one that the translator is fitted to, one that chooses every threshold, "
    "and one that is judged. Enrolments are of one picture. Old enrolments are carried into the new model's space by "
    "ridge regression (a small network over it only where that is nearer beyond doubt on people held out), and probes "
    "are of the new model. Each way of enrolling has its own threshold. Differences are over the same pairs, clustered "
    "by people, and hold the uncertainty of both thresholds. The number of pictures that loses nothing is tested from "
    "the most down until one fails. Intervals hold for the translator as it was fitted: for this draw of pictures."
)


def key_of(way: Way) -> str:
    """Part of a metric's name: `old`, `new` or `translated.n=500`."""
    return f"translated.n={way.pairs}" if way.kind else way.name


def words_of(found: Found, way: Way) -> str:
    """A way of enrolling in words."""
    if way.kind:
        return f"old enrolments translated ({way.pairs:,} pictures), new probes"
    name = found.names[0] if way.name == "old" else found.names[1]
    return f"{way.name} enrolments, {way.name} probes ({name})"


def _rate(name: str, found: Estimate | SearchRate, label: str, unit: str) -> Metric:
    missing = found.reason if isinstance(found, Estimate) else found.missing
    return Metric(
        f"{NAME}.{name}",
        found.value,
        n=found.n,
        n_unit=unit,
        interval=found.interval,
        interval_missing="" if found.interval else missing,
        better="lower",
        label=label,
    )


def _change(name: str, found: Difference | None, reason: str, n: int, label: str, unit: str) -> Metric:
    if found is None:
        return Metric(f"{NAME}.{name}", None, missing=reason, better="lower", label=label)
    return Metric(
        f"{NAME}.{name}", found.value, n=n, n_unit=unit, interval=found.interval, better="lower", label=label
    )


def metrics(found: Found) -> Iterator[Metric]:
    """Every figure by its stable name."""
    for way in found.ways:
        key, words = key_of(way), words_of(found, way)
        for p in way.points:
            at = fmr_words(p.target)
            yield _rate(f"{key}.fnmr@fmr={at}", p.fnmr, f"FNMR at FMR {at}, {words}", "genuine pairs")
            yield _rate(
                f"{key}.fmr@fmr={at}",
                p.fmr,
                f"FMR reached at the threshold for {at}, {words}",
                "impostor pairs",
            )
            if way.kind:
                for kind, change, against in (
                    ("loss", p.loss, "new enrolments"),
                    ("gain", p.gain, "the old model"),
                ):
                    label = f"FNMR at FMR {at} less that of {against}, {words}"
                    yield _change(
                        f"{key}.{kind}@fmr={at}", change, p.reason, p.fnmr.n, label, "genuine pairs"
                    )
        if way.searched is not None:
            s, at = way.searched, fmr_words(way.searched.target)
            yield _rate(f"{key}.fnir@fpir={at}", s.fnir, f"FNIR, rank 1, at FPIR {at}, {words}", "searches")
            yield _rate(
                f"{key}.fpir@fpir={at}",
                s.fpir,
                f"FPIR reached at the threshold for {at}, {words}",
                "searches",
            )
            if way.kind:
                label = f"FNIR at FPIR {at} less that of new enrolments, {words}"
                yield _change(f"{key}.loss@fpir={at}", s.loss, s.reason, s.fnir.n, label, "searches")
    judged = found.translated[-1].points[0].fnmr.people
    label = "fewest pictures whose translator loses nothing beyond the margin"
    if found.smallest is None:
        why = "no number of pictures of this set loses nothing beyond the margin beyond doubt"
        yield Metric(f"{NAME}.pictures_needed", None, missing=why, better="lower", label=label)
    else:
        yield Metric(
            f"{NAME}.pictures_needed",
            float(found.smallest),
            n=judged,
            n_unit="people",
            interval_missing="the outcome of tests, each at 2.5 %",
            better="lower",
            label=label,
        )


def table(found: Found) -> Table:
    """One row a way of enrolling."""
    columns = [Column("way", "Enrolments and probes", "text"), Column("kind", "Translator", "text")]
    columns += [
        Column(f"fnmr{p.target}", f"FNMR at FMR {fmr_words(p.target)}", "percent")
        for p in found.ways[0].points
    ]
    columns += [
        Column(f"loss{p.target}", f"less new enrolments, FMR {fmr_words(p.target)}", "points")
        for p in found.ways[0].points
    ]
    searched = found.ways[0].searched
    if searched is not None:
        columns.append(Column("fnir", f"FNIR at FPIR {fmr_words(searched.target)}", "percent"))
    rows = []
    for way in found.ways:
        row: dict[str, object] = {"way": words_of(found, way), "kind": way.kind or "none"}
        for p in way.points:
            row[f"fnmr{p.target}"] = p.fnmr.value
            row[f"loss{p.target}"] = p.loss.value if p.loss else None
        if way.searched is not None:
            row["fnir"] = way.searched.fnir.value
        rows.append(row)
    a, b, c = found.people
    caption = f"{a:,} people for the translator, {b:,} choose thresholds, {c:,} are judged. {DRAW}"
    return Table("upgrade_ways", "Old enrolments with the new model", tuple(columns), tuple(rows), caption)


def _bounds(interval: Interval) -> str:
    return f"95 % interval {interval_words(interval.low, interval.high, as_percent=True)}"


def _of(rate: Estimate) -> str:
    said = f" ({_bounds(rate.interval)})" if rate.interval else ""
    return f"{percent(rate.value)}{said}"


def _span(interval: Interval) -> str:
    return f"95 % interval {interval_words(100 * interval.low, 100 * interval.high, 'points')}"


def _away(value: float) -> str:
    return f"{points(abs(value))} {'below' if value < 0 else 'above'}"


def findings(found: Found, params: Params) -> list[Finding]:
    """The headline first; severities by the rules of docs/severity.md."""
    way, (old, new) = found.translated[-1], found.ways[:2]
    p, at = found.at(way), fmr_words(found.main)
    key = key_of(way)
    evidence = (f"{NAME}.{key}.fnmr@fmr={at}", f"{NAME}.{key}.loss@fmr={at}")
    severity: Severity = _severity(p, params)
    advice = "Enrol again with the new model; keep translated enrolments for the time between alone."
    if severity in ("good", "info"):
        advice = ""
    out = [Finding(severity, _headline(found, way, p), evidence, f"{NAME}.loss", advice)]
    margin = points(params.margin)
    least = min(w.pairs for w in found.translated)
    if found.smallest is None:
        text = (
            f"No number of pictures up to {way.pairs:,} is shown to lose nothing beyond {margin} of FNMR at FMR {at} "
            "against enrolling again."
        )
        reached = "info"
    else:
        fewer = "; no fewer were tried" if found.smallest == least else ""
        more = ", as does every larger number tried" if found.smallest < way.pairs else ""
        text = (
            f"A translator fitted to {found.smallest:,} pictures loses at most {margin} of FNMR at FMR {at} against "
            f"enrolling again{more}{fewer}."
        )
        reached = "good"
    severity = "good" if reached == "good" else "info"
    out.append(Finding(severity, text, (f"{NAME}.pictures_needed",), f"{NAME}.pictures"))
    if p.gain is not None:
        how = "fewer" if p.gain.interval.high < 0 else "more" if p.gain.interval.low > 0 else "about as many"
        text = (
            f"Against the old model as it is, translated enrolments reject {how} genuine pairs: FNMR changes by "
            f"{points(p.gain.value)} ({_span(p.gain.interval)}) from {_of(found.at(old).fnmr)}, and enrolling again "
            f"would reach {_of(found.at(new).fnmr)}."
        )
        out.append(Finding("info", text, (f"{NAME}.{key}.gain@fmr={at}",), f"{NAME}.gain"))
    s = way.searched
    if s is not None and s.loss is not None:
        spot = fmr_words(s.target)
        text = (
            f"In 1:N search FNIR at FPIR {spot} is {percent(s.fnir.value)} with translated enrolments, "
            f"{_away(s.loss.value)} new ones ({_span(s.loss.interval)}; {s.fnir.n:,} searches of "
            f"{s.fnir.people:,} people)."
        )
        out.append(Finding("info", text, (f"{NAME}.{key}.fnir@fpir={spot}",), f"{NAME}.search"))
    if found.unresolved:
        text = f"Not resolvable with these people: {', '.join(found.unresolved)}."
        out.append(Finding("info", text, (), f"{NAME}.unresolved"))
    return out


def answer(found: Found, params: Params) -> str:
    """The section in plain words."""
    p = found.at(found.translated[-1])
    if p.loss is None:
        return f"Not known: {p.reason}."
    severity, again = _severity(p, params), found.at(found.ways[1]).fnmr.value
    turned = (
        f"with old enrolments, translated, the right person is turned away in {percent(p.fnmr.value)} of tries, and "
        f"in {percent(again)} after enrolling again"
    )
    if severity == "good":
        return f"Yes, translated: they cost at most {points(params.margin)} against enrolling again."
    if severity == "info" and p.loss.interval.low > params.margin:
        return f"At a price, though less sure than a finding takes: {turned}."
    if severity == "info":
        return f"Not known: these people are too few to tell; {turned}."
    return f"{'No' if severity == 'high' else 'At a price'}: {turned}."


def _severity(p: Point, params: Params) -> Severity:
    if p.sure is None or p.loss is None:
        return "info"
    scale: tuple[tuple[Severity, float], ...] = (("high", HIGH), ("medium", MEDIUM), ("low", LOW))
    for severity, bound in scale:
        if p.sure.low >= bound:
            return severity
    return "good" if p.loss.interval.high <= params.margin else "info"


def _headline(found: Found, way: Way, p: Point) -> str:
    at = fmr_words(p.target)
    start = (
        f"Old enrolments translated by {way.pairs:,} pictures have FNMR {_of(p.fnmr)} at FMR {at} with the new model's "
        f"probes"
    )
    if p.loss is None:
        return f"{start}; the difference from new enrolments has no interval: {p.reason}."
    return (
        f"{start}: {_away(p.loss.value)} enrolling again ({_span(p.loss.interval)}, for this draw of the "
        f"translator's pictures; n = {p.fnmr.n:,} pairs of {p.fnmr.people:,} people)."
    )
