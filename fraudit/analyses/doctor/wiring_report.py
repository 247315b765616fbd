"""The wiring in words: metrics, a table, and a finding where another wiring is better beyond doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fraudit.analyses.doctor.judging import MATERIAL, MATERIAL_CHANNELS, Tried, Wiring, material
from fraudit.analyses.doctor.pixels import SIDE, Pixels
from fraudit.formatting import percent
from fraudit.stats.separations import Gain
from fraudit.types import Column, Figure, Finding, Interval, Metric, Table

_MATERIAL, _CHANNELS = percent(MATERIAL, 0), percent(MATERIAL_CHANNELS, 1)
METHOD = (
    "Wirings are screened on some people and tested on others, all pairs of their faces the same for each. d' is "
    "compared person by person (jackknife pseudo-values, sign flips, max-t over all that were tested). Another wiring "
    f"is called better at p at most 0.001 and a d' at least {_MATERIAL} higher, {_CHANNELS} for "
    "channels alone; as good where its d' differs by less at both bounds of a simultaneous 95 % interval (two "
    "one-sided tests). Where the first faces leave open whether "
    "one is better, the leading ones are judged on more, and each of the two tests has half of the level. Adding the "
    "mirror's vector helps nearly every model and is no sign of a wrong card. A model whose d' is in no wiring beyond "
    f"that of {SIDE} x {SIDE} pixels of the same faces does not tell people apart, and its wiring is not judged."
)


SHOWN = 4  # wirings in a sentence; the table has all
MARGIN = f"d' within {_MATERIAL} ({_CHANNELS} where the channels alone differ) at both bounds"
SYNTHETIC = (
    "On synthetic faces some wrong wirings cost too little to be found, so silence here does not clear them: swapped "
    "channels, a normalisation near the right one (0..1 for ImageNet's) and whole pictures in the place of a template. "
    "Grosser ones are found here too. Use photographs of people with two pictures or more (--dataset)"
)


def wiring_parts(
    found: Wiring,
) -> tuple[tuple[Metric, ...], tuple[Table, ...], tuple[Finding, ...], tuple[Figure, ...]]:
    """(metrics, tables, findings, figures) of the section."""
    return _metrics(found), _tables(found), _findings(found), ()


def _metrics(found: Wiring) -> tuple[Metric, ...]:
    gain = found.best or (found.tried[0] if found.tried else None)
    none = "its interval would say nothing of wiring: see the paired gain"
    metrics = [
        Metric(
            "doctor.wiring.d_prime", found.d_prime, n=found.people, n_unit="people", better="higher",
            interval_missing=none, label="d' as the model is wired",
        )
    ]  # fmt: skip
    if gain is not None:
        interval = Interval(
            gain.gain.low, gain.gain.high, 0.95, "jackknife over people, max-t over all wirings"
        )
        metrics.append(
            Metric(
                "doctor.wiring.gain", gain.gain.share, n=gain.people, n_unit="people", interval=interval,
                better="lower", label="Gain in d' of the best other wiring",
            )
        )  # fmt: skip
    metrics.append(
        Metric(
            "doctor.wiring.auc", found.auc, n=found.people, n_unit="people", better="higher",
            interval_missing=none, label="AUC as the model is wired",
        )
    )  # fmt: skip
    if found.pixels is not None:
        over = found.pixels.gain
        interval = Interval(over.low, over.high, 0.95, "jackknife over people, max-t over all wirings")
        metrics.append(
            Metric(
                "doctor.wiring.over_pixels", over.share, n=found.people, n_unit="people", interval=interval,
                better="higher", label="d' of the best wiring over that of the pixels",
            )
        )  # fmt: skip
    if found.flip is not None:
        interval = Interval(found.flip.low, found.flip.high, 0.95, "jackknife over people")
        metrics.append(
            Metric(
                "doctor.wiring.flip_gain", found.flip.share, n=found.people, n_unit="people", interval=interval,
                label="Gain in d' by adding the mirror's vector",
            )
        )  # fmt: skip
    return tuple(metrics)


def _tables(found: Wiring) -> tuple[Table, ...]:
    columns = (
        Column("wiring", "Wiring"),
        Column("d_prime", "d'", "number"),
        Column("auc", "AUC", "number", 4),
        Column("gain", "Gain", "percent", 1),
        Column("low", "at least", "percent", 1),
        Column("high", "at most", "percent", 1),
        Column("p", "p, corrected", "number", 4),
        Column("people", "People", "integer"),
        Column("verdict", "Against the stated one"),
    )
    rows = [
        {"wiring": "as stated", "d_prime": found.d_prime, "auc": found.auc, "gain": None, "low": None,
         "high": None, "p": None, "people": found.people, "verdict": ""}
    ]  # fmt: skip
    rows += [
        {"wiring": t.hypothesis.words, "d_prime": t.d_prime, "auc": t.auc, "gain": t.gain.share,
         "low": t.gain.low, "high": t.gain.high, "p": t.gain.p, "people": t.people,
         "verdict": verdict(found, t)}
        for t in found.tried
    ]  # fmt: skip
    caption = f"The best of {found.screened} wirings, on {found.faces} faces of {found.people} people."
    tables = [Table("wirings", "Other wirings", columns, tuple(rows), caption)]
    if found.missing:
        absent = (Column("what", "Not tried"), Column("why", "Why"))
        tables.append(
            Table("wirings_missing", "Wirings that cannot be tried", absent,
                  tuple({"what": what, "why": why} for what, why in found.missing))
        )  # fmt: skip
    return tuple(tables)


def verdict(found: Wiring, tried: Tried) -> str:
    """A wiring against the stated one, and the best one, in words."""
    if found.best is not None and tried.hypothesis == found.best.hypothesis:
        return "better: the one to use"
    if tried.hypothesis in (t.hypothesis for t in found.equal):
        return "as good as the one to use"
    if tried.better:
        return "better"
    if tried.equivalent:
        return "as good"
    if tried.undecided:
        return _open_words(tried)
    return "worse" if tried.gain.high < 0 else "no better"


def _open_words(tried: Tried) -> str:
    """What the interval of an undecided wiring leaves open: whether it is better, or only by how much."""
    least = material(tried.hypothesis)
    if tried.gain.low >= least:
        return f"better by {_least(least)} at 95\u202f%, not beyond doubt"
    if tried.gain.low > 0:
        return f"better; too few people to tell whether by {_least(least)}"
    return "too few people to tell"


def _least(share: float) -> str:
    return _CHANNELS if share == MATERIAL_CHANNELS else _MATERIAL


def change_words(found: Wiring, tried: Tried) -> str:
    """What to change: lines of the card, or where no card says it, the code that makes the input."""
    if tried.lines:
        new = " and ".join(f"{key} = {value}" for key, value in tried.lines.items())
        old = " and ".join(f"{key} = {found.stated.get(key, 'nothing')}" for key in tried.lines)
        return f"with {new} in the place of {old} in the card"
    parts = [
        "red and blue swapped" if axis == "channels" and not found.stated else f"{axis} {value}"
        for axis, value in tried.hypothesis.changes
    ]
    return f"with {', '.join(parts)} in the code that makes the model's input"


def _findings(found: Wiring) -> tuple[Finding, ...]:
    evidence = ("doctor.wiring.d_prime", "doctor.wiring.gain")
    if found.pixels is not None and not _judged(found):
        return (_unjudged(found, found.pixels),)
    if found.best is None:
        text = (
            f"None of {found.screened} other wirings separates people beyond doubt and materially better "
            f"(d' {found.d_prime:.2f}; {found.people} people)."
        )
        none = Finding("info", text, evidence[:1], "doctor.wiring_none")
        return (none, *_alike(found))
    gain = found.best.gain
    text = (
        f"The model is wired otherwise than it was trained: d' rises by {percent(gain.share, 1)} "
        f"({percent(gain.low, 1)} to {percent(gain.high, 1)}; {found.best.people} people) "
        f"{change_words(found, found.best)}."
    )
    text += _own_words(found, found.best)
    if found.equal:
        text += f" As good as that, {MARGIN}: {_listed(found.equal)}."
    if found.pixels is not None and found.pixels.told != "yes":
        text += f" Even so it does not tell people apart: {_beside(found, found.pixels)}."
    advice = f"Run again {change_words(found, found.best)}, and compare."
    return (Finding("high", text, evidence, "doctor.wiring", advice),)


def _own_words(found: Wiring, best: Tried) -> str:
    """How what is recommended stands to the card's own numbers times 255, which the note about the card names."""
    if not found.own:
        return ""
    if best.hypothesis.normalisation == found.own:
        return " These are the card's own numbers times 255, for pixels from 0 to 255."
    own = [t for t in found.tried if t.hypothesis.normalisation == found.own]
    if not own:
        return f" The card's own numbers times 255 ({found.own}) were not among those tested."
    if own[0].hypothesis in (t.hypothesis for t in found.equal):
        return f" The card's own numbers times 255 are as good ({own[0].hypothesis.words})."
    return (
        f" The card's own numbers times 255 ({own[0].hypothesis.words}) change d' by {_gained(own[0].gain, 1)} "
        f"({own[0].people} people)."
    )


