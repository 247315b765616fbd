"""The twins analysis in words and metrics; rules in docs/twins.md, severity in docs/severity.md."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from fraudit.analyses.twins.measure import Measured, Point
from fraudit.analyses.twins.verdict import Change, together
from fraudit.compare.sameness import SAME
from fraudit.errors import InsufficientData
from fraudit.formatting import fmr_words, number, percent
from fraudit.formatting import interval as interval_words
from fraudit.stats.intervals import clustered_mean, clustered_rate, interval_or_reason
from fraudit.types import Finding, Interval, Metric, Severity

METHOD = (
    "The same pictures through both models. Thresholds are the old model's, chosen on half of the people; the "
    "other half is judged: FNMR over their genuine pairs, FMR over all pairs of strangers. Every rate of the new "
    "model, and of old templates searched with the new model, is paired with the old model's on the same pairs "
    "(identity-clustered). The verdict rests on bounds of these intervals alone: kept where the whole 95 % interval "
    "keeps the limit, broken where a bound breaks it at a level that all conditions share (5 % together), else open."
)
WAYS = {
    "kept": "new model at the old threshold",
    "mixed": "old templates searched with the new model, at the old threshold",
    "own": "new model at a threshold of its own",
    "mixed_own": "old templates searched with the new model, at a threshold of their own",
}
IDENTICAL = (
    "Both sides are the same model: their vectors are the same to the last bit, as of one file copied or one machine "
    "asked twice; where two machines or two formats were meant, look at what is compared."
)
FAR = 100  # times the people: beyond, a number would be a guess
_PREFIX = {"kept": "", "mixed": "mixed_", "own": "own_", "mixed_own": "mixed_own_"}
RATES = {"fnmr": "FNMR", "fmr": "FMR", "lost": "faces without a vector"}


def change_words(c: Change) -> str:
    """`FNMR of ... from 2.1 % to 2.4 % (change -0.1 to 0.6 points; n = 3,000 genuine pairs)`."""
    ends = f"no interval: {c.reason}"
    if c.usual is not None:
        low, high = c.usual.interval.low, c.usual.interval.high
        ends = f"change {interval_words(100 * low, 100 * high)} points"
    where = f" at FMR {fmr_words(c.fmr)}" if c.fmr else ""
    what = RATES[c.rate] if c.rate == "lost" else f"{RATES[c.rate]} ({WAYS[c.way]}{where})"
    return f"{what} from {percent(c.first)} to {percent(c.second)} ({ends}; n = {c.n:,} {c.unit})"


def _worst(changes: tuple[Change, ...]) -> Change:
    """The condition that is broken most clearly, by its bound over its limit."""

    def clear(c: Change) -> float:
        return c.accusing.interval.low / c.limit if c.accusing is not None else -np.inf

    return max(changes, key=clear)


def gallery_state(m: Measured) -> str:
    """Whether templates of the old model may be searched with the new one, in words."""
    if not m.alike:
        return f"no: vectors of {m.dims[0]} and {m.dims[1]} numbers have no cosine"
    if m.verdict.word == "same":
        return "yes, at the same threshold"
    every = [c for p in m.points for c in p.changes]
    kept = together([c for c in every if c.way == "mixed"])
    own = together([c for c in every if c.way == "mixed_own" and c.rate == "fnmr"])
    if kept == "kept":
        return "yes, at the same threshold"
    if own == "broken":
        return "no: even at a threshold of their own too many mates are missed"
    if own == "kept":
        return (
            "yes, at a threshold of their own"
            if kept == "broken"
            else "yes; whether at the same threshold is open"
        )
    if kept == "broken":
        return "not at the old threshold; at a threshold of their own: not enough evidence"
    return "not enough evidence"


def headline(m: Measured) -> str:
    """The verdict in one sentence."""
    old, new = m.names
    n = f"{m.faces:,} faces of {m.people:,} people"
    word = m.verdict.word
    if word == "same":
        assert m.cosines is not None
        least = number(float(m.cosines.cosines.min()), 7)
        return f"{new} is numerically the same model as {old}: no face has a cosine below {least} ({n})."
    if word == "interchangeable":
        return (
            f"{new} may take the place of {old}: its threshold and its gallery stay, within "
            f"{_margins(m)} ({n})."
        )
    if word == "needs its own threshold":
        return (
            f"{new} needs its own threshold; templates of {old} stay usable: "
            f"{change_words(_worst(tuple(c for c in m.place if c.state == 'broken')))}."
        )
    if word == "different":
        if not m.alike:
            return (
                f"{new} is a different model than {old}: vectors of {m.dims[1]} and {m.dims[0]} numbers, so that only "
                f"decisions are compared, each at its own threshold. {decisions(m)}"
            )
        return f"{new} is a different model than {old}, at any threshold: {change_words(_apart(m))}."
    return (
        f"Not enough evidence what {new} is to {old}. Known: {m.verdict.known} ({n}). Farthest from being decided: "
        f"{change_words(_open(m))}; {_needed(m)}."
    )


def _apart(m: Measured) -> Change:
    """What the headline names where even thresholds of their own do not help."""
    return _worst(tuple(c for c in m.own if c.state == "broken"))


def _own_decisions(m: Measured) -> Change:
    return next(c for c in m.points[-1].changes if c.way == "own" and c.rate == "fnmr")


def _open(m: Measured) -> Change:
    """Of the conditions that are open, the one that takes the most people to decide."""
    chosen = [c for c in (*m.place, *m.own) if c.state == "open"]
    return max(chosen, key=lambda c: c.people_needed(m.people))


def _needed(m: Measured) -> str:
    """What would decide it: so many people, where it is not out of reach."""
    most = _open(m).people_needed(m.people)
    if most > FAR * m.people:
        return f"that takes far more people than the {m.people:,} here"
    step = 10 ** (len(str(int(most))) - 2)
    return (
        f"about {math.ceil(most / step) * step:,} people would decide it if the change stays as it is "
        f"({m.people:,} are here)"
    )


def _margins(m: Measured) -> str:
    fmr = next(c for c in m.place if c.rate == "fmr")
    return f"{percent(m.lost.limit)} of FNMR and {number(1 + fmr.limit / fmr.fmr)} times the FMR"


def decisions(m: Measured) -> str:
    """Decisions of both models, each at its own threshold for the same FMR, at the strictest target."""
    c = _own_decisions(m)
    said = {
        "kept": "As accurate as far as the limit goes",
        "broken": "Less accurate",
        "open": "Not enough evidence whether it is as accurate",
    }[c.state]
    return f"{said}: {change_words(c)}."


NOT_ONE = "Do not put one in the other's place without a test of your own; enrol again where both are used."
OWN_THRESHOLD = "Give the new model a threshold of its own (`fraudit threshold`); do not keep the old one."


def answer(m: Measured) -> str:
    """The section in plain words."""
    word = m.verdict.word
    if word == "same":
        return "Yes: every face has the same template from both, but for rounding."
    if word == "interchangeable":
        return "Near enough: the new one may take the old one's place; threshold and enrolments stay."
    if word == "needs its own threshold":
        return "No: the new one needs a threshold of its own; the old enrolments may stay."
    if word == "different":
        again = "" if m.alike else ", and templates of one cannot be compared with those of the other"
        return f"No: the new one cannot take the old one's place at any threshold{again}."
    return f"Not known: {m.people:,} people are too few to tell. Known: {m.verdict.known}."


def findings(m: Measured) -> tuple[Finding, ...]:
    """The verdict, thresholds, the gallery, groups and lost faces."""
    word = m.verdict.word
    severity: Severity = "info"
    if word in ("same", "interchangeable"):
        severity = "good"
    elif word == "needs its own threshold" and m.verdict.sure:
        severity = "medium"
    elif word == "different" and m.verdict.sure:
        severity = "high"
    rule = {"not enough evidence": "open", "needs its own threshold": "threshold"}.get(word, word)
    advice = {"high": NOT_ONE, "medium": OWN_THRESHOLD}.get(severity, "")
    out = [Finding(severity, headline(m), tuple(_evidence(m)), f"twins.{rule}", advice)]
    if m.identical:
        out.append(Finding("info", IDENTICAL, ("twins.cosine.min",), "twins.identical"))
    if m.alike and word != "same":
        said = f"Templates of {m.names[0]} searched with {m.names[1]}: {gallery_state(m)}."
        out.append(Finding("info", said, tuple(_of(m, "mixed", "mixed_own")), "twins.gallery"))
        if word == "different" and _own_decisions(m) is not _apart(m):  # the headline has said it then
            out.append(Finding("info", decisions(m), tuple(_of(m, "own")), "twins.decisions"))
    for c in m.group_changes:
        if c.state == "broken" and word != "same":
            text = f"{c.group}: {change_words(c)}."
            out.append(
                Finding(
                    "low" if c.sure else "info",
                    text,
                    (f"twins.group_fnmr_change@fmr={fmr_words(c.fmr)}",),
                    "twins.group",
                )
            )
    if sum(m.only):
        text = (
            f"{m.only[0]:,} faces have a vector of {m.names[0]} alone, {m.only[1]:,} of {m.names[1]} alone "
            f"({change_words(m.lost)})."
        )
        sure = m.lost.sure
        out.append(Finding("low" if sure else "info", text, ("twins.lost",), "twins.lost"))
    return tuple(out)


def _evidence(m: Measured) -> Iterator[str]:
    yield "twins.verdict.worst"
    if m.cosines is not None:
        yield "twins.cosine.min"
    yield from _of(m, "kept", "mixed") if m.alike else _of(m, "own")


def _of(m: Measured, *ways: str) -> Iterator[str]:
    yield from (metric_name(c) for p in m.points for c in p.changes if c.way in ways)


def metric_name(c: Change) -> str:
    """`twins.mixed_fnmr_change@fmr=1e-3`."""
    if c.rate == "lost":
        return "twins.lost"
    group = "group_" if c.group else ""
    return f"twins.{group}{_PREFIX[c.way]}{c.rate}_change@fmr={fmr_words(c.fmr)}"


def _change_metric(c: Change) -> Metric:
    usual = c.usual
    value = c.second - c.first if usual is None else usual.value
    what = "Rise of faces without a vector" if c.rate == "lost" else f"Rise of {RATES[c.rate]}, {WAYS[c.way]}"
    where = f" at FMR {fmr_words(c.fmr)}" if c.fmr else ""
    return Metric(
        metric_name(c),
        value,
        n=c.n,
        n_unit=c.unit,
        interval=usual.interval if usual is not None else None,
        interval_missing=c.reason,
        group=c.group,
        better="lower",
        label=what + where,
    )


def metrics(m: Measured) -> tuple[Metric, ...]:
    """Verdict, cosines, changes and flips."""
    out = []
    for end, place in (("best", m.verdict.best), ("worst", m.verdict.worst)):
        label = f"Verdict, {end} that the evidence allows (0 same, 1 interchangeable, 2 own threshold, 3 different)"
        out.append(
            Metric(
                f"twins.verdict.{end}",
                float(place),
                n=m.people,
                n_unit="people",
                interval_missing="decided by bounds of intervals",
                better="lower",
                label=label,
            )
        )
    out += _cosine_metrics(m)
    out.append(_change_metric(m.lost))
    for point in m.points:
        out += [_change_metric(c) for c in point.changes]
        if m.alike:
            out += list(_flips(point))
    out += [_change_metric(c) for c in m.group_changes]
    for target, why in m.unjudged:
        name = f"twins.fnmr_change@fmr={fmr_words(target)}"
        out.append(Metric(name, None, missing=why, label=f"Rise of FNMR at FMR {fmr_words(target)}"))
    return tuple(out)


def _cosine_metrics(m: Measured) -> Iterator[Metric]:
    if m.cosines is None:
        why = f"vectors of {m.dims[0]} and {m.dims[1]} numbers have no cosine"
        yield Metric("twins.cosine.mean", None, missing=why, label="Cosine of the same face, mean")
        return
    found = m.cosines
    for which in ("mean", "median", "p1", "min"):
        interval: Interval | None = None
        reason = ""
        try:
            value, interval = found.figure(which)
        except InsufficientData as error:
            value, reason = (
                {
                    "mean": float(found.cosines.mean()),
                    "median": float(np.median(found.cosines)),
                    "p1": float(np.quantile(found.cosines, 0.01)),
                    "min": float(found.cosines.min()),
                }[which],
                error.message,
            )
        words = {"p1": "1st percentile", "min": "minimum"}.get(which, which)
        yield Metric(
            f"twins.cosine.{which}", value, n=found.faces, n_unit="faces", interval=interval,
            interval_missing=reason, better="higher", label=f"Cosine of the same face, {words}",
        )  # fmt: skip
    beyond = found.cosines < 1 - SAME
    interval, reason = interval_or_reason(lambda: clustered_rate(beyond, found.subjects, found.subjects))
    yield Metric(
        "twins.unlike", float(beyond.mean()), n=found.faces, n_unit="faces", interval=interval,
        interval_missing=reason, better="lower", label=f"Faces with a cosine below {1 - SAME:g} with themselves",
    )  # fmt: skip
    cosines, people = m.strangers
    interval, reason = interval_or_reason(lambda: clustered_mean(cosines, people))
    yield Metric(
        "twins.strangers.mean", float(cosines.mean()), n=len(cosines), n_unit="pairs of strangers",
        interval=interval, interval_missing=reason, label="Cosine of old and new vectors across people, mean",
    )  # fmt: skip
    for c in m.cosines_by_group:
        yield Metric(
            "twins.cosine.mean", c.mean, n=c.faces, n_unit="faces", interval=c.interval, interval_missing=c.reason,
            group=f"{c.attribute}: {c.group}", better="higher", label="Cosine of the same face, mean",
        )  # fmt: skip


def _flips(point: Point) -> Iterator[Metric]:
    f, at = point.flips, fmr_words(point.cut.target)
    label = f"Genuine pairs decided otherwise at the old threshold for FMR {at}"
    yield Metric(
        f"twins.flips@fmr={at}", f.share, n=point.changes[0].n, n_unit="genuine pairs", interval=f.interval,
        interval_missing=f.reason, better="lower", label=label,
    )  # fmt: skip


def caveats(m: Measured) -> tuple[str, ...]:
    """What the figures do not cover."""
    said = [f"FMR {fmr_words(t)} is not judged: {why}." for t, why in m.unjudged]
    if m.groups_note:
        said.append(f"Nothing is said by group: {m.groups_note}.")
    if not m.alike:
        said.append("Vectors of different dimension: no cosine, no flips at one threshold, no mixed gallery.")
    return tuple(said)
