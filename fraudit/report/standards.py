"""Where figures of a report belong under headings of documents that ask for such figures. Headings only.

Headings are named, no sentence is quoted. NIST SP 800-63A-4: topics of its section on the use of biometrics.
ISO/IEC 19795-10:2024: topics of its published scope; its clauses were not read. Regulation (EU) 2024/1689: points of
Annex IV, named in our words.
"""

from __future__ import annotations

from dataclasses import dataclass

from fraudit.report.record import RunRecord

NO_CLAIM = "Headings only, no claim of conformity."


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of a document and where the report has something to it.

    Attributes:
        sections: analyses, or parts of the page (`model-card`, `data-card`, `limits`, `provenance`).
        outside: why no audit of a black box can serve it; '' where one can.
    """

    name: str
    sections: tuple[str, ...] = ()
    outside: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A document, and what was read of it."""

    name: str
    read: str
    headings: tuple[Heading, ...]


PARTS = {
    "model-card": "Model card",
    "data-card": "Data card",
    "limits": "What this does not show",
    "provenance": "Provenance",
    "explorer": "Try a threshold",
}

DOCUMENTS = (
    Document(
        "NIST SP 800-63A-4, Requirements for the Use of Biometrics",
        "topics of section 3.11",
        (
            Heading("Error rates of verification (1:1)", ("verification", "explorer")),
            Heading("Error rates of identification (1:N) and size of the gallery", ("identification",)),
            Heading("Tests by demographic group", ("bias",)),
            Heading("Demands with limits", ("profile",)),
            Heading("Presentation attack detection", (), "a test of the capture, not of the model"),
        ),
    ),
    Document(
        "ISO/IEC 19795-10:2024, performance variation across demographic groups",
        "topics of the published scope; its clauses were not read",
        (
            Heading("Demographic group membership", ("bias", "data-card")),
            Heading("Phenotypic measures", ("conditions",)),
            Heading("Reporting on tests", ("provenance", "data-card")),
            Heading("Statistical uncertainty", ("bias", "verification")),
            Heading("Operational thresholds", ("verification", "explorer", "bias")),
            Heading("Equitability", ("bias",)),
            Heading("Failure to enrol and to acquire", ("verification", "bias", "robustness")),
        ),
    ),
    Document(
        "Regulation (EU) 2024/1689 (AI Act), Annex IV",
        "its points, named in our words",
        (
            Heading("1 General description", ("model-card",)),
            Heading(
                "2(d) Data",
                ("data-card",),
                "training data: the provider knows them, a black box does not tell",
            ),
            Heading(
                "2(g) Validation and testing",
                ("verification", "identification", "robustness", "bias", "provenance"),
            ),
            Heading("2(h) Cybersecurity", ("inversion", "leakage", "protection", "linkability")),
            Heading(
                "3 Capabilities and limits, accuracy for groups of people", ("verification", "bias", "limits")
            ),
            Heading("4 Performance metrics", ("verification", "model-card")),
            Heading("5 Risk management", (), "the provider's own"),
            Heading("6 Changes over the lifecycle", ("upgrade", "twins")),
            Heading("7 Standards applied; 8 Declaration of conformity", (), "the provider's own"),
            Heading(
                "9 Monitoring after placing on the market",
                (),
                "the provider's own; `fraudit gate` can be a part of it",
            ),
        ),
    ),
)


def links(record: RunRecord, heading: Heading, parts: set[str]) -> list[tuple[str, str]]:
    """(anchor, words) of the sections that ran and the parts of the page that are there."""
    done = {result.name: result.title for result in record.results if result.status == "done"}
    known = {**{name: words for name, words in PARTS.items() if name in parts}, **done}
    return [(name, known[name]) for name in heading.sections if name in known]