UNTRAINED = (
    "Check that the file is the trained one, that its weights were loaded, and that the output is the embedding; then "
    "run again."
)


def _unjudged(found: Wiring, pixels: Pixels) -> Finding:
    """Of a model that does not tell people apart no wiring can be called the right one."""
    evidence = ("doctor.wiring.over_pixels", "doctor.wiring.d_prime")
    if pixels.told == "no":
        text = (
            f"This model does not tell people apart, in none of {len(found.tried) + 1} wirings tested: "
            f"{_beside(found, pixels)}. How it is wired can therefore not be judged: it was not trained, or something "
            "is wrong that no card mends."
        )
        return Finding("high", text, evidence, "doctor.unseparated", UNTRAINED)
    text = (
        f"Too few people to say whether this model tells people apart: {_beside(found, pixels)}. How it is wired is "
        "therefore not judged."
    )
    return Finding("info", text, evidence, "doctor.unseparated_open")


def _gained(gain: Gain, digits: int) -> str:
    """`+1.0 %, -0.2 % to +2.1 %`."""
    share, low, high = (
        f"{'+' if s >= 0 else ''}{percent(s, digits)}" for s in (gain.share, gain.low, gain.high)
    )
    return f"{share}, {low} to {high}"


def _beside(found: Wiring, pixels: Pixels) -> str:
    gain, name = pixels.gain, pixels.wiring.words
    return (
        f"at best ({name}) d' is {pixels.value:.2f}, that of {SIDE} x {SIDE} pixels of the same faces "
        f"{pixels.d_prime:.2f} ({_gained(gain, 0)}; {found.people} people)"
    )


