"""What somebody who never saw the tool reads first: questions with answers, five findings with what to do, limits.

Composed by rule from a record. Answers and advice are the analyses' own (`AnalysisResult.answer`, `Finding.advice`);
nothing is guessed here.
"""

from __future__ import annotations

from dataclasses import dataclass

from fraudit.plugins import ANALYSES
from fraudit.report.record import RunRecord
from fraudit.types import AnalysisResult, Severity, gravity

CONCERNS: dict[Severity, str] = {
    "high": "High",
    "medium": "Medium",
    "low": "Low",
    "info": "None shown",
    "good": "Good",
}


# Ends of rules that say that there was too little to judge by.
OPEN = ("unresolved", "few", "too_few", "no_errors", "unknown_people", "open")


# Ends of rules that say that something was seen that by itself asks for no decision.
NOTED = ("helps", "best", "names", "found")


@dataclass(frozen=True, slots=True)
class Answer:
    """A question of a reader, answered.

    Attributes:
        analysis: whose section it is. title: that section's heading. question: in plain words.
        level: the gravest severity of its findings; '' where it did not run.
        concern: the same in a word. text: the answer, or why there is none.
    """

    analysis: str
    title: str
    question: str
    level: str
    concern: str
    text: str


def _answer(result: AnalysisResult, question: str) -> Answer:
    if result.status != "done":
        said = "Failed" if result.status == "failed" else "Not tested"
        why = result.reason or "no reason was recorded"
        return Answer(result.name, result.title, question, "", said, f"Not known: {why}")
    level: Severity = min(
        (f.severity for f in sorted(result.findings, key=gravity)), key=_rank, default="info"
    )
    text = result.answer or result.headline or "It ran and said nothing."
    concern = CONCERNS[level]
    if level == "info" and any(f.rule.rpartition(".")[2] in OPEN for f in result.findings):
        concern = "Open"
    elif level == "info" and any(f.rule.rpartition(".")[2] in NOTED for f in result.findings):
        concern = "Note"
    return Answer(result.name, result.title, question, level, concern, text)


def _rank(severity: Severity) -> int:
    return list(CONCERNS).index(severity)


def answers(record: RunRecord) -> list[Answer]:
    """One for each analysis that was asked for, those that need a decision first, those that did not run last."""
    asked = {analysis.name: analysis.question for analysis in ANALYSES.usable()}
    found = [_answer(result, asked.get(result.name) or result.title) for result in record.results]
    return sorted(found, key=lambda a: list(CONCERNS).index(a.level) if a.level else len(CONCERNS))  # type: ignore[arg-type]


def audited(record: RunRecord) -> str:
    """One sentence: which black box was shown how many pictures of how many people."""
    model, data = record.inputs.get("embedder") or {}, record.inputs.get("dataset") or {}
    name = model.get("name") or "A model whose name was not recorded"
    if data.get("n_faces") is None:
        return f"{name} was asked as a black box; what it was shown was not recorded."
    pictures = f"{data['n_faces']:,}{' synthetic' if data.get('synthetic') else ''} pictures"
    people = f" of {data['n_subjects']:,} people" if data.get("n_subjects") else ", of whom is not known,"
    nobody = " who do not exist" if data.get("synthetic") and data.get("n_subjects") else ""
    where = f" (the set {data['name']})" if data.get("name") else ""
    return f"{name}, asked as a black box, with {pictures}{people}{nobody}{where}."


def limits(record: RunRecord) -> list[str]:
    """What the report does not show, a sentence each; by what was measured and what was not."""
    data = record.inputs.get("dataset") or {}
    said = []
    if data.get("synthetic"):
        said.append(
            "How the model does on real people: the faces are synthetic and show nobody. Rates on real pictures "
            "differ; audit with pictures like yours before you decide anything."
        )
    else:
        people = f" of {data['n_subjects']:,} people" if data.get("n_subjects") else ""
        said.append(
            f"How it does on other people, cameras and light: every figure is of these pictures{people}, and so is "
            "every interval."
        )
    said += [
        f"{finding.text}"
        for result, finding in record.findings()
        if finding.rule == f"{result.name}.unresolved" and finding.text.startswith("Not resolvable")
    ]
    labels = ", ".join(map(str, data.get("attributes") or []))
    done = {result.name for result in record.results if result.status == "done"}
    for analysis in sorted(ANALYSES.usable(), key=lambda a: (a.order, a.name)):
        unshown = analysis.unshown
        text = unshown.ran if analysis.name in done else "" if done & {*unshown.instead} else unshown.absent
        if text and text not in said and (labels or "{labels}" not in text):
            said.append(text.replace("{labels}", labels))
    said.append("What the model was trained on, and with whose consent: a black box does not tell.")
    return said
