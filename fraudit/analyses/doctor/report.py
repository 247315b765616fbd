"""The doctor in words. Rules: docs/doctor.md, docs/severity.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fraudit.analyses.doctor.measure import ALIKE, Sanity
from fraudit.types import F64, Column, Finding, Metric, Severity, Table

NOTICED, MOVED = 1e-3, 0.05  # 1 - cosine from which on a difference is medium, and high
NARROW, ONE_POINT = 0.98, 0.9999  # median cosine of strangers: low, and high
MANY = 0.1  # share of useless dimensions that is medium
FACT = "a fact about these faces, no estimate"

METHOD = (
    "A few faces are shown to the model itself, past everything that is remembered: twice, alone, in another order, "
    "mirrored and one pixel aside, and pictures that show no face. Differences are 1 - cosine of the two answers; up "
    f"to {ALIKE:g} they are rounding. Dimensions, norms and the cosine of strangers are those of all vectors of the "
    "set. Nothing in these checks is an estimate: each finding was seen."
)


def metrics(found: Sanity) -> tuple[Metric, ...]:
    """The largest difference of every check, and what the vectors look like."""
    rows = [
        _worst("doctor.twice", found.twice, "Largest difference, same batch twice (1 - cosine)"),
        _worst("doctor.alone", found.alone, "Largest difference, face alone and in a batch (1 - cosine)"),
        _worst("doctor.order", found.order, "Largest difference, batch in another order (1 - cosine)"),
    ]
    for name, values, what in (("mirror", found.mirror, "mirrored"), ("aside", found.aside, "1 px aside")):
        label = f"Median difference, face and the same {what} (1 - cosine)"
        rows.append(
            _fact(f"doctor.{name}", float(np.median(values)) if len(values) else None, len(values), label)
        )
    shape = found.shape
    if shape:
        rows += [
            _fact("doctor.dead", shape.dead, shape.n, "Dimensions that are always 0", "lower"),
            _fact("doctor.constant", shape.constant, shape.n, "Dimensions that never change", "lower"),
            _fact("doctor.duplicated", shape.twins, shape.n, "Dimensions that repeat another", "lower"),
            _fact(
                "doctor.strangers",
                shape.strangers if np.isfinite(shape.strangers) else None,
                shape.n,
                "Median cosine of two people",
            ),
            _fact("doctor.norm", shape.norm[1], shape.n, "Median length of a vector"),
        ]
    return tuple(rows)


def _worst(name: str, values: F64, label: str) -> Metric:
    return _fact(name, float(values.max()) if len(values) else None, len(values), label, "lower")


def _fact(name: str, value: float | None, n: int, label: str, better: Any = "none") -> Metric:
    if value is None:
        return Metric(name, None, missing="not checked", label=label, better=better)
    return Metric(name, float(value), n=n, n_unit="faces", interval_missing=FACT, label=label, better=better)


EVAL = "Call eval() before the model is used or exported, then run again."
REFUSE = (
    "Refuse vectors that are not finite before they are enrolled or compared, and find the division by zero."
)
OUTPUT = "Check that the card names the embedding as the output: such dimensions carry nothing."


def findings(found: Sanity) -> tuple[Finding, ...]:
    """What is wrong; nothing where nothing is."""
    told: list[Finding] = [
        Finding(
            "high",
            f"The model fails on {check}: {why}.",
            (),
            "doctor.fails",
            "Mend this first, then run again.",
        )
        for check, why in found.failed.items()
    ]
    if found.broken:
        text = f"{found.broken} of {found.n} faces get a vector with NaN or infinity."
        told.append(Finding("high", text, (), "doctor.not_finite", REFUSE))
    if found.flat:
        text = (
            f"A {' or '.join(found.flat)} picture gets a vector with NaN or infinity: a covered camera would put it "
            "into the gallery."
        )
        told.append(Finding("medium", text, (), "doctor.flat", REFUSE))
    told += _same_face(found)
    told += _shape(found)
    return tuple(told)


CARD = "Mend the card, then run again; `fraudit doctor` tries other wirings and says which separates people best."


def card_findings(notes: Sequence[str]) -> tuple[Finding, ...]:
    """What looks wrong in the model's card: a fact of the file, so none is an estimate."""
    return tuple(
        Finding("medium", f"The card looks wrong. {note}", (), "doctor.card", CARD) for note in notes
    )


def _grade(apart: float) -> Severity:
    return "high" if apart > MOVED else "medium" if apart > NOTICED else "low"