def maybe_better(found: Wiring) -> str:
    """`one wiring may be better: normalisation ImageNet; more people would tell`, or '' where none is known to be."""
    if found.best is not None or not _judged(found):
        return ""
    names = [t.hypothesis.words for t in found.tried if t.undecided and t.gain.low > 0]
    if not names:
        return ""
    listed = "; ".join(names[:SHOWN]) + (f"; and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    what = "one wiring may be better" if len(names) == 1 else f"{len(names)} wirings may be better"
    return f"{what}: {listed}; more people would tell"


def weighed(findings: Sequence[Finding], found: Wiring) -> tuple[Finding, ...]:
    """The findings, those about the card's numbers as info where these faces show that the card is right as it is.

    That is where the model tells people apart, no wiring is better, and its numbers times 255 are worse.
    """
    own = [t for t in found.tried if t.hypothesis.changes == (("normalisation", found.own),)]
    if found.best is not None or not _judged(found) or not own or own[0].gain.high >= 0:
        return tuple(findings)
    said = (
        f" Here it is right as it stands: with its numbers times 255 d' changes by {_gained(own[0].gain, 1)} "
        f"({own[0].people} people)."
    )
    return tuple(
        replace(f, severity="info", text=f"{f.text}{said}", advice="") if f.rule == "doctor.card" else f
        for f in findings
    )


def _judged(found: Wiring) -> bool:
    """Whether it tells people apart, as far as was asked: of a model that does not no wiring is judged."""
    return not found.all_axes or found.pixels is None or found.pixels.told == "yes"


def _alike(found: Wiring) -> tuple[Finding, ...]:
    """What these faces cannot tell from the stated wiring: of equal worth, and what takes more people."""
    told = []
    evidence = ("doctor.wiring.d_prime", "doctor.wiring.gain")
    if equal := [t for t in found.tried if t.equivalent]:
        text = f"These faces cannot tell from the stated wiring, {MARGIN}: {_listed(equal)}."
        if slight := [t.hypothesis.words for t in equal[:SHOWN] if t.gain.low > 0]:
            text += f" Better, but by less than that: {'; '.join(slight)}."
        told.append(Finding("info", text, evidence, "doctor.wiring_equivalent"))
    open_ones = [t for t in found.tried if t.undecided]
    told_better = [t for t in open_ones if t.gain.low > 0]
    parts = []
    if told_better:
        parts.append(
            "Better, with too few people to tell beyond doubt whether by as much as a finding takes "
            f"({_MATERIAL}, {_CHANNELS} where the channels alone differ): {_listed(told_better)}."
        )
    if unsure := [t for t in open_ones if t.gain.low <= 0]:
        parts.append(f"Too few people to tell whether it is better: {_listed(unsure)}.")
    if parts:
        told.append(Finding("info", " ".join(parts), evidence, "doctor.wiring_open"))
    return tuple(told)


def _listed(tried: Sequence[Tried]) -> str:
    parts = [f"{t.hypothesis.words} ({_gained(t.gain, 1)}; {t.people} people)" for t in tried[:SHOWN]]
    return "; ".join(parts) + (f"; and {len(tried) - SHOWN} more" if len(tried) > SHOWN else "")


def wiring_caveats(found: Wiring) -> tuple[str, ...]:
    """What the silence does not say."""
    if found.best is not None:
        return ()
    told = "yes" if found.pixels is None else found.pixels.told
    notes = (f"{SYNTHETIC}.",) if found.synthetic and (told == "yes" or not found.all_axes) else ()
    if found.pixels is not None and told == "no" and not found.all_axes:
        notes = (*notes, f"No wiring that was tried tells people apart: {_beside(found, found.pixels)}.")
    return notes
