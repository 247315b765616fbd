"""A model card and a data card from what a record knows, and what is missing from both.

Headings of the model card: Mitchell et al., Model Cards for Model Reporting, FAT* 2019, sec. 4. A fact that was not
recorded is named as missing; nothing is filled in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fraudit import formatting
from fraudit.plugins import ANALYSES
from fraudit.report.record import RunRecord
from fraudit.report.standards import ETHICS, FACTORS, FIGURES, LOST, METRICS, serving
from fraudit.report.summary import KeyValue, key_figures

NEVER_RECORDED = (
    "Not recorded"  # heading of the data card that lists what no run records: it lacks nothing itself
)
NOT_RECORDED = ("", "not stated", "not stated in the card", "not recorded", "unknown")


@dataclass(frozen=True, slots=True)
class Entry:
    """One heading of a card.

    Attributes:
        lines: what is known, a sentence or fact each. links: (section, its title) where figures are.
        missing: what nobody recorded, in words; '' where nothing is missing.
    """

    heading: str
    lines: Sequence[str] = ()
    links: Sequence[tuple[str, str]] = ()
    missing: str = ""


def _known(value: Any) -> bool:
    return value not in (None, [], {}) and str(value).strip().lower() not in NOT_RECORDED


def _lines(facts: Sequence[tuple[str, Any]]) -> tuple[list[str], list[str]]:
    """(lines of what is known, names of what is not)."""
    lines = [f"{name}: {value}" for name, value in facts if _known(value)]
    return lines, [name.lower() for name, value in facts if not _known(value)]


def _input(preprocess: Any) -> str:
    """`112 x 112 px, RGB, points arcface-112` of an embedder's preprocessing, '' where it says none."""
    if not isinstance(preprocess, Mapping):
        return ""
    size = preprocess.get("size")
    shape = " x ".join(map(str, size)) + " px" if isinstance(size, list) else ""
    template = preprocess.get("template_name")
    named = f"aligned to {template}" if template else ""
    return ", ".join(part for part in (shape, str(preprocess.get("channels") or ""), named) if part)


def _quantity(key: KeyValue) -> str:
    if key.metric is None:
        return f"{key.figure.label}: missing ({key.reason})"
    shown = {"as_percent": key.figure.as_percent, "as_points": key.figure.as_points}
    value = formatting.with_unit(key.metric.value, key.metric.unit, **shown)
    i = key.metric.interval
    around = (
        f"95\u202f% interval {formatting.interval(i.low, i.high, key.metric.unit, **shown)}"
        if i
        else "no interval"
    )
    n = f"; {key.metric.n:,} {key.metric.n_unit}".rstrip() if key.metric.n is not None else ""
    return f"{key.note}: {value} ({around}{n})"


def _names(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values))


def model_card(record: RunRecord) -> list[Entry]:
    """The model under the nine headings of Mitchell et al."""
    model, data = record.inputs.get("embedder") or {}, record.inputs.get("dataset") or {}
    digest = str(model.get("weights_sha256") or "")
    details, missing = _lines(
        [
            ("Name", " ".join(str(model[k]) for k in ("name", "variant") if model.get(k))),
            ("Numbers in a template", model.get("dim")),
            ("Input", _input(model.get("preprocess"))),
            ("Its own comparison", model.get("distance")),
            ("Source", model.get("source")),
            ("Licence", model.get("licence")),
            ("SHA-256 of the weights", f"{digest[:16]}…" if digest else ""),
        ]
    )
    details += [f"Note: {note}" for note in model.get("notes") or []]
    never = ["who made it", "when", "its architecture", "where to send questions"]
    labels = list(data.get("attributes") or [])
    factors = [f"Groups and conditions the data labels: {_names(labels)}"] if labels else []
    varied = {name for name, _ in serving(record, FACTORS)}
    factors += [a.factor for a in ANALYSES.usable() if a.factor and a.name in varied]
    private = {name for name, _ in serving(record, ETHICS)}
    found = [_quantity(key) for key in key_figures(record)]
    return [
        Entry("Model details", details, (), _names([*missing, *never])),
        Entry(
            "Intended use",
            (),
            (),
            "what it is for, who may use it and what it must not be used for: write it down before you hand this on",
        ),
        Entry(
            "Factors",
            factors,
            serving(record, FACTORS),
            "" if labels else "labels of groups: fairness cannot be judged without them",
        ),
        Entry(
            "Metrics",
            [
                "Error rates at thresholds chosen on other people than those they judge, with n and an interval that "
                "counts people, or the reason there is none"
            ],
            serving(record, METRICS),
        ),
        Entry("Evaluation data", [str(data.get("name") or "not recorded")], (("data-card", "Data card"),)),
        Entry(
            "Training data",
            (),
            (),
            "all of it: the model was asked as a black box. Whether it has seen people of this audit is not known",
        ),
        Entry("Quantitative analyses", found, serving(record, FIGURES)),
        Entry(
            "Ethical considerations",
            [
                "Face pictures and templates are personal data of the people they show",
                *(f"{r.title}: {r.answer}" for r in record.results if r.answer and r.name in private),
            ],
            serving(record, ETHICS),
        ),
        Entry(
            "Caveats and recommendations",
            list(
                dict.fromkeys(
                    f.advice for _, f in record.findings() if f.advice and f.severity in ("high", "medium")
                )
            ),
            (("limits", "What this does not show"),),
        ),
    ]


def data_card(record: RunRecord) -> list[Entry]:
    """The pictures: what they are, under which terms, from where, what was left out, what nobody recorded."""
    data = record.inputs.get("dataset") or {}
    holds, _ = _lines(
        [
            ("Name", data.get("name")),
            ("Pictures", _count(data.get("n_faces"))),
            ("People", _count(data.get("n_subjects"))),
            ("Labels", _names(data.get("attributes") or [])),
            ("Pairs that the set declares", _count(data.get("protocol_pairs"))),
        ]
    )
    synthetic = data.get("synthetic")
    if synthetic is not None:
        holds.append(
            "Synthetic: the faces show nobody"
            if synthetic
            else "Not declared synthetic: treat them as pictures of real people"
        )
    identified = data.get("identified")
    origin, no_origin = _lines(
        [
            ("Source", data.get("source")),
            ("Digest", f"{str(data.get('digest') or '')[:16]}…" if data.get("digest") else ""),
            ("Faces found by", data.get("detector")),
        ]
    )
    origin += [f"How it was read: {note}" for note in data.get("notes") or []]
    lost = [f"{count:,} left out: {reason}" for reason, count in (data.get("left_out") or {}).items()]
    lost += [f"{count:,} without a vector: {reason}" for reason, count in (data.get("fta") or {}).items()]
    terms = data.get("licence")
    consent = [] if synthetic else ["whether the people shown agreed to this use"]
    return [
        Entry(
            "What it holds",
            holds,
            (),
            "" if identified in (True, None) else "who is shown: the set names no identities",
        ),
        Entry("Licence", [str(terms)] if _known(terms) else (), (), "" if _known(terms) else "terms of use"),
        Entry(
            "Provenance", origin, (), _names([*no_origin, "who made the pictures, with which camera, when"])
        ),
        Entry(
            "Left out or lost",
            lost or ["Nothing that was found was left out"],
            serving(record, LOST),
        ),
        Entry(
            NEVER_RECORDED,
            (),
            (),
            _names(
                [
                    *consent,
                    "how labels were made and how often they are wrong",
                    "whether these people resemble yours",
                ]
            ),
        ),
    ]


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else ""