def _same_face(found: Sanity) -> list[Finding]:
    """The first of nondeterminism, mixed rows and dependence on the batch: one hides those after it."""
    worst = {name: float(v.max()) if len(v) else 0.0 for name, v in _answers(found).items()}
    if worst["twice"] > ALIKE:
        text = (
            f"The same {found.n} faces shown twice get other vectors (cosine down to {1 - worst['twice']:.4f}): "
            "dropout or another draw of chance is on. Call eval() before the model is used or exported."
        )
        return [Finding(_grade(worst["twice"]), text, ("doctor.twice",), "doctor.chance", EVAL)]
    if found.moved:
        text = (
            f"{found.moved} of {found.n} vectors come back at another face's place when the batch is turned round: "
            "answers are handed back in another order than the pictures."
        )
        advice = "Hand answers back in the order of the pictures, then run again."
        return [Finding("high", text, ("doctor.order",), "doctor.order", advice)]
    if worst["order"] > ALIKE:
        text = (
            f"A face's vector depends on its place in the batch (cosine down to {1 - worst['order']:.4f}; "
            f"n = {found.n} faces)."
        )
        advice = "Ask one picture at a time, or find what mixes the pictures of a batch."
        return [Finding(_grade(worst["order"]), text, ("doctor.order",), "doctor.order", advice)]
    if worst["alone"] > ALIKE:
        text = (
            f"A face alone gets another vector than in a batch of {found.n} (cosine down to {1 - worst['alone']:.4f}; "
            f"n = {len(found.alone)} faces): batch normalisation in training mode (call eval()), or a scale that is "
            "computed over the batch, as dynamic quantisation does."
        )
        return [Finding(_grade(worst["alone"]), text, ("doctor.alone",), "doctor.batch", EVAL)]
    return []


def _answers(found: Sanity) -> dict[str, F64]:
    return {"twice": found.twice, "alone": found.alone, "order": found.order}


def _shape(found: Sanity) -> list[Finding]:
    shape, told = found.shape, []
    if shape is None:
        return []
    if shape.n >= 20:
        kinds = (
            (shape.dead, "are 0", "doctor.dead"),
            (shape.constant, "never change", "doctor.constant"),
            (shape.twins or 0, "repeat another one", "doctor.duplicated"),
        )
        for count, what, rule in kinds:
            if count:
                text = f"{count} of {shape.dim} dimensions {what} in all {shape.n:,} vectors."
                severity: Severity = "medium" if count >= MANY * shape.dim else "low"
                told.append(Finding(severity, text, (rule,), rule, OUTPUT))
    if shape.strangers >= NARROW:
        text = (
            f"All vectors lie in a narrow cone: the median cosine of two people is {shape.strangers:.5f} (n = "
            f"{shape.n:,} vectors). Subtract the mean vector, or check mean, std and which output is the embedding."
        )
        severity = "high" if shape.strangers >= ONE_POINT else "low"
        advice = "`fraudit doctor` tries other scales, channels and outputs; mend the card by what it says."
        told.append(Finding(severity, text, ("doctor.strangers",), "doctor.cone", advice))
    return told


def answer(told: Sequence[Finding], wiring: bool, maybe: str = "") -> str:
    """The section in plain words; says so where colour order, scale and crop were not tried.

    `maybe`: what may be better, with too few people to tell, in words; '' where there is none.
    """
    if any(f.severity in ("high", "medium", "low") for f in told):
        return "No: mend what is named below before other figures are believed."
    rules = {f.rule for f in told}
    if "doctor.unseparated_open" in rules:
        return (
            "Nothing wrong was seen, but these faces are too few to say whether the model tells people apart."
        )
    if maybe:
        return f"Nothing wrong was shown; {maybe}."
    if "doctor.wiring_open" in rules:
        return (
            "Nothing wrong was seen. These people are too few to tell whether some other wirings, named below, do "
            "clearly better."
        )
    if "doctor.wiring_equivalent" in rules:
        return (
            "Nothing wrong was seen. No other wiring tried does clearly better, and some do as well: they are named "
            "below."
        )
    if "doctor.wiring_none" in rules:
        return "Nothing wrong was seen, and no other wiring tried does clearly better."
    if wiring:
        return "Nothing wrong was seen: the same face gets the same vector. Other wirings could not be tried."
    return (
        "Nothing wrong was seen: the same face gets the same vector. Other colour orders, scales and crops were not "
        "tried here; `fraudit doctor` tries them."
    )


def headline(found: Sanity, told: Sequence[Finding], maybe: str = "") -> str:
    """One sentence; `maybe` as in `answer`."""
    wrong = [f for f in told if f.severity in ("high", "medium", "low")]
    if not wrong and maybe:
        return f"Nothing wrong was shown; {maybe}."
    if not wrong:
        return f"Nothing wrong was seen: {found.asked} faces were shown anew."
    return f"{len(wrong)} thing{'s' if len(wrong) > 1 else ''} to mend before other figures are believed."


def caveats(found: Sanity) -> tuple[str, ...]:
    """What was not checked."""
    return (f"Not checked: {found.left_out}.",) if found.left_out else ()


def table(found: Sanity) -> Table:
    """Every check with what it saw."""
    rows: list[dict[str, Any]] = []
    for name, values in (
        ("same batch twice", found.twice),
        ("face alone and in a batch", found.alone),
        ("batch in another order", found.order),
        ("face and its mirror", found.mirror),
        ("face and the same 1 px aside", found.aside),
    ):
        if len(values):
            rows.append(
                {
                    "check": name,
                    "median": float(np.median(values)),
                    "worst": float(values.max()),
                    "n": len(values),
                }
            )
    columns = (
        Column("check", "Check"),
        Column("median", "Median 1 - cosine", "number", 6),
        Column("worst", "Largest", "number", 6),
        Column("n", "Faces", "integer"),
    )
    caption = f"Up to {ALIKE:g} is rounding in the first three; mirror and 1 px have no right value."
    return Table("doctor.checks", "Is one face one vector?", columns, tuple(rows), caption)
