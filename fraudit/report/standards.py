"""Where figures of a report belong under headings of documents that ask for such figures. Headings only.

Headings are named, no sentence is quoted. NIST SP 800-63A-4: topics of its section on the use of biometrics.
ISO/IEC 19795-10:2024: topics of its published scope; its clauses were not read. Regulation (EU) 2024/1689: points of
Annex IV, named in our words.
"""

from __future__ import annotations

from dataclasses import dataclass

from fraudit.plugins import ANALYSES
from fraudit.report.record import RunRecord

NO_CLAIM = "Headings only, no claim of conformity."


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of a document and where the report has something to it.

    Attributes:
        key: by which an analysis says that its section belongs here (`Analysis.headings`).
        parts: of the page that belong here too (`model-card`, `data-card`, `limits`, `provenance`, `explorer`).
        outside: why no audit of a black box can serve it; '' where one can.
    """

    key: str
    name: str
    parts: tuple[str, ...] = ()
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
            Heading("nist.1-1", "Error rates of verification (1:1)", ("explorer",)),
            Heading("nist.1-n", "Error rates of identification (1:N) and size of the gallery"),
            Heading("nist.groups", "Tests by demographic group"),
            Heading("nist.demands", "Demands with limits"),
            Heading(
                "nist.attacks", "Presentation attack detection", (), "a test of the capture, not of the model"
            ),
        ),
    ),
    Document(
        "ISO/IEC 19795-10:2024, performance variation across demographic groups",
        "topics of the published scope; its clauses were not read",
        (
            Heading("iso.membership", "Demographic group membership", ("data-card",)),
            Heading("iso.phenotype", "Phenotypic measures"),
            Heading(
                "iso.reporting",
                "Reporting on tests",
                (
                    "provenance",
                    "data-card",
                ),
            ),
            Heading("iso.uncertainty", "Statistical uncertainty"),
            Heading("iso.thresholds", "Operational thresholds", ("explorer",)),
            Heading("iso.equitability", "Equitability"),
            Heading("iso.acquire", "Failure to enrol and to acquire"),
        ),
    ),
    Document(
        "Regulation (EU) 2024/1689 (AI Act), Annex IV",
        "its points, named in our words",
        (
            Heading("ai.1", "1 General description", ("model-card",)),
            Heading(
                "ai.2d",
                "2(d) Data",
                ("data-card",),
                "training data: the provider knows them, a black box does not tell",
            ),
            Heading("ai.2g", "2(g) Validation and testing", ("provenance",)),
            Heading("ai.2h", "2(h) Cybersecurity"),
            Heading("ai.3", "3 Capabilities and limits, accuracy for groups of people", ("limits",)),
            Heading("ai.4", "4 Performance metrics", ("model-card",)),
            Heading("ai.5", "5 Risk management", (), "the provider's own"),
            Heading("ai.6", "6 Changes over the lifecycle"),
            Heading("ai.7", "7 Standards applied; 8 Declaration of conformity", (), "the provider's own"),
            Heading(
                "ai.9",
                "9 Monitoring after placing on the market",
                (),
                "the provider's own; `fraudit gate` can be a part of it",
            ),
        ),
    ),
)
# Headings of the model card and the data card that analyses serve.
FACTORS, METRICS, FIGURES, ETHICS, LOST = (
    "card.factors",
    "card.metrics",
    "card.figures",
    "card.ethics",
    "card.lost",
)


def serving(record: RunRecord, key: str) -> list[tuple[str, str]]:
    """(name, title) of the sections that ran and whose analyses say that they belong under the heading `key`."""
    done = {result.name: result.title for result in record.results if result.status == "done"}
    known = sorted(ANALYSES.usable(), key=lambda a: (a.order, a.name))
    return [(a.name, done[a.name]) for a in known if key in a.headings and a.name in done]


def links(record: RunRecord, heading: Heading, parts: set[str]) -> list[tuple[str, str]]:
    """(anchor, words) of the sections that ran and the parts of the page that are there."""
    own = [(name, PARTS[name]) for name in heading.parts if name in parts]
    return [*serving(record, heading.key), *own]
