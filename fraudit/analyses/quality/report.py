"""The quality analysis as metrics, tables and findings; computes no rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fraudit.analyses.quality.measure import FAMILY, Found
from fraudit.analyses.quality.params import NAME
from fraudit.analyses.shared.words import interval_ends, slug
from fraudit.formatting import fmr_words, number, percent, points, probability
from fraudit.formatting import interval as interval_words
from fraudit.stats.discard import DiscardCurve
from fraudit.stats.discard_cut import JudgedCut
from fraudit.stats.family import LATER_LEVEL
from fraudit.stats.rates import GroupRate
from fraudit.types import Better, Column, Finding, Interval, Metric, Table

TOLD = (0.05, 0.10, 0.20)  # shares discarded that have metrics of their own
METHOD = (
    "Error-versus-discard characteristic (Grother and Tabassi 2007; ISO/IEC 29794-1): FNMR at one threshold, chosen on "
    "other people and kept, against the share of worst pictures discarded; a pair is as good as the worse of its two "
    "pictures, and pictures of equal quality go together. Area: mean FNMR over shares up to 20 %. Gain: FNMR of all "
    "pairs less the area, 0 for a quality drawn at random. Intervals are paired and identity-clustered; Holm over all "
    "measures, and over every two of them. A cut is chosen on the half of the people on which the threshold was "
    "chosen, where the share of FNMR removed exceeds the share of pictures most, and judged on the other half. What is "
    "better is stated for every measure, never learnt from errors. Stability: mean cosine to copies with light noise, "
    "blur, JPEG and shift (after Terhoerst et al. 2020, from outside). A face without a vector is an error."
)


def _bounds(interval: Interval | None, signed: float = 1.0) -> str:
    if interval is None:
        return "no interval"
    low, high = sorted((signed * interval.low, signed * interval.high))
    return f"95 % interval {interval_words(low, high, as_percent=True)}"


def _span(interval: Interval | None, signed: float = 1.0) -> str:
    """Of a difference of two rates, in points."""
    if interval is None:
        return "no interval"
    low, high = sorted((100 * signed * interval.low, 100 * signed * interval.high))
    return f"95 % interval {interval_words(low, high, 'points')}"


def best_gains(found: Found) -> list[str]:
    """Measures whose gain is beyond doubt (Holm), the largest first."""
    m = found.measures
    good = [n for n in m.curves if m.p_holm[n] <= FAMILY and m.curves[n].gain.value > 0]
    return sorted(good, key=lambda n: -m.curves[n].gain.value)


def ranked(found: Found) -> list[str]:
    """All measures, the largest gain first."""
    return sorted(found.measures.curves, key=lambda n: -found.measures.curves[n].gain.value)


def metrics(found: Found) -> Iterator[Metric]:
    """Every figure by its stable name."""
    at = fmr_words(found.genuine.threshold.fmr_target)
    yield Metric(
        f"{NAME}.fnmr@fmr={at}",
        found.fnmr,
        n=found.pairs,
        n_unit="genuine pairs",
        interval=found.interval,
        interval_missing=found.reason,
        better="lower",
        label=f"FNMR at FMR {at}, nothing discarded",
    )
    for name, curve in found.measures.curves.items():
        yield from _curve_metrics(f"{NAME}.{slug(name)}", found.qualities[name].words, curve)
    cut = found.cuts.get(found.chosen)
    if cut is None:
        return
    words = found.qualities[found.chosen].words
    figures: tuple[tuple[str, float, Better, str], ...] = (
        ("change", cut.change.value, "lower", f"change of FNMR at the cut on {words}"),
        ("discarded", cut.discarded.rate, "lower", f"pictures lost at the cut on {words}"),
    )
    for key, value, better, label in figures:
        own = cut.change.interval if key == "change" else cut.discarded.interval
        why = cut.change.missing if key == "change" else cut.discarded.missing
        yield Metric(
            f"{NAME}.cut.{key}",
            value,
            n=cut.pairs if key == "change" else cut.discarded.n,
            n_unit="genuine pairs" if key == "change" else "pictures",
            interval=own,
            interval_missing="" if own else why,
            better=better,
            label=label,
        )
    for attribute, rates in cut.groups.items():
        for r in rates:
            yield Metric(
                f"{NAME}.cut.{slug(attribute)}.discarded",
                r.rate,
                n=r.n,
                n_unit="pictures",
                interval=r.interval,
                interval_missing=r.missing,
                group=r.group,
                better="lower",
                label=f"pictures lost, {attribute}",
            )


def _curve_metrics(key: str, words: str, curve: DiscardCurve) -> Iterator[Metric]:
    gain = curve.gain
    yield Metric(
        f"{key}.gain",
        gain.value,
        n=gain.n,
        n_unit="genuine pairs",
        interval=gain.interval,
        interval_missing=gain.missing,
        better="higher",
        label=f"mean FNMR gained up to 20 % discarded by {words}",
    )
    for share in TOLD:
        k = int(abs(curve.shares - share).argmin())
        name, label = f"{key}.fnmr@discard={share:g}", f"FNMR, worst {100 * share:.0f} % discarded by {words}"
        if not curve.pairs[k]:
            yield Metric(name, None, missing="no genuine pair is left", better="lower", label=label)
            continue
        yield Metric(
            name,
            float(curve.fnmr[k]),
            n=int(curve.pairs[k]),
            n_unit="genuine pairs",
            interval=curve.intervals[k],
            interval_missing=curve.reasons[k],
            better="lower",
            label=label,
        )


def tables(found: Found) -> list[Table]:
    """Measures, their cuts, and who loses pictures."""
    out = [_measure_table(found)]
    if found.cuts:
        out.append(_cut_table(found))
    cut = found.cuts.get(found.chosen)
    if cut is not None:
        out += [
            _group_table(found, cut, attribute, rates) for attribute, rates in cut.groups.items() if rates
        ]
    return out


def _measure_table(found: Found) -> Table:
    rows: list[dict[str, Any]] = []
    for name in ranked(found):
        curve, q = found.measures.curves[name], found.qualities[name]
        at = [int(abs(curve.shares - share).argmin()) for share in TOLD]
        rates = [float(curve.fnmr[k]) if curve.pairs[k] else None for k in at]
        rows.append(
            {
                "measure": q.words,
                "better": q.better,
                "all": float(curve.fnmr[0]),
                "at10": rates[1],
                "at20": rates[2],
                "gain": curve.gain.value,
                "interval": interval_ends(curve.gain.interval),
                "p": probability(found.measures.p_holm[name]),
                "pairs": int(curve.pairs[0]),
                "unknown": curve.unknown,
            }
        )
    return Table(
        "quality_measures",
        "Does discarding the worst pictures help?",
        (
            Column("measure", "quality"),
            Column("better", "direction"),
            Column("all", "FNMR, all", "percent"),
            Column("at10", "10 % discarded", "percent"),
            Column("at20", "20 % discarded", "percent"),
            Column("gain", "mean gain to 20 %", "points"),
            Column("interval", "95 % interval", "interval"),
            Column("p", "p, Holm"),
            Column("pairs", "genuine pairs", "integer"),
            Column("unknown", "pictures unknown", "integer"),
        ),
        tuple(rows),
        f"At the threshold for FMR {fmr_words(found.genuine.threshold.fmr_target)}. A quality drawn at random gains 0; "
        "below 0 the measure throws out the wrong pictures. Pairs with a picture of unknown quality are left out.",
    )


def _cut_table(found: Found) -> Table:
    rows: list[dict[str, Any]] = []
    for name in [n for n in ranked(found) if n in found.qualities]:
        cut, words = found.cuts.get(name), found.qualities[name].words
        if cut is None:
            rows.append({"measure": words, "note": found.no_cut.get(name, "")})
            continue
        rows.append(
            {
                "measure": words,
                "lost": cut.discarded.rate,
                "lost_interval": interval_ends(cut.discarded.interval),
                "before": cut.before,
                "after": cut.after,
                "change": cut.change.value,
                "interval": interval_ends(cut.change.interval),
                "pairs": f"{cut.pairs:,} / {cut.pairs_left:,}",
                "note": "by group below" if name == found.chosen else "",
            }
        )
    return Table(
        "quality_cuts",
        "A cut chosen on half of the people, judged on the other half",
        (
            Column("measure", "quality"),
            Column("lost", "pictures lost", "percent"),
            Column("lost_interval", "95 % interval", "interval"),
            Column("before", "FNMR before", "percent"),
            Column("after", "FNMR after", "percent"),
            Column("change", "change", "points"),
            Column("interval", "95 % interval", "interval"),
            Column("pairs", "pairs before / after"),
            Column("note", "note"),
        ),
        tuple(rows),
        "No cut helps where none removes a larger share of the FNMR than of the pictures on the half that chooses.",
    )


def _group_table(found: Found, cut: JudgedCut, attribute: str, rates: tuple[GroupRate, ...]) -> Table:
    rows = [
        {
            "group": r.group,
            "lost": r.rate,
            "interval": interval_ends(r.interval),
            "pictures": r.n,
            "people": r.subjects,
            "p": probability(cut.p_holm[attribute, r.group]) if (attribute, r.group) in cut.p_holm else "",
        }
        for r in rates
    ]
    return Table(
        f"quality_{slug(attribute)}",
        f"Who loses pictures at the cut on {found.qualities[found.chosen].words}, by {attribute}",
        (
            Column("group", attribute),
            Column("lost", "pictures lost", "percent"),
            Column("interval", "95 % interval", "interval"),
            Column("pictures", "pictures", "integer"),
            Column("people", "people", "integer"),
            Column("p", "p against the others, Holm"),
        ),
        tuple(rows),
        "One cut for all, pictures of people with at least two. Of two groups there is one test.",
    )


def findings(found: Found) -> list[Finding]:
    """The headline first; severities by the rules of docs/severity.md."""
    out = [_gain(found)]
    if found.errors:
        out += [f for f in (_cut(found),) if f]
    cut = found.cuts.get(found.chosen)
    if cut is not None:
        out += [f for attribute, rates in cut.groups.items() if (f := _unequal(found, cut, attribute, rates))]
    return out


def answer(found: Found) -> str:
    """The section in plain words."""
    if not found.errors:
        return "Not known: no genuine pair fails, so that nothing can be gained."
    good = best_gains(found)
    if not good:
        return f"Not shown: by none of {len(found.measures.curves)} measures of quality does refusing the worst help."
    top = found.measures.best or good[0]
    return f"Yes: refusing the pictures that are worst by {found.qualities[top].words} lowers the errors."


def _gain(found: Found) -> Finding:
    at = fmr_words(found.genuine.threshold.fmr_target)
    around = f"{_bounds(found.interval)}; {found.pairs:,} genuine pairs of {found.people:,} people"
    rate = f"FNMR {percent(found.fnmr)} at FMR {at} ({around})"
    evidence = (f"{NAME}.fnmr@fmr={at}",)
    if not found.errors:
        text = f"No genuine pair fails, so that no quality can be told from another: {rate}."
        return Finding("info", text, evidence, f"{NAME}.no_errors")
    good, m = best_gains(found), found.measures
    if not good:
        text = (
            f"None of {len(m.curves)} qualities lowers FNMR beyond doubt when the worst pictures by it are discarded: "
            f"{rate}."
        )
        return Finding("info", text, evidence, f"{NAME}.none")
    top = m.best or good[0]
    gain, words = m.curves[top].gain, found.qualities[top].words
    tail = (
        f"It beats the {len(m.curves) - 1} others beyond doubt."
        if m.best and len(m.curves) > 1
        else f"{len(good)} of {len(m.curves)} qualities help beyond doubt, and none beats all others."
        if len(good) > 1
        else f"None of the {len(m.curves) - 1} others helps beyond doubt, and it does not beat all of them."
        if len(m.curves) > 1
        else ""
    )
    text = (
        f"Discarding the worst pictures by {words} lowers FNMR by {points(gain.value)} on average up to 20 % discarded "
        f"({_span(gain.interval)}; p {probability(m.p_holm[top])} after Holm); all pictures have {rate}. {tail}"
    ).rstrip()
    rule = f"{NAME}.best" if m.best and len(m.curves) > 1 else f"{NAME}.helps"
    return Finding("info", text, (f"{NAME}.{slug(top)}.gain", *evidence), rule)


def _cut(found: Found) -> Finding | None:
    cut = found.cuts.get(found.chosen)
    if cut is None:
        return None
    words = found.qualities[found.chosen].words
    lost, change = cut.discarded, cut.change
    return Finding(
        "info",
        f"A cut on {words}, chosen on the other half of the people, takes FNMR from {percent(cut.before)} to "
        f"{percent(cut.after)} (change {points(change.value)}, {_span(change.interval)}; {cut.pairs:,} genuine "
        f"pairs of {change.people:,} people) and costs {percent(lost.rate)} of the pictures "
        f"({_bounds(lost.interval)}; {lost.n:,}).",
        (f"{NAME}.cut.change", f"{NAME}.cut.discarded"),
        f"{NAME}.cut",
        f"Ask for a new picture where {words} is poor."
        if change.interval is not None and change.interval.high < 0
        else "",
    )


def _unequal(found: Found, cut: JudgedCut, attribute: str, rates: tuple[GroupRate, ...]) -> Finding | None:
    tests = {g: p for (name, g), p in cut.p_holm.items() if name == attribute}
    sure = [g for g, p in tests.items() if p <= LATER_LEVEL]
    if not sure:
        return None
    worst, least = max(rates, key=lambda r: r.rate), min(rates, key=lambda r: r.rate)
    p = min(tests[g] for g in sure)
    return Finding(
        "low",
        f"One cut on {found.qualities[found.chosen].words} loses {percent(worst.rate)} of the pictures of the group "
        f"'{worst.group}' ({attribute}; {_bounds(worst.interval)}; {worst.n:,} pictures of {worst.subjects:,} people) "
        f"and {percent(least.rate)} of '{least.group}' ({_bounds(least.interval)}; {least.n:,} of {least.subjects:,}; "
        f"p {probability(p)} after Holm over {len(cut.p_holm)} tests).",
        (f"{NAME}.cut.{slug(attribute)}.discarded",),
        f"{NAME}.unequal_discard",
        "Do not refuse pictures by this cut alone: take a second picture, or choose another quality for it.",
    )


def caveats(found: Found) -> list[str]:
    """What limits the section."""
    t = found.genuine.threshold
    out = [f"Threshold {number(t.value, 3)} {t.provenance}."]
    if found.sampled > found.measured:
        out.append(
            f"{found.measured:,} of {found.sampled:,} pictures of people with two are measured, whole people drawn "
            "at random."
        )
    out += [f"{name[:1].upper()}{name[1:]}: {reason}." for name, reason in found.left_out.items()]
    if not found.cuts and found.errors:
        out.append(
            "No cut is judged: on the other half of the people none removes more of the FNMR than of pictures."
        )
    return out
