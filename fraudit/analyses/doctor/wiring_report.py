"""The wiring in words: metrics, a table, and a finding where another wiring is better beyond doubt."""

from __future__ import annotations

from fraudit.analyses.doctor.judging import MATERIAL, MATERIAL_CHANNELS, Tried, Wiring
from fraudit.types import Column, Figure, Finding, Interval, Metric, Table

METHOD = (
    "Wirings are screened on some people and tested on others, all pairs of their faces the same for each. d' is "
    "compared person by person (jackknife pseudo-values, sign flips, max-t over all that were tested). Another wiring "
    f"is called better at p at most 0.001 and a d' at least {MATERIAL:.0%} higher, {MATERIAL_CHANNELS:.1%} for "
    "channels alone; equivalent where its d' differs by less at both bounds. Where the first faces leave open whether "
    "one is better, the leading ones are judged on more, and each of the two tests has half of the level. Adding the "
    "mirror's vector helps nearly every model and is no sign of a wrong card."
)


SYNTHETIC = (
    "On synthetic faces swapped channels may cost less than this test can tell: use photographs of people with two "
    "pictures or more (--dataset)"
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
    )
    rows = [
        {"wiring": "as stated", "d_prime": found.d_prime, "auc": found.auc, "gain": None, "low": None,
         "high": None, "p": None, "people": found.people}
    ]  # fmt: skip
    rows += [
        {"wiring": t.hypothesis.words, "d_prime": t.d_prime, "auc": t.auc, "gain": t.gain.share,
         "low": t.gain.low, "high": t.gain.high, "p": t.gain.p, "people": t.people}
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
    if found.best is None:
        text = (
            f"None of {found.screened} other wirings separates people beyond doubt and materially better "
            f"(d' {found.d_prime:.2f}; {found.people} people)."
        )
        none = Finding("info", text, evidence[:1], "doctor.wiring_none")
        return (none, *_alike(found))
    gain = found.best.gain
    text = (
        f"The model is wired otherwise than it was trained: d' rises by {gain.share:.1%} ({gain.low:.1%} to "
        f"{gain.high:.1%}; {found.best.people} people) {change_words(found, found.best)}."
    )
    if found.equal:
        listed = "; ".join(t.hypothesis.words for t in found.equal[:4])
        text += f" Equivalent to it here: {listed}."
    advice = f"Run again {change_words(found, found.best)}, and compare."
    return (Finding("high", text, evidence, "doctor.wiring", advice),)


def _alike(found: Wiring) -> tuple[Finding, ...]:
    """What these faces cannot tell from the stated wiring: of equal worth, and what takes more people."""
    told = []
    evidence = ("doctor.wiring.d_prime", "doctor.wiring.gain")
    if equal := [t for t in found.tried if t.equivalent]:
        text = f"Equivalent to the stated wiring here (d' within {MATERIAL:.0%}): {_listed(equal)}."
        told.append(Finding("info", text, evidence, "doctor.wiring_equivalent"))
    if unsure := [t for t in found.tried if t.undecided]:
        text = f"Too few people to tell whether it is better: {_listed(unsure)}."
        told.append(Finding("info", text, evidence, "doctor.wiring_open"))
    return tuple(told)


def _listed(tried: list[Tried]) -> str:
    return "; ".join(
        f"{t.hypothesis.words} ({t.gain.share:+.1%}, {t.gain.low:+.1%} to {t.gain.high:+.1%}; {t.people} people)"
        for t in tried[:4]
    )


def wiring_caveats(found: Wiring) -> tuple[str, ...]:
    """What the silence does not say."""
    return (f"{SYNTHETIC}.",) if found.synthetic and found.best is None else ()
